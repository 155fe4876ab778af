"""The functions that kernels are made of, each by itself and without a compiled program."""

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.kernels import CallFlags, cudnn
from keras_rnnkit.kernels.recurrence import Recurrence
from tests.conformance.table import D, U, built

tensorflow_only = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="loops of the TensorFlow engine")


@tensorflow_only
def test_lengths_are_rounded_up_to_powers_of_two():
    from keras_rnnkit.kernels.loop_choice import rounded_up

    assert [int(rounded_up(length)) for length in (1, 16, 17, 32, 33, 1000)] == [16, 16, 32, 32, 64, 1024]


@tensorflow_only
def test_the_first_lengths_of_each_width_get_programs_of_their_own(monkeypatch):
    from keras_rnnkit.kernels import loop_choice

    monkeypatch.setattr(loop_choice, "_lengths", {})
    monkeypatch.setattr(loop_choice, "EXACT_LENGTHS", 2)
    own = [loop_choice.has_program(length, (4,)) for length in (8, 9, 8, 10, 9, None)]
    assert own == [True, True, True, False, True, False]
    assert loop_choice.has_program(10, (5,))


@tensorflow_only
def test_what_is_behind_the_length_of_a_row():
    from keras_rnnkit.kernels.compiled_loops import behind_length, sum_behind

    x = keras.ops.reshape(keras.ops.arange(10.0), (5, 2))
    length = keras.ops.convert_to_tensor(3)
    np.testing.assert_array_equal(behind_length(x, length), [[0], [0], [0], [1], [1]])
    np.testing.assert_array_equal(sum_behind([x], length)[0], [6 + 8, 7 + 9])
    np.testing.assert_array_equal(sum_behind([x], 5)[0], [0, 0])


@tensorflow_only
def test_products_are_recalled_with_their_gradients():
    import tensorflow as tf

    from keras_rnnkit.kernels.taped_loops import KeptProducts, RecalledProducts

    weights = [tf.constant([[1.0, 2.0], [3.0, 4.0]]), tf.constant([[5.0], [6.0]])]
    a, other = tf.constant([[1.0, 1.0]]), tf.constant([[2.0], [0.0]])
    products = KeptProducts(weights, [other, a])
    for factor, matrix in ((a, weights[1]), (a, other), (2.0 * a, weights[0])):
        products.matmul(factor, matrix)
    assert products.kept == [(1, 1), (0, None)]  # products with anything but a weight are not kept
    assert list(products.factors) == [1]  # a is a carry, which is kept anyway
    recalled = RecalledProducts(weights, [tf.transpose(w) for w in weights], products.values)
    with tf.GradientTape() as tape:
        tape.watch(a)
        y = 2.0 * recalled.matmul(a, weights[1])
        recalled.matmul(a, weights[0])  # nothing depends on it
    np.testing.assert_array_equal(tape.gradient(y, a), [[10.0, 12.0]])
    np.testing.assert_array_equal(y, [[22.0]])
    of_first, of_second = recalled.gradients_except(a).values()
    np.testing.assert_array_equal(of_first, [[2.0]])
    np.testing.assert_array_equal(of_second, [[0.0, 0.0]])
    assert list(recalled.gradients_except(of_first)) == [1]


@tensorflow_only
def test_a_derived_loop_writes_each_array_once():
    """The left factor of h U is the carry h, and z + h U has one gradient for both sides."""
    import tensorflow as tf

    from keras_rnnkit.kernels.taped_loops import TapedLoops

    rule = Recurrence(built("vanilla", np.random.default_rng(0)).cell)
    weights = [tf.convert_to_tensor(w) for w in rule.cell.weights]
    loops = TapedLoops(rule)
    xs, carry = {"z": tf.ones((5, 2, U))}, [tf.zeros((2, U))]
    stacks, (values, factors) = loops._forward(xs, carry, {}, weights, 5)
    assert len(values) == 1 and factors == {} and loops.products[0].carry == 0
    transposed = [tf.transpose(w) if w.shape.rank == 2 else w for w in weights]
    backward = tf.function(
        lambda *upstream: loops._backward(xs, carry, stacks, values, upstream, {}, weights, transposed, 5)
    )
    _, (d_z, d_products) = backward(tf.ones((5, 2, U)))
    assert d_z.shape == (5, 2, U) and d_products == {}


def test_only_weights_that_gates_read_get_gradients_through_them():
    """For the others, differentiating the gates of all steps once more would be for nothing."""
    for name, by_gates in (("vanilla", False), ("peephole-lstm", True)):
        layer = built(name, np.random.default_rng(0))
        rule = Recurrence(layer.cell)
        weights = [keras.ops.convert_to_tensor(w) for w in layer.cell.weights]
        carry = [keras.ops.ones((2, U)) for _ in layer.cell.state_sizes]
        z = layer.cell.project(rk.ops.keras, rule.read(weights), keras.ops.ones((2, D)))
        rule.advance({"z": z}, rule.recur(carry[0], weights), carry, {}, weights)
        assert rule.gates_read_weights == by_gates


def test_on_torch_auto_leaves_masks_to_the_loop(monkeypatch):
    """cuDNN takes right-padded masks only, and torch has no way to choose inside a graph."""
    layer = rk.LSTM(2)
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    assert "right-padded masks only" in cudnn.refused_by_call(layer, CallFlags(masked=True))
    assert cudnn.refused_by_call(layer, CallFlags(masked=False)) is None
    layer._kernel = "cudnn"
    assert cudnn.refused_by_call(layer, CallFlags(masked=True)) is None


@tensorflow_only
@pytest.mark.parametrize("masked", [False, True])
def test_groups_of_an_unknown_number_of_rows(masked):
    """Five rows in two groups of three: the second group computes a row of the first once more."""
    import tensorflow as tf

    from keras_rnnkit.kernels import row_groups

    active = tf.constant(np.arange(4)[:, None] < [2, 4, 1, 3, 4]) if masked else None
    sizes = []

    @tf.function(input_signature=[tf.TensorSpec([4, None, 2]), tf.TensorSpec([None, 2])])
    def run(x, h):
        def run_rows(steps, carry, consts):
            sizes.append(tf.shape(carry[0])[0])
            return [steps["z"] + carry[0]]

        (sums,) = row_groups.run(run_rows, {"z": x}, active, [h], {}, 2)
        return sums, *sizes

    x, h = np.arange(40.0, dtype="float32").reshape(4, 5, 2), np.arange(10.0, dtype="float32").reshape(5, 2)
    sums, *rows = run(x, h)
    np.testing.assert_array_equal(sums, x + h)
    assert [int(n) for n in rows] == [3, 3]
