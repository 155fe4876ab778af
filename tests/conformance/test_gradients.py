"""Gradients of every cell on every kernel: against finite differences, and against each other."""

import itertools

import keras
import numpy as np
import pytest

from tests.conformance.table import MASKS, RESETS, TABLE, built, flags, sequences, starts
from tests.covering import studied

NOISY = {"zoneout-lstm", "zoneout-conditioned-layernorm"}
"""Cells that draw in training: two calls differ, so their gradient is checked where nothing is drawn."""

CALM = [name for name in TABLE if name not in NOISY | {"batchnorm-gru"}]

CASES = {
    "plain": {},
    "masked": {"mask": MASKS["interior"]},
    "reset": {"reset_mask": RESETS},
    "masked-reset": {"mask": MASKS["left-padded"], "reset_mask": RESETS},
}


OF_ALL_KINDS = ["lstm", "lstm-projection", "gru-reset-before", "layernorm-lstm", "conditioned-vanilla", "user"]
"""Cells with and without a written gradient, of which all differ in what the kernels do for them."""


def cases_of(names, *quick):
    """Each name with each case; those named, and all cases of the LSTM, are in the quick tests."""
    quick = [*itertools.chain.from_iterable(quick), *itertools.product(["lstm"], CASES)]
    return studied("name, case", itertools.product(names, CASES), quick)


def loss_of(outputs):
    """A number in which every output and state counts differently."""
    return sum((i + 1) * keras.ops.sum(keras.ops.sin(3 * output)) for i, output in enumerate(outputs))


def tensorflow_gradients(layer, arguments, training, in_graph=True, **flags_):
    import tensorflow as tf

    def run(arguments):
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            x, *state = arguments
            loss = loss_of(layer(x, initial_state=state, training=training, **flags_))
        return tape.gradient(loss, [*arguments, *(v.value for v in layer.trainable_variables)])

    run = tf.function(run) if in_graph else run
    return run([tf.convert_to_tensor(a) for a in arguments])


def jax_gradients(layer, arguments, training, in_graph=True, **flags_):
    import jax

    fixed = [v.value for v in layer.non_trainable_variables]

    def loss(arguments, variables):
        x, *state = arguments
        outputs, _ = layer.stateless_call(variables, fixed, x, initial_state=state, training=training, **flags_)
        return loss_of(outputs)

    variables = [v.value for v in layer.trainable_variables]
    of_arguments, of_variables = jax.jit(jax.grad(loss, argnums=(0, 1)))(arguments, variables)
    return [*of_arguments, *of_variables]


def gradients(*args, **kwargs):
    """in_graph: False where what is asked of the graph is asked elsewhere. Tracing one takes ten times its run."""
    take = {"tensorflow": tensorflow_gradients, "jax": jax_gradients}[keras.backend.backend()]
    return [keras.ops.convert_to_numpy(g) for g in take(*args, **kwargs)]


def slope(layer, arguments, directions, step, training, **flags_):
    """The central difference of the loss along a direction in arguments and variables at once."""
    variables = layer.trainable_variables
    before = [keras.ops.convert_to_numpy(v) for v in variables]
    losses = []
    for sign in (1, -1):
        moved = [a + sign * step * d for a, d in zip([*arguments, *before], directions, strict=True)]
        for variable, value in zip(variables, moved[len(arguments) :], strict=True):
            variable.assign(value)
        x, *state = moved[: len(arguments)]
        losses.append(float(loss_of(layer(x, initial_state=state, training=training, **flags_))))
    for variable, value in zip(variables, before, strict=True):
        variable.assign(value)
    return (losses[0] - losses[1]) / (2 * step)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="finite differences need float64")
@cases_of(TABLE, itertools.product(TABLE, ["masked-reset"]), itertools.product(OF_ALL_KINDS, ["plain"]))
def test_hoisted_gradient_against_finite_differences(name, case, rng):
    layer = built(name, rng, "float64", kernel="hoisted", learn_initial_state="reset" in case)
    arguments = [sequences(rng, "float64"), *starts(layer.cell, rng, "float64")]
    options = {key: flags(value) for key, value in CASES[case].items()}
    training = name not in NOISY
    ours = gradients(layer, arguments, training, in_graph=False, **options)
    directions = [rng.normal(size=g.shape) for g in ours]  # a wrong number anywhere shows along any of them
    expected = slope(layer, arguments, directions, 1e-6, training, **options)
    along = sum(float((g * d).sum()) for g, d in zip(ours, directions, strict=True))
    assert along == pytest.approx(expected, rel=1e-6, abs=1e-7)


@cases_of(CALM, itertools.product(OF_ALL_KINDS, ["masked-reset"]))
def test_kernels_agree_on_the_gradient(name, case, rng):
    """In training, hoisted has a gradient of its own; scan's is what the backend derives."""
    dtype, tolerance = ("float64", 1e-10) if keras.backend.backend() == "tensorflow" else ("float32", 1e-4)
    layer = built(name, rng, dtype, learn_initial_state="reset" in case)
    arguments = [sequences(rng, dtype), *starts(layer.cell, rng, dtype)]
    options = {key: flags(value) for key, value in CASES[case].items()}
    found = {}
    for kernel, training in (("hoisted", True), ("hoisted", False), ("scan", True)):
        layer.kernel = kernel
        in_graph = (kernel, training, case) == ("hoisted", True, "masked-reset")
        found[kernel, training] = gradients(layer, arguments, training, in_graph=in_graph, **options)
    for a, b, c in zip(*found.values(), strict=True):
        scale = max(1.0, np.abs(c).max())
        assert np.abs(a - c).max() < tolerance * scale
        assert np.abs(b - c).max() < tolerance * scale


@pytest.fixture
def graph_loops(monkeypatch):
    """Lets the hoisted kernel believe that there is a GPU, where it compiles nothing."""
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: ["GPU:0"])


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the loop of the TensorFlow engine")
@studied("name", ["lstm", "lstm-projection", "layernorm-lstm", "gru-reset-before", "user"], ["lstm-projection"])
def test_long_sequences_run_in_blocks_to_the_same_gradient(name, rng, graph_loops):
    """17 steps are three turns of five steps and two steps more; a batch of unknown size may follow."""
    layer = built(name, rng, "float64", learn_initial_state=True)
    arguments = [sequences(rng, "float64", time=17), *starts(layer.cell, rng, "float64")]
    options = {"mask": rng.random((3, 17)) < 0.8, "reset_mask": rng.random((3, 17)) < 0.2}
    found = {}
    for kernel in ("hoisted", "scan"):
        layer.kernel = kernel
        found[kernel] = gradients(layer, arguments, True, in_graph=kernel == "hoisted", **options)
    for a, b in zip(*found.values(), strict=True):
        assert np.abs(a - b).max() < 1e-10 * max(1.0, np.abs(b).max())


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the loop of the TensorFlow engine")
def test_blocks_of_any_number_of_rows(rng, graph_loops):
    import tensorflow as tf

    layer = built("vanilla", rng, kernel="hoisted")

    @tf.function(input_signature=[tf.TensorSpec([None, 17, 3])])
    def slope(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = loss_of(layer(x, training=True))
        return tape.gradient(y, x)

    x = sequences(rng, "float32", batch=4, time=17)
    whole = slope(x).numpy()
    assert whole == pytest.approx(np.concatenate([slope(x[:1]).numpy(), slope(x[1:]).numpy()]), abs=1e-5)
