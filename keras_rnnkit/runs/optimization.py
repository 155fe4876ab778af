"""What the settings of a pipeline say about training: seeds, precision and the optimizer."""

from __future__ import annotations

import logging

import keras_rnnkit as rk
from keras_rnnkit.runs.settings import RunSettings, TrainingSettings


def prepare(settings: RunSettings) -> None:
    """Set threads, seeds and the precision. Call it before anything is built."""
    import keras
    import tensorflow as tf

    if settings.threads:
        tf.config.threading.set_intra_op_parallelism_threads(settings.threads)
    tf.get_logger().addFilter(is_no_retracing_warning)
    keras.utils.set_random_seed(settings.seed)
    keras.config.set_dtype_policy("mixed_bfloat16" if getattr(settings, "mixed", False) else "float32")


def is_no_retracing_warning(record: logging.LogRecord) -> bool:
    """Whether a message of TensorFlow is not about functions traced again: a run that trains many models does that."""
    return "tf.function retracing" not in record.getMessage()


def optimizer_of(settings: TrainingSettings, steps: int, constant: bool = False):
    """The optimizer with its learning rate, clipping and average of weights.

    Arguments:
        settings: the settings of the pipeline.
        steps: steps in an epoch.
        constant: whether the learning rate is a number, whatever the settings say of a schedule.
    """
    from keras_rnnkit.training.schedules import OPTIMIZERS

    s = settings
    rate = s.learning_rate
    if not constant:
        rate = rk.training.schedule(s.schedule, rate, steps, s.epochs, s.after, s.factor, s.warmup)
    optimizer = rk.training.watched(OPTIMIZERS[s.optimizer](rate, global_clipnorm=s.clip or None))
    return rk.training.averaging(optimizer, s.average) if s.average else optimizer
