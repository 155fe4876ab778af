"""Learning rates over time, optimizers by name, and initial weights."""

from __future__ import annotations

import functools

import keras
import numpy as np
from keras import ops

from keras_rnnkit.training.optimizers import applied


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class AfterEpoch(keras.optimizers.schedules.LearningRateSchedule):
    """A constant rate for some epochs, then one that is multiplied by a factor with each further epoch.

        rate * factor ** max(epoch - after, 0)          epochs counted from 1

    Zaremba (Recurrent neural network regularization, 2014) halves the rate with each epoch after the 4th.

    Arguments:
        rate: the rate of the first epochs.
        after: the last epoch with that rate.
        factor: what the rate is multiplied by with each epoch after that.
        steps: steps in an epoch.

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
    """Rises linearly to the rate of another schedule in `steps` steps, then follows that schedule.

    Arguments:
        then: the other schedule, or a number.
        steps: steps of the rise.

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


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class Scaled(keras.optimizers.schedules.LearningRateSchedule):
    """Another schedule times a factor; `Plateau` lowers schedules with it.

    >>> round(float(Scaled(WarmUp(0.8, steps=4), 0.5)(9)), 3)
    0.4
    """

    def __init__(self, then, factor: float):
        self.then, self.factor = then, factor

    def __call__(self, step):
        return self.then(step) * self.factor

    def get_config(self):
        return {"then": keras.saving.serialize_keras_object(self.then), "factor": self.factor}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config["then"]), config["factor"])


class Plateau(keras.callbacks.Callback):
    """Multiplies the learning rate by `factor` after an epoch that was not better than the best before it.

    Keras' ReduceLROnPlateau forgets the best with every call of `fit`. This callback finds it in `history`, and
    training that is resumed from a checkpoint continues with the rate it had.

    Arguments:
        factor: between 0 and 1.
        history: the logs of the epochs before the current one, such as `Checkpoint.history`, wherever the `Checkpoint`
            stands among the callbacks; None to keep them here.
        monitor: the name in the logs that should fall.

    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(0.0), "mse")  # it learns nothing
    >>> data = {"x": np.ones((4, 1)), "y": np.ones((4, 1))}
    >>> _ = model.fit(**data, epochs=2, callbacks=[Plateau(monitor="loss")], verbose=0)
    """

    def __init__(self, factor: float = 0.5, history: list[dict[str, float]] | None = None, monitor: str = "val_loss"):
        super().__init__()
        self.factor, self.monitor = factor, monitor
        self.history = history
        self.values: list[float] = []
        self.lowered: int | None = None

    def on_train_begin(self, logs=None):
        if self.lowered is None:
            before = self._before()
            # A checkpoint has a rate that is a variable, but not what was made of a schedule.
            self.lowered = plateaus(before) if self._rate() is not None else 0
            self._follow(before)

    def on_epoch_end(self, epoch, logs=None):
        if self.monitor not in (logs or {}):
            raise ValueError(
                f"Plateau monitors {self.monitor!r}, and the logs have {', '.join(map(repr, logs or {}))}. Give "
                "validation_data to fit, or another monitor."
            )
        self._follow([*self._before(), logs[self.monitor]])
        self.values.append(logs[self.monitor])

    def _before(self) -> list[float]:
        return list(self.values) if self.history is None else [row[self.monitor] for row in self.history]

    def _rate(self) -> keras.Variable | None:
        """The learning rate, if it is a variable and not computed by a schedule."""
        rate = applied(self.model.optimizer).learning_rate
        return rate if isinstance(rate, keras.Variable) else None

    def _follow(self, values: list[float]) -> None:
        """Lower the rate once for each plateau among the values for which it has not been lowered."""
        count = plateaus(values)
        factor, self.lowered = self.factor ** (count - (self.lowered or 0)), count
        if factor == 1:
            return
        rate, optimizer = self._rate(), applied(self.model.optimizer)
        if rate is not None:
            rate.assign(ops.convert_to_tensor(rate) * factor)
            return
        schedule = keras.optimizers.schedules.deserialize(optimizer.get_config()["learning_rate"])
        if isinstance(schedule, Scaled):
            schedule, factor = schedule.then, schedule.factor * factor
        optimizer.learning_rate = Scaled(schedule, factor)
        self.model.make_train_function(force=True)  # a compiled step has the schedule of before in it


def plateaus(values: list[float]) -> int:
    """How many of these values are not better than the best before them.

    >>> plateaus([3.0, 2.0, 2.0, 2.5, 1.0])
    2
    """
    return sum(not value < min(values[:number]) for number, value in enumerate(values) if number)


SCHEDULES = ("constant", "halving", "cosine", "plateau")
OPTIMIZERS = {
    "sgd": keras.optimizers.SGD,
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "rmsprop": functools.partial(keras.optimizers.RMSprop, rho=0.95, epsilon=1e-16),
}
"""Optimizers by name. RMSprop is that of char-rnn, which is Torch's. Keras adds its epsilon of 1e-7 under the root, so
gradients below 3e-4 learn slower, and those of a mean over thousands of tokens mostly are smaller. Torch adds 1e-8 to
the root."""


def schedule(
    name: str, rate: float, steps: int, epochs: int, after: int = 4, factor: float = 0.5, warmup: int = 0
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """A learning rate over a training, for any Keras optimizer.

    Arguments:
        name: "constant", "halving" (`AfterEpoch`), "cosine" (to 0 at the end), or "plateau", which is constant until
            the callback `Plateau` lowers it.
        rate: the highest rate.
        steps: steps in an epoch.
        epochs: epochs of the training.
        after, factor: those of `AfterEpoch`.
        warmup: steps in which the rate rises linearly at the beginning.

    >>> schedule("constant", 0.1, steps=100, epochs=10)
    0.1
    >>> round(float(schedule("cosine", 0.1, steps=100, epochs=10)(500)), 3)
    0.05
    """
    if name not in SCHEDULES:
        raise ValueError(f"Received: schedule={name!r}. Expected one of {', '.join(map(repr, SCHEDULES))}.")
    then = {
        "halving": lambda: AfterEpoch(rate, after, factor, steps),
        "cosine": lambda: keras.optimizers.schedules.CosineDecay(rate, max(1, steps * epochs)),
    }.get(name, lambda: rate)()
    return WarmUp(then, warmup) if warmup else then


def initialize_uniformly(model, reach: float, seed: int = 0) -> None:
    """Set every trained weight, biases too, to a random number between -reach and reach.

    Arguments:
        model: a model that is built.
        reach: the largest absolute value.
        seed: seed of the random numbers.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    >>> initialize_uniformly(model, 0.1)
    >>> all(float(abs(weight).max()) <= 0.1 for weight in model.get_weights())
    True
    """
    random = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        weight.assign(random.uniform(-reach, reach, size=tuple(weight.shape)))
