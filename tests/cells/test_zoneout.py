"""Krueger (2016): each unit keeps its old state with probability d; the mean of both states outside of training."""

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from tests.cells.golden import B, Case, T, U, array, columns, every_precision, sigmoid

cells = rk.cells


def lstm(w, x, h, c):
    total = x @ w["kernel"] + h @ w["recurrent_kernel"] + w["bias"]
    i, f, g, o = (columns(total, position) for position in range(4))
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


@every_precision
def test_the_mean_of_old_and_new_outside_of_training(dtype):
    """The rate is the share of the old value. h comes from the new memory, before zoneout mixes it."""

    def equation(w, x, h, c):
        new_h, new_c = lstm(w, x, h, c)
        h, c = 0.2 * h + 0.8 * new_h, 0.7 * c + 0.3 * new_c
        return h, [h, c]

    Case(cells.ZoneoutCell(cells.LSTMCell(U, dtype=dtype), rate=[0.2, 0.7]), dtype).check(equation)


@every_precision
def test_units_drawn_as_kept_keep_their_old_state_in_training(dtype, monkeypatch):
    rng = np.random.default_rng(1)
    keep = [rng.random((T, B, U)) < 0.5 for _ in range(2)]
    case = Case(cells.ZoneoutCell(cells.LSTMCell(U, dtype=dtype), rate=0.5), dtype)
    steps = [k.astype("float32") for k in keep]

    def draw(shape, dtype):
        return [keras.ops.cast(k if len(shape) == 2 else k[0], dtype) for k in steps]

    monkeypatch.setattr(case.cell, "draw", draw)
    (h, c), outputs = case.states, []
    for t in range(T):
        new_h, new_c = lstm(case.w, case.x[:, t], h, c)
        h, c = np.where(keep[0][t], h, new_h), np.where(keep[1][t], c, new_c)
        outputs.append(h)
    expected = [np.stack(outputs, axis=1), h, c]
    for a, b in zip(case.run(training=True), expected, strict=True):
        np.testing.assert_allclose(a, b, atol={"float32": 1e-5, "float16": 6e-3, "bfloat16": 5e-2}[dtype])


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.9])
def test_the_rate_is_the_share_of_kept_units(rate):
    """A high rate keeps most units: swapping keep and replace would show here and outside of training alike."""
    layer = rk.Recurrent(
        cells.ZoneoutCell(cells.VanillaCell(300), rate=rate, noise_seed=1), return_sequences=True, return_state=True
    )
    x = np.random.default_rng(0).normal(size=(2, 8, 3)).astype("float32")
    start = np.full((2, 300), 7.0, "float32")  # no tanh reaches it, so a kept start is seen
    outputs = np.concatenate([start[:, None], array(layer(x, initial_state=[start], training=True)[0])], axis=1)
    kept = (outputs[:, 1:] == outputs[:, :-1]).mean()
    assert kept == pytest.approx(rate, abs=0.03)
    mixed = array(layer(x[:, :1], initial_state=[start])[1])
    assert np.abs(mixed - 7.0 * rate).max() <= 1.0 + 1e-6


def test_each_state_has_its_own_rate_and_each_step_its_own_draw():
    layer = rk.Recurrent(cells.ZoneoutCell(cells.LSTMCell(200), rate=[0.0, 0.8], noise_seed=1), return_state=True)
    x, start = np.ones((2, 1, 3), "float32"), [np.full((2, 200), 7.0, "float32")] * 2
    _, h, c = (array(y) for y in layer(x, initial_state=start, training=True))
    assert (h == 7.0).mean() == 0.0
    assert (c == 7.0).mean() == pytest.approx(0.8, abs=0.05)
    draws = [np.asarray(k) for k in layer.cell.draw((30, 2), "float32")]
    assert [k.mean() for k in draws] == pytest.approx([0.0, 0.8], abs=0.02)
    assert len({k.tobytes() for k in draws[1]}) == 30


LOOPS = {
    "hoisted": {"kernel": "hoisted"},
    "scan": {"kernel": "scan"},
    "scan, unrolled": {"kernel": "scan", "unroll": True},
    "scan, backwards": {"kernel": "scan", "go_backwards": True},
    "checkpoint": {"memory": "checkpoint"},
}


@pytest.mark.parametrize("masked", [False, True], ids=["", "masked"])
@pytest.mark.parametrize("loop", LOOPS)
def test_every_loop_draws_anew_at_each_step(loop, masked):
    """A unit that starts at 7, where no tanh reaches, is gone after its first step that is not kept.

    One draw for all steps would keep the same half of the units in all of them.
    """
    cell = cells.ZoneoutCell(cells.VanillaCell(600), rate=0.5, noise_seed=1)
    layer = rk.Recurrent(cell, return_sequences=True, **LOOPS[loop])
    x, start = np.ones((2, 4, 3), "float32"), np.full((2, 600), 7.0, "float32")
    mask = np.ones((2, 4), bool) if masked else None
    outputs = array(layer(x, initial_state=[start], mask=mask, training=True))
    assert (outputs == 7.0).mean(axis=(0, 2)) == pytest.approx([1 / 2, 1 / 4, 1 / 8, 1 / 16], abs=0.05)


