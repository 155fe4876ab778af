"""Arguments that a cell cannot take get a sentence: what came, what was expected, what to do."""

import keras
import numpy as np
import pytest

import keras_rnnkit as rk

cells = rk.cells
X = np.ones((2, 3), "float32")

REFUSED = {
    "dropout": (lambda: cells.LSTMCell(4, dropout="a"), r"LSTMCell: `dropout` is a share.*dropout='a'.*0.2 for 20%"),
    "dropout-none": (lambda: cells.GRUCell(4, dropout=None), r"GRUCell: `dropout`.*Received: dropout=None"),
    "dropout-flag": (lambda: cells.GRUCell(4, dropout=True), r"GRUCell: `dropout`.*Received: dropout=True"),
    "dropout-nan": (lambda: cells.GRUCell(4, dropout=float("nan")), r"GRUCell: `dropout`.*dropout=nan"),
    "recurrent-dropout": (lambda: cells.VanillaCell(4, recurrent_dropout=1.0), r"`recurrent_dropout`.*\[0, 1\).*=1.0"),
    "units": (lambda: cells.GRUCell(-4), r"GRUCell: `units` must be a positive integer. Received: units=-4"),
    "units-text": (lambda: cells.GRUCell("4"), r"GRUCell: `units` must be a positive integer. Received: units='4'"),
    "projection": (
        lambda: cells.LSTMCell(4, projection=6),
        r"`projection` makes the output narrower.*at most units=4. Received: projection=6. Make units larger",
    ),
    "activation": (
        lambda: cells.LSTMCell(4, activation="tanhh"),
        r"LSTMCell: `activation` must name a Keras activation.*activation='tanhh'. Write for example activation='tanh'",
    ),
    "activation-number": (lambda: cells.VanillaCell(4, activation=5), r"`activation` must name.*activation=5"),
    "recurrent-activation": (
        lambda: cells.GRUCell(4, recurrent_activation="sig"),
        r"GRUCell: `recurrent_activation` must name.*recurrent_activation='sig'",
    ),
    "initializer": (
        lambda: cells.GRUCell(4, recurrent_initializer="glorot"),
        r"`recurrent_initializer` must name a Keras initializer.*'glorot'.*recurrent_initializer='glorot_uniform'",
    ),
    "regularizer": (lambda: cells.GRUCell(4, kernel_regularizer="l3"), r"`kernel_regularizer`.*'l3'.*'l2'"),
    "constraint": (lambda: cells.GRUCell(4, bias_constraint=3), r"`bias_constraint`.*bias_constraint=3"),
    "states": (
        lambda: cells.LSTMCell(4)(X, [np.zeros((2, 4), "float32")]),
        r"LSTMCell has 2 state\(s\) of width \[4, 4\]. Received: 1 state\(s\).*get_initial_state",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_argument_gets_a_sentence(name):
    provoke, sentence = REFUSED[name]
    with pytest.raises(ValueError, match=f"(?s){sentence}"):
        provoke()


def test_numbers_of_numpy_are_numbers():
    cell = cells.LSTMCell(np.int64(4), dropout=np.float32(0.25), projection=np.int32(4))
    assert (cell.units, cell.dropout, cell.projection) == (4, 0.25, 4)


def test_objects_of_keras_are_taken_as_they_are():
    initializer = keras.initializers.RandomNormal(seed=1)
    cell = cells.GRUCell(4, kernel_initializer=initializer, activation=keras.ops.sin, kernel_regularizer=None)
    assert cell.kernel_initializer is initializer
    assert cell.activation is keras.ops.sin
