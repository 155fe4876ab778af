"""Laurent (2016), equation 10: the projected input normalised over batch and time, the recurrent product left alone."""

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.ops import keras as kops
from tests.cells.golden import TOLERANCE, B, Case, T, U, array, columns, every_precision, sigmoid

cells = rk.cells
EPSILON = 1e-2
MASK = np.array([[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 0, 0]], bool)


def normalised(w, product, mean, variance):
    return w["gain"] * (product - mean) / np.sqrt(variance + EPSILON)


def gru_after(w, z, h):
    """The gates of a GRU, from its projected input."""
    r = h @ w["recurrent_kernel"] + w["bias"][1]
    update, reset = sigmoid(columns(z + r, 0)), sigmoid(columns(z + r, 1))
    h = update * h + (1 - update) * np.tanh(columns(z, 2) + reset * columns(r, 2))
    return h, [h]


def moments(products, mask):
    """Mean and variance of the valid steps alone."""
    valid = products[mask]
    return valid.mean(axis=0), valid.var(axis=0)


@every_precision
def test_the_papers_equation_with_running_averages(dtype):
    def equation(w, x, h):
        z = normalised(w, x @ w["kernel"], w["running_mean"], w["running_variance"]) + w["bias"][0]
        return gru_after(w, z, h)

    Case(cells.BatchNormCell(cells.GRUCell(U, dtype=dtype), epsilon=EPSILON), dtype).check(equation)


@every_precision
@pytest.mark.parametrize("masked", [False, True])
def test_the_papers_equation_with_the_statistics_of_a_batch(masked, dtype):
    case = Case(cells.BatchNormCell(cells.GRUCell(U, dtype=dtype), momentum=0.75, epsilon=EPSILON), dtype)
    w, mask = case.w, MASK if masked else np.ones((B, T), bool)
    mean, variance = moments(case.x @ w["kernel"], mask)
    outputs, h = np.zeros((B, T, U)), case.states[0]
    for t in range(T):
        z = normalised(w, case.x[:, t] @ w["kernel"], mean, variance) + w["bias"][0]
        h = np.where(mask[:, t, None], gru_after(w, z, h)[0], h)
        outputs[:, t] = np.where(mask[:, : t + 1].any(axis=1)[:, None], h, 0.0)
    found = case.run(training=True, **({"mask": mask} if masked else {}))
    for a, b in zip(found, [outputs, h], strict=True):
        np.testing.assert_allclose(a, b, atol=TOLERANCE[dtype])
    for name, value in (("running_mean", mean), ("running_variance", variance)):
        followed = 0.75 * w[name] + 0.25 * value
        np.testing.assert_allclose(array(getattr(case.cell, name)), followed, atol=TOLERANCE[dtype], rtol=1e-2)


def test_gradients_go_through_the_statistics(rng):
    """The sum of a normalised column does not change with its inputs, so it has no gradient but for the gates."""
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("takes gradients with TensorFlow")
    cell = cells.BatchNormCell(cells.VanillaCell(U, activation="linear", recurrent_initializer="zeros"))
    layer = rk.Recurrent(cell, return_sequences=True)
    x = tf.constant(rng.normal(size=(B, T, 3)).astype("float32"))
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(layer(x, training=True))
    np.testing.assert_allclose(tape.gradient(total, x), np.zeros(x.shape), atol=1e-4)


@pytest.mark.parametrize(
    "freeze",
    [
        lambda case: setattr(case.layer, "trainable", False),
        lambda case: setattr(case.cell, "trainable", False),
    ],
)
def test_a_frozen_cell_uses_its_averages_and_leaves_them(freeze):
    case = Case(cells.BatchNormCell(cells.GRUCell(U)))
    freeze(case)
    before = [array(v) for v in case.cell.weights]
    found, expected = case.run(training=True), case.run(training=False)
    np.testing.assert_array_equal(found[0], expected[0])
    for a, b in zip(before, case.cell.weights, strict=True):
        np.testing.assert_array_equal(a, array(b))


def test_the_statistics_of_a_single_valid_step():
    """Its mean is the step itself and its variance zero, which leaves the bias of the normalisation."""
    layer = rk.Recurrent(cells.BatchNormCell(cells.VanillaCell(1), momentum=0.5))
    x = np.float32([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]])
    layer(x, mask=np.array([[False, True]]), training=True)
    product = x[0, 1] @ array(layer.cell.cell.kernel)
    np.testing.assert_allclose(array(layer.cell.running_mean), 0.5 * product, rtol=1e-5)
    np.testing.assert_allclose(array(layer.cell.running_variance), [0.5], rtol=1e-5)
    layer(x, training=True)  # without a mask, and with a single unit


