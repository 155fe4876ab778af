"""What the three recurrent operators of ONNX have in common: refusals, inputs, outputs, activations."""

from __future__ import annotations

from itertools import chain
from typing import Any

import keras
import numpy as np

from keras_rnnkit.export.lowering.context import LoweringContext, Result, Wanted, innermost, same_equation
from keras_rnnkit.export.lowering.operators.affine import Affine, affine
from keras_rnnkit.export.lowering.steps import TimeSteps, refusing_empty
from keras_rnnkit.ops import activations
from keras_rnnkit.ops import onnx as ops
from keras_rnnkit.ops.onnx import Value

ACTIVATIONS: dict[str, tuple[str, list[float], list[float]]] = {
    "tanh": ("Tanh", [], []),
    "sigmoid": ("Sigmoid", [], []),
    "relu": ("Relu", [], []),
    "linear": ("Affine", [1.0], [0.0]),
    "hard_sigmoid": ("HardSigmoid", [1.0 / 6.0], [0.5]),
    "elu": ("Elu", [1.0], []),
    "leaky_relu": ("LeakyRelu", [0.2], []),
    "softsign": ("Softsign", [], []),
}
"""Keras' activations that the operators have, each with its alpha and beta where it takes them.

Softplus is left out: inside these operators onnxruntime computes it as log(1 + exp(x)), which is infinite from x = 89
on. Its operator Softplus, which a Scan uses, is exact.
"""


def refusal(op: str, families: tuple[type, ...], cell, context: LoweringContext) -> str | None:
    """Why the operator cannot run the cell exactly, as far as this is the same for all three."""
    core = innermost(cell)
    if not any(same_equation(core, family) for family in families):
        return f"{type(core).__name__} is not the equation of ONNX's {op}"
    if context.prefer == "scan":
        return "lowering='scan' was asked for"
    if affine(cell) is None:
        return f"{type(cell).__name__} changes more than the projected input, which ONNX's {op} has no place for"
    if context.resets:
        return f"ONNX's {op} cannot start a row anew inside a sequence"
    if context.dtype != np.float32:
        return f"onnxruntime runs its {op} in float32, and this layer computes in {context.dtype}"
    names = [core.activation, *([core.recurrent_activation] if hasattr(core, "recurrent_activation") else [])]
    unsupported = next((name for name in names if not is_keras_function(name)), None)
    if unsupported is keras.activations.softplus:
        return f"softplus overflows inside onnxruntime's {op}"
    return unsupported and f"ONNX's {op} has no activation {activations.name(unsupported)!r}"


def refusal_of_int8(op: str, context: LoweringContext) -> str | None:
    """Why an operator is no choice for int8 weights: onnxruntime has one for the LSTM only."""
    return f"onnxruntime has no {op} of int8 weights" if context.prefer == "int8" else None


def is_keras_function(function) -> bool:
    """Whether this is Keras' own function of that name: a user's may have the name and compute something else."""
    name = activations.name(function)
    return name in ACTIVATIONS and getattr(keras.activations, name) is function


def write(
    op: str, cell, steps: TimeSteps, states: list[Value | None], wanted: Wanted, operator_weights, **attributes
) -> Result:
    """The operator's node, with the nodes that prepare its inputs and read its outputs.

    operator_weights: makes (kernel, recurrent kernel, bias, peepholes) in the operator's gate order from the affine
        projection.
    """
    shape = affine(cell)
    assert shape is not None
    core = shape.cell
    own, condition = states[: len(core.state_sizes)], states[len(core.state_sizes) :]
    x, kernel = shape.inputs(steps.x if steps.full else refusing_empty(steps.x), condition[0] if condition else None)
    kernel, recurrent, bias, peepholes = operator_weights(shape._replace(kernel=kernel))
    starts = [None if s is None else shaped(s, (1, None, s.shape[-1])) for s in own]
    gathers = gathers_last_output(op, steps, wanted)
    lengths = None if gathers else steps.lengths
    inputs = [x, kernel, recurrent, bias, lengths, *starts, *([None] * (2 - len(own)) if op == "LSTM" else [])]
    if peepholes is not None:
        inputs.append(peepholes)
    y, *last = ops.emit_many(
        op,
        *inputs,
        outputs=outputs(x, core, sequence_instead_of_last(wanted) if gathers else wanted),
        hidden_size=core.units,
        **node_activations(core),
        **attributes,
    )
    y = None if y is None else shaped(y, (0, None, y.shape[-1]), y.shape[0])
    ends = [None if s is None else shaped(s, (None, s.shape[-1])) for s in last]
    if gathers and y is not None and (wanted.last or wanted.states[0]):
        ends[0] = steps.at_last_step(y)
    final = [None if s is None else steps.final(s, start) for s, start in zip(ends, own, strict=True)]
    return Result(y=y if wanted.sequence else None, last=ends[0] if wanted.last else None, states=[*final, *condition])


