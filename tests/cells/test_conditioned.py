"""A fixed vector of the sequence added to the projected input at every step: z_t = W x_t + b + W_ih v."""

import numpy as np
import pytest

import keras_rnnkit as rk
from tests.cells.golden import Case, U, columns, every_precision, sigmoid

cells = rk.cells
V = 2


@every_precision
def test_karpathys_equation(dtype):
    def equation(w, x, h, v):
        h = np.tanh(x @ w["kernel"] + v @ w["condition_kernel"] + h @ w["recurrent_kernel"] + w["bias"])
        return h, [h, v]

    Case(cells.ConditionedCell(cells.VanillaCell(U, dtype=dtype), V), dtype).check(equation)


@every_precision
def test_all_gates_of_a_gru_read_the_vector(dtype):
    def equation(w, x, h, v):
        z = x @ w["kernel"] + v @ w["condition_kernel"] + w["bias"][0]
        r = h @ w["recurrent_kernel"] + w["bias"][1]
        update, reset = sigmoid(columns(z + r, 0)), sigmoid(columns(z + r, 1))
        candidate = np.tanh(columns(z, 2) + reset * columns(r, 2))
        h = update * h + (1 - update) * candidate
        return h, [h, v]

    Case(cells.ConditionedCell(cells.GRUCell(U, dtype=dtype), V), dtype).check(equation)


@every_precision
def test_the_vector_is_returned_unchanged(dtype):
    for cell in (
        cells.ConditionedCell(cells.LSTMCell(U, dtype=dtype), V),
        cells.ZoneoutCell(cells.ConditionedCell(cells.LSTMCell(U, dtype=dtype), V), rate=0.1),
        cells.ConditionedCell(cells.BatchNormCell(cells.LSTMCell(U, dtype=dtype)), V),
    ):
        case = Case(cell, dtype)
        for training in (False, True):
            np.testing.assert_array_equal(case.run(training=training)[-1], case.states[-1])


def test_an_order_that_cannot_work_is_refused():
    with pytest.raises(ValueError, match=r"ConditionedCell\(ZoneoutCell\(...\)\). Write ZoneoutCell\(ConditionedCell"):
        cells.ConditionedCell(cells.ZoneoutCell(cells.GRUCell(4)), V)
    with pytest.raises(ValueError, match=r"one vector.*ConditionedCell inside it has one of width 2.*Join the vectors"):
        cells.ConditionedCell(cells.ConditionedCell(cells.GRUCell(4), 2), 3)
    with pytest.raises(ValueError, match=r"one vector.*ZoneoutCell|inside the wrapper that adds noise"):
        cells.ConditionedCell(cells.ZoneoutCell(cells.ConditionedCell(cells.GRUCell(4), 2)), 3)


def test_a_projection_in_pieces_is_refused():
    class Pieces(cells.VanillaCell):
        def project(self, ops, w, x):
            return ops.matmul(x, w.kernel), x

    with pytest.raises(ValueError, match=r"need it as one array. Pieces.project returns tuple"):
        cells.ConditionedCell(Pieces(4), V).build((None, 3))


def test_arguments():
    with pytest.raises(ValueError, match=r"`condition_size` must be a positive integer"):
        cells.ConditionedCell(cells.GRUCell(4), 0)
    with pytest.raises(ValueError, match=r"`condition_initializer` must name a Keras initializer"):
        cells.ConditionedCell(cells.GRUCell(4), 2, condition_initializer="glorot")
    with pytest.raises(ValueError, match=r"ConditionedCell has the dropout of the cell.*GRUCell\(..., dropout=0.5\)"):
        cells.ConditionedCell(cells.GRUCell(4), 2, dropout=0.5)
