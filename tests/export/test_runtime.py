"""The files in a process of their own, which never imports TensorFlow."""

import json
import subprocess
import sys

import numpy as np
import pytest

RUN = """
import json, sys
import numpy as np
import onnxruntime
for path, feeds in json.load(open(sys.argv[1])):
    session = onnxruntime.InferenceSession(path)
    kinds = {"tensor(float)": "float32", "tensor(int32)": "int32"}
    given = {i.name: np.array(feeds[i.name], kinds[i.type]) for i in session.get_inputs()}
    for value in session.run(None, given):
        assert np.all(np.isfinite(value))
assert not {"tensorflow", "keras", "onnx", "keras_rnnkit"} & set(sys.modules)
print("all ran")
"""

EMPTY = """
import sys
import numpy as np
import onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
try:
    session.run(None, {"x": np.zeros(eval(sys.argv[2]), np.float32)})
    print("ran")
except Exception as error:
    print("refused", error)
"""


def python(code, *arguments):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)], capture_output=True, text=True
    )


def test_without_tensorflow(exported, tmp_path):
    series = np.random.default_rng(0).normal(size=(2, 5, 3)).round(3).tolist()
    work = [
        (str(exported(name)[1]), {"x": series})
        for name in ("lstm-last", "gru-masking", "rnn-bidirectional-masked", "cell-layernorm", "a_users_cell", "stack")
    ]
    work.append((str(exported("lstm-tokens")[1]), {"x": [[1, 2, 3, 0, 0], [4, 0, 5, 0, 6]]}))
    (tmp_path / "work.json").write_text(json.dumps([(path, feeds) for path, feeds in work]))
    done = python(RUN, tmp_path / "work.json")
    assert done.stdout.strip() == "all ran", done.stderr


@pytest.mark.parametrize("shape", [(0, 4, 3), (2, 0, 3), (0, 0, 3)])
@pytest.mark.parametrize(
    "name", ["lstm-last", "gru-sequences", "gru-masking", "lstm-masking", "rnn-last", "cell-layernorm"]
)
def test_an_empty_input_ends_no_process(name, shape, exported):
    _, path, report = exported(name)
    done = python(EMPTY, path, shape)
    assert done.returncode == 0, done.stderr
    if any(row.lowering in ("LSTM", "GRU") for row in report.rows):
        assert "refused" in done.stdout and "no_empty/" in done.stdout
