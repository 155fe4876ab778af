"""The blocks: their equations in NumPy, around the NumPy reading of their cells, and as recurrent layers."""

import math

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from tests.conformance import reference

B, T, D = 2, 7, 4
MAKES = {
    "min-gru": lambda **k: rk.blocks.MinRNN(units=6, expansion=2, **k),
    "min-lstm": lambda **k: rk.blocks.MinRNN("lstm", expansion=1, **k),
    "griffin": lambda **k: rk.blocks.Griffin(units=6, expansion=2, **k),
    "mlstm": lambda **k: rk.blocks.XLSTM(heads=2, **k),
    "slstm": lambda **k: rk.blocks.XLSTM("slstm", heads=2, **k),
}
every_block = pytest.mark.parametrize("name", MAKES)


def built(name, rng, **arguments):
    block = MAKES[name](**arguments)
    block.build((B if arguments.get("stateful") else None, None, D))
    for variable in block.trainable_variables:
        variable.assign(variable + rng.normal(size=variable.shape) * 0.4)
    return block


def sequences(rng, time=T):
    return rng.normal(size=(B, time, D)).astype("float32")


# ---------------------------------------------------------------------- the equations


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def silu(x):
    return x * sigmoid(x)


def gelu(x):
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / np.sqrt(2)))


def dense(layer, x):
    return x @ np.array(layer.kernel) + np.array(layer.bias)


def layer_norm(layer, x):
    normal = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + layer.epsilon)
    return normal * np.array(layer.gamma) + np.array(layer.beta)


def rms(layer, x):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + layer.epsilon) * np.array(layer.scale)


def head_norm(layer, x, heads=2):
    by_head = x.reshape(*x.shape[:-1], heads, -1)
    normal = (by_head - by_head.mean(-1, keepdims=True)) / np.sqrt(by_head.var(-1, keepdims=True) + 1e-5)
    return normal.reshape(x.shape) * np.array(layer.scale)


def recurrent(layer, x):
    return reference.run(layer, x, [np.zeros((len(x), n)) for n in layer.cell.state_sizes])[0]


def min_rnn(b, x):
    n = layer_norm(b.norm_1, x)
    u = x + dense(b.output_dense, recurrent(b.memory, recurrent(b.convolution, n)) * silu(dense(b.gate, n)))
    return u + dense(b.mlp_2, gelu(dense(b.mlp_1, layer_norm(b.norm_2, u))))


def griffin(b, x):
    n = rms(b.norm_1, x)
    h = recurrent(b.memory, recurrent(b.convolution, dense(b.input_dense, n)))
    u = x + dense(b.output_dense, h * gelu(dense(b.gate, n)))
    m = rms(b.norm_2, u)
    return u + dense(b.mlp_3, gelu(dense(b.mlp_1, m)) * dense(b.mlp_2, m))


def mlstm(b, x):
    n = layer_norm(b.norm_1, x)
    c = silu(recurrent(b.convolution, dense(b.input_dense, n)))
    h = head_norm(b.head_norm, recurrent(b.memory, c)) + np.array(b.skip) * c
    return x + dense(b.output_dense, h * silu(dense(b.gate, n)))


def slstm(b, x):
    n = layer_norm(b.norm_1, x)
    u = x + head_norm(b.head_norm, recurrent(b.memory, silu(recurrent(b.convolution, n))))
    m = layer_norm(b.norm_2, u)
    return u + dense(b.mlp_3, gelu(dense(b.mlp_1, m)) * dense(b.mlp_2, m))


EQUATIONS = {"min-gru": min_rnn, "min-lstm": min_rnn, "griffin": griffin, "mlstm": mlstm, "slstm": slstm}


@every_block
def test_the_equation(name, rng):
    block, x = built(name, rng), sequences(rng)
    np.testing.assert_allclose(np.array(block(x)), EQUATIONS[name](block, x.astype("float64")), atol=2e-4)


# ---------------------------------------------------------------------- as recurrent layers


