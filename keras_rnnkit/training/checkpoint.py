"""Checkpoints from which training continues exactly: as if it had not been interrupted."""

from __future__ import annotations

import io
import json
import math
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_rnnkit.text.files import replacing
from keras_rnnkit.training.averages import averages_of
from keras_rnnkit.training.gradients import counters_of
from keras_rnnkit.training.preparation import check_own_file, check_prepared
from keras_rnnkit.training.state import as_array, carried_states, carries, set_states, state_variables

FORMAT = 2


class CheckpointError(ValueError):
    """A checkpoint from which training cannot continue. The message says why, and what to do."""


class Checkpoint(keras.callbacks.Callback):
    """Keeps in one file all that training needs to continue exactly.

    The file has the weights, the optimizer, carried states, random seeds, the metrics of the current epoch, the logs of
    the epochs before, and the place in the data. It is replaced after every epoch, and within an epoch every `every`
    batches. A process that is killed while it writes leaves the file that was there before.

    An epoch is complete when all callbacks have seen its end, so the position of this one among them does not matter: a
    learning rate that another callback lowers after it is in the file too.

    Arguments:
        path: the file.
        settings: the settings of the training by name, with values that JSON can hold; `resume` refuses a checkpoint of
            other settings.
        every: batches between two files of the same epoch, or None to write after epochs only. With
            `steps_per_execution`, the file is written after the execution that reaches the number.
        start: the batch with which the first epoch begins.
        history: the logs of the epochs before.
        place: what `resume` returned; it stands for `start` and `history`.

    `history` is the list of the logs of all epochs so far.

    ::

        settings = {"units": 128}
        place = rk.training.resume(model, "training.ckpt", settings) if resuming else None
        keeper = rk.training.Checkpoint("training.ckpt", settings, every=500, place=place)
        rk.training.fit(model, windows, epochs=10, callbacks=[keeper], place=place)
    """

    def __init__(
        self,
        path: str | Path,
        settings: dict[str, Any],
        every: int | None = None,
        start: int = 0,
        history: list[dict[str, float]] | None = None,
        place: dict[str, Any] | None = None,
    ):
        super().__init__()
        if place is not None:
            start, history = place["batch"], place["history"]
        self.path, self.settings, self.every = Path(path), settings, every
        self.history: list[dict[str, float]] = list(history or [])
        self._start = start
        self._epoch = self._skipped = self._written = 0
        self._complete: tuple[int, dict[str, Any]] | None = None  # an epoch that has ended, until it is written
        self._own: dict[int, np.ndarray] = {}

    @property
    def epoch(self) -> int:
        """The current epoch, counted from 0."""
        return self._epoch

    @property
    def batches_before(self) -> int:
        """Batches of the current epoch that were trained on before this process, which Keras does not count."""
        return self._skipped

    def on_train_begin(self, logs=None):
        check_prepared(self.model, "Checkpoint")
        self.check_own_file()

    def check_own_file(self) -> None:
        """Refuse a file that other workers write too."""
        check_own_file(self.model, "Checkpoint", "group.checkpoint")

    def on_epoch_begin(self, epoch, logs=None):
        self._write_epoch()
        self._epoch = epoch
        self._skipped = self._written = self._start
        self._start = 0  # later epochs begin at their beginning

    def on_train_batch_end(self, batch, logs=None):
        done = self._skipped + batch + 1
        # After the last batch the validation follows. An interruption there must repeat it, so that it continues from a
        # file before the last batch. With steps_per_execution, Keras reports numbers beyond the last batch.
        last = batch + 1 >= (self.params.get("steps") or math.inf)
        if self.every and not last and done // self.every > self._written // self.every:
            self.save(self._epoch, done)
            self._written = done

    def on_epoch_end(self, epoch, logs=None):
        self._complete = epoch, logs if logs is not None else {}  # later callbacks add to the same dict
        # `model.fit` ends by putting the averages into the weights, before on_train_end.
        self._own = {id(weight): as_array(weight) for weight, _ in averages_of(self.model)}

    def on_train_end(self, logs=None):
        self._write_epoch()

    def _write_epoch(self) -> None:
        if self._complete is None:
            return
        epoch, logs = self._complete
        self._complete = None
        self.history.append({name: float(value) for name, value in logs.items()})
        self.save(epoch + 1, 0)
        self._own = {}

    def save(self, epoch: int, batch: int) -> None:
        """Write the file.

        Arguments:
            epoch, batch: where training continues, counted from 0.
        """
        description = {
            "format": FORMAT,
            "epoch": epoch,
            "batch": batch,
            "settings": self.settings,
            "history": self.history,
        }
        arrays = {
            "variable": [self._own.get(id(variable), as_array(variable)) for variable in variables(self.model)],
            "state": carried_states(self.model) if carries(self.model) else [],
            "metric": [as_array(variable) for variable in metric_variables(self.model)] if batch else [],
        }
        with replacing(self.path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            archive.writestr("training.json", json.dumps(description))
            for kind, members in arrays.items():
                for number, array in enumerate(members):
                    buffer = io.BytesIO()
                    np.save(buffer, array, allow_pickle=False)
                    archive.writestr(f"{kind}_{number:05d}.npy", buffer.getvalue())


def variables(model) -> list[Any]:
    """All that changes while a model trains, except carried states and what the logs of an epoch are made of."""
    return [*model.variables, *model.optimizer.variables]


def metric_variables(model) -> list[Any]:
    """The sums and counts of which the logs of the current epoch are made."""
    metrics = [variable for metric in model.metrics for variable in metric.variables]
    return [*metrics, *counters_of(model.optimizer).values()]


def resume(model, path: str | Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Put a compiled model back to where a checkpoint was written; return the place for `fit` and `Checkpoint`.

    The place is a dict: "epoch" and "batch" say where training continues, counted from 0, "history" has the logs of the
    epochs before, "metrics" the metrics of the epoch that is not complete.

    Arguments:
        model: the same model, compiled in the same way.
        path: the file that `Checkpoint` wrote.
        settings: must be equal to the settings that `Checkpoint` was given.
    """
    check_prepared(model, "rk.training.resume")
    check_own_file(model, "rk.training.resume", "group.resume")
    return restore(model, path, settings)


def restore(model, path: str | Path, settings: dict[str, Any]) -> dict[str, Any]:
    """What `resume` does, from the file of a worker too."""
    place, arrays = read(path)
    check(place, settings, path)
    if not model.built:
        raise CheckpointError(f"The model {model.name!r} has no weights yet. Call it on a batch before you resume.")
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    states = carried_states(model) if carries(model) else []
    check_shapes([*variables(model), *states], [*arrays["variable"], *arrays["state"]], path)
    for variable, array in zip(variables(model), arrays["variable"], strict=True):
        variable.assign(with_dtype_of(variable, array))
    if states:
        dtypes = zip(state_variables(model), arrays["state"], strict=True)
        set_states(model, [with_dtype_of(variable, array) for variable, array in dtypes])
    return {**place, "metrics": arrays["metric"]}


def read(path: str | Path) -> tuple[dict[str, Any], dict[str, list[np.ndarray]]]:
    """The description in a checkpoint, and its arrays by their kinds."""
    arrays: dict[str, list[np.ndarray]] = {"variable": [], "state": [], "metric": []}
    try:
        with zipfile.ZipFile(path) as archive:
            description = json.loads(archive.read("training.json"))
            for name in sorted(name for name in archive.namelist() if name.endswith(".npy")):
                array = np.load(io.BytesIO(archive.read(name)), allow_pickle=False)
                arrays.setdefault(name.partition("_")[0], []).append(array)
    except FileNotFoundError:
        raise CheckpointError(f"There is no checkpoint {str(path)!r} to continue from.") from None
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{str(path)!r} is not a checkpoint, or is damaged ({error!r}). Start again without it."
        ) from error
    return description, arrays


def check(description: dict[str, Any], settings: dict[str, Any], path: str | Path) -> None:
    """Refuse a checkpoint of another version of this package, or of other settings."""
    if description.get("format") != FORMAT:
        raise CheckpointError(f"{str(path)!r} was written by another version of keras_rnnkit. Start again without it.")
    before = description["settings"]
    now = json.loads(json.dumps(settings))
    differing = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    if differing:
        words = ", ".join(f"{name} was {before.get(name)!r} and is {now.get(name)!r}" for name in differing)
        raise CheckpointError(
            f"The checkpoint {str(path)!r} is of other settings: {words}. Use the same settings, or start again in "
            "another place."
        )


def check_shapes(targets: list[Any], arrays: list[np.ndarray], path: str | Path) -> None:
    """Refuse a checkpoint of a model or an optimizer with other variables."""
    expected, shapes = [tuple(v.shape) for v in targets], [array.shape for array in arrays]
    if expected != shapes:
        pairs = zip(expected, shapes, strict=False)
        number = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(expected), len(shapes)))
        raise CheckpointError(
            f"The checkpoint {str(path)!r} is of another model or optimizer: it has {len(shapes)} variables and the "
            f"model {len(expected)}, and they differ from number {number} on. Build and compile the model as before."
        )


def with_dtype_of(variable, array: np.ndarray) -> np.ndarray:
    """The array as it was saved: NumPy's files keep the bytes of bfloat16 numbers, but not the name of the dtype."""
    return array.view(np.dtype(keras.backend.standardize_dtype(variable.dtype))) if array.dtype.kind == "V" else array
