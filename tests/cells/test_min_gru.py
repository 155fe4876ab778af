"""Feng (2024), minGRU: a GRU whose gate and candidate do not read the state."""

import numpy as np
import pytest

import keras_rnnkit as rk
from tests.cells.golden import Case, U, columns, every_precision, sigmoid


def min_gru(activation):
    def equation(w, x, h):
        z = sigmoid(x @ columns(w["kernel"], 0) + columns(w["bias"], 0))
        candidate = activation(x @ columns(w["kernel"], 1) + columns(w["bias"], 1))
        h = (1 - z) * h + z * candidate
        return h, [h]

    return equation


@every_precision
def test_the_papers_equation(dtype):
    Case(rk.cells.MinGRUCell(U, dtype=dtype), dtype).check(min_gru(lambda k: k))


def test_an_activation_of_the_candidate():
    Case(rk.cells.MinGRUCell(U, activation="tanh")).check(min_gru(np.tanh))


def test_the_papers_sum_in_log_space(rng):
    """The paper's listing, for the positive candidates g(k) that it needs, from a first state of 0.7."""
    x = rng.normal(size=(2, 9, 3))
    layer = rk.Recurrent(rk.cells.MinGRUCell(4, activation=positive), return_sequences=True)
    layer.build((None, None, 3))
    z, k = np.split(x @ np.array(layer.cell.kernel) + np.array(layer.cell.bias), 2, axis=-1)
    log_coefficients = np.cumsum(-np.logaddexp(0, z), axis=1)
    log_values = np.concatenate(
        [np.full((2, 1, 4), np.log(0.7)), -np.logaddexp(0, -z) + np.log(positive_of(k))], axis=1
    )
    log_coefficients = np.concatenate([np.zeros((2, 1, 4)), log_coefficients], axis=1)
    paper = np.exp(log_coefficients + np.logaddexp.accumulate(log_values - log_coefficients, axis=1))[:, 1:]
    ours = layer(x.astype("float32"), initial_state=[np.full((2, 4), 0.7, "float32")])
    np.testing.assert_allclose(np.array(ours), paper, rtol=1e-5)


def positive(k):
    """The paper's g."""
    import keras

    return keras.ops.where(k >= 0, k + 0.5, keras.ops.sigmoid(k))


def positive_of(k):
    return np.where(k >= 0, k + 0.5, sigmoid(k))


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_chunks_are_the_whole(steps, rng):
    layer = rk.Recurrent(rk.cells.MinGRUCell(4), return_sequences=True, return_state=True)
    x = rng.normal(size=(2, 9, 3)).astype("float32")
    whole, last = layer(x)
    pieces, state = [], None
    for begin in range(0, 9, steps):
        piece, state = layer(x[:, begin : begin + steps], initial_state=None if state is None else [state])
        pieces.append(np.array(piece))
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), np.array(whole), atol=1e-6)
    np.testing.assert_allclose(np.array(state), np.array(last), atol=1e-6)
