"""The kernel `parallel`: the states and gradients of the plain loop, at any length, in few programs."""

import itertools

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.kernels import linear_recurrence, loop_choice
from tests.conformance import reference
from tests.conformance.table import MASKS, RESETS, TABLE, arrays, built, flags, sequences, starts
from tests.conformance.test_agreement import is_parallel
from tests.conformance.test_compiled_loops import agree, compiled, graph_of
from tests.conformance.test_gradients import gradients
from tests.covering import studied

on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the loops of TensorFlow")
PARALLEL = [name for name in TABLE if is_parallel(name)]
OF_ALL_KINDS = ("min-gru", "lru", "mlstm")
"""A vector of numbers, of complex numbers, and a matrix as the state."""
DTYPE, TOLERANCE = ("float64", 1e-10) if keras.backend.backend() == "tensorflow" else ("float32", 1e-4)


def of_both_kernels(layer, arguments, in_graph=True, **options):
    """Of the parallel kernel, in a graph or eagerly, and of the plain loop."""
    found = []
    for kernel in ("parallel", "scan"):
        layer.kernel = kernel
        found.append(gradients(layer, arguments, True, in_graph=in_graph and kernel == "parallel", **options))
    return found


@studied(
    "name, time",
    itertools.product(PARALLEL, [5, 18]),
    [*((name, 5) for name in PARALLEL), *((name, 18) for name in OF_ALL_KINDS)],
)
def test_gradients_are_those_of_the_plain_loop(name, time, rng):
    """18 steps are compiled, 5 are not."""
    layer = built(name, rng, DTYPE, learn_initial_state=is_parallel(name, resets=True))
    arguments = [sequences(rng, DTYPE, time=time), *starts(layer.cell, rng, DTYPE)]
    steps = {"mask": rng.random((3, time)) < 0.7}
    if layer.learn_initial_state:
        steps["reset_mask"] = rng.random((3, time)) < 0.2
    agree(*of_both_kernels(layer, arguments, in_graph=time == 18 or name in OF_ALL_KINDS, **steps), TOLERANCE)


@pytest.mark.parametrize("name", ["min-gru", "lru", "qrnn-ifo"])
def test_outputs_of_masked_steps_after_a_reset(name, rng):
    """A masked step repeats the last valid output, even where the state went back to its start meanwhile."""
    layer = built(name, rng, learn_initial_state=True)
    x, state = sequences(rng, "float32"), starts(layer.cell, rng, "float32")
    found = []
    for layer.kernel in ("parallel", "scan"):
        found.append(arrays(layer(x, initial_state=state, mask=flags(MASKS["interior"]), reset_mask=flags(RESETS))))
    agree(*found, 1e-5)


@studied(
    "name, steps",
    itertools.product(PARALLEL, [1_000, 10_000]),
    itertools.product(OF_ALL_KINDS, [1_000]),
)
def test_thousands_of_steps(name, steps, rng):
    """Nothing overflows or drifts, with a memory of thousands of steps."""
    layer = built(name, rng, "float32")
    for variable in layer.weights:
        variable.assign(variable * 0.3)
    if name == "lru":
        layer.cell.nu_log.assign(np.log([1e-4, 1e-3]))
        layer.cell.gamma_log.assign(np.log([1e-2, 3e-2]))
    x, state = sequences(rng, "float32", batch=1, time=steps), starts(layer.cell, rng, "float32", batch=1)
    ours = arrays(layer(x, initial_state=state, training=True))
    assert all(np.isfinite(y).all() for y in ours)
    agree(ours, reference.run(layer, x, state), 1e-5 if name != "lru" else 1e-4)


def explained(layer) -> str:
    (row,) = rk.explain(layer, print_fn=None)
    return row.reason


def test_a_cpu_runs_a_loop(rng):
    assert "scan" not in explained(built("min-gru", rng))


@on_tensorflow
@studied("name", ["min-gru", "lru"], ["lru"])
def test_a_gpu_joins_spans_of_steps(name, rng, monkeypatch):
    layer = built(name, rng, DTYPE)
    arguments = [sequences(rng, DTYPE, time=19), *starts(layer.cell, rng, DTYPE)]
    layer.kernel = "scan"
    expected = gradients(layer, arguments, True, in_graph=False)
    layer.kernel = "auto"
    run_on("gpu", monkeypatch)
    assert not compiled(graph_of(rk.Recurrent(layer.cell), (3, 19, 3)))
    assert layer.runs_on() == "parallel" and "associative scan on the GPU" in explained(layer)
    agree(gradients(layer, arguments, True), expected, TOLERANCE)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="the scans of JAX")
