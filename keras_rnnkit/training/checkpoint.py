"""Going on where training was interrupted, as if nothing had happened."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_rnnkit.training.state import carried_states, carries, set_states

FORMAT = 1


class CheckpointError(ValueError):
    """A checkpoint that training cannot go on from: why, and what to do."""


class Checkpoint(keras.callbacks.Callback):
    """Keeps in one file all it takes to go on: weights, optimizer, carried states, seeds, the place in the data.

    The file is replaced at the end of every epoch, and every `every` batches; a process that is killed while it writes
    leaves the one before.

    Arguments:
        path: of the file.
        settings: what the training was told, by name; `resume` refuses a checkpoint of other settings.
        every: batches, or None for the ends of epochs alone.
        start: the batch of the first epoch that training begins with.
        history: logs of the epochs before.
    """

    def __init__(self, path, settings: dict[str, Any], every: int | None = None, start: int = 0, history=None):
        super().__init__()
        self.path, self.settings, self.every = Path(path), settings, every
        self.history: list[dict[str, float]] = list(history or [])
        self._epoch, self._offset = 0, start

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        done = batch + 1 + self._offset
        if self.every and done % self.every == 0:
            self.save(self._epoch, done)

    def on_epoch_end(self, epoch, logs=None):
        self._offset = 0
        self.history.append({name: float(value) for name, value in (logs or {}).items()})
        self.save(epoch + 1, 0)

    def save(self, epoch: int, batch: int) -> None:
        """Write the file; training goes on with this batch of this epoch, both counted from 0."""
        known = {
            "format": FORMAT,
            "epoch": epoch,
            "batch": batch,
            "settings": self.settings,
            "history": self.history,
        }
        arrays = {f"{i:05d}": np.asarray(keras.ops.convert_to_numpy(v)) for i, v in enumerate(variables(self.model))}
        arrays |= {f"state_{i:03d}": state for i, state in enumerate(states_of(self.model))}
        part = self.path.with_name(f".{self.path.name}.part")
        with zipfile.ZipFile(part, "w") as archive:
            archive.writestr("training.json", json.dumps(known))
            for name, array in arrays.items():
                buffer = io.BytesIO()
                np.save(buffer, array, allow_pickle=False)
                archive.writestr(f"{name}.npy", buffer.getvalue())
        part.replace(self.path)


def variables(model) -> list[Any]:
    """All that changes while a model trains, but for the states."""
    return [*model.variables, *model.optimizer.variables]


def states_of(model) -> list[np.ndarray]:
    return carried_states(model) if carries(model) else []


def resume(model, path: str | Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Put a compiled model back to where a checkpoint was written: {"epoch": ..., "batch": ..., "history": ...}."""
    model.optimizer.build(model.trainable_variables)
    try:
        with zipfile.ZipFile(path) as archive:
            known = json.loads(archive.read("training.json"))
            names = sorted(name for name in archive.namelist() if name.endswith(".npy"))
            arrays = [np.load(io.BytesIO(archive.read(name)), allow_pickle=False) for name in names]
    except FileNotFoundError:
        raise CheckpointError(f"There is no checkpoint {str(path)!r} to go on from.") from None
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{str(path)!r} is not a checkpoint, or is damaged ({error!r}). Begin anew.") from error
    check(known, settings, path)
    states = [array for name, array in zip(names, arrays, strict=True) if name.startswith("state_")]
    values = arrays[: len(arrays) - len(states)]
    for variable, value in zip(variables(model), values, strict=True):
        variable.assign(value)
    if states:
        set_states(model, states)
    return known


def check(known: dict[str, Any], settings: dict[str, Any], path: str | Path) -> None:
    if known.get("format") != FORMAT:
        raise CheckpointError(f"{str(path)!r} was written by another version of keras_rnnkit. Begin anew.")
    before = known["settings"]
    same = json.loads(json.dumps(settings))
    differing = [name for name in sorted({*before, *same}) if before.get(name) != same.get(name)]
    if differing:
        words = ", ".join(f"{name} was {before.get(name)!r} and is {same.get(name)!r}" for name in differing)
        raise CheckpointError(
            f"The checkpoint {str(path)!r} is of other settings: {words}. Use the same, or begin anew elsewhere."
        )
