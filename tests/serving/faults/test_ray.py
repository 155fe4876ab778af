"""Under Ray Serve: a replica that is killed, and an end that tells everybody.

pytest -m study tests/serving/faults/test_ray.py
RNNKIT_RAY_PYTHON=venv/bin/python pytest -m study tests/serving/faults/test_ray.py      # Ray is installed elsewhere
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.serving.faults.conftest import children

pytestmark = pytest.mark.study
PYTHON = os.environ.get("RNNKIT_RAY_PYTHON", sys.executable)
ROOT = Path(__file__).parents[3]


@pytest.fixture
def cluster(fault_bundles, tmp_path):
    """(address, process, log) of two replicas."""
    if subprocess.run([PYTHON, "-c", "import ray.serve"], capture_output=True).returncode:
        pytest.skip("Ray is not installed: pip install 'keras-rnnkit[ray]', or name a Python that has it.")
    log = tmp_path / "log"
    command = [PYTHON, "-m", "keras_rnnkit", "serve", str(fault_bundles), "--ray", "2", "--port", "8177"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_DEDUP_LOGS": "0"}
    with log.open("w") as file:
        options = ["--drain", "1", "--grace", "3", "--max-tokens", "1000000"]
        process = subprocess.Popen([*command, *options], stdout=file, stderr=file, env=environment)
    try:
        until(lambda: "running on" in log.read_text(), 90)
        yield "127.0.0.1:8177", process, log
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()
        process.wait()


def until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def replicas(address) -> set[str]:
    with contextlib.suppress(httpx.HTTPError):
        return set(re.findall(r'replica="(\w+)"', httpx.get(f"http://{address}/metrics", timeout=5).text))
    return set()


def descendants(pid: int) -> list[int]:
    return [pid, *(below for child in children(pid) for below in descendants(child))]


def workers(process) -> list[int]:
    """The processes of the replicas, by the titles that Ray gives them."""
    found = []
    for pid in descendants(process.pid):
        with contextlib.suppress(OSError):
            if b"ServeReplica" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def test_a_replica_that_is_killed(cluster):
    """The other one answers; Ray starts a new one."""
    address, process, _ = cluster
    until(lambda: len(replicas(address)) == 2, 30)
    before, victims = replicas(address), workers(process)
    assert len(victims) == 2
    statuses, stop = [], threading.Event()

    def load():
        with httpx.Client(base_url=f"http://{address}", timeout=20) as client:
            while not stop.is_set():
                with contextlib.suppress(httpx.HTTPError):
                    statuses.append(client.get("/v2/models/series").status_code)

    thread = threading.Thread(target=load)
    thread.start()
    time.sleep(1)
    os.kill(victims[0], signal.SIGKILL)
    at = len(statuses)
    time.sleep(3)
    lost = [status for status in statuses[at:] if status != 200]
    until(lambda: len(replicas(address) - before) == 1 and len(replicas(address)) == 2, 90)
    stop.set()
    thread.join(20)
    assert len(statuses) > at + 20 and len(lost) <= 2, lost  # what the killed process was answering
    assert set(statuses[-20:]) == {200}


def test_an_end_of_all_replicas(cluster):
    """Readiness turns false on all of them, WebSockets are closed with 1001, events end with a sentence."""
    address, process, log = cluster
    events = []

    def listen():
        asked = {"text_input": "to", "max_tokens": 1_000_000}
        url = f"http://{address}/v2/models/writer/generate_stream"
        with httpx.stream("POST", url, json=asked, timeout=60) as response:
            events.extend(response.iter_lines())

    with connect(f"ws://{address}/v2/models/series/stream") as socket:
        socket.recv()
        thread = threading.Thread(target=listen)
        thread.start()
        time.sleep(1)
        ids = httpx.get(f"http://{address}/v2/models/series", headers={"x-request-id": "mine"}).headers
        assert ids.get_list("x-request-id") == ["mine"]
        process.send_signal(signal.SIGTERM)
        time.sleep(0.7)
        ready = {httpx.get(f"http://{address}/v2/health/ready", timeout=5).status_code for _ in range(10)}
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=10)
    thread.join(30)
    assert ready == {503} and closed.value.rcvd.code == 1001
    last = [line for line in events if line][-1]
    assert "The server is stopping" in json.loads(last.removeprefix("data: "))["error"]
    assert process.wait(60) == 0
    assert '"request":"mine"' in log.read_text()
