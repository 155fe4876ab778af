"""What is measured of a network's gradients, and the trainings that are compared."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import keras
import numpy as np

import keras_rnnkit as rk
from keras_rnnkit.runs.errors import TrainingDiverged
from keras_rnnkit.runs.fitting import compile_with
from keras_rnnkit.runs.jacobians import jacobian_products, recurrent_spectra, singular_values
from keras_rnnkit.runs.memory_networks import Build, vanilla
from keras_rnnkit.runs.memory_tasks import Generated, Task, model_of
from keras_rnnkit.runs.run import Run

ROWS = 16
"""Sequences on which gradients are measured."""
TOO_LARGE = 1.01
"""The singular values of the recurrent matrix whose gradients explode: over 200 steps that makes 7."""


def built(task: Task, build: Build, settings: Any, name: str = "network", units: int | None = None) -> Any:
    """A network for a task; the seed decides its weights, whatever was built before."""
    keras.utils.set_random_seed(settings.seed)
    model = model_of(task, build(units or settings.units, task.steps), name)
    model(keras.ops.convert_to_tensor(task.examples(1, settings.seed)[0]))
    return model


def norms(model: Any, task: Task, settings: Any) -> np.ndarray:
    """The norm of dL/dh_t by lag in the lowest layer of a network."""
    return next(iter(rk.training.gradient_norms(model, *task.examples(ROWS, settings.seed)).values()))


def products(model: Any, task: Task, settings: Any) -> np.ndarray:
    """The singular values of dh_T/dh_t by lag, for one sequence."""
    return singular_values(jacobian_products(model, task.examples(1, settings.seed)[0]))


def measured(task: Task, networks: dict[str, Build], settings: Any) -> dict[str, dict[str, Any]]:
    """Norms, products and spectra of networks before training, each by the names of the networks."""
    found: dict[str, dict[str, Any]] = {"norms": {}, "products": {}, "spectra": {}}
    for name, build in networks.items():
        model = built(task, build, settings, name)
        found["norms"][name] = norms(model, task, settings)
        found["products"][name] = products(model, task, settings)
        found["spectra"][name] = recurrent_spectra(model)
    return found


def trained(model: Any, task: Task, batches: int, run: Run, suffix: str, **changes: Any) -> list[float]:
    """Train a model on a task, and give it the best weights. Returns the validation loss of each epoch.

    Arguments:
        batches: batches of an epoch.
        suffix: is added to the names of the files.
        changes: settings that this training has for its own.
    """
    s = dataclasses.replace(run.settings, **changes)
    history = run.fit(
        model,
        Generated(task.make, batches, s.batch, s.seed),
        loss=rk.training.NextToken() if task.unit == "nats" else "mse",
        validation_data=task.examples(s.held_out, s.seed),
        validation_batch_size=s.held_out,
        tokens=s.batch * task.steps,
        suffix=suffix,
        unit=task.unit,
        ends=lambda losses: task.ending(losses, batches),
        settings=s,
    )
    run.restore(model, suffix)
    return [row["val_loss"] for row in history]


def learned(model: Any, task: Task, batches: int, run: Run, suffix: str, **changes: Any) -> list[float]:
    """The validation losses of a training. None where it diverged: a finding of this study, and no reason to end it."""
    if run.judged is not None and suffix not in run.judged.weights:
        run.console.print(f"{run.judged.folder} has no weights of it: it diverged, or was not trained.", markup=False)
        return []
    try:
        return trained(model, task, batches, run, suffix, **changes)
    except TrainingDiverged as error:
        run.console.print(str(error), markup=False)
        return []


def layer_by_layer(task: Task, batches: int, run: Run, layers: int) -> list[float]:
    """The validation losses of GRU layers that are trained one after the other, each on top of those below it."""
    s, stack, losses = run.settings, [], []
    keras.utils.set_random_seed(s.seed)
    for number in range(1, layers + 1):
        stack.append(rk.GRU(s.units, return_sequences=True, name=f"layer_{number}"))
        model = model_of(task, stack, f"layers_{number}")
        losses += learned(model, task, batches, run, f"_layerwise_{number}", epochs=1)
    return losses


def clipped_and_not(task: Task, settings: Any, batches: int) -> dict[str, dict[str, np.ndarray]]:
    """Loss and gradient norm of each batch of a linear network that explodes, with clipping and without."""
    found = {}
    for label, clip in (("without clipping", None), ("clipped to a norm of 1", 1.0)):
        keras.utils.set_random_seed(settings.seed)
        initializer = keras.initializers.Orthogonal(TOO_LARGE, seed=settings.seed)
        model = model_of(task, [vanilla(settings.units, initializer, "linear")], "explodes")
        compile_with(model, rk.training.watched(keras.optimizers.SGD(1e-3, global_clipnorm=clip)), "mse")
        log = BatchLog()
        data = Generated(task.make, batches, settings.batch, settings.seed).dataset()
        model.fit(data, callbacks=[log], verbose=0, shuffle=False)
        found[label] = {"loss": np.array(log.losses), "norm": np.array(log.norms)}
    return found


class BatchLog(keras.callbacks.Callback):
    """Notes the loss and the norm of the gradient of each batch, until one of them is no number.

    The optimizer must be one of `rk.training.watched`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[float] = []
        self.norms: list[float] = []
        self.sum = 0.0

    def on_train_batch_begin(self, batch, logs=None):
        self.model.reset_metrics()  # Keras' loss is the mean since the last reset

    def on_train_batch_end(self, batch, logs=None):
        total = float(keras.ops.convert_to_numpy(self.model.optimizer.watched["norm"]))
        loss, norm = float(logs["loss"]), total - self.sum
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self.model.stop_training = True
            return
        self.sum = total
        self.losses.append(loss)
        self.norms.append(norm)
