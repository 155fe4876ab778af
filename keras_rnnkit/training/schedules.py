"""Learning rates over time, and weights to start from."""

from __future__ import annotations

import functools

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class AfterEpoch(keras.optimizers.schedules.LearningRateSchedule):
    """The same rate for some epochs, then a part of it for each further one.

        rate * factor ** max(epoch - after, 0)          epochs counted from 1

    Halved after the 4th epoch it is that of Zaremba, Recurrent neural network regularization, 2014.

    >>> schedule = AfterEpoch(1.0, after=2, factor=0.5, steps=10)
    >>> [float(schedule(step)) for step in (0, 19, 20, 30)]
    [1.0, 1.0, 0.5, 0.25]
    """

    def __init__(self, rate: float, after: int, factor: float = 0.5, steps: int = 1):
        self.rate, self.after, self.factor, self.steps = rate, after, factor, steps

    def __call__(self, step):
        epoch = ops.floor(ops.cast(step, "float32") / self.steps) + 1.0
        return self.rate * ops.power(ops.cast(self.factor, "float32"), ops.maximum(epoch - self.after, 0.0))

    def get_config(self):
        return {"rate": self.rate, "after": self.after, "factor": self.factor, "steps": self.steps}


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """Rises evenly to the rate of another schedule in `steps` steps, then is that one.

    >>> schedule = WarmUp(0.8, steps=4)
    >>> [round(float(schedule(step)), 3) for step in (0, 1, 3, 9)]
    [0.2, 0.4, 0.8, 0.8]
    """

    def __init__(self, then, steps: int):
        self.then, self.steps = then, steps

    def __call__(self, step):
        rate = self.then(step) if callable(self.then) else ops.cast(self.then, "float32")
        return rate * ops.minimum((ops.cast(step, "float32") + 1.0) / self.steps, 1.0)

    def get_config(self):
        then = keras.saving.serialize_keras_object(self.then) if callable(self.then) else self.then
        return {"then": then, "steps": self.steps}

    @classmethod
    def from_config(cls, config):
        then = config["then"]
        return cls(keras.saving.deserialize_keras_object(then) if isinstance(then, dict) else then, config["steps"])


class Plateau(keras.callbacks.Callback):
    """Multiplies the rate by `factor` after an epoch that was not better than the best before it.

    Keras' ReduceLROnPlateau forgets the best with every call of `fit`; this one looks it up in `history`, and the rate
    is part of a checkpoint, so that training goes on as if it had not been interrupted.

    Arguments:
        history: the logs of the epochs so far, such as `Checkpoint.history`; None to keep them here.
        monitor: what is to fall.
    """

    def __init__(self, factor: float = 0.5, history: list[dict[str, float]] | None = None, monitor: str = "val_loss"):
        super().__init__()
        self.factor, self.monitor = factor, monitor
        self.history = history
        self.seen: list[float] = []

    def on_epoch_end(self, epoch, logs=None):
        before = self.seen if self.history is None else [row[self.monitor] for row in self.history]
        if before and logs[self.monitor] >= min(before):
            rate = self.model.optimizer.learning_rate
            rate.assign(ops.convert_to_tensor(rate) * self.factor)
        self.seen.append(logs[self.monitor])


SCHEDULES = ("constant", "halving", "cosine", "plateau")
OPTIMIZERS = {
    "sgd": keras.optimizers.SGD,
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "rmsprop": functools.partial(keras.optimizers.RMSprop, rho=0.95, epsilon=1e-16),
}
"""RMSprop is char-rnn's (Torch's), decay and all. Keras adds its epsilon of 1e-7 under the root: gradients below 3e-4
learn slower, and those of a mean over thousands of tokens mostly are. Torch adds 1e-8 to the root."""


def schedule(
    name: str, rate: float, steps: int, epochs: int, after: int = 4, factor: float = 0.5, warmup: int = 0
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """A rate over `epochs` of `steps` steps: "constant", "halving" (`AfterEpoch`), "cosine", or "plateau", which is
    constant until the callback `Plateau` lowers it. warmup: steps in which it rises."""
    if name not in SCHEDULES:
        raise ValueError(f"Received: schedule={name!r}. Expected one of {', '.join(map(repr, SCHEDULES))}.")
    then = {
        "halving": lambda: AfterEpoch(rate, after, factor, steps),
        "cosine": lambda: keras.optimizers.schedules.CosineDecay(rate, max(1, steps * epochs)),
    }.get(name, lambda: rate)()
    return WarmUp(then, warmup) if warmup else then


def initialize_uniformly(model, reach: float, seed: int = 0) -> None:
    """Set every trained weight to a number between -reach and reach, biases too."""
    random = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        weight.assign(random.uniform(-reach, reach, size=tuple(weight.shape)))
