"""Bundles that are replaced, broken and mended while they are asked."""

import json
import shutil
import threading
import time

import numpy as np
import pytest
from websockets.sync.client import connect

from tests.serving.faults.conftest import serving


@pytest.fixture(scope="module")
def changing(fault_bundles, tmp_path_factory):
    """(server, its folder): it looks at its folder ten times a second."""
    folder = tmp_path_factory.mktemp("changing") / "bundles"
    shutil.copytree(fault_bundles, folder)
    with serving(folder, folder.parent / "log", "--reload", "0.1") as target:
        yield target, folder


def until(condition, seconds: float = 20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def row(target, name):
    _, rows = target.ask("/v2/repository/index", b"")
    return next((each for each in rows if each["name"] == name), None)


def asked(**parameters):
    entry = {"name": "x", "datatype": "FP32", "shape": [1, 1, 3], "data": [0.1, 0.2, 0.3]}
    return {"inputs": [entry], "parameters": parameters}


def test_reload_and_corruption_under_load(changing):
    """Every request is answered right, whatever happens to the files."""
    target, folder = changing
    stop, answers, failures = threading.Event(), [], []

    def load():
        while not stop.is_set():
            status, answer = target.ask("/v2/models/series/infer", asked())
            (failures if status != 200 else answers).append(answer)
            stop.wait(0.005)  # the files are what is tested, not how many requests fit in between

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    manifest, graph = folder / "series" / "manifest.json", folder / "series" / "sequence.onnx"
    good = graph.read_bytes()
    for content in (good[:-5], b"", good, good[: len(good) // 2], good):
        graph.write_bytes(content)
        time.sleep(0.3)
    text = manifest.read_text()
    for broken in ("{", json.dumps({**json.loads(text), "graphs": {"sequence": 3}}), text):
        manifest.write_text(broken)
        time.sleep(0.3)
    until(lambda: row(target, "series")["reason"] == "")
    stop.set()
    for thread in threads:
        thread.join(20)
    assert not failures, failures[0]
    assert len(answers) > 20 and all(a["outputs"] == answers[0]["outputs"] for a in answers)


def test_a_broken_successor_shows_in_the_index_without_paths(changing):
    target, folder = changing
    graph = folder / "series" / "step.onnx"
    good = graph.read_bytes()
    graph.write_bytes(good[:-1] + b"x")
    try:
        until(lambda: row(target, "series")["reason"])
        found = row(target, "series")
        assert found["state"] == "READY" and "A newer bundle is refused" in found["reason"]
        assert str(folder) not in json.dumps(found) and "/" not in found["reason"]
        assert target.ask("/v2/models/series/infer", asked())[0] == 200
    finally:
        graph.write_bytes(good)
    until(lambda: row(target, "series")["reason"] == "")


@pytest.mark.parametrize(
    "manifest", ["{", "[]", '{"format": 1}', '{"format": 1, "files": {}, "graphs": {"sequence": 1}}']
)
def test_a_bad_manifest_stops_nobody(changing, manifest):
    target, folder = changing
    bad = folder / "bad"
    bad.mkdir()
    (bad / "manifest.json").write_text(manifest)
    try:
        until(lambda: row(target, "bad"))
        assert row(target, "bad")["state"] == "UNAVAILABLE"
        status, found = target.ask("/v2/models")
        assert status == 200 and "series" in [model["name"] for model in found["models"]]
        assert target.ask("/v2/models/bad")[0] == 503
    finally:
        shutil.rmtree(bad)
    until(lambda: row(target, "bad") is None)


def test_streams_are_told_of_a_reload(changing):
    target, folder = changing
    x = np.array([[[0.1, 0.2, 0.3]]], "<f4")
    assert target.ask("/v2/models/series/infer", asked(sequence_id="told", sequence_start=True))[0] == 200
    with connect(f"ws://127.0.0.1:{target.port}/v2/models/series/stream") as socket:
        socket.recv()
        socket.send(x.tobytes())
        first = socket.recv()
        replaced = target.log.read_text().count("model series is served")
        manifest = folder / "series" / "manifest.json"
        manifest.write_text(manifest.read_text())
        until(lambda: target.log.read_text().count("model series is served") > replaced)
        socket.send(x.tobytes())
        assert "was replaced by a newer one" in json.loads(socket.recv())["error"]
        socket.send('{"reset": true}')
        assert json.loads(socket.recv()) == {"reset": True}
        socket.send(x.tobytes())
        assert socket.recv() == first  # on the new model, from the beginning
    status, answer = target.ask("/v2/models/series/infer", asked(sequence_id="told"))
    assert status == 400 and "was replaced by a newer one" in answer["error"]
    status, answer = target.ask("/v2/models/series/infer", asked(sequence_id="never begun"))
    assert status == 400 and "There is no sequence" in answer["error"]


def test_a_folder_without_a_manifest_is_named_in_the_log(changing):
    target, folder = changing
    (folder / "no_bundle").mkdir()
    until(lambda: "the folder no_bundle is passed over" in target.log.read_text())
    assert target.log.read_text().count("the folder no_bundle") == 1
