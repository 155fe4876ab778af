"""A step of a stream in a browser without a window, and the same step in Python, side by side."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_rnnkit.bench.settings import WebBench
from keras_rnnkit.runtime import Bundle, load
from keras_rnnkit.web.errors import SiteError
from keras_rnnkit.web.site import HERE, build

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
FLAGS = ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-sandbox")
BLOCK = 20
"""Steps that are timed together, as the clock of a browser has a tenth of a millisecond."""
WARM_UP, PATIENCE = 10, 120


class Times(NamedTuple):
    """Medians of a step in milliseconds, and the browser that was measured."""

    browser: float
    python: float
    name: str


def run(settings: WebBench) -> Times:
    browser = settings.browser or next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SiteError("No browser was found to measure in. Name one with --browser, such as /usr/bin/chromium.")
    with tempfile.TemporaryDirectory() as folder:
        bundle = exported(Path(folder) / "step", settings)
        site = build([bundle], Path(folder) / "site", settings.ort).folder
        for name in ("bench.html", "bench.js"):
            shutil.copyfile(HERE / "page" / name, site / name)
        in_python = median_of_python(load(bundle), settings)
        answer = answer_of(str(browser), site, Path(folder) / "profile", settings)
    return Times(statistics.median(answer["milliseconds"]), in_python, answer["browser"])


def exported(folder: Path, settings: WebBench) -> Path:
    import keras

    import keras_rnnkit as rk

    layer = rk.GRU(settings.units, return_sequences=True)
    model = keras.Sequential([keras.Input((None, settings.features), name="x"), layer])
    rk.export_bundle(model, folder, modes=["stream"], saved_model=False)
    return folder


def median_of_python(bundle: Bundle, settings: WebBench) -> float:
    stream, chunk = bundle.stream(), np.zeros((1, 1, settings.features), "float32")
    times = []
    for _ in range(WARM_UP + settings.blocks):
        began = time.perf_counter()
        for _ in range(BLOCK):
            stream.push(chunk)
        times.append((time.perf_counter() - began) * 1000 / BLOCK)
    return statistics.median(times[WARM_UP:])


def answer_of(browser: str, site: Path, profile: Path, settings: WebBench) -> dict:
    """The results that the page measures and sends back to the server that it came from."""
    with answering(site) as (address, answers, answered):
        query = f"features={settings.features}&blocks={settings.blocks}&block={BLOCK}&warm={WARM_UP}"
        command = [browser, *FLAGS, f"--user-data-dir={profile}", f"http://{address}/bench.html?{query}"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            if not answered.wait(PATIENCE):
                raise SiteError(
                    f"The browser {browser!r} did not answer within {PATIENCE} s. Try another with --browser."
                )
        finally:
            process.terminate()
            process.wait()
    (answer,) = answers
    if "error" in answer:
        raise SiteError(f"The page could not measure: {answer['error']}")
    return answer


@contextmanager
def answering(site: Path) -> Iterator[tuple[str, list[dict], threading.Event]]:
    """A server of the folder that keeps the first answer of a page: its address, the answers, and whether one came."""
    answers: list[dict] = []
    answered = threading.Event()

    class Handler(http.server.SimpleHTTPRequestHandler):
        extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}

        def do_POST(self) -> None:
            answers[:] = [json.loads(self.rfile.read(int(self.headers["content-length"])))]
            self.send_response(204)
            self.end_headers()
            answered.set()

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing: the command prints the result alone."""

    handler = functools.partial(Handler, directory=os.fspath(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"localhost:{server.server_port}", answers, answered
        finally:
            server.shutdown()


def lines(times: Times, settings: WebBench) -> list[str]:
    return [
        f"A step of GRU({settings.units}) with {settings.features} features, the median of {settings.blocks} blocks:",
        f"{times.browser:8.3f} ms  browser ({times.name})",
        f"{times.python:8.3f} ms  Python (onnxruntime, one process)",
        f"{times.browser / times.python:8.2f}     browser / Python",
    ]
