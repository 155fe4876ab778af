"""Training loops that XLA compiles: gradients of the plain loop, few programs, no step beyond the longest row."""

import itertools

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.kernels import loop_choice, programs
from keras_rnnkit.kernels.call_flags import CallFlags
from tests.conformance.table import built, sequences, starts
from tests.conformance.test_gradients import gradients, tensorflow_gradients
from tests.covering import studied

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the loops of the TensorFlow engine")
T = 18
CELLS = ["lstm", "gru", "gru-reset-before", "vanilla", "lstm-projection", "layernorm-lstm", "user"]
LENGTHS = np.array([13, 4, 0])
QUICK = [  # the LSTM keeps its states under the mask `any` in test_resets_and_dropped_states
    *[("lstm", "checkpoint", "right-padded"), ("layernorm-lstm", "checkpoint", "any"), ("user", "checkpoint", "none")],
    *[("gru-reset-before", "keep", "none"), ("vanilla", "keep", "right-padded"), ("lstm-projection", "keep", "none")],
]
MASKS = {"none": None, "right-padded": np.arange(T) < LENGTHS[:, None], "any": np.arange(T) % 4 * LENGTHS[:, None] > 9}


def of_both_kernels(layer, arguments, **options):
    """Of the compiled loop in a graph, and of the plain loop."""
    found = []
    for kernel in ("hoisted", "scan"):
        layer.kernel = kernel
        found.append(gradients(layer, arguments, True, in_graph=kernel == "hoisted", **options))
    return found


def agree(ours, theirs, tolerance):
    for a, b in zip(ours, theirs, strict=True):
        assert np.abs(a - b).max() < tolerance * max(1.0, np.abs(b).max())


@studied("name, memory, mask", itertools.product(CELLS, ["keep", "checkpoint"], MASKS), QUICK)
def test_gradients_are_those_of_the_plain_loop(name, memory, mask, rng):
    layer = built(name, rng, "float64", memory=memory)
    arguments = [sequences(rng, "float64", time=T), *starts(layer.cell, rng, "float64")]
    agree(*of_both_kernels(layer, arguments, mask=MASKS[mask]), 1e-10)


@studied(
    "name, mask, count",
    [
        (name, mask, count)
        for name in ("lstm", "gru", "layernorm-lstm", "vanilla")
        for mask, count in (("none", 2), ("right-padded", 2), ("any", 4))
    ],
    [("vanilla", "none", 2), ("gru", "right-padded", 2), ("lstm", "any", 4)],
)
def test_rows_in_groups(name, mask, count, rng, monkeypatch):
    """Three rows do not divide into two or four groups: some are computed twice, and their gradients count once."""
    monkeypatch.setattr(loop_choice, "row_groups", lambda cell, call: count)
    layer = built(name, rng, "float64", learn_initial_state=True)
    arguments = [sequences(rng, "float64", time=T), *starts(layer.cell, rng, "float64")]
    agree(*of_both_kernels(layer, arguments, mask=MASKS[mask], reset_mask=rng.random((3, T)) < 0.1), 1e-10)


@studied("name", ["lstm", "layernorm-lstm"], ["lstm"])
def test_a_single_row_needs_no_transposed_matrix(name, rng):
    layer = built(name, rng, "float64")
    arguments = [a[:1] for a in [sequences(rng, "float64", time=T), *starts(layer.cell, rng, "float64")]]
    agree(*of_both_kernels(layer, arguments), 1e-10)

    def transposes(rows):
        layer = rk.LSTM(3) if name == "lstm" else rk.Recurrent(rk.cells.LayerNormLSTMCell(3))
        return [op.type for op in graph_of(layer, (rows, T, 2)).get_operations()].count("Transpose")

    assert transposes(1) < transposes(3)


@studied("name", ["lstm", "layernorm-lstm"], ["lstm"])
def test_resets_and_dropped_states(name, rng):
    layer = built(name, rng, "float64", learn_initial_state=True)
    arguments = [sequences(rng, "float64", time=T), *starts(layer.cell, rng, "float64")]
    agree(*of_both_kernels(layer, arguments, reset_mask=rng.random((3, T)) < 0.2, mask=MASKS["any"]), 1e-10)


