"""The rule of learning that a pipeline's settings name."""

from __future__ import annotations

from typing import Any

import keras_rnnkit as rk


def optimizer_of(settings: Any, steps: int):
    """The optimizer with its rate over `settings.epochs` of so many steps, its clipping and its average of weights."""
    from keras_rnnkit.training.schedules import OPTIMIZERS

    s, average = settings, getattr(settings, "average", 0.0)
    rate = rk.training.schedule(s.schedule, s.rate, steps, s.epochs, s.after, s.factor, getattr(settings, "warmup", 0))
    kept = {"use_ema": True, "ema_momentum": average} if average else {}
    return rk.training.watched(OPTIMIZERS[s.optimizer](rate, global_clipnorm=s.clip or None, **kept))
