"""The log of a training: a line of comma-separated values for each epoch."""

from __future__ import annotations

import csv
from pathlib import Path

import keras

from keras_rnnkit.runs.errors import RunError
from keras_rnnkit.text.files import replacing


class EpochLog(keras.callbacks.Callback):
    """Writes the logs of all epochs so far into a file after every epoch; the first line has their names.

    Arguments:
        path: the file.
        history: the logs of the epochs before the current one.
    """

    def __init__(self, path: Path, history: list[dict[str, float]]):
        super().__init__()
        self.path, self.history = path, history

    def on_epoch_end(self, epoch, logs=None):
        write_log(self.path, [*self.history, dict(logs or {})])


def read_log(path: Path) -> list[dict[str, float]]:
    """The logs of the epochs in a file that `write_log` wrote."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return [{name: float(value) for name, value in row.items() if name != "epoch" and value} for row in rows]
    except (OSError, ValueError) as error:
        raise RunError(f"The log {path} cannot be read ({error}). The run must have ended an epoch.") from None


def write_log(path: Path, history: list[dict[str, float]]) -> None:
    """Write the logs of epochs.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "log.csv"
    >>> write_log(path, [{"loss": 2.0, "val_loss": 3.0}])
    >>> path.read_text().splitlines()
    ['epoch,loss,val_loss', '1,2.0,3.0']
    """
    names = list(dict.fromkeys(name for row in history for name in row))
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["epoch", *names])
        writer.writeheader()
        for number, row in enumerate(history, 1):
            writer.writerow({"epoch": number, **{name: float(value) for name, value in row.items()}})
