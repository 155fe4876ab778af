"""The norms of dL/dh_t by lag."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_rnnkit as rk
from keras_rnnkit.training.gradient_flow import reach, warning

STEPS = 30
X = np.random.default_rng(0).normal(size=(6, STEPS, 3)).astype("float32")
Y = X[:, 0, :1]


def compiled(*layers, x=X, stateful=False):
    model = keras.Sequential([keras.Input((None, 3), batch_size=6 if stateful else None), *layers])
    model.compile("sgd", "mse", run_eagerly=True)
    return model


@pytest.mark.parametrize(
    ("make", "kinds"),
    [
        (lambda: rk.VanillaRNN(4, name="m"), 1),
        (lambda: rk.LSTM(4, name="m"), 2),
        (lambda: rk.GRU(4, name="m"), 1),
        (lambda: keras.layers.LSTM(4, name="m"), 2),
        (lambda: rk.Recurrent(rk.cells.LayerNormLSTMCell(4), name="m"), 2),
    ],
)
def test_they_are_the_gradients_of_a_loop_of_the_cell(make, kinds):
    """The reference: a state is a variable of its own, with which the rest of the sequence begins."""
    layer, dense = make(), keras.layers.Dense(1)
    norms = rk.training.gradient_norms(compiled(layer, dense), X, Y)["m"]
    assert norms.shape == (STEPS,)
    for lag in (0, 1, 12):
        states = layer.get_initial_state(6)
        for t in range(STEPS - lag):
            _, states = layer.cell(X[:, t], states, training=False)
        with tf.GradientTape() as tape:
            tape.watch(states)
            after = states
            for t in range(STEPS - lag, STEPS):
                _, after = layer.cell(X[:, t], after, training=False)
            loss = tf.reduce_mean((dense(after[0]) - Y) ** 2)
        gradients = tape.gradient(loss, states, unconnected_gradients="zero")
        assert len(gradients) == kinds
        expected = np.linalg.norm(np.concatenate([np.asarray(g) for g in gradients], -1), axis=-1).mean() * 6
        assert norms[lag] == pytest.approx(expected, rel=1e-4)


def test_only_the_last_step_of_a_sequence_of_outputs_counts():
    layers = rk.GRU(4, return_sequences=True, name="m"), keras.layers.Dense(1)
    model = compiled(*layers)
    targets = X[..., :1]
    norms = rk.training.gradient_norms(model, X, targets)["m"]
    changed = targets.copy()
    changed[:, :-1] += 9
    np.testing.assert_array_equal(norms, rk.training.gradient_norms(model, X, changed)["m"])


def test_each_layer_of_a_stack_and_none_that_reads_backwards():
    first = rk.Bidirectional(rk.GRU(4, return_sequences=True, name="both"))
    model = compiled(first, rk.LSTM(4, name="top"), keras.layers.Dense(1))
    names = list(rk.training.gradient_norms(model, X, Y))
    assert len(names) == 2 and "top" in names and not any("backward" in name for name in names)


def test_the_model_trains_on_as_if_nothing_had_been_measured():
    """Same weights, states, random numbers, and the same fast loop afterwards."""

    def trained(*callbacks):
        keras.utils.set_random_seed(3)
        memory = rk.GRU(4, return_sequences=True, stateful=True, name="m")
        model = compiled(memory, keras.layers.Dropout(0.5, seed=2), keras.layers.Dense(1), stateful=True)
        data = {"x": np.concatenate([X, X]), "y": np.concatenate([X, X])[..., :1], "batch_size": 6, "shuffle": False}
        model.fit(**data, epochs=2, verbose=0, callbacks=list(callbacks))
        return [np.array(v) for v in (*model.variables, *(s for s in memory.states))], memory

    (expected, _), (found, memory) = trained(), trained(rk.training.GradientFlow(X[:2], X[:2, :, :1], print_fn=None))
    assert all(np.array_equal(*pair) for pair in zip(expected, found, strict=True))
    assert "inner_loop" not in vars(memory) and memory.states[0].shape[0] == 6


def test_the_callback_warns_once_in_words_and_logs_the_reach():
    said = []
    memory = rk.VanillaRNN(4, recurrent_initializer=keras.initializers.Orthogonal(0.1), name="m")
    flow = rk.training.GradientFlow(X, Y, print_fn=said.append)
    history = compiled(memory, keras.layers.Dense(1)).fit(X, Y, epochs=2, verbose=0, callbacks=[flow]).history
    assert len(history["m_reach"]) == 2 and 1 <= history["m_reach"][0] <= 6
    assert said == flow.warnings and said[0].startswith("m: gradients vanish beyond lag ")
    assert len(said) == 1 and reach(flow.norms["m"]) == history["m_reach"][-1]


def test_exploding_gradients_and_gradients_that_are_no_numbers():
    large = keras.initializers.Orthogonal(1.5)
    model = compiled(rk.VanillaRNN(4, "linear", recurrent_initializer=large, name="m"), keras.layers.Dense(1))
    assert "gradients explode: at lag 18 the norm is 1." in warning(rk.training.gradient_norms(model, X, Y)["m"])
    assert "not a number at lag 1" in warning(np.array([1.0, np.nan]))
    assert "no gradient reaches the layer" in warning(np.zeros(3))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: rk.training.gradient_norms(compiled(keras.layers.Dense(1)), X, X[..., :1]), "has no recurrent layer"),
        (
            lambda: rk.training.gradient_norms(keras.Sequential([keras.Input((None, 3)), rk.GRU(2)]), X, Y),
            "compiled with one loss, for one output. Received: loss=None",
        ),
        (lambda: rk.training.GradientFlow(X, Y, every=0), "1 or more. Received: every=0"),
    ],
)
def test_what_cannot_be_measured(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


BASES = {"Cell", "GatedCell", "InputWeightsCell", "LinearCell", "WrapperCell"}
NO_CELLS = {*BASES, "ConditionedCell", "MagnitudeLimit", "adopt"}
CELLS = sorted({*rk.cells.__all__} - NO_CELLS)


@pytest.mark.parametrize("name", CELLS)
def test_the_last_state_of_every_cell_gets_the_gradient_of_its_output(name):
    """A cell whose output is not one of its states would seem to have no gradient at lag 0."""
    kind = getattr(rk.cells, name)
    wraps = name in ("ZoneoutCell", "BatchNormCell")
    units = X.shape[-1] if name in ("RGLRUCell", "ConvolutionCell") else 4
    cell = kind(rk.cells.LSTMCell(4)) if wraps else kind(units)
    norms = rk.training.gradient_norms(compiled(rk.Recurrent(cell, name="m"), keras.layers.Dense(1)), X, Y)["m"]
    assert np.all(np.isfinite(norms)) and norms[0] > 0.1 * norms.max()
