"""The ways to write a recurrence agree with the NumPy reading of its cell: native, Scan, with every kind of mask."""

import itertools

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.export.checking.sessions import session
from tests.conformance import reference
from tests.conformance.table import (
    ALL_MASKS,
    MASKS,
    RESETS,
    TABLE,
    D,
    T,
    arrays,
    built,
    flags,
    sequences,
    starts,
    under_all_masks,
)
from tests.covering import studied


def layer_model(layer, masked=False, resets=False, given=True):
    """A model whose inputs are all that a layer can be given."""
    inputs = {"x": keras.Input((None, D), name="x")}
    arguments = {}
    if given:
        states = [keras.Input((n,), name=f"start_{i}") for i, n in enumerate(layer.equation.state_sizes)]
        inputs |= {tensor.name: tensor for tensor in states}
        arguments["initial_state"] = states
    for name, wanted in (("mask", masked), ("reset_mask", resets)):
        if wanted:
            inputs[name] = keras.Input((None,), name=name, dtype="bool")
            arguments[name] = inputs[name]
    return keras.Model(inputs, layer(inputs["x"], **arguments))


WITH_RESETS = ["lstm", "gru-reset-before", "user", "zoneout-conditioned-layernorm"]


def outputs_of(path, feeds):
    return session(path.read_bytes()).run(None, feeds)


WITH_OPERATOR = ["lstm", "gru", "vanilla", "peephole-lstm", "coupled-lstm"]
"""Cells whose export differs with the lowering, one for each operator and form of its weights."""
LOWERINGS = {
    "LSTM": ("lstm", "lstm-no-bias", "coupled-lstm", "peephole-lstm"),
    "GRU": ("gru", "gru-no-bias", "gru-reset-before", "batchnorm-gru"),
    "RNN": ("vanilla", "vanilla-relu-identity", "conditioned-vanilla"),
    "Linear": ("min-gru", "min-lstm", "qrnn-f", "qrnn-ifo", "sru-linear", "lru", "rg-lru"),
    "Windows": ("convolution",),
}
"""What becomes of the cells; of the others, a Scan."""


@studied(
    "name, lowering",
    itertools.product(TABLE, ["native", "scan"]),
    [*((name, "native") for name in TABLE), *((name, "scan") for name in WITH_OPERATOR)],
)
def test_every_cell_under_every_mask(name, lowering, rng, tmp_path):
    layer = built(name, rng, go_backwards=name in ("gru", "layernorm-lstm"), zero_output_for_mask=name == "lstm")
    path = tmp_path / "layer.onnx"
    report = rk.export_onnx(layer_model(layer, masked=True), path, lowering=lowering, verify=False)
    operators = [operator for operator, names in LOWERINGS.items() if name in names and lowering == "native"]
    assert [row.lowering for row in report.rows] == (operators or ["Scan"])
    x, *state = under_all_masks(sequences(rng, "float32"), *starts(layer.equation, rng, "float32"))
    feeds = {"x": x, **{f"start_{i}": s for i, s in enumerate(state)}}
    for mask in (np.ones_like(ALL_MASKS), ALL_MASKS):
        expected = reference.run(layer, x, state, mask)
        spoilt = np.where(mask[..., None], x, np.nan).astype("float32")
        for given in (x, spoilt):
            found = outputs_of(path, {**feeds, "x": given, "mask": mask})
            for a, b in zip(expected, found, strict=True):
                np.testing.assert_allclose(b, a, atol=1e-5)


@studied(
    "name, masked",
    itertools.product(WITH_RESETS, [False, True]),
    zip(WITH_RESETS, itertools.cycle([True, False])),
)
def test_resets(name, masked, rng, tmp_path):
    layer = built(name, rng)
    path = tmp_path / "layer.onnx"
    rk.export_onnx(layer_model(layer, masked=masked, resets=True), path, verify=False)
    x, state = sequences(rng, "float32"), starts(layer.equation, rng, "float32")
    reset, mask = flags(RESETS), flags(MASKS["interior"]) if masked else None
    feeds = {"x": x, "reset_mask": reset, **{f"start_{i}": s for i, s in enumerate(state)}}
    found = outputs_of(path, feeds | ({"mask": mask} if masked else {}))
    start = arrays(layer.start_states(state))
    for a, b in zip(reference.run(layer, x, state, mask, reset, start), found, strict=True):
        np.testing.assert_allclose(b, a, atol=1e-5)


@studied("name", ["lstm", "gru", "vanilla", "layernorm-lstm"], ["lstm", "layernorm-lstm"])
def test_masks_that_keras_makes_itself(name, rng, tmp_path):
    """Right, left, inside, everywhere: through Masking and Bidirectional, against Keras."""
    x = keras.Input((None, D), name="x")
    y = keras.layers.Bidirectional(built_layer(name, rng))(keras.layers.Masking()(x))
    model = keras.Model(x, y)
    path = tmp_path / "model.onnx"
    rk.export_onnx(model, path, verify=False)
    for rows in MASKS.values():
        series = sequences(rng, "float32")
        if rows is not None:
            series[~flags(rows)] = 0.0
        (found,) = outputs_of(path, {"x": series})
        np.testing.assert_allclose(found, keras.ops.convert_to_numpy(model(series)), atol=1e-5)


def built_layer(name, rng):
    return rk.Recurrent(TABLE[name](), return_sequences=True)


@pytest.mark.study
def test_scan_and_native_say_the_same(rng, tmp_path):
    layer = built("peephole-lstm", rng)
    model, feeds = layer_model(layer, given=False), {"x": sequences(rng, "float32")}
    for lowering in ("native", "scan"):
        rk.export_onnx(model, tmp_path / lowering, lowering=lowering)
    for a, b in zip(*(outputs_of(tmp_path / lowering, feeds) for lowering in ("native", "scan")), strict=True):
        np.testing.assert_allclose(b, a, atol=1e-6)


def test_one_step_at_a_time_is_the_whole(rng, tmp_path):
    layer = built("gru", rng)
    path = tmp_path / "layer.onnx"
    rk.export_onnx(layer_model(layer), path, verify=False)
    x, (state,) = sequences(rng, "float32"), starts(layer.equation, rng, "float32")
    whole, last = outputs_of(path, {"x": x, "start_0": state})
    for t in range(T):
        step, state = outputs_of(path, {"x": x[:, t : t + 1], "start_0": state})
        np.testing.assert_allclose(step[:, 0], whole[:, t], atol=1e-6)
    np.testing.assert_allclose(state, last, atol=1e-6)
