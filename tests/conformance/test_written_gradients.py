"""The backward formulas that cells write out, against the derivative that the backend finds."""

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.cells.slopes import SLOPES
from keras_rnnkit.kernels.steps import has_written_gradient
from keras_rnnkit.ops import keras as kops
from tests.conformance.table import TABLE, D, U

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the formulas are pure; one tape will do"
)

FUNCTIONS = [{"activation": a, "recurrent_activation": r} for a, r in zip(SLOPES, reversed(SLOPES), strict=True)]
CELLS = {
    "lstm": lambda **k: rk.cells.LSTMCell(U, **k),
    "gru": lambda **k: rk.cells.GRUCell(U, **k),
    "gru-reset-before": lambda **k: rk.cells.GRUCell(U, reset_after=False, **k),
}
PLAIN = [{"activation": name} for name in SLOPES]


def cells():
    for name, make in CELLS.items():
        for arguments in ({}, *FUNCTIONS):
            yield pytest.param(make, arguments, id=f"{name}-{'-'.join(arguments.values())}")
    for arguments in PLAIN:
        yield pytest.param(lambda **k: rk.cells.VanillaCell(U, **k), arguments, id=f"vanilla-{arguments['activation']}")


@pytest.mark.parametrize("make, arguments", list(cells()))
def test_the_formula_equals_the_tape(make, arguments, rng):
    import tensorflow as tf

    cell = make(**arguments, dtype="float64")
    cell.build((None, D))
    assert has_written_gradient(cell)
    for weight in cell.weights:
        weight.assign(rng.normal(size=weight.shape))
    w = cell.weights_as(lambda variable: variable.value)
    state = [tf.constant(rng.normal(size=(3, U))) for _ in cell.state_sizes]
    z = cell.project(kops, w, tf.constant(rng.normal(size=(3, D))))
    r = cell.recur(kops, w, state[0])
    d_state = [tf.constant(rng.normal(size=(3, U))) for _ in cell.state_sizes]
    with tf.GradientTape() as tape:
        tape.watch([z, r, state])
        _, after = cell.gates(kops, w, z, r, state)
    expected = tape.gradient(after, [z, r, state, cell.recurrent_kernel.value], d_state, unconnected_gradients="zero")
    _, _, saved = cell.gates_saved(kops, w, z, r, state)
    d_z, d_r, d_before = cell.gates_backward(kops, w, saved, state, after, d_state)
    d_before = [tf.zeros_like(s) if d is None else d for d, s in zip(d_before, state, strict=True)]
    d_weights = cell.gates_weights_backward(kops, w, saved, state, d_z)
    d_weight = d_weights.get("recurrent_kernel", tf.zeros_like(w.recurrent_kernel))
    for ours, theirs in zip(tf.nest.flatten([d_z, d_r, d_before, d_weight]), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-13, rtol=1e-12)


def test_cells_with_a_formula():
    written = {name for name, make in TABLE.items() if has_written_gradient(make())}
    plain = {
        "indrnn",
        "vanilla",
        "vanilla-relu-identity",
        "lstm",
        "lstm-no-bias",
        "gru",
        "gru-no-bias",
        "gru-reset-before",
    }
    assert written == plain


def test_a_subclass_does_not_inherit_a_formula_that_may_not_hold():
    class Louder(rk.cells.LSTMCell):
        def output(self, ops, w, o, memory):
            return 2.0 * super().output(ops, w, o, memory)

    assert not has_written_gradient(Louder(3))


@pytest.mark.parametrize("function", ["gelu", lambda x: x], ids=["gelu", "lambda"])
def test_functions_without_a_known_slope_take_the_tape(function):
    assert not has_written_gradient(rk.cells.GRUCell(3, activation=function))


def test_a_users_function_of_a_known_name_takes_the_tape():
    def tanh(x):
        return 3.0 * x

    assert not has_written_gradient(rk.cells.VanillaCell(3, activation=tanh))
