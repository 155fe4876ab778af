"""The files in a process of their own, which never imports TensorFlow."""

import json
import subprocess
import sys

import numpy as np

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
for path in sys.argv[1:]:
    session = onnxruntime.InferenceSession(path)
    for shape in (0, 4, 3), (2, 0, 3), (0, 0, 3):
        try:
            session.run(None, {"x": np.zeros(shape, np.float32)})
            print(path, shape, "ran", flush=True)
        except Exception as error:
            print(path, shape, "refused", error, flush=True)
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


def test_an_empty_input_ends_no_process(exported):
    """One process for all: if an input ends it, the line of that input is missing from what it prints."""
    names = ["lstm-last", "gru-sequences", "gru-masking", "lstm-masking", "rnn-last", "cell-layernorm"]
    files = [exported(name)[1:] for name in names]
    done = python(EMPTY, *(path for path, _ in files))
    assert done.returncode == 0, done.stdout + done.stderr
    for path, report in files:
        lines = [line for line in done.stdout.splitlines() if line.startswith(f"{path} (")]
        assert len(lines) == 3
        if any(row.lowering in ("LSTM", "GRU") for row in report.rows):
            assert all(") refused " in line for line in lines) and done.stdout.count("no_empty/") >= 3
