"""What the cells learn: the tasks are what they say, results are kept, and nothing is trained twice."""

import json

import numpy as np
import pytest

from keras_rnnkit.bench.learning import __main__ as command
from keras_rnnkit.bench.learning import contenders, tasks


def test_the_two_marked_numbers_are_added(rng):
    x, y = tasks.adding(20, 3, rng).train
    np.testing.assert_allclose((x[..., 0] * x[..., 1]).sum(axis=1, keepdims=True), y)
    assert (x[..., 1].sum(axis=1) == 2).all()


def test_the_scattered_tokens_are_asked_for_in_their_order(rng):
    x, y = tasks.copying(20, 3, rng, count=4).train
    for row, answer in zip(x, y, strict=True):
        scattered = row[:20][row[:20] > 0]
        assert scattered.tolist() == answer[20:].tolist() and not answer[:20].any() and len(set(row[20:])) == 1


def test_widths_are_those_of_equally_many_weights(rng):
    head = tasks.copying(20, 1, rng).head
    counts = [
        contenders.network(name, head, contenders.width_of(name, head, 32)).count_params() for name in ("LSTM", "QRNN")
    ]
    assert abs(counts[0] - counts[1]) < 0.15 * counts[0]


def test_results_are_kept_and_nothing_is_trained_twice(tmp_path, monkeypatch, capsys):
    (tmp_path / "text.txt").write_text("to be or not to be, that is the question. " * 120)
    arguments = [f"--json={tmp_path / 'l.json'}", f"--data={tmp_path / 'text.txt'}", "--steps=2", "--only=LSTM"]
    command.main([*arguments, "--tasks=characters"])
    (row,) = json.loads((tmp_path / "l.json").read_text())["rows"]
    assert 0 < row["score"] < 10 and row["epoch"] > 0
    other = {"rows": [{**row, "score": 9.0}, {**row, "task": "adding 20", "unit": "error"}]}
    (tmp_path / "other.json").write_text(json.dumps(other))
    command.main([f"--json={tmp_path / 'l.json'}", f"--add={tmp_path / 'other.json'}", "--tasks="])
    assert [(r["task"], r["score"]) for r in json.loads((tmp_path / "l.json").read_text())["rows"]] == [
        ("characters", 9.0),
        ("adding 20", row["score"]),
    ]
    monkeypatch.setattr(command, "measured", lambda *_: pytest.fail("trained again"))
    command.main([*arguments, "--tasks=characters", f"--chart={tmp_path / 'l.svg'}"])
    assert "characters, 2 steps" in capsys.readouterr().out and (tmp_path / "l.svg").stat().st_size > 1000
    with pytest.raises(SystemExit, match="has results after 2 steps. Received: --steps 3. Write to another file"):
        command.main([*arguments, "--tasks=characters", "--steps=3"])