@pytest.mark.parametrize("name", ["min-gru", "lru"])
def test_jax_joins_spans_of_steps_elsewhere_than_on_a_cpu(name, rng, monkeypatch):
    layer = built(name, rng, DTYPE)
    arguments = [sequences(rng, DTYPE, time=19), *starts(layer.cell, rng, DTYPE)]
    layer.kernel = "scan"
    expected = gradients(layer, arguments, True)
    layer.kernel = "parallel"
    run_on("gpu", monkeypatch)
    assert "associative scan on the GPU" in explained(layer)
    agree(gradients(layer, arguments, True), expected, TOLERANCE)


def decays(kind, rng, shape=(10_000, 2, 4)):
    """a and b of 10,000 steps, in float32."""
    u = {"gates": rng.normal(size=shape), "slow gates": rng.normal(size=shape) - 6, "constant": np.full(shape, -9.2)}
    if kind in u:
        u = 1 / (1 + np.exp(-u[kind]))
        a, b = 1 - u, u * (1 + rng.normal(size=shape))
    else:
        radius, angle = np.exp(-np.array([1e-4, 1e-2])), np.array([0.1, 3.0])
        a = np.broadcast_to(np.concatenate([radius * np.cos(angle), radius * np.sin(angle)]), shape)
        b = 1e-2 * rng.normal(size=shape)
    return a.astype("float32"), b.astype("float32")


@pytest.mark.parametrize("kind", ["gates", "slow gates", "complex", "constant"])
def test_ten_thousand_steps_in_float32(kind, rng, monkeypatch):
    """The loop of a CPU and the associative scan of a GPU, beside a loop in float64; of the largest value.

    A constant decay near one is hard for a scan: it squares the decay 13 times, and each time its error doubles.
    """
    cell = rk.cells.LRUCell(2) if kind == "complex" else rk.cells.MinGRUCell(4)
    a, b = decays(kind, rng)
    first = rng.normal(size=(2, 4)).astype("float32")
    states, adjoints = in_float64(*(numbers(x, cell.complex_state) for x in (a, b, first)))
    a, b, first = (keras.ops.convert_to_tensor(x) for x in (a, b, first))
    for device in ("cpu", "gpu"):
        run_on(device, monkeypatch)
        recurrence = linear_recurrence.LinearRecurrence(cell.times, cell.complex_state, training=device == "cpu")
        error = 6e-5 if device == "gpu" and kind in ("complex", "constant") else 1e-5
        ours = recurrence.engine.forward(recurrence, a, b, first), recurrence.engine.backward(recurrence, a, b)
        agree([numbers(np.array(x), cell.complex_state) for x in ours], [states, adjoints], error)


def numbers(x, is_complex: bool):
    """The numbers of an array whose last axis has all real parts, then all imaginary parts."""
    if not is_complex:
        return x.astype("float64")
    real, imaginary = np.split(x, 2, axis=-1)
    return real + 1j * imaginary.astype("float64")


def in_float64(a, b, s):
    """The states of the recurrence, and what reaches each of them where b is the gradient of the states."""
    states, adjoints, after = np.empty_like(b), np.empty_like(b), np.zeros_like(s)
    for t in range(len(a)):
        s = states[t] = a[t] * s + b[t]
        adjoints[-1 - t] = b[-1 - t] + after
        after = a[-1 - t] * adjoints[-1 - t]
    return states, adjoints


def run_on(device: str, monkeypatch):
    """The backend believes that this is its device."""
    if keras.backend.backend() == "jax":
        import jax

        monkeypatch.setattr(jax, "default_backend", lambda: device)
    else:
        import tensorflow as tf

        monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: ["GPU:0"] * (device == "gpu"))


