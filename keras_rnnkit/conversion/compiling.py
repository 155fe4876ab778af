"""A copy of a model compiled as the model is, its optimizer's state included."""

from __future__ import annotations

import warnings
from typing import Any

import keras
from keras import tree

from keras_rnnkit import keras_internals


def compile_like(model, copy) -> None:
    """Compile `copy` as `model` was compiled. What holds state, optimizer and metrics, is copied, not shared."""
    arguments = keras_internals.compile_arguments(model) if model.compiled else {}
    if not arguments:
        return
    if type(model).compile is not keras.Model.compile:
        warnings.warn(
            f"rk.convert did not compile {model.name!r}, because {type(model).__name__} has a compile method of its "
            "own: call it on the result.",
            UserWarning,
            stacklevel=3,
        )
        return
    arguments["optimizer"] = copied(model.optimizer)
    for name in ("metrics", "weighted_metrics"):
        arguments[name] = tree.map_structure(copied, arguments[name])
    copy.compile(**arguments)
    copy_state(model.optimizer, copy.optimizer, copy.trainable_variables)


def copied(value: Any) -> Any:
    """A new optimizer or metric with the same settings; names and functions as they are."""
    if not isinstance(value, keras.optimizers.Optimizer | keras.metrics.Metric):
        return value
    if isinstance(value, keras.optimizers.LossScaleOptimizer):  # its config would spell the class of the inner one
        scale = {name: getattr(value, name) for name in ("initial_scale", "dynamic_growth_steps", "name")}
        return type(value)(copied(value.inner_optimizer), **scale)
    return type(value).from_config(value.get_config())


def copy_state(source, target, variables) -> None:
    """Give an optimizer the iterations, moments and averages of another."""
    if not source.built:
        return
    target.build(variables)
    for variable, value in zip(target.variables, source.variables, strict=True):
        variable.assign(value)
