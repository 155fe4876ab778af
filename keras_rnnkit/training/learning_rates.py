"""The loss at rising learning rates, from which a good rate can be read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_rnnkit.training.loop import state_callbacks
from keras_rnnkit.training.optimizers import applied

EXPLODED = 4.0
"""The search ends where the smoothed loss is that many times its lowest value."""


class RateCurve(NamedTuple):
    """The loss of each batch, and the learning rate that it had. smoothed: a running mean of the losses."""

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray

    @property
    def lowest(self) -> float:
        """The rate at which the smoothed loss is lowest."""
        return float(self.rates[int(np.argmin(self.smoothed))])

    @property
    def suggestion(self) -> float:
        """A tenth of that rate: just below it the loss still falls fast, at the rate itself no more."""
        return self.lowest / 10

    def plot(self, path: str | Path) -> None:
        """Write a picture of the curve."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.6, 3.8), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        axes.plot(self.rates, self.losses, ".", color="silver", markersize=4, label="each batch")
        axes.plot(self.rates, self.smoothed, label="smoothed")
        axes.axvline(self.lowest, color="tab:red", linestyle=":", label=f"lowest loss, {self.lowest:.2g}")
        axes.axvline(
            self.suggestion, color="tab:green", linestyle="--", label=f"a tenth of that, {self.suggestion:.2g}"
        )
        low, high = float(self.smoothed.min()), float(self.smoothed[: max(1, len(self.smoothed) // 10)].max())
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss", title="loss while the learning rate rises")
        axes.set_ylim(low - 0.1 * (high - low) - 1e-3, high + 0.4 * (high - low) + 1e-3)
        axes.grid(True, alpha=0.3)
        axes.legend(frameon=False)
        figure.savefig(path, dpi=110)


def find_rate(
    model: Any, batches: Any, lowest: float = 1e-6, highest: float = 1.0, steps: int = 100, momentum: float = 0.9
) -> RateCurve:
    """The loss of a compiled model while the learning rate rises from batch to batch.

    The rate is multiplied by the same factor after each batch, and the search ends early where the loss explodes.
    Afterwards the model and its optimizer are as they were.

    Paper: L. Smith, Cyclical learning rates for training neural networks, 2017.

    Arguments:
        model: a model whose optimizer has a number as its learning rate, not a schedule.
        batches: `Windows`, `Pairs` or `Rows`, or a `tf.data.Dataset`; they are repeated where they are too few.
        lowest, highest: the first and the last rate.
        steps: the number of batches.
        momentum: that of the running mean of the losses.

    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> import tensorflow as tf
    >>> data = tf.data.Dataset.from_tensors((np.ones((8, 1)), np.zeros((8, 1))))
    >>> curve = find_rate(model, data, highest=100.0, steps=60)
    >>> len(curve.rates) < 60, 0.1 < curve.lowest < 10
    (True, True)
    """
    if not 0 < lowest < highest or steps < 2:
        raise ValueError(
            "The lowest rate must be above 0 and below the highest, and there must be 2 steps or more. Received: "
            f"lowest={lowest}, highest={highest}, steps={steps}."
        )
    rate = applied(model.optimizer).learning_rate
    if not isinstance(rate, keras.Variable):
        raise ValueError(
            "The learning rate of the optimizer follows a schedule, and a search sets it from batch to batch. Compile "
            "the model with a number."
        )
    model.optimizer.build(model.trainable_variables)
    before = [(variable, keras.ops.copy(variable.value)) for variable in variables_of(model)]
    sweep = Sweep(np.geomspace(lowest, highest, steps), momentum)
    dataset = batches.dataset() if hasattr(batches, "dataset") else batches
    callbacks = [*state_callbacks(model, (), resumed=False), sweep]
    try:
        model.fit(dataset.repeat(), steps_per_epoch=steps, callbacks=callbacks, verbose=0, shuffle=False)
    finally:
        for variable, value in before:
            variable.assign(value)
        model.stop_training = False
    return sweep.curve()


def variables_of(model: Any) -> list[Any]:
    """All that training changes."""
    return [*model.variables, *model.optimizer.variables]


class Sweep(keras.callbacks.Callback):
    """Sets the learning rate of each batch, and notes its loss.

    Arguments:
        rates: the rates.
        momentum: that of the running mean of the losses.
    """

    def __init__(self, rates: np.ndarray, momentum: float):
        super().__init__()
        self.rates, self.momentum = rates, momentum
        self.losses: list[float] = []
        self.smoothed: list[float] = []
        self.mean = 0.0

    def on_train_batch_begin(self, batch, logs=None):
        self.model.reset_metrics()  # Keras' loss is the mean since the last reset
        applied(self.model.optimizer).learning_rate.assign(self.rates[len(self.losses)])

    def on_train_batch_end(self, batch, logs=None):
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            self.model.stop_training = True
            return
        self.losses.append(loss)
        self.mean = self.momentum * self.mean + (1 - self.momentum) * loss
        self.smoothed.append(self.mean / (1 - self.momentum ** len(self.losses)))  # the mean begins with 0
        if self.smoothed[-1] > EXPLODED * min(self.smoothed) or len(self.losses) == len(self.rates):
            self.model.stop_training = True

    def curve(self) -> RateCurve:
        """The rates that were tried, with their losses. ValueError where no loss was a number."""
        if not self.losses:
            raise ValueError("The loss of the first batch is not a number, so no learning rate can be found.")
        rates = self.rates[: len(self.losses)]
        return RateCurve(rates, np.array(self.losses), np.array(self.smoothed))
