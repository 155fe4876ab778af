"""What a server does when clients behave badly.

    pytest tests/serving/faults                                     # against servers that the tests start
    RNNKIT_SERVER=127.0.0.1:8000 pytest tests/serving/faults -s     # against one that is running already

The second form needs a model that streams; with RNNKIT_TOKEN it sends a token. It leaves out what has to stop a server,
look at its memory or change its bundles. All load goes to this machine, and is bounded in number and time.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

SERVER = os.environ.get("RNNKIT_SERVER")
SHORT_TIMES = ("--header-timeout", "1", "--body-timeout", "1", "--send-timeout", "1", "--drain", "0.5")


@dataclass
class Target:
    """A server under attack. patience: seconds after which it must have ended what is too slow."""

    host: str
    port: int
    token: str | None = None
    patience: float = 6.0
    process: subprocess.Popen | None = None
    log: Path | None = None
    models: dict = field(default_factory=dict)

    def ask(self, path: str, body: bytes | dict | None = None, headers: dict | None = None, timeout: float = 30):
        """(status, JSON) of one request on a connection of its own."""
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        headers = dict(headers or {}) | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        request = urllib.request.Request(f"http://{self.host}:{self.port}{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")

    def live(self) -> float:
        """Seconds that a look at its health takes."""
        began = time.perf_counter()
        assert self.ask("/v2/health/live") == (200, {"live": True})
        return time.perf_counter() - began

    def memory(self) -> float:
        """Megabytes of it, or of a process that it started, whichever took more since `forget_memory`."""
        assert self.process is not None
        return max(peak(pid) for pid in (self.process.pid, *children(self.process.pid)))

    def forget_memory(self) -> None:
        """Begin to look for the peak anew."""
        for pid in (self.process.pid, *children(self.process.pid)) if self.process else ():
            with contextlib.suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5")

    def streaming(self) -> tuple[str, int]:
        """A model that streams numbers, and how many a step has; the one with the largest state."""
        _, found = self.ask("/v2/models")
        models = [
            (sum(state["size"] for state in model["states"]), model["name"], model["inputs"][0]["shape"][-1])
            for model in found["models"]
            if model["streams"] and len(model["inputs"]) == 1 and model["inputs"][0]["datatype"] == "FP32"
        ]
        if not models:
            pytest.skip("The server has no model that streams numbers.")
        return max(models)[1:]


def children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def peak(pid: int) -> float:
    with contextlib.suppress(OSError):
        return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024
    return 0.0


@contextlib.contextmanager
def serving(folder: Path, log: Path, *options: str, env: dict | None = None):
    """A server in a process of its own."""
    command = [sys.executable, "-m", "keras_rnnkit", "serve", str(folder), "--port", "0", "--no-access-log", *options]
    environment = {name: value for name, value in os.environ.items() if name != "RNNKIT_TOKEN"} | (env or {})
    with log.open("w") as file:
        process = subprocess.Popen(command, stderr=file, env=environment)
    try:
        end = time.monotonic() + 40
        while not (found := re.search(r"running on http://127.0.0.1:(\d+)", log.read_text())):
            assert process.poll() is None and time.monotonic() < end, log.read_text()[-3000:]
            time.sleep(0.02)
        yield Target("127.0.0.1", int(found[1]), process=process, log=log)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def fault_bundles(bundles, tmp_path_factory) -> Path:
    """The small bundles, and one whose runs take long."""
    import keras

    import keras_rnnkit as rk

    folder = Path(shutil.copytree(bundles, tmp_path_factory.mktemp("faults") / "bundles"))
    x = keras.Input((None, 8), name="x")
    model = keras.Model(x, keras.layers.Dense(1, name="y")(rk.LSTM(256, return_sequences=True)(x)))
    rk.export_bundle(model, folder / "heavy", modes=["sequence", "stream"], saved_model=False, verify=False)
    return folder


@pytest.fixture(scope="session")
def target(request, tmp_path_factory):
    """The server that is attacked: a running one, or one that is started here."""
    if SERVER:
        host, _, port = SERVER.rpartition(":")
        yield Target(host, int(port), os.environ.get("RNNKIT_TOKEN"), patience=100.0)
        return
    folder = request.getfixturevalue("fault_bundles")
    log = tmp_path_factory.mktemp("log") / "log"
    with serving(folder, log, *SHORT_TIMES, "--max-tokens", "1000000", "--deadline", "20") as target:
        yield target
        assert target.process.poll() is None, "the server died"
    assert "Traceback" not in log.read_text(), log.read_text()[-5000:]


@pytest.fixture
def own(target):
    """The server, where the test has to look into its process."""
    if target.process is None:
        pytest.skip("The test looks at the process of a server that it started itself; RNNKIT_SERVER names another.")
    return target


@pytest.fixture(autouse=True)
def still_serving(request):
    """After every attack the server answers at once."""
    yield
    if "target" in request.fixturenames or "own" in request.fixturenames:
        assert request.getfixturevalue("target").live() < 2.0


def tensor(shape, binary: bool = False) -> tuple[dict, bytes]:
    data = np.zeros(shape, "<f4")
    entry = {"name": "x", "datatype": "FP32", "shape": list(shape)}
    if binary:
        return entry | {"parameters": {"binary_data_size": data.nbytes}}, data.tobytes()
    return entry | {"data": data.ravel().tolist()}, b""


def inferred(target: Target, model: str, shape, **parameters):
    """(status, JSON) of a request of that shape, its numbers as bytes."""
    entry, data = tensor(shape, binary=True)
    head = json.dumps({"inputs": [entry], "outputs": [], "parameters": parameters}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
    return target.ask(f"/v2/models/{model}/infer", head + data, headers, timeout=100)