def test_a_wrapper_without_inputs_of_its_own_passes_on_whether_it_trains():
    class Plain(cells.WrapperCell):
        pass

    case = Case(Plain(cells.BatchNormCell(cells.VanillaCell(U))))
    x, state = keras.ops.convert_to_tensor(case.x.swapaxes(0, 1).astype("float32")), [keras.ops.zeros((B, U))]
    w = case.cell.weights_as(keras.ops.convert_to_tensor)
    calm, left_out, trained = (
        array(case.cell.inputs(kops, w, x, state, **training))
        for training in ({"training": False}, {}, {"training": True})
    )
    np.testing.assert_array_equal(calm, left_out)
    assert np.abs(trained - calm).max() > 0.1


def test_a_batch_without_a_valid_step_moves_no_average():
    case = Case(cells.BatchNormCell(cells.GRUCell(U)))
    case.run(training=True, mask=np.zeros((B, T), bool))
    case.layer(np.zeros((0, T, 3), "float32"), training=True)
    np.testing.assert_array_equal(array(case.cell.running_mean), case.w["running_mean"])
    np.testing.assert_array_equal(array(case.cell.running_variance), case.w["running_variance"])


@pytest.mark.parametrize("dtype", ["float16", "mixed_float16"])
def test_large_products_and_long_batches_in_half_precision(dtype, rng):
    """Squares above 65504, and counts of steps above 2048, are beyond float16."""
    cell = cells.BatchNormCell(cells.VanillaCell(2, dtype=dtype, kernel_initializer="identity"), momentum=0.0)
    layer = rk.Recurrent(cell, dtype=dtype, return_sequences=True)
    x = rng.normal(size=(50, 60, 2)) * 1000.0
    y = layer(keras.ops.cast(x, "float16"), mask=np.ones((50, 60), bool), training=True)
    assert 0.3 < np.abs(array(y)).mean() < 0.9
    np.testing.assert_allclose(array(cell.running_variance), x.reshape(-1, 2).var(axis=0), rtol=1e-2)
    np.testing.assert_allclose(array(cell.running_mean), x.reshape(-1, 2).mean(axis=0), atol=1.0)


def test_a_condition_inside_is_normalised_with_the_input():
    """BN(W x_t + W_ih v) + b: the vector of each row changes its outputs."""
    case = Case(cells.BatchNormCell(cells.ConditionedCell(cells.GRUCell(U), 2), epsilon=EPSILON))
    w = case.w

    def product(x, v):
        return x @ w["kernel"] + v @ w["condition_kernel"]

    def equation(w, x, h, v):
        z = normalised(w, product(x, v), w["running_mean"], w["running_variance"]) + w["bias"][0]
        y, states = gru_after(w, z, h)
        return y, [*states, v]

    case.check(equation)
    products = np.stack([product(case.x[:, t], case.states[-1]) for t in range(T)], axis=1)
    mean, variance = moments(products, np.ones((B, T), bool))
    h = case.states[0]
    for t in range(T):
        _, (h,) = gru_after(w, normalised(w, products[:, t], mean, variance) + w["bias"][0], h)
    np.testing.assert_allclose(case.run(training=True)[1], h, atol=1e-5)


def test_a_condition_outside_is_added_after_the_normalisation():
    case = Case(cells.ConditionedCell(cells.BatchNormCell(cells.GRUCell(U), epsilon=EPSILON), 2))

    def equation(w, x, h, v):
        z = normalised(w, x @ w["kernel"], w["running_mean"], w["running_variance"]) + w["bias"][0]
        y, states = gru_after(w, z + v @ w["condition_kernel"], h)
        return y, [*states, v]

    case.check(equation)


def test_zoneout_goes_around():
    with pytest.raises(ValueError, match=r"BatchNormCell\(ZoneoutCell\(...\)\). Write ZoneoutCell\(Batch"):
        cells.BatchNormCell(cells.ZoneoutCell(cells.GRUCell(4)))
    layer = rk.Recurrent(cells.ZoneoutCell(cells.BatchNormCell(cells.GRUCell(U)), rate=0.5), return_sequences=True)
    x = np.random.default_rng(0).normal(size=(B, 20, 3)).astype("float32")
    outputs = array(layer(x, training=True))
    assert 0.35 < (outputs[:, 1:] == outputs[:, :-1]).mean() < 0.65
    assert array(layer.cell.cell.running_mean).any()


def test_arguments():
    with pytest.raises(ValueError, match=r"`momentum` must be a number in \[0, 1\]. Received: momentum=3"):
        cells.BatchNormCell(cells.GRUCell(4), momentum=3)
    with pytest.raises(ValueError, match=r"BatchNormCell: `epsilon` must be a positive number. Received: epsilon='a'"):
        cells.BatchNormCell(cells.GRUCell(4), epsilon="a")
