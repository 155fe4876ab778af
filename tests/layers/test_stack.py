"""Layers on top of each other, around each other and in both directions."""

import itertools

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from tests.covering import studied

X = np.random.default_rng(3).normal(size=(4, 7, 6)).astype("float32")
MERGE_MODES = ["concat", "sum", "mul", "ave", None]
MASK = np.array([[1] * 7, [1, 1, 0, 1, 1, 0, 1], [0, 0, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0, 0]], bool)


def numbers(outputs):
    leaves = outputs if isinstance(outputs, list | tuple) else [outputs]
    return [keras.ops.convert_to_numpy(leaf) for leaf in leaves]


def same(a, b):
    for x, y in zip(numbers(a), numbers(b), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-5)


def test_the_shapes_of_the_course_notes():
    """A two-layer GRU of 16 units over [4, 7] tokens embedded in 8."""
    tokens = np.arange(28).reshape(4, 7)
    embedded = keras.layers.Embedding(28, 8)(tokens)
    outputs, *states = rk.Stack(rk.GRU(16), num_layers=2, return_sequences=True, return_state=True)(embedded)
    assert tuple(outputs.shape) == (4, 7, 16)
    assert [tuple(state.shape) for state in states] == [(4, 16), (4, 16)]


def test_equals_the_layers_one_after_the_other():
    layers = [rk.LSTM(5), rk.Bidirectional(rk.GRU(3)), keras.layers.SimpleRNN(4)]
    stack = rk.Stack(layers, return_sequences=True)
    outputs = stack(X, mask=MASK)
    x = X
    for layer in layers:
        x, *_ = layer(x, mask=MASK)
    same(outputs, x)


def test_layers_of_equal_width_are_not_added():
    width = X.shape[-1]
    stack = rk.Stack([rk.GRU(width), rk.GRU(width)], return_sequences=True)
    outputs = stack(X)
    same(outputs, stack.layers[1](stack.layers[0](X)[0])[0])


def test_a_residual_layer_is_built_once():
    layer = rk.Residual(rk.GRU(X.shape[-1], return_sequences=True))
    layer.build(X.shape)
    assert layer.layer.built
    weights = list(layer.weights)
    layer(X)
    assert len(weights) == 3 and all(a is b for a, b in zip(weights, layer.weights, strict=True))


def test_residual_and_norm_equal_their_formula():
    stack = rk.Stack(rk.GRU(6), num_layers=2, residual=True, layer_norm=True, return_sequences=True)
    outputs = stack(X)
    x = X
    for layer, norm in zip(stack.layers, stack.norms, strict=True):
        x = x + layer(norm(x))[0]
    same(outputs, x)


def test_residual_layer_is_the_sum_and_passes_masks_and_states():
    inner = rk.LSTM(6, return_sequences=True, return_state=True)
    outputs, *states = rk.Residual(inner)(X, mask=MASK)
    expected, *expected_states = inner(X, mask=MASK)
    same([outputs, *states], [X + expected, *expected_states])


def test_dropout_lies_between_layers_only():
    single, double = rk.Stack(rk.GRU(4), dropout=0.9), rk.Stack(rk.GRU(4), num_layers=2, dropout=0.9)
    same(single(X, training=True), single(X, training=False))
    trained = [numbers(double(X, training=True))[0] for _ in range(2)]
    assert np.abs(trained[0] - trained[1]).max() > 1e-3


def test_states_go_in_as_they_come_out():
    stack = rk.Stack([rk.LSTM(5), rk.GRU(3)], return_sequences=True, return_state=True)
    whole, *last = stack(X)
    first, *states = stack(X[:, :3])
    second, *states = stack(X[:, 3:], initial_state=states)
    same([np.concatenate(numbers([first]) + numbers([second]), axis=1), *states], [whole, *last])


def test_resets_reach_every_layer():
    stack = rk.Stack(rk.GRU(5), num_layers=2, return_sequences=True)
    resets = np.zeros((4, 7), bool)
    resets[:, 3] = True
    same(stack(X, reset_mask=resets)[:, 3:], stack(X[:, 3:]))