def test_cells_in_a_list_draw_anew_at_each_step_each_for_itself():
    layer = rk.Recurrent([cells.ZoneoutCell(cells.VanillaCell(400), rate=0.5) for _ in range(2)], return_state=True)
    x, start = np.ones((2, 3, 3), "float32"), [np.full((2, 400), 7.0, "float32")] * 2
    _, first, second = (array(y) for y in layer(x, initial_state=start, training=True))
    assert [(y == 7.0).mean() for y in (first, second)] == pytest.approx([1 / 8, 1 / 8], abs=0.05)
    assert ((first == 7.0) & (second == 7.0)).mean() == pytest.approx(1 / 64, abs=0.03)


def test_in_keras_own_layer_one_draw_serves_all_steps_and_rows_have_their_own():
    layer = keras.layers.RNN(cells.ZoneoutCell(cells.VanillaCell(200), rate=0.5), return_sequences=True)
    x, start = np.ones((3, 4, 3), "float32"), [np.full((3, 200), 7.0, "float32")]
    kept = array(layer(x, initial_state=start, training=True)) == 7.0
    assert kept.mean() == pytest.approx(0.5, abs=0.1)
    assert (kept == kept[:, :1]).all() and not (kept[0] == kept[1]).all()


def test_a_layer_on_the_scan_kernel_trains_in_a_graph():
    layer = rk.Recurrent(cells.ZoneoutCell(cells.LSTMCell(5), rate=[0.1, 0.5]), kernel="scan")
    model = keras.Sequential([keras.Input((None, 3)), layer, keras.layers.Dense(1)])
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(8, 4, 3)).astype("float32")
    model.fit(x, x[:, -1, :1], verbose=0)
    assert layer.cell._keep is None
    np.testing.assert_array_equal(model.predict(x, verbose=0), model.predict(x, verbose=0))


def test_a_condition_has_no_rate():
    cell = cells.ZoneoutCell(cells.ConditionedCell(cells.LSTMCell(U), 2), rate=[0.2, 0.1])
    assert cell.rates == [0.2, 0.1]
    with pytest.raises(ValueError, match=r"one number or 2, one for each state of ConditionedCell that changes"):
        cells.ZoneoutCell(cells.ConditionedCell(cells.LSTMCell(U), 2), rate=[0.2, 0.1, 0.0])


def test_zoneout_in_zoneout_draws_twice():
    layer = rk.Recurrent(
        cells.ZoneoutCell(cells.ZoneoutCell(cells.VanillaCell(400), rate=0.5), rate=0.5), return_sequences=True
    )
    outputs = array(layer(np.random.default_rng(0).normal(size=(2, 9, 3)).astype("float32"), training=True))
    assert (outputs[:, 1:] == outputs[:, :-1]).mean() == pytest.approx(0.75, abs=0.04)


def test_noise_drawn_before_a_loop_is_used_step_by_step():
    """What decoders do, which call cells themselves: the steps are those of the layer for the same noise."""
    case = Case(cells.ZoneoutCell(cells.ZoneoutCell(cells.LSTMCell(U), rate=[0.5, 0.4]), rate=0.3))
    noise = case.cell.draw_noise((T, B), "float32")
    assert [k.shape for k in noise] == [(T, B, U)] * 4
    states = [s.astype("float32") for s in case.states]
    expected = [s.copy() for s in case.states]
    for t in range(T):
        case.cell.use_noise([k[t] for k in noise])
        _, states = case.cell(case.x[:, t].astype("float32"), states, training=True)
        new = lstm(case.w, case.x[:, t], *expected)
        for outer, inner in ((2, 0), (3, 1)):
            inner_kept = np.where(np.asarray(noise[outer][t]) > 0, expected[inner], new[inner])
            expected[inner] = np.where(np.asarray(noise[inner][t]) > 0, expected[inner], inner_kept)
    case.cell.reset_dropout_mask()
    for a, b in zip(states, expected, strict=True):
        np.testing.assert_allclose(array(a), b, atol=1e-5)


def test_arguments():
    for rate in ("a", None, 1.0, -0.1, [0.1, "b"]):
        with pytest.raises(ValueError, match=r"ZoneoutCell: `rate` is a share of the units.*Received: rate="):
            cells.ZoneoutCell(cells.LSTMCell(4), rate=rate)
    with pytest.raises(ValueError, match=r"ZoneoutCell has the dropout of the cell it wraps. Received: dropout=0.5"):
        cells.ZoneoutCell(cells.LSTMCell(4), dropout=0.5)
