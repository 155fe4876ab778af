"""Trainings that differ in how they begin: first weights, and layers at once or one after the other."""

from __future__ import annotations

from typing import Any

import keras_rnnkit as rk
from keras_rnnkit.runs.gradient_study import built, layer_by_layer, learned, norms
from keras_rnnkit.runs.memory_networks import STARTS
from keras_rnnkit.runs.memory_tasks import adding
from keras_rnnkit.runs.run import Run


def compared_starts(settings: Any, run: Run) -> dict[str, Any]:
    """First weights, and layers that are trained one after the other: gradients before training, losses by epoch."""
    task, epochs = adding(max(4, settings.adding_steps // 4)), min(2, settings.epochs)
    measurements: dict[str, Any] = {"start task": task, "start norms": {}, "start losses": {}}
    for number, (name, build) in enumerate(STARTS.items()):
        run.console.print(f"\n{task.name}: {name}")
        model = built(task, build, settings)
        measurements["start norms"][name] = norms(model, task, settings)
        rate = settings.learning_rate / (10 if name.startswith("tanh") else 1)
        changes = {"learning_rate": rate, "epochs": epochs}
        losses = learned(model, task, settings.adding_batches, run, f"_start_{number}", **changes)
        measurements["start losses"][name] = losses
    for name, train in DEEP.items():
        run.console.print(f"\n{task.name}: {name}")
        measurements["start losses"][name] = train(task, settings.adding_batches, run)
    return measurements


def at_once(task, batches: int, run: Run) -> list[float]:
    """Three GRU layers, trained together for three epochs."""
    model = built(task, lambda units, steps: [rk.GRU(units, return_sequences=True) for _ in range(3)], run.settings)
    return learned(model, task, batches, run, "_start_deep", epochs=3)


def one_by_one(task, batches: int, run: Run) -> list[float]:
    """The same layers, of which each is added when those below it have been trained for an epoch."""
    return layer_by_layer(task, batches, run, layers=3)


DEEP = {"three GRU layers at once": at_once, "three GRU layers, one after the other": one_by_one}
