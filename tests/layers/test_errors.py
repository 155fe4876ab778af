"""Bad input gets a sentence: what came, what was expected, what to do."""

import keras
import numpy as np
import pytest

import keras_rnnkit as rk

X = np.ones((2, 5, 3), "float32")


def gru(**kwargs):
    layer = rk.GRU(4, **kwargs)
    layer.build((None, None, 3))
    return layer


class Unregistered(keras.layers.Layer):
    state_size = 3

    def call(self, x, states):
        return x, states


CASES = {
    "rank": (lambda: rk.LSTM(4)(np.ones((2, 5))), r"\[batch, time, features\].*\(2, 5\).*Embedding.*x\[..., None\]"),
    "width": (lambda: gru()(np.ones((2, 5, 7))), r"built for 3 features.*Received: 7 features.*\[batch, time, 3\]"),
    "kernel": (lambda: rk.GRU(4, kernel="fast"), r"kernel='fast'.*'auto', 'cudnn', 'parallel', 'hoisted', 'scan'"),
    "kernel-set": (lambda: setattr(gru(), "kernel", "best"), r"kernel='best'.*Expected one of"),
    "units-zero": (lambda: rk.LSTM(0), r"`units` must be a positive integer.*units=0.*units=64"),
    "units-negative": (lambda: rk.cells.GRUCell(-3), r"positive integer.*units=-3"),
    "units-float": (lambda: rk.VanillaRNN(2.5), r"positive integer.*units=2.5"),
    "projection": (lambda: rk.LSTM(4, projection=0), r"`projection` must be a positive integer.*projection=0"),
    "dropout": (lambda: rk.GRU(4, dropout=20), r"`dropout` is a share.*dropout=20.*0.2 for 20%"),
    "state-size": (
        lambda: gru()(X, initial_state=[np.zeros((2, 5))]),
        r"state 0 has size 4.*initial_state\[0\] of shape \(2, 5\).*\[batch, 4\]",
    ),
    "state-number": (
        lambda: rk.LSTM(4)(X, initial_state=[np.zeros((2, 4))]),
        r"2 state\(s\) of size \[4, 4\].*with 1.*list with one array",
    ),
    "mask": (lambda: gru()(X, mask=np.ones((2, 4), bool)), r"`mask`.*\(2, 5\).*of shape \(2, 4\)"),
    "reset-mask": (lambda: gru()(X, reset_mask=np.ones(2, bool)), r"`reset_mask`.*\(2, 5\).*of shape \(2,\)"),
    "condition": (lambda: gru()(X, condition=np.ones((2, 3))), r"GRUCell has no place.*ConditionedCell"),
    "unroll-hoisted": (
        lambda: rk.GRU(4, unroll=True, kernel="hoisted")(X),
        r"cannot run on kernel='hoisted': unroll=True asks.*kernel='auto'",
    ),
    "cudnn-without-gpu": (
        lambda: setattr(gru(), "kernel", "cudnn"),
        r"kernel='cudnn'.*(there is no GPU|does not reach)",
    ),
    "use-cudnn": (lambda: rk.LSTM(4, use_cudnn="yes"), r"use_cudnn='yes'.*'auto', True or False"),
    "foreign-cell": (
        lambda: rk.Recurrent(keras.layers.StackedRNNCells([keras.layers.GRUCell(4)]), kernel="hoisted")(X),
        r"StackedRNNCells does not say which part.*project, recur and gates",
    ),
    "stock-dropout": (
        lambda: rk.Recurrent(keras.layers.GRUCell(4, dropout=0.2, implementation=1), kernel="hoisted")(X),
        r"a stock GRUCell with dropout draws a mask for each gate",
    ),
    "layer-as-cell": (
        lambda: rk.Recurrent(rk.LSTM(4, name="inner")),
        r"runs a cell over a sequence. Received: the layer 'inner'.*pass its cell, LSTMCell",
    ),
    "layer-among-cells": (
        lambda: rk.Recurrent([rk.cells.GRUCell(4), keras.layers.GRU(4)]),
        r"Received: the layer 'gru.*pass its cell, GRUCell\(...\). To put layers on top of each other use rk.Stack",
    ),
    "stack-empty": (lambda: rk.Stack([]), r"at least one layer"),
    "stack-of-cells": (lambda: rk.Stack([rk.cells.GRUCell(4)]), r"Stack takes recurrent layers.*rk.Recurrent"),
    "stack-num": (lambda: rk.Stack([rk.GRU(4)], num_layers=3), r"list of 1 layers and num_layers=3"),
    "stack-num-zero": (lambda: rk.Stack(rk.GRU(4), num_layers=0), r"how often the layer is repeated.*num_layers=0"),
    "stack-states": (
        lambda: rk.Stack(rk.LSTM(4), num_layers=2)(X, initial_state=[np.zeros((2, 4))] * 3),
        r"has 4 states, \[2, 2\].*with 3",
    ),
    "stack-misfit": (
        lambda: rk.Stack([built(rk.LSTM(4), 3), built(rk.LSTM(4), 5)])(X),
        r"built for 5 features a step. Received: 4",
    ),
    "residual-width": (
        lambda: rk.Residual(rk.GRU(4, return_sequences=True))(X),
        r"3 input features and 4 from layer.*units to 3",
    ),
    "residual-dense": (
        lambda: rk.Residual(keras.layers.Dense(3)),
        r"Residual takes a recurrent layer.*x \+ layer\(x\)",
    ),
    "residual-direction": (
        lambda: rk.Residual(rk.Bidirectional(rk.GRU(3, return_sequences=True)), go_backwards=True),
        r"a Bidirectional has no direction of its own",
    ),
    "stack-true": (lambda: rk.Stack(rk.GRU(3), num_layers=True), r"must be a positive integer.*num_layers=True"),
    "stack-last-residual": (
        lambda: rk.Stack([rk.Residual(rk.GRU(3, return_sequences=True))], return_sequences=False),
        r"ends in the Residual 'residual.*', which returns every step",
    ),
    "stack-lambda": (
        lambda: rk.Stack(rk.GRU(3, activation=lambda x: x, name="g"), num_layers=2),
        r"^Stack repeats 'g' by its config, which holds a Python lambda.*named function",
    ),
    "bidirectional-lambda": (
        lambda: rk.Bidirectional(rk.GRU(3, activation=lambda x: x, name="g")),
        r"^Bidirectional makes both directions from the config of 'g', which holds a Python lambda",
    ),
    "bidirectional-unknown": (
        lambda: rk.Bidirectional(rk.Recurrent(Unregistered(), name="g")),
        r"^Bidirectional makes both directions.*holds 'Unregistered', which Keras does not know",
    ),
    "reset-mask-stock": (
        lambda: rk.Stack([keras.layers.GRU(3, name="stock")])(X, reset_mask=np.zeros((2, 5), bool)),
        r"received `reset_mask`, but 'stock' inside it is a GRU that cannot restart.*rk.convert",
    ),
    "reset-mask-shape": (
        lambda: rk.Bidirectional(rk.GRU(3))(X, reset_mask=np.zeros(2, bool)),
        r"`reset_mask` needs one value for each row and step.*Received: reset_mask of shape \(2,\)",
    ),
    "residual-last": (lambda: rk.Residual(rk.GRU(4)), r"returns only its last.*return_sequences=True"),
    "bidirectional-states": (
        lambda: rk.Bidirectional(rk.LSTM(4))(X, initial_state=[np.zeros((2, 4))] * 3),
        r"4 states, half for each direction.*with 3",
    ),
    "wrapped-layer": (lambda: rk.cells.ZoneoutCell(rk.LSTM(4)), r"ZoneoutCell wraps a cell.*rk.cells.LSTMCell"),
    "zoneout-rates": (
        lambda: rk.cells.ZoneoutCell(rk.cells.LSTMCell(4), rate=[0.1]),
        r"one number or 2.*rate=\[0.1\]",
    ),
    "convert": (lambda: rk.convert("model.keras"), r"convert takes a Keras model.*str.*load_model"),
    "explain": (lambda: rk.explain(3), r"explain takes a Keras model.*int"),
}


def built(layer, width):
    layer.build((None, None, width))
    return layer


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`:UserWarning")
@pytest.mark.parametrize("name", CASES)
def test_bad_input_gets_a_sentence(name):
    provoke, sentence = CASES[name]
    with pytest.raises(ValueError, match=f"(?s){sentence}"):
        provoke()


def test_a_cell_whose_output_is_not_its_state_must_say_so():
    class Sly(rk.cells.VanillaCell):
        def gates(self, ops, w, z, r, state):
            h = ops.tanh(z + r)
            return 2.0 * h, [h]

    with pytest.raises(ValueError, match=r"Sly.gates returns an output that is not its first state.*emits_state"):
        rk.Recurrent(Sly(4))(X)


def test_a_refused_kernel_leaves_the_old_one():
    layer = rk.GRU(4, unroll=True)
    with pytest.raises(ValueError, match="unroll=True"):
        layer.kernel = "hoisted"
    assert layer.kernel == "auto"


def test_a_missing_name_lists_what_there_is():
    with pytest.raises(AttributeError, match=r"has no attribute 'LTSM'. It has: LSTM"):
        _ = rk.LTSM