def test_backwards_is_the_flipped_sequence():
    stack = rk.Stack(rk.GRU(5), num_layers=2, return_sequences=True)
    ahead = stack(X[:, ::-1].copy(), mask=MASK[:, ::-1].copy())
    stack.go_backwards = True
    same(stack(X, mask=MASK), ahead)


def test_stateful_stack_carries_and_resets():
    stack = rk.Stack(rk.LSTM(5, stateful=True), num_layers=2)
    first = numbers(stack(X))[0]
    assert np.abs(numbers(stack(X))[0] - first).max() > 1e-4
    assert len(stack.states) == 4
    stack.reset_state()
    same(stack(X), first)


@studied(
    "merge_mode, return_sequences",
    itertools.product(MERGE_MODES, [False, True]),
    zip(MERGE_MODES, itertools.cycle([True, False])),
)
def test_bidirectional_equals_keras(merge_mode, return_sequences):
    ours = rk.Bidirectional(rk.LSTM(5, return_sequences=return_sequences, return_state=True), merge_mode=merge_mode)
    stock = keras.layers.Bidirectional(
        keras.layers.LSTM(5, return_sequences=return_sequences, return_state=True), merge_mode=merge_mode
    )
    ours.build(X.shape), stock.build(X.shape)
    stock.set_weights(ours.get_weights())
    for mask in (None, MASK):
        if mask is None or keras.backend.backend() == "tensorflow":
            same(keras.tree.flatten(ours(X, mask=mask)), keras.tree.flatten(stock(X, mask=mask)))


@pytest.mark.skipif(
    not hasattr(keras.src.backend, "bidirectional_lstm"), reason="This Keras runs the two layers always."
)
@pytest.mark.parametrize(
    ("arguments", "fused"),
    [({}, True), ({"projection": 2}, False), ({"learn_initial_state": True}, False), ({"kernel": "scan"}, False)],
)
def test_bidirectional_is_fused_by_keras_only_where_that_computes_the_same(monkeypatch, arguments, fused):
    layer, asked = rk.Bidirectional(rk.LSTM(5, **arguments)), []
    layer(X)

    def bidirectional_lstm(*_, **__):
        asked.append(True)
        raise NotImplementedError  # as without a GPU: Keras then runs the two layers

    monkeypatch.setattr(keras.src.backend, "bidirectional_lstm", bidirectional_lstm)
    layer(X)
    assert bool(asked) == fused


def test_bidirectional_takes_a_stack():
    stack = rk.Stack(rk.LSTM(5), num_layers=2, return_sequences=True)
    both = rk.Bidirectional(stack)
    outputs = numbers(both(X, mask=MASK))[0]
    assert outputs.shape == (4, 7, 10)
    same(outputs[..., 5:][:, ::-1], both.backward_layer(X, mask=MASK))


