"""`rnnkit bench train`: it compares gradients before it measures, and says what it measured. No time is asserted."""

import json

import keras
import numpy as np
import pytest

from keras_rnnkit.bench import first_step, train
from keras_rnnkit.bench.settings import TrainBench
from keras_rnnkit.bench.train_rows import Row, rows
from keras_rnnkit.settings import SettingsError
from tests.test_cli import rnnkit


def test_a_table_a_file_and_a_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(
        train, "rows", lambda *flags: [r for r in rows(*flags) if r.name.startswith(("GRU", "masked G"))]
    )
    options = ("--quick", "--only", "GRU", "--json", tmp_path / "t.json", "--chart", tmp_path / "t.svg")
    done = rnnkit("bench", "train", *options)
    assert done.exit_code == 0, done.output
    assert "GRU B=4" in done.stdout and "GF/s" in done.stdout and "say nothing about real ones" in done.stdout
    result = json.loads((tmp_path / "t.json").read_text())
    plain, masked = result["rows"]
    assert plain["errors"]["ours"] < 1e-5 and masked["errors"]["ours"] < 1e-5
    assert plain["ratios"]["ours"] == plain["times"]["stock"][0] / plain["times"]["ours"][0]
    assert 0 < plain["of_gemm_rate"] < 1
    assert "GRU B=4" in (tmp_path / "t.svg").read_text() or (tmp_path / "t.svg").stat().st_size > 5000


def test_wrong_gradients_are_not_timed():
    contenders = {"stock": lambda: lambda: [np.ones(3)], "ours": lambda: lambda: [np.full(3, 1.001)]}
    for ours in (np.full(3, 1.001), np.full(3, np.nan)):
        row = train.measure(Row("row", {**contenders, "ours": lambda ours=ours: lambda: [ours]}), 1, 1.0)
        assert "gradients differ from those of stock Keras (ours by" in row.refusal
        assert not row.times and not row.ratios


def test_turns_are_fair():
    order = []
    train.fair_turns({name: lambda n=name: order.append(n) for name in "abc"}, repeats=1, warm=2)
    assert "".join(order) == "abcbcacab"


@pytest.mark.parametrize("other", ["torch", "plain JAX"])
def test_others_compute_the_same(other):
    found = [row for row in rows(False, True, True) if other in row.contenders]
    if not found:
        package = {"torch": "torch", "plain JAX": "'keras-rnnkit[jax]'"}[other]
        pytest.skip(f"{other} is not installed: pip install {package}")
    for row in found:
        gradients = [row.contenders[name]()() for name in ("stock", other)]
        assert train.difference(gradients[1], gradients[0]) < 1e-4


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="two loops to choose from on TensorFlow only")
def test_every_row_has_stock_and_ours():
    found = rows(True, False, False)
    assert len(found) == 27 and all({"stock", "ours"} <= set(row.contenders) for row in found)
    assert sum("ours, graph loop" in row.contenders for row in found) == 26


def test_the_first_step_is_taken_in_a_new_process(monkeypatch):
    calls = []
    monkeypatch.setattr(first_step, "first_step", lambda name, sizes: calls.append(name) or 1.0)
    assert first_step.first_steps(2, quick=True) == {"stock": [1.0, 1.0], "ours": [1.0, 1.0]}
    assert calls == ["stock", "ours", "stock", "ours"]


def test_repeats_must_be_positive():
    with pytest.raises(SettingsError, match="repeats"):
        TrainBench(repeats=0)
