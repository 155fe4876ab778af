"""SIGTERM under load: whatever was accepted is answered."""

import json
import os
import signal
import socket
import threading
import time

import pytest

from tests.serving.faults.clients import Raw
from tests.serving.faults.conftest import serving


class NewConnections(threading.Thread):
    """A client that opens a new connection for every request, until it is told that nobody listens any more."""

    def __init__(self, target):
        super().__init__(daemon=True)
        self.target, self.answered, self.lost = target, 0, []

    def run(self):
        while True:
            try:
                raw = Raw(self.target, timeout=20)
            except ConnectionRefusedError:
                return  # it was never accepted
            except OSError as error:
                self.lost.append(repr(error))
                return
            try:
                with raw:
                    body = json.dumps({"series": [[0.0] * 3], "steps": 3}).encode()
                    head = raw.head("POST", "/v2/models/series/forecast", **{"Content-Length": len(body)})
                    raw.socket.sendall(head + b"\r\n" + body)
                    status, _ = raw.answer()
                    if status not in (200, 429):
                        self.lost.append(str(status))
                    self.answered += 1
            except (OSError, AssertionError) as error:
                self.lost.append(repr(error))
                return


def test_new_connections_under_load_lose_nothing(fault_bundles, tmp_path):
    with serving(fault_bundles, tmp_path / "log", "--drain", "0.7") as target:
        clients = [NewConnections(target) for _ in range(32)]
        for client in clients:
            client.start()
        time.sleep(0.5)
        target.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        ready, still_accepts = target.ask("/v2/health/ready"), target.ask("/v2/health/live")[0]
        for client in clients:
            client.join(30)
        code = target.process.wait(20)
    assert [lost for client in clients for lost in client.lost] == []
    assert all(client.answered for client in clients)
    assert ready == (503, {"ready": False}) and still_accepts == 200 and code in (0, -signal.SIGTERM)


def test_half_requests_do_not_hold_the_end(fault_bundles, tmp_path):
    with serving(fault_bundles, tmp_path / "log", "--drain", "0.1") as target:
        raws = [Raw(target) for _ in range(3)]
        raws[0].send(b"GET / HTTP/1.1\r\nX-Half: ")
        raws[1].send(raws[1].head("POST", "/v2/models/series/infer", **{"Content-Length": 500}) + b"\r\n{")
        time.sleep(0.2)
        began = time.monotonic()
        target.process.send_signal(signal.SIGTERM)
        target.process.wait(20)
        assert time.monotonic() - began < 6.0
        for raw in raws:
            raw.socket.close()


def test_what_runs_at_the_end_is_answered(fault_bundles, tmp_path):
    """A request that takes longer than the drain."""
    from tests.serving.faults.conftest import inferred
    from tests.serving.faults.test_heavy import in_thread

    with serving(fault_bundles, tmp_path / "log", "--drain", "0.1") as target:
        thread, found = in_thread(inferred, target, "heavy", [16, 1500, 8])
        time.sleep(0.3)
        target.process.send_signal(signal.SIGTERM)
        thread.join(30)
        target.process.wait(20)
    assert found[0][0] == 200


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX") or os.name != "posix", reason="needs signals")
def test_a_port_that_is_taken_is_a_sentence(fault_bundles):
    import subprocess
    import sys

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "keras_rnnkit", "serve", str(fault_bundles), "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "cannot listen on 127.0.0.1" in done.stderr
    assert "Traceback" not in done.stderr and "running on" not in done.stderr
