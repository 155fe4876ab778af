"""The JavaScript runtime computes what the Python runtime computes: Node's test runner over recorded cases."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="install Node 20 or later to test the JavaScript runtime")


def onnxruntime_web() -> Path | None:
    """The npm package, from RNNKIT_ORT or from node_modules beside the package."""
    places = [Path(os.environ.get("RNNKIT_ORT", "")), HERE.parents[1] / "node_modules/onnxruntime-web"]
    return next((place for place in places if (place / "dist/ort.node.min.mjs").exists()), None)


def run_node(file: str, recorded: Path, **environment: str) -> str:
    command = [NODE, "--expose-gc", "--test", "--test-reporter=spec", str(HERE / file)]
    run = subprocess.run(
        command, env={**os.environ, "RNNKIT_CASES": str(recorded), **environment}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_what_needs_no_onnxruntime(recorded):
    assert "fail 0" in run_node("pure.test.mjs", recorded)


@pytest.mark.skipif(
    onnxruntime_web() is None,
    reason="run `npm install --no-save onnxruntime-web`, or set RNNKIT_ORT to its folder, to run bundles in Node",
)
def test_bundles_under_onnxruntime_web(recorded):
    assert "fail 0" in run_node("bundles.test.mjs", recorded, RNNKIT_ORT=str(onnxruntime_web()))