@on_tensorflow
def test_programs_are_shared_and_compiled_for_training_alone(rng, monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(loop_choice, "_lengths", {})
    layer = rk.Recurrent(rk.cells.MinGRUCell(3))
    assert len(compiled(graph_of(layer, (3, 18, 2)))) == 2
    assert len(compiled(graph_of(layer, (None, None, 2)))) == 2

    @tf.function
    def infer(x):
        return layer(x)

    assert not compiled(infer.get_concrete_function(tf.TensorSpec((3, 18, 2))).graph)


@on_tensorflow
def test_changing_lengths_share_programs(rng, monkeypatch):
    from keras_rnnkit.kernels import linear_tensorflow

    monkeypatch.setattr(loop_choice, "EXACT_LENGTHS", 2)
    monkeypatch.setattr(loop_choice, "_lengths", {})
    linear_tensorflow.programs.cache_clear()
    layer = built("min-gru", rng)
    for time in (20, 21, 25, 31):
        arguments = [sequences(rng, "float32", time=time), *starts(layer.cell, rng, "float32")]
        agree(*of_both_kernels(layer, arguments), 1e-4)
    forward, _ = linear_tensorflow.programs(is_complex=False)
    assert forward.experimental_get_tracing_count() <= loop_choice.EXACT_LENGTHS + 1


@on_tensorflow
@studied("name", ["min-gru", "lru"], ["lru"])
def test_second_derivatives_are_those_of_the_plain_loop(name, rng):
    import tensorflow as tf

    layer = built(name, rng, "float64")
    x, *state = [tf.constant(a) for a in (sequences(rng, "float64", time=18), *starts(layer.cell, rng, "float64"))]

    def run(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = tf.reduce_sum(tf.sin(layer(x, initial_state=state, training=True)[0]))
            penalty = tf.reduce_sum(inner.gradient(y, x) ** 2)
        return outer.gradient(penalty, [x, *(v.value for v in layer.trainable_variables)])

    found = []
    for layer.kernel in ("parallel", "scan"):
        found.append([g.numpy() for g in (tf.function(run) if layer.kernel == "parallel" else run)(x)])
    agree(*found, 1e-9)


@on_tensorflow
def test_half_precision_is_summed_in_float32(rng):
    """A thousand steps that forget little: in bfloat16 the sum would stop growing at 256 times its steps."""
    layer = rk.Recurrent(rk.cells.MinGRUCell(1), return_sequences=False, dtype="mixed_bfloat16")
    layer.build((None, None, 1))
    layer.cell.kernel.assign([[0.0, 1.0]])
    layer.cell.bias.assign([-6.0, 0.0])
    y = float(np.array(layer(np.ones((1, 1000, 1), "float32"), training=True).numpy(), "float32")[0, 0])
    u = 1 / (1 + np.exp(6.0))
    assert y == pytest.approx(1 - (1 - u) ** 1000, abs=0.02)


class DoubledInputCell(rk.cells.RGLRUCell):
    """A subclass that changes `project` and not `gate_inputs`."""

    def project(self, ops, w, x):
        return super().project(ops, w, 2.0 * x)


class NoisyGateCell(rk.cells.MinGRUCell):
    """A subclass that changes `inputs` alone."""

    def inputs(self, ops, w, x, state, training=False, mask=None):
        return super().inputs(ops, w, x, state, training, mask) + 1.0


@pytest.mark.parametrize("cell", [DoubledInputCell, NoisyGateCell, rk.cells.RGLRUCell])
def test_what_a_subclass_changes_is_computed(cell, rng):
    layer = rk.Recurrent(cell(4), return_sequences=True, kernel="parallel")
    x = sequences(rng, "float32")
    ours = np.array(layer(x))
    layer.kernel = "scan"
    agree([ours], [np.array(layer(x))], 1e-5)


def test_which_cells_it_refuses_and_why():
    sru = rk.Recurrent(rk.cells.SRUCell(3))
    assert sru.runs_on() == "hoisted"
    assert rk.Recurrent(rk.cells.SRUCell(3, state_gates=False)).runs_on() == "parallel"
    assert rk.Recurrent(rk.cells.MinGRUCell(3), memory="checkpoint").runs_on() == "hoisted"
    with pytest.raises(ValueError, match="gates of LSTMCell read the state"):
        rk.Recurrent(rk.cells.LSTMCell(3), kernel="parallel").runs_on()
    with pytest.raises(ValueError, match="this SRUCell has gates that read the state"):
        sru.kernel = "parallel"
    (row,) = rk.explain(rk.Recurrent(rk.cells.MinGRUCell(3)), print_fn=None)
    assert row.kernel == "parallel"
    (row,) = rk.explain(rk.LSTM(3), print_fn=None)
    assert "parallel" not in row.reason


def test_the_gradient_of_a_complex_product_takes_conjugates(rng, monkeypatch):
    """Without them the gradient of an LRU is wrong: the sabotage of this test's gradients must be seen."""
    layer = built("lru", rng, DTYPE)
    arguments = [sequences(rng, DTYPE), *starts(layer.cell, rng, DTYPE)]
    monkeypatch.setattr(linear_recurrence.LinearRecurrence, "conjugate", lambda self, a: a)
    ours, theirs = of_both_kernels(layer, arguments)
    assert max(np.abs(a - b).max() for a, b in zip(ours, theirs, strict=True)) > 1e-2


def test_recurrent_dropout_is_refused():
    with pytest.raises(ValueError, match="would end their memory"):
        rk.cells.MinGRUCell(3, recurrent_dropout=0.1)