def gathers_last_output(op: str, steps: TimeSteps, wanted: Wanted) -> bool:
    """Whether the last output of rows of different lengths is taken from the outputs of all steps.

    The operator's `sequence_lens` would give it too, but onnx.reference and OpenVINO ignore that input. Only the last
    cell state of an LSTM stands nowhere else.
    """
    return steps.lengths is not None and not (op == "LSTM" and wanted.states[1])


def sequence_instead_of_last(wanted: Wanted) -> Wanted:
    return Wanted(wanted.sequence or wanted.last or any(wanted.states), False, [False for _ in wanted.states])


def shaped(x: Value, shape: tuple[int | None, ...], steps: int | None = None) -> Value:
    """x with one axis more or less: a reshape takes less time than Squeeze and Unsqueeze do. 0: the axis as it was."""
    rows = x.shape[-2]
    static = [steps if n == 0 else rows if n is None else n for n in shape]
    return ops.emit("Reshape", x, np.array([-1 if n is None else n for n in shape], np.int64), shape=static)


def outputs(x: Value, core, wanted: Wanted) -> list[Any]:
    steps, batch = x.shape[:2]
    last = [((1, batch, core.units), x.dtype) if flag else None for flag in wanted.states[: len(core.state_sizes)]]
    if wanted.last:
        last[0] = ((1, batch, core.units), x.dtype)
    return [((steps, 1, batch, core.units), x.dtype) if wanted.sequence else None, *last]


DEFAULTS = (["tanh"], ["sigmoid", "tanh"], ["sigmoid", "tanh", "tanh"])
"""The activations of RNN, GRU and LSTM where a node says nothing."""


def node_activations(core) -> dict[str, Any]:
    """The operator's `activations` in its order: gates, candidate, and for the LSTM the output's.

    Nothing for those it has by default, which it then need not look up at every run.
    """
    functions = {
        1: [core.activation],
        3: [getattr(core, "recurrent_activation", None), core.activation],
        4: [getattr(core, "recurrent_activation", None), core.activation, core.activation],
    }[4 if len(core.state_sizes) == 2 else core.gate_count]
    if [activations.name(f) for f in functions] in DEFAULTS:
        return {}
    names, alphas, betas = zip(*(ACTIVATIONS[activations.name(f)] for f in functions), strict=True)
    alpha, beta = [list(chain.from_iterable(values)) or None for values in (alphas, betas)]
    return {"activations": list(names), "activation_alpha": alpha, "activation_beta": beta}


def stacked(matrix: np.ndarray, gates: list[int], signs: list[float] | None = None) -> np.ndarray:
    """[1, G*U, D] for an operator, from Keras' [D, G*U]: the gates in the operator's order."""
    parts = np.split(matrix, max(gates) + 1, axis=-1)
    signs = signs or [1.0] * len(gates)
    return np.concatenate([parts[g] * np.float32(s) for g, s in zip(gates, signs, strict=True)], axis=-1).T[None]


def stacked_bias(bias: np.ndarray, recurrent: np.ndarray | None, gates, signs=None) -> np.ndarray:
    """[1, 2*G*U]: the biases of the input's product, then of the recurrent one."""
    first = stacked(bias[None], gates, signs)[..., 0]
    second = np.zeros_like(first) if recurrent is None else stacked(recurrent[None], gates, signs)[..., 0]
    return np.concatenate([first, second], axis=-1)


__all__ = ["Affine", "refusal", "stacked", "stacked_bias", "write"]
