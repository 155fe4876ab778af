"""Layers from PyTorch's weights give PyTorch's outputs; torch.npz was written by record_torch.py."""

from pathlib import Path

import keras
import numpy as np
import pytest

import keras_rnnkit as rk

with np.load(Path(__file__).with_name("torch.npz")) as archive:
    RECORDED = {key: archive[key] for key in archive.files}
CASES = sorted({key.split("/")[0] for key in RECORDED})
RELU = {"nonlinearity": "relu"}


def weights_of(case):
    start = f"{case}/weights/"
    return {key.removeprefix(start): array for key, array in RECORDED.items() if key.startswith(start)}


def layer_of(case, **options):
    return rk.from_torch(weights_of(case), **(RELU if "relu" in case else {}), **options)


@pytest.mark.parametrize("case", CASES)
def test_outputs_and_states_are_pytorchs(case):
    y, *states = layer_of(case, return_state=True)(RECORDED[f"{case}/x"])
    np.testing.assert_allclose(y, RECORDED[f"{case}/y"], atol=1e-6)
    # PyTorch stacks each kind of state over layers and directions; Keras has h and c of one after the other.
    kinds = [RECORDED[key] for key in sorted(RECORDED) if key.startswith(f"{case}/state_")]
    expected = [kind[place] for place in range(len(kinds[0])) for kind in kinds]
    assert len(states) == len(expected)
    for state, reference in zip(states, expected, strict=True):
        np.testing.assert_allclose(state, reference, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_the_way_back_gives_a_state_dict_that_computes_the_same(case):
    state = rk.to_torch_state_dict(layer_of(case), prefix="rnn.")
    original = weights_of(case)
    assert set(state) == {f"rnn.{key}" for key in original}
    for key, array in original.items():
        if "bias" not in key or case.startswith("gru"):
            np.testing.assert_array_equal(state[f"rnn.{key}"], array)
        elif "bias_ih" in key:
            total = array + original[key.replace("bias_ih", "bias_hh")]
            np.testing.assert_allclose(state[f"rnn.{key}"] + state[f"rnn.{key}".replace("_ih", "_hh")], total)
    again = rk.from_torch(state, prefix="rnn.", **(RELU if "relu" in case else {}))
    np.testing.assert_allclose(again(RECORDED[f"{case}/x"]), RECORDED[f"{case}/y"], atol=1e-6)


def test_stock_layers_and_the_last_output_alone():
    x = keras.Input((None, 3))
    stock = keras.layers.LSTM(4)
    keras.Model(x, stock(x))
    layer = rk.from_torch(rk.to_torch_state_dict(stock), return_sequences=False, name="reader")
    values = RECORDED["lstm/x"]
    assert layer.name == "reader"
    np.testing.assert_allclose(layer(values), stock(values), atol=1e-6)


def test_a_module_says_its_options_itself():
    class Module:
        nonlinearity, dropout = "relu", 0.25

        def state_dict(self):
            return weights_of("rnn-relu-both")

    np.testing.assert_allclose(
        rk.from_torch(Module())(RECORDED["rnn-relu-both/x"]), RECORDED["rnn-relu-both/y"], atol=1e-6
    )
    Module.state_dict = lambda self: weights_of("lstm-deep-both")
    assert rk.from_torch(Module()).dropout == 0.25


def test_a_model_with_it_is_saved_and_loaded(tmp_path):
    model = keras.Sequential([keras.Input((None, 3)), layer_of("gru-deep-both")])
    model.save(tmp_path / "model.keras")
    x = RECORDED["gru-deep-both/x"]
    np.testing.assert_allclose(rk.load_model(tmp_path / "model.keras")(x), RECORDED["gru-deep-both/y"], atol=1e-6)


def larger():
    return {f"encoder.{key}": array for key, array in weights_of("lstm").items()} | {"head.weight": np.zeros((2, 4))}


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: rk.from_torch(3), "takes a torch.nn.RNN, LSTM or GRU, or its state_dict.*Received: int"),
        (lambda: rk.from_torch(larger()), r"Received: encoder\.weight_ih_l0, .* pass prefix="),
        (lambda: rk.from_torch({}), "Received: nothing"),
        (lambda: rk.from_torch({"weight_ih_l0": np.zeros((10, 3)), "weight_hh_l0": np.zeros((10, 5))}), r"\[10, 5\]"),
        (lambda: rk.to_torch_state_dict(keras.layers.Dense(2)), "PyTorch has no module for Dense"),
        (lambda: rk.to_torch_state_dict(rk.LSTM(2)), "must be built"),
        (lambda: rk.to_torch_state_dict(built(rk.LSTM(2, activation="relu"))), "has \\('relu', 'sigmoid'\\)"),
        (lambda: rk.to_torch_state_dict(built(rk.GRU(2, reset_after=False))), "reset_after=False"),
    ],
)
def test_what_has_no_counterpart_gets_a_sentence(make, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        make()


def built(layer):
    layer(np.zeros((1, 2, 3), "float32"))
    return layer


def test_a_part_of_a_larger_model():
    np.testing.assert_allclose(
        rk.from_torch(larger(), prefix="encoder.")(RECORDED["lstm/x"]), RECORDED["lstm/y"], atol=1e-6
    )
