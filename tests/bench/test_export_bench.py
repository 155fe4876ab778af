"""`rnnkit bench export`: it measures what it says. No time is asserted."""

import json

import pytest

from keras_rnnkit.bench import export
from keras_rnnkit.bench.settings import ExportBench
from keras_rnnkit.timing import machine, side_by_side
from tests.test_cli import rnnkit


def test_a_table(tmp_path):
    file = tmp_path / "table.json"
    done = rnnkit("bench", "export", "--only", "masked GRU", "--steps", 6, "--repeats", 2, "--units", 5, "--json", file)
    assert done.exit_code == 0, done.output
    assert "masked GRU" in done.stdout and "onnxruntime 1." in done.stdout
    known = json.loads(file.read_text())
    (row,) = known["rows"]
    assert row["stock_error"] < 1e-5 and row["our_error"] < 1e-5 and row["our_nodes"] < row["stock_nodes"]
    assert row["ratio"] == row["stock"][0] / row["ours"][0]


def test_a_step_of_a_stream():
    (row,) = export.run(ExportBench(only="step of", repeats=1))
    assert row.stock_error < 1e-5 and row.our_error < 1e-5


def test_a_stock_export_that_fails_is_a_row_too(monkeypatch):
    def fails(*_):
        raise ValueError("no")

    monkeypatch.setattr(export, "exported_by_keras", fails)
    settings = ExportBench(only="peephole", steps=4, repeats=1)
    (row,) = export.run(settings)
    assert row.stock is None and row.remark == "stock: no" and row.our_error < 1e-5
    assert any("failed" in line for line in export.lines([row], settings))


def test_times_are_those_of_each_in_turns():
    order = []
    first, second = side_by_side(lambda: order.append(1), lambda: order.append(2), repeats=3, warm=1)
    assert order == [1, 2] * 4 and first.low <= first.median <= first.high and "ms" in str(second)


def test_the_machine_is_named():
    assert "cores" in machine("numpy") and "numpy" in machine("numpy")


@pytest.mark.parametrize("name", export.MODELS)
def test_every_model_can_be_built(name):
    import keras

    model = keras.Sequential([keras.Input((None, 3)), *export.MODELS[name](4)])
    assert model.output_shape[:2] == (None, None)
