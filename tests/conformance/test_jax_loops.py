"""Training loops in JAX: in blocks of steps, and step by step; gradients of the plain loop in each."""

import itertools

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.kernels import loop_choice
from keras_rnnkit.kernels.call_flags import CallFlags
from keras_rnnkit.kernels.loop_inputs import LoopInputs
from tests.conformance.table import built, sequences, starts
from tests.conformance.test_compiled_loops import agree, of_both_kernels
from tests.conformance.test_gradients import gradients
from tests.covering import studied

pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="the loops of the JAX engine")
T = 7
MASK = np.arange(T) % 3 < np.array([[2], [1], [0]])
CELLS = ["lstm", "gru", "gru-reset-before", "vanilla", "layernorm-lstm", "conditioned-vanilla", "user"]
QUICK = [("lstm", "plain"), ("gru-reset-before", "masked"), ("layernorm-lstm", "reset")]


@studied("name, case", itertools.product(CELLS, ["plain", "masked", "reset"]), QUICK)
def test_gradients_in_blocks_and_step_by_step(name, case, rng, monkeypatch):
    """Two blocks of three steps and one step more, or a step at a time, as for sequences and batches that are large."""
    monkeypatch.setattr(loop_choice, "FEW_ROWS_IN_JAX", 0)
    monkeypatch.setattr("keras_rnnkit.kernels.engine_jax.block_count", lambda inputs: 2)
    flags = {"plain": {}, "masked": {"mask": MASK}, "reset": {"reset_mask": ~MASK}}[case]
    layer = built(name, rng)
    arguments = [sequences(rng, "float32", time=T), *starts(layer.cell, rng, "float32")]
    agree(*of_both_kernels(layer, arguments, **flags), 2e-5)


def test_statistics_are_of_all_steps_in_a_loop_that_goes_step_by_step(rng, monkeypatch):
    layer, found = built("batchnorm-gru", rng, kernel="hoisted"), []
    arguments = [sequences(rng, "float32", time=T), *starts(layer.cell, rng, "float32")]
    for few in (4, 0):
        monkeypatch.setattr(loop_choice, "FEW_ROWS_IN_JAX", few)
        found.append(gradients(layer, arguments, True))
    agree(*found, 2e-5)


def test_large_projected_inputs_are_run_in_blocks():
    from keras_rnnkit.kernels import engine_jax
    from keras_rnnkit.kernels.recurrence import Recurrence

    def blocks(batch, length, units):
        cell = rk.cells.LSTMCell(units)
        cell.build((None, 2))
        steps = {"x": np.zeros((length, batch, 2), "float32")}
        carry = [np.zeros((batch, units), "float32")] * 2
        return engine_jax.block_count(LoopInputs(Recurrence(cell), steps, carry, [w.value for w in cell.weights], True))

    assert blocks(1, 100, 16) == 1
    assert blocks(64, 100, 256) == 25  # of 1 MB each


def test_what_explain_says():
    def described(cell, batch):
        cell.build((None, 2))
        return loop_choice.describe(cell, CallFlags(batch=batch))

    assert (
        described(rk.cells.LSTMCell(3), 32) == described(rk.cells.PeepholeLSTMCell(3), 1) == "trains in a compiled loop"
    )
    assert "as stock Keras" in described(rk.cells.PeepholeLSTMCell(3), 32)
