"""Bradbury (2017), QRNN: f-pooling, fo-pooling and ifo-pooling."""

import numpy as np
import pytest

import keras_rnnkit as rk
from tests.cells.golden import Case, U, columns, every_precision, sigmoid


def pooling(kind):
    def equation(w, x, c):
        before = [x @ columns(w["kernel"], n) + columns(w["bias"], n) for n in range(w["bias"].size // U)]
        g, f = np.tanh(before[0]), sigmoid(before[1])
        i = sigmoid(before[3]) if kind == "ifo" else 1 - f
        c = f * c + i * g
        return c if kind == "f" else sigmoid(before[2]) * c, [c]

    return equation


@every_precision
@pytest.mark.parametrize("kind", ["f", "fo", "ifo"])
def test_the_papers_equation(kind, dtype):
    Case(rk.cells.QRNNCell(U, pooling=kind, dtype=dtype), dtype).check(pooling(kind))


def test_another_pooling_is_refused():
    with pytest.raises(ValueError, match="`pooling` must be one of 'f', 'fo', 'ifo'. Received: pooling='max'"):
        rk.cells.QRNNCell(3, pooling="max")
