"""`rnnkit bench train`: it compares gradients before it measures, and says what it measured. No time is asserted."""

import json

import keras
import numpy as np
import pytest

from keras_rnnkit.bench import activation_memory, first_step, train, train_cells
from keras_rnnkit.bench.settings import TrainBench
from keras_rnnkit.bench.train_rows import LONG, Row, rows
from keras_rnnkit.bench.train_steps import Step
from keras_rnnkit.settings import SettingsError
from tests.covering import studied
from tests.test_cli import rnnkit


def test_a_table_a_file_and_a_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(
        train, "rows", lambda settings: [r for r in rows(settings) if r.name.startswith(("GRU", "masked G"))]
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


def row_with(ours, stock=1.0, **others):
    """A row whose gradients in float64 are ones."""
    gradients = {"stock": stock, "ours": ours, **others}
    steps = {name: lambda g=g: Step(lambda: None, lambda: [np.full(3, g)]) for name, g in gradients.items()}
    return Row("row", steps, lambda: [np.ones(3)])


@pytest.mark.parametrize("ours", [1.001, 0.99998, np.nan])
def test_wrong_gradients_are_not_timed(ours):
    found = train.measure(row_with(ours), 1, 1.0)
    assert "gradients differ from those in float64 (ours by" in found.refusal
    assert not found.times and not found.ratios


def test_rounding_is_measured_by_that_of_stock_keras():
    """Both are compared with float64, so a cell that rounds much in stock Keras may do so in ours, but no more."""
    assert not train.measure(row_with(1 + 8e-4, stock=1 - 3e-4), 1, 1.0).refusal
    assert "the limit is 9.0e-04" in train.measure(row_with(1 + 1e-3, stock=1 - 3e-4), 1, 1.0).refusal
    assert "torch by" in train.measure(row_with(1.0, torch=1.1), 1, 1.0).refusal


@studied("name", ["LSTM", "fit"], ["fit"])
def test_a_gate_in_the_wrong_place_is_seen(name):
    """In the check of `fit` too, which compares how the weights move in one step."""
    row = next(row for row in rows(TrainBench(quick=True, others=False)) if row.name.startswith(name))
    steps, reference = {contender: make() for contender, make in row.contenders.items()}, row.reference()

    def swapped():
        return [np.roll(g, g.shape[-1] // 4, axis=-1) for g in steps["ours"].gradients()]

    for ours, is_wrong in ((steps["ours"], False), (Step(swapped, swapped), True)):
        contenders = {contender: lambda s=step: s for contender, step in {**steps, "ours": ours}.items()}
        refusal = train.measure(Row(name, contenders, lambda: reference), 1, 1.0).refusal
        assert bool(refusal) == is_wrong


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX compiles every step")
def test_steps_compiled_by_xla_and_steps_in_half_precision():
    def measured(**options):
        settings = TrainBench(quick=True, others=False, **options)
        return [train.measure(row, 1, 1.0) for row in rows(settings) if row.name.startswith(("GRU", "fit"))]

    (row,) = measured(jit=True)
    assert row.errors["ours"] < 1e-5 and not row.refusal
    (row,) = measured(dtype="mixed_bfloat16")
    assert set(row.times) == {"stock", "ours", "ours, float32"} and row.errors["ours"] > row.errors["ours, float32"]
    assert keras.config.dtype_policy().name == "float32"


def test_turns_are_fair():
    order = []
    train.fair_turns({name: lambda n=name: order.append(n) for name in "abc"}, repeats=1, warm=2)
    assert "".join(order) == "abcbcacab"


@pytest.mark.parametrize("other", ["torch", "plain JAX"])
def test_others_compute_the_same(other):
    found = [row for row in rows(TrainBench(quick=True)) if other in row.contenders]
    if not found:
        package = {"torch": "torch", "plain JAX": "'keras-rnnkit[jax]'"}[other]
        pytest.skip(f"{other} is not installed: pip install {package}")
    for row in found:
        gradients = [row.contenders[name]().gradients() for name in ("stock", other)]
        assert train.difference(gradients[1], gradients[0]) < 1e-4


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="two loops to choose from on TensorFlow only")
def test_every_row_has_stock_and_ours():
    found = rows(TrainBench(loops=True, others=False))
    assert len(found) == 27 and all({"stock", "ours"} <= set(row.contenders) for row in found)
    assert sum("ours, graph loop" in row.contenders for row in found) == 26


def test_the_first_step_is_taken_in_a_new_process(monkeypatch):
    calls = []
    monkeypatch.setattr(first_step, "first_step", lambda name, sizes: calls.append(name) or 1.0)
    assert first_step.first_steps(2, quick=True) == {"stock": [1.0, 1.0], "ours": [1.0, 1.0]}
    assert calls == ["stock", "ours", "stock", "ours"]


def test_the_memory_of_long_sequences(monkeypatch):
    monkeypatch.setattr(activation_memory, "megabytes", lambda name, sizes: float(sizes[1]))
    monkeypatch.setattr(train, "rows", lambda settings: rows(settings)[-2:-1])
    monkeypatch.setattr(train, "first_steps", lambda *sizes: {})
    result = train.run(TrainBench(quick=True, others=False, memory=True))
    assert set(result.memory) == {"stock", "ours", "ours, checkpoint"}
    (row,) = result.rows
    assert row.name.startswith("long LSTM") and row.errors["ours, checkpoint"] < 1e-5 and "checkpoint" in str(row.times)
    assert any("a long sequence, ours, checkpoint: 18 MB" in line for line in train.lines(result))


@pytest.mark.study
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="memory of a process of TensorFlow")
def test_checkpointed_training_needs_a_tenth_of_the_memory():
    """A segment whose arrays outlive it, through a slice or a product that waits, shows here and nowhere else."""
    of = activation_memory.CONTENDERS
    whole, checkpoints = (activation_memory.megabytes(of[name], LONG) for name in ("ours", "ours, checkpoint"))
    assert checkpoints < 0.1 * whole


def test_repeats_must_be_positive():
    with pytest.raises(SettingsError, match="repeats"):
        TrainBench(repeats=0)


@pytest.mark.study
def test_a_minimal_gru_needs_less_memory_than_an_lstm():
    shape = train_cells.full_shape(16, 256)
    assert train_cells.megabytes("minGRU", shape) <= train_cells.megabytes("LSTM", shape)


def test_the_cells_beside_each_other(tmp_path, monkeypatch):
    """A run that was interrupted is resumed: what the file has is not measured again."""
    monkeypatch.setattr(activation_memory, "megabytes", lambda make, sizes, freed_at: float("minGRU" not in make) + 1)
    command = ("bench", "train", "--cells", "--quick", "--only", "minGRU", "--json", tmp_path / "t.json")
    monkeypatch.setattr(train_cells, "both_kernels", None)
    assert isinstance(rnnkit(*command).exception, TypeError)
    assert not json.loads((tmp_path / "t.json").read_text())["kernels"]
    monkeypatch.undo()
    for again in ("training_times", "measure_exported", "megabytes"):
        monkeypatch.setattr(train_cells, again, lambda *_: pytest.fail("measured again"))
    done = rnnkit(*command, "--resume")
    assert done.exit_code == 0, done.output
    assert "x of stock LSTM" in done.stdout and "1.0 MB, 0.50 of stock LSTM's" in done.stdout
    assert "minGRU on its kernel, B=2 T=18 F=8 U=8: " in done.stdout
    result = json.loads((tmp_path / "t.json").read_text())
    (row,) = result["rows"].values()
    assert set(row) == set(result["stream"]) == set(result["whole"]) == {"stock LSTM", "minGRU"}
    assert result["weights"] == {"stock LSTM": 4 * 8 * 17, "minGRU": 2 * 8 * 9}


def test_results_of_another_machine_are_not_continued(tmp_path):
    (tmp_path / "t.json").write_text(json.dumps({"machine": "an abacus"}))
    done = rnnkit("bench", "train", "--cells", "--quick", "--json", tmp_path / "t.json", "--resume")
    assert done.exit_code and "has results of another machine or other versions: an abacus" in done.output
    with pytest.raises(SettingsError, match="--resume continues the file of --json with --cells"):
        TrainBench(resume=True)