@every_block
def test_chunks_are_the_whole(name, rng):
    """The states hold the last three inputs of the convolution too, or the first steps of a chunk would differ."""
    block, x = built(name, rng, return_state=True), sequences(rng)
    whole, *ends = block(x)
    assert [tuple(end.shape) for end in ends] == [(B, size) for size in block.state_size]
    first, *states = block(x[:, :3])
    second, *states = block(x[:, 3:], initial_state=states)
    for a, b in zip([np.concatenate([first, second], axis=1), *states], [whole, *ends], strict=True):
        np.testing.assert_allclose(np.array(a), np.array(b), atol=1e-5)
    forgetful, *_ = block(x[:, 3:])
    assert np.abs(np.array(forgetful[:, 0]) - np.array(whole[:, 3])).max() > 1e-3


@pytest.mark.parametrize("name", ["min-gru", "mlstm"])
def test_a_padded_row_is_the_row_alone(name, rng):
    block, x = built(name, rng), sequences(rng)
    mask = np.arange(T) < np.array([[T], [3]])
    x[~mask] = 99.0
    whole = np.array(block(x, mask=mask))
    np.testing.assert_allclose(whole[1:, :3], np.array(block(x[1:, :3])), atol=1e-5)
    block.return_sequences = False
    np.testing.assert_allclose(np.array(block(x, mask=mask)), whole[[0, 1], [T - 1, 2]], atol=1e-6)


@pytest.mark.parametrize("name", ["griffin", "slstm"])
def test_resets_start_anew(name, rng):
    block, x = built(name, rng), sequences(rng)
    reset = np.zeros((B, T), bool)
    reset[:, 4] = True
    expected = np.concatenate([block(x[:, :4]), block(x[:, 4:])], axis=1)
    np.testing.assert_allclose(np.array(block(x, reset_mask=reset)), expected, atol=1e-5)


def test_a_stateful_stack_carries_the_states_of_its_blocks(rng):
    stack = rk.Stack([MAKES["griffin"](stateful=True), MAKES["slstm"](stateful=True)], return_sequences=True)
    x = sequences(rng)
    chunks = np.concatenate([stack(x[:, :2]), stack(x[:, 2:])], axis=1)
    stack.reset_state()
    np.testing.assert_allclose(np.array(stack(x)), chunks, atol=1e-5)
    assert len(stack.states) == len(stack.state_size) == 7


def test_a_stack_of_blocks_is_saved_trained_and_explained(tmp_path, rng):
    stack = rk.Stack([make(dropout=0.1) for make in MAKES.values()], return_sequences=True)
    model = keras.Sequential([keras.Input((None, D)), stack, keras.layers.Dense(1)])
    model.save(tmp_path / "model.keras")
    x = sequences(rng)
    loaded = rk.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.array(loaded(x)), np.array(model(x)))
    kernels = [row.kernel for row in rk.explain(model, print_fn=None)]
    assert kernels == [*["parallel"] * 9, "hoisted"]
    before = [np.array(v) for v in model.trainable_variables]
    model.compile("sgd", "mse", run_eagerly=True)
    model.train_on_batch(x, np.ones((B, T, 1)))
    assert all(np.any(np.array(v) != old) for v, old in zip(model.trainable_variables, before, strict=True))


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n == "mlstm" else [pytest.mark.study]) for n in MAKES])
def test_a_language_model_of_blocks_is_exported(name, tmp_path):
    """The check of an export compares whole sequences, chunks of a stream and generated tokens with Keras."""
    layers = [keras.Input((None,), dtype="int32"), keras.layers.Embedding(9, D), MAKES[name](), keras.layers.Dense(9)]
    modes = ("sequence", "stream", "generate")
    rk.export_bundle(keras.Sequential(layers), tmp_path / "model", modes=modes, strategy="greedy", saved_model=False)


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: rk.blocks.MinRNN("rnn"), "`cell` must be 'gru' or 'lstm'. Received: cell='rnn'"),
        (lambda: rk.blocks.XLSTM("lstm"), "`cell` must be 'mlstm' or 'slstm'. Received: cell='lstm'"),
        (lambda: rk.blocks.Griffin(units=0), "Griffin: `units` must be a positive integer"),
        (lambda: rk.blocks.MinRNN()(np.ones((2, 3))), r"expects sequences of shape \[batch, time, features\]"),
    ],
)
def test_what_cannot_be(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
