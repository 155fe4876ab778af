"""rk.LSTM, rk.GRU and rk.VanillaRNN where Keras' layers stood."""

import inspect

import keras
import numpy as np
import pytest

import keras_rnnkit as rk

PAIRS = {
    "LSTM": (rk.LSTM, keras.layers.LSTM),
    "GRU": (rk.GRU, keras.layers.GRU),
    "VanillaRNN": (rk.VanillaRNN, keras.layers.SimpleRNN),
}
every_pair = pytest.mark.parametrize("ours, stock", PAIRS.values(), ids=PAIRS)
X = np.random.default_rng(1).normal(size=(3, 6, 4)).astype("float32")
MASK = np.array([[1, 1, 0, 1, 1, 0], [0, 0, 1, 1, 0, 1], [0, 0, 0, 0, 0, 0]], bool)


def twins(ours, stock, rng, **arguments):
    """The two layers on the same random weights."""
    a, b = ours(5, **arguments), stock(5, **arguments)
    a.build(X.shape)
    b.build(X.shape)
    a.set_weights([rng.normal(size=w.shape) for w in b.get_weights()])
    b.set_weights(a.get_weights())
    return a, b


def leaves(outputs):
    return outputs if isinstance(outputs, list | tuple) else [outputs]


def same(a, b):
    for ours, theirs in zip(leaves(a), leaves(b), strict=True):
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(ours), keras.ops.convert_to_numpy(theirs), atol=1e-5, rtol=1e-5
        )


@every_pair
def test_takes_every_argument_in_the_same_order(ours, stock):
    expected = [p for p in inspect.signature(stock).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    received = [p for p in inspect.signature(ours).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert [(p.name, p.default) for p in received] == [(p.name, p.default) for p in expected]
    assert isinstance(ours(2), stock)


@every_pair
def test_config_is_that_of_keras_and_more(ours, stock):
    arguments = {
        "activation": "relu",
        "use_bias": False,
        "kernel_regularizer": "l2",
        "recurrent_constraint": "unit_norm",
        "bias_initializer": "ones",
        "dropout": 0.1,
        "recurrent_dropout": 0.2,
        "seed": 3,
        "return_state": True,
        "go_backwards": True,
        "zero_output_for_mask": True,
        "trainable": False,
    }
    received, expected = ours(5, **arguments, name="n").get_config(), stock(5, **arguments, name="n").get_config()
    additions = set(received) - set(expected)
    assert additions == set(ours.additions)
    assert {k: v for k, v in received.items() if k not in additions} == expected
    again = ours.from_config(received).get_config()
    assert again == received


@every_pair
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"return_sequences": True, "return_state": True},
        {"go_backwards": True, "return_sequences": True, "activation": "softsign"},
        {"unroll": True, "return_state": True},
        {"zero_output_for_mask": True, "return_sequences": True},
        {"use_bias": False},
    ],
    ids=str,
)
def test_outputs_masks_and_states_are_those_of_keras(ours, stock, arguments, rng):
    a, b = twins(ours, stock, rng, **arguments)
    same(a(X), b(X))
    if not (arguments.get("zero_output_for_mask") and keras.backend.backend() == "jax"):
        same(a(X, mask=MASK), b(X, mask=MASK))
    assert [w.path.split("/")[-1] for w in a.weights] == [w.path.split("/")[-1] for w in b.weights]


@pytest.mark.parametrize("stock_arguments", [{"reset_after": False}, {"recurrent_activation": "hard_sigmoid"}], ids=str)
def test_gru_variants(stock_arguments, rng):
    a, b = twins(rk.GRU, keras.layers.GRU, rng, **stock_arguments)
    same(a(X, mask=MASK), b(X, mask=MASK))


@every_pair
def test_dropout_draws_what_keras_draws(ours, stock, rng):
    """With one seed the same units fall, on every kernel: one mask for a whole sequence."""
    a, b = twins(ours, stock, rng, dropout=0.5, seed=7)
    expected = b(X, training=True)
    for kernel in ("hoisted", "scan"):
        a.kernel = kernel
        a.cell.seed_generator.state.assign(keras.random.SeedGenerator(7).state)
        same(a(X, training=True), expected)


