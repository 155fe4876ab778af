"""Li (2018), IndRNN: each unit reads its own state alone."""

import numpy as np

import keras_rnnkit as rk
from tests.cells.golden import Case, U, every_precision


def ind_rnn(activation):
    def equation(w, x, h):
        h = activation(x @ w["kernel"] + w["recurrent_kernel"] * h + w["bias"])
        return h, [h]

    return equation


@every_precision
def test_the_papers_equation(dtype):
    Case(rk.cells.IndRNNCell(U, dtype=dtype), dtype).check(ind_rnn(lambda a: np.maximum(a, 0)))


def test_another_activation():
    Case(rk.cells.IndRNNCell(U, activation="tanh")).check(ind_rnn(np.tanh))


def test_the_recurrence_starts_between_zero_and_one_and_stays_within_its_limit(rng):
    layer = rk.Recurrent(rk.cells.IndRNNCell(50, recurrent_constraint=rk.cells.MagnitudeLimit(0.5)))
    layer.build((None, None, 2))
    v = np.array(layer.cell.recurrent_kernel)
    assert v.min() >= 0 and v.max() <= 1 and v.std() > 0.2
    assert np.abs(np.array(layer.cell.recurrent_kernel.constraint(v * 4 - 2))).max() <= 0.5