@pytest.mark.parametrize(
    "layer",
    [
        rk.LSTM(4, return_sequences=True),
        rk.Stack(rk.GRU(4), num_layers=2, return_sequences=True),
        rk.Bidirectional(rk.GRU(4, return_sequences=True)),
        rk.Residual(rk.GRU(8, return_sequences=True)),
        rk.Recurrent(rk.cells.PeepholeLSTMCell(4), return_sequences=True),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_masks_flow_through(layer):
    tokens = keras.Input((None,), dtype="int32")
    embedded = keras.layers.Embedding(10, 8, mask_zero=True)(tokens)
    assert layer.supports_masking
    outputs = layer(embedded)
    assert getattr(outputs, "_keras_mask", None) is not None
    last = rk.GRU(3)(outputs)
    model = keras.Model(tokens, last)
    long, short = np.array([[3, 5, 2, 0, 0]]), np.array([[3, 5, 2]])
    same(model(long), model(short))


def test_resets_reach_both_directions():
    """Two sequences in one row are two rows: neither direction sees across."""
    starts = np.zeros((4, 7), bool)
    starts[:, 3] = True
    layers = [
        rk.Bidirectional(rk.GRU(5, return_sequences=True)),
        rk.Bidirectional(rk.Stack(rk.LSTM(5), num_layers=2, return_sequences=True), merge_mode="sum"),
        rk.Stack([rk.Bidirectional(rk.GRU(3)), rk.GRU(4)], return_sequences=True),
        rk.Residual(rk.Bidirectional(rk.GRU(3, return_sequences=True))),
    ]
    for layer in layers:
        y = numbers(layer(X, reset_mask=starts))[0]
        if not isinstance(layer, rk.Stack):  # its upper layer carries no state over either, but reads forward only
            same(y[:, :3], layer(X[:, :3]))
        same(y[:, 3:], layer(X[:, 3:]))


@pytest.mark.parametrize("merge_mode", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_a_reset_mask_without_resets_changes_nothing(merge_mode, return_sequences):
    layer = rk.Bidirectional(rk.LSTM(5, return_sequences=return_sequences, return_state=True), merge_mode=merge_mode)
    state = [np.full((4, 5), 0.1 * i, "float32") for i in range(4)]
    for first in (None, state):
        same(
            keras.tree.flatten(layer(X, initial_state=first, mask=MASK, reset_mask=np.zeros((4, 7), bool))),
            keras.tree.flatten(layer(X, initial_state=first, mask=MASK)),
        )


def test_a_residual_layer_reads_backwards_step_by_step():
    inner = rk.GRU(6, return_sequences=True, go_backwards=True)
    same(rk.Residual(inner)(X), X[:, ::-1] + numbers(inner(X))[0])
    turned = rk.Residual(rk.GRU(6, return_sequences=True), go_backwards=True)
    assert turned.go_backwards and rk.Residual.from_config(turned.get_config()).go_backwards


def test_both_directions_of_a_residual_layer_add_the_input_of_their_own_step():
    both = rk.Bidirectional(rk.Residual(rk.GRU(6, return_sequences=True)), merge_mode=None)
    ahead, behind = both(X)
    same(ahead, X + numbers(both.forward_layer.layer(X))[0])
    same(behind, X + numbers(both.backward_layer.layer(X))[0][:, ::-1])


def test_residual_layers_in_stacks_and_encoders_carry_their_states():
    residual = rk.Residual(rk.LSTM(6, return_sequences=True))
    assert residual.state_size == [6, 6]
    stack = rk.Stack([rk.GRU(6), residual], return_state=True)
    whole, *last = stack(X)
    first, *states = stack(X[:, :3])
    second, *states = stack(X[:, 3:], initial_state=states)
    same([np.concatenate(numbers([first, second]), axis=1), *states], [whole, *last])
    encoder = rk.Encoder([rk.GRU(6), rk.Bidirectional(rk.Residual(rk.GRU(6, return_sequences=True)))])
    assert [tuple(state.shape) for state in encoder(X).states] == [(4, 6)] * 3
    stateful = rk.Residual(rk.GRU(6, return_sequences=True, stateful=True))
    first = numbers(stateful(X))[0]
    assert np.abs(numbers(stateful(X))[0] - first).max() > 1e-4
    stateful.reset_states()
    same(stateful(X), first)


def test_a_list_of_cells_carries_and_resets():
    cells = [rk.cells.GRUCell(5), rk.cells.LSTMCell(3)]
    for layer in (rk.Recurrent(cells, stateful=True), rk.Stack([rk.Recurrent(cells, stateful=True)])):
        first = numbers(layer(X))[0]
        assert np.abs(numbers(layer(X))[0] - first).max() > 1e-4
        layer.reset_states()
        same(layer(X), first)
    both = rk.Bidirectional(rk.Recurrent([rk.cells.GRUCell(5), rk.cells.LSTMCell(3)], stateful=True))
    first = numbers(both(X))[0]
    assert len(both.states) == 6
    both.reset_states()
    same(both(X), first)


def test_configs_round_trip():
    stack = rk.Stack([rk.LSTM(5), rk.Residual(rk.GRU(5, return_sequences=True))], dropout=0.1, residual=True)
    again = rk.Stack.from_config(stack.get_config())
    assert again.get_config() == stack.get_config()