@every_pair
def test_recurrent_dropout_is_one_mask_a_sequence_on_every_kernel(ours, stock, rng):
    a, _ = twins(ours, stock, rng, recurrent_dropout=0.5, dropout=0.3, seed=7, return_sequences=True)
    seen = []
    for kernel in ("hoisted", "scan"):
        a.kernel = kernel
        a.cell.seed_generator.state.assign(keras.random.SeedGenerator(7).state)
        seen.append(a(X, training=True))
    same(*seen)
    assert np.abs(keras.ops.convert_to_numpy(seen[0]) - keras.ops.convert_to_numpy(a(X))).max() > 1e-2


@every_pair
def test_stateful_carries_on_and_resets(ours, stock, rng):
    a, b = twins(ours, stock, rng, stateful=True)
    for _ in range(3):
        same(a(X), b(X))
    a.reset_state(), b.reset_state()
    same(a(X), b(X))
    with pytest.raises(ValueError, match="batch size"):
        a(X[:2])


def test_learned_start_is_trained(rng):
    layer = rk.GRU(5, learn_initial_state=True)
    model = keras.Sequential([keras.Input((6, 4)), layer])
    assert [tuple(w.shape) for w in layer.learned_states] == [(5,)]
    before = np.array(layer.learned_states[0])
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(X, np.ones((3, 5)), verbose=0)
    assert np.abs(np.array(layer.learned_states[0]) - before).min() > 0
    with pytest.raises(ValueError, match="learn_initial_state"):
        rk.GRU(5, learn_initial_state=True, stateful=True)


def test_unit_forget_bias_and_its_absence():
    layer, plain = rk.LSTM(3), rk.LSTM(3, unit_forget_bias=False)
    layer.build((None, None, 2))
    plain.build((None, None, 2))
    assert np.array(layer.cell.bias).tolist() == [0] * 3 + [1] * 3 + [0] * 6
    assert np.array(plain.cell.bias).tolist() == [0] * 12


def test_regularizers_and_constraints_reach_the_weights():
    layer = rk.LSTM(3, kernel_regularizer="l2", recurrent_constraint="non_neg", bias_regularizer="l1")
    layer(X)
    assert len(layer.losses) == 2
    assert isinstance(layer.cell.recurrent_kernel.constraint, keras.constraints.NonNeg)


def test_condition_is_seen_at_every_step(rng):
    """W_ih v at every step equals the inner cell with v appended to each input and W_ih to its kernel."""
    inner = rk.cells.LSTMCell(5)
    layer = rk.Recurrent(rk.cells.ConditionedCell(inner, 2), return_sequences=True)
    v = rng.normal(size=(3, 2)).astype("float32")
    outputs = layer(X, condition=v)
    joined = rk.LSTM(5, return_sequences=True)
    joined.build((None, None, 6))
    kernel = np.concatenate([np.array(inner.kernel), np.array(layer.cell.condition_kernel)])
    joined.set_weights([kernel, np.array(inner.recurrent_kernel), np.array(inner.bias)])
    same(outputs, joined(np.concatenate([X, np.repeat(v[:, None], 6, axis=1)], axis=-1)))
    same(layer(X, initial_state=[np.zeros((3, 5)), np.zeros((3, 5)), v]), outputs)


def test_batch_norm_learns_its_statistics_without_the_padding(rng):
    inner = rk.cells.VanillaCell(5)
    layer = rk.Recurrent(rk.cells.BatchNormCell(inner, momentum=0.0))
    x = X.copy()
    x[~MASK] = 1e3
    layer(x, mask=MASK, training=True)
    products = (x @ np.array(inner.kernel))[MASK]
    np.testing.assert_allclose(np.array(layer.cell.running_mean), products.mean(0), atol=1e-4)
    np.testing.assert_allclose(np.array(layer.cell.running_variance), products.var(0), atol=1e-3)


def test_zoneout_keeps_units_in_training_and_mixes_otherwise(rng):
    layer = rk.Recurrent(rk.cells.ZoneoutCell(rk.cells.VanillaCell(200), rate=0.3, noise_seed=1), return_sequences=True)
    outputs = np.array(layer(X, training=True))
    kept = (outputs[:, 1:] == outputs[:, :-1]).mean()
    assert kept == pytest.approx(0.3, abs=0.03)
    steps = (outputs[:, 1:] == outputs[:, :-1]).mean(axis=(0, 2))
    assert len(set(steps)) > 1  # drawn anew at every step
    assert (np.array(layer(X))[:, 1:] == np.array(layer(X))[:, :-1]).mean() < 0.01


@every_pair
def test_help_shows_every_argument(ours, stock):
    assert [name for name in inspect.signature(ours).parameters if f"    {name}: " not in ours.__doc__] == []