def graph_of(layer, shape, masked=False):
    import tensorflow as tf

    @tf.function
    def run(x, mask):
        with tf.GradientTape() as tape:
            y = tf.reduce_sum(layer(x, mask=mask if masked else None, training=True))
        return tape.gradient(y, layer.trainable_variables[0].value)

    spec = tf.TensorSpec(shape), tf.TensorSpec(shape[:2], tf.bool)
    return run.get_concrete_function(*spec).graph


def compiled(graph):
    return [
        op for op in graph.get_operations() if op.type.endswith("PartitionedCall") and op.get_attr("_XlaMustCompile")
    ]


def test_the_table_of_loops():
    """Compiled where it pays, whatever is known of the batch and the length; never for a few steps or inference."""
    for shape, count in {(3, 18, 2): 2, (None, None, 2): 2, (3, 7, 2): 0}.items():
        assert len(compiled(graph_of(rk.VanillaRNN(3), shape))) == count
    assert "8 steps on" in described(rk.LSTM(3), 7)
    assert described(rk.LSTM(3), None) == described(rk.LSTM(3), 8) == "trains in a compiled loop"


def described(layer, length, **call):
    layer.build((None, None, 2))
    return loop_choice.describe(layer.cell, CallFlags(length=length, **call))


def test_large_batches_run_in_groups_of_rows(monkeypatch):
    """One loop for each core, two for each if masked; not where a step is small, nor on a single core."""
    monkeypatch.setattr(loop_choice, "cores", lambda: 2)
    for shape, masked, count in [
        ((None, 18, 2), False, 2),
        ((32, 18, 2), True, 2),
        ((64, 18, 2), True, 4),
        ((2, 18, 2), False, 1),
    ]:
        layer = rk.LSTM(128)
        assert len(compiled(graph_of(layer, shape, masked))) == 2 * count
        text = described(layer, 18, batch=shape[0], masked=masked)
        assert text.startswith(f"trains in {count} compiled loops" if count > 1 else "trains in a compiled loop")
        size = "unknown size" if shape[0] is None else f"{shape[0]} rows"
        assert count == 1 or size in text
        assert ("longest row" in text) == masked
    monkeypatch.setattr(loop_choice, "cores", lambda: 1)
    assert described(rk.LSTM(128), 18, batch=32) == "trains in a compiled loop"


def test_groups_of_rows_wait_for_nothing_of_each_other(monkeypatch):
    monkeypatch.setattr(loop_choice, "row_groups", lambda cell, call: 2)
    loops = compiled(graph_of(rk.LSTM(3, return_sequences=True), (4, 18, 2)))
    assert len([op for op in loops if not any(loop in reaching(op) for loop in loops)]) == 2


def test_groups_of_rows_share_a_program(rng, monkeypatch):
    """Where the rows do not divide too: a second size would be compiled a second time."""
    monkeypatch.setattr(loop_choice, "row_groups", lambda cell, call: 2)
    monkeypatch.setattr(programs, "_shared", type(programs._shared)())
    graph_of(rk.LSTM(3), (5, 18, 2))
    (loops,) = programs._shared.values()
    assert loops.forward.experimental_get_tracing_count() == loops.backward.experimental_get_tracing_count() == 1


def test_a_gpu_runs_the_graph_loop(monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: ["GPU:0"])
    assert not compiled(graph_of(rk.VanillaRNN(3, kernel="hoisted"), (3, 18, 2)))
    assert "GPU" in described(rk.LSTM(3), None)


def test_both_directions_wait_for_nothing_of_each_other():
    """Neither loop is an operation with side effects, so TensorFlow runs the two directions side by side."""
    layer = rk.Bidirectional(rk.LSTM(3, return_sequences=True))
    graph = graph_of(layer, (3, 18, 2))
    loops = compiled(graph)
    assert len(loops) == 4 and all(op.type == "PartitionedCall" for op in loops)
    forward = [op for op in loops if not any(loop in reaching(op) for loop in loops)]
    assert len(forward) == 2


def reaching(op):
    """Every operation that one waits for."""
    found, waiting = set(), [op]
    while waiting:
        now = waiting.pop()
        for before in [*(tensor.op for tensor in now.inputs), *now.control_inputs]:
            if before not in found:
                found.add(before)
                waiting.append(before)
    return found


def test_changing_lengths_share_programs(rng, monkeypatch):
    """The first two get a program each, and all others up to 32 one together."""
    monkeypatch.setattr(loop_choice, "EXACT_LENGTHS", 2)
    monkeypatch.setattr(loop_choice, "_lengths", {})
    monkeypatch.setattr(programs, "_shared", type(programs._shared)())
    layer = built("vanilla", rng)
    for time in (20, 21, 25, 31):
        arguments = [sequences(rng, "float32", time=time), *starts(layer.cell, rng, "float32")]
        agree(*of_both_kernels(layer, arguments), 1e-4)
    (loops,) = programs._shared.values()
    assert loops.forward.experimental_get_tracing_count() == 3


def test_layers_of_one_equation_share_a_program(rng, monkeypatch):
    monkeypatch.setattr(programs, "_shared", type(programs._shared)())
    for units, features in ((4, 2), (4, 7)):
        graph_of(rk.LSTM(units), (3, 18, features))
    (loops,) = programs._shared.values()
    assert loops.forward.experimental_get_tracing_count() == 1
    graph_of(rk.LSTM(4, activation="relu"), (3, 18, 2))
    assert len(programs._shared) == 2


def test_no_step_is_run_beyond_the_longest_row(rng):
    """NaN there reaches nothing: not by being hidden, the loop ends before."""
    layer = built("gru", rng)
    x = sequences(rng, "float32", time=T)
    x[:, LENGTHS.max() :] = np.nan
    state = starts(layer.cell, rng, "float32")
    found = gradients(layer, [x, *state], True, mask=MASKS["right-padded"])
    assert all(np.isfinite(g).all() for g in found)


def test_no_gradient_of_zeros_is_added_to_that_of_the_kernel():
    """The loop does not read the kernel. Adding zeros for it would pass over the largest matrix once more."""
    operations = graph_of(rk.LSTM(3), (3, 18, 2)).get_operations()
    assert not [op for op in operations if op.type == "AddN" and op.outputs[0].shape == (2, 12)]


@studied("name", ["vanilla", "lstm"], ["vanilla"])
def test_second_derivatives_are_those_of_the_plain_loop(name, rng):
    import tensorflow as tf

    layer = built(name, rng, "float64")
    x, *state = [tf.constant(a) for a in (sequences(rng, "float64", time=T), *starts(layer.cell, rng, "float64"))]

    def run(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = tf.reduce_sum(tf.sin(layer(x, initial_state=state, training=True)[0]))
            penalty = tf.reduce_sum(inner.gradient(y, x) ** 2)
        return outer.gradient(penalty, [x, layer.trainable_variables[0].value])

    found = []
    for kernel in ("hoisted", "scan"):
        layer.kernel = kernel
        found.append([g.numpy() for g in (tf.function(run) if kernel == "hoisted" else run)(x)])
    agree(*found, 1e-10)


def test_half_precision_is_computed_in_float32(rng):
    layer = built("vanilla", rng, "mixed_bfloat16")
    assert layer(sequences(rng, "float32", time=T), training=True)[0].dtype == "bfloat16"
    arguments = [sequences(rng, "float32", time=T), *starts(layer.cell, rng, "float32")]
    agree(*of_both_kernels(layer, arguments), 0.1)


@pytest.mark.parametrize("time", [1, 5, 16, 17])
def test_a_checkpointed_layer_takes_short_sequences(time, rng):
    """They are one segment, or a second one of a single step."""
    x = sequences(rng, "float32", time=time)
    layer = rk.LSTM(3, memory="checkpoint")
    expected = layer(x)
    np.testing.assert_allclose(layer(x, training=True), expected, atol=1e-6)


def test_a_checkpointed_layer_needs_a_known_length():
    with pytest.raises(ValueError, match="needs to know its length"):
        graph_of(rk.LSTM(3, memory="checkpoint"), (3, None, 2))
    with pytest.raises(ValueError, match="Received: memory='less'"):
        rk.LSTM(3, memory="less")
    assert rk.LSTM.from_config(rk.LSTM(3, memory="checkpoint").get_config()).memory == "checkpoint"
    (row,) = rk.explain(rk.LSTM(3, memory="checkpoint"), print_fn=None)
    assert "computes steps again" in row.reason


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_model_under_xla_trains_alike(jit_compile, rng):
    layer = built("lstm", rng)
    arguments = [sequences(rng, "float32", time=T), *starts(layer.cell, rng, "float32")]
    plain = tensorflow_gradients(layer, arguments, True)
    import tensorflow as tf

    run = tf.function(lambda a: tensorflow_gradients(layer, list(a), True), jit_compile=jit_compile)
    agree([g.numpy() for g in run(tuple(arguments))], [g.numpy() for g in plain], 1e-4)
