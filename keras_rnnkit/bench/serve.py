"""`rnnkit bench serve`: steps of streams through the server, beside the bare graph."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from keras_rnnkit import runtime
from keras_rnnkit.bench.load import load
from keras_rnnkit.bench.settings import ServeBench
from keras_rnnkit.serving.models.datatypes import NAMES
from keras_rnnkit.serving.models.description import open_shape
from keras_rnnkit.timing import machine

WAYS = ("json", "binary", "websocket")


class Row(NamedTuple):
    """how: "json", "binary", "websocket"; rate: steps a second; p50, p99: microseconds of a step."""

    how: str
    batching: bool
    connections: int
    rate: float
    p50: float
    p99: float


def run(settings: ServeBench) -> dict[str, Any]:
    console = Console(highlight=False, soft_wrap=True)
    graph = runtime.load(settings.bundle).step
    name = graph.inputs[0]
    x = one_step(graph, name)
    bare = bare_call(graph, name, x, settings.seconds)
    console.print(machine("onnxruntime", "uvicorn", "starlette"))
    console.print(
        f"one step of {settings.bundle} {list(x.shape)}, each connection a stream; the client is on this machine"
    )
    console.print(f"bare onnxruntime call: p50 {bare[0]:.0f} us, p99 {bare[1]:.0f} us, {1e6 / bare[2]:,.0f} a second\n")
    rows: list[Row] = []
    for batching in (True, False):
        with server(settings.bundle, batching) as (port, model, _):
            for how in WAYS:
                for connections in settings.counts:
                    known = (port, model, name, NAMES[graph.kinds[name]], x, how, connections)
                    asyncio.run(load(*known, 0.3))  # warm
                    times, taken = asyncio.run(load(*known, settings.seconds))
                    p50, p99 = 1e6 * np.percentile(times, (50, 99))
                    rows.append(Row(how, batching, connections, len(times) / taken, float(p50), float(p99)))
    console.print(table(rows, bare[0]))
    for how in WAYS:
        with_, without = (rate_of(rows, how, b, max(settings.counts)) for b in (True, False))
        console.print(
            f"{how}: at {max(settings.counts)} connections, batches make {with_ / without:.2f} times the rate"
        )
    found = {"machine": machine("onnxruntime"), "bare_us": bare[:2], "rows": [row._asdict() for row in rows]}
    if settings.memory:
        found["memory"] = memory(settings.bundle, name, NAMES[graph.kinds[name]], x, console)
    if settings.json:
        settings.json.write_text(json.dumps(found, indent=2), encoding="utf-8")
    return found


def one_step(graph: runtime.Graph, name: str) -> np.ndarray:
    shape = [1 if size < 0 else size for size in open_shape(graph.shapes[name])]
    return np.zeros(shape, graph.kinds[name])


def bare_call(graph: runtime.Graph, name: str, x: np.ndarray, seconds: float) -> tuple[float, float, float]:
    """Microseconds of a run of the session alone: the median, the 99th of a hundred, the mean."""
    feeds, times = {name: x, **graph.start(1)}, []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        graph.session.run(None, feeds)
        times.append(time.perf_counter() - began)
    p50, p99 = 1e6 * np.percentile(times, (50, 99))
    return float(p50), float(p99), float(1e6 * np.mean(times))


@contextmanager
def server(bundle: Path, batching: bool) -> Iterator[tuple[int, str, int]]:
    """Port, the model's name and the process of a server of its own."""
    command = [sys.executable, "-m", "keras_rnnkit", "serve", str(bundle), "--port", "0", "--no-access-log"]
    with tempfile.NamedTemporaryFile("r") as log, open(log.name, "w") as sink:
        environment = {name: value for name, value in os.environ.items() if name != "RNNKIT_TOKEN"}
        process = subprocess.Popen(
            [*command, "--batching" if batching else "--no-batching"], stderr=sink, env=environment
        )
        try:
            while not (found := re.search(r"running on http://127.0.0.1:(\d+)", Path(log.name).read_text())):
                if process.poll() is not None:
                    raise RuntimeError(Path(log.name).read_text()[-2000:])
                time.sleep(0.05)
            yield int(found[1]), bundle.resolve().name, process.pid
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)


def rate_of(rows: list[Row], how: str, batching: bool, connections: int) -> float:
    return next(row.rate for row in rows if row[:3] == (how, batching, connections))


def table(rows: list[Row], bare: float) -> Table:
    shown = Table(box=None, padding=(0, 2, 0, 0))
    for head in ("", "batches"):
        shown.add_column(head)
    for head in ("clients", "steps/s", "p50 us", "p99 us", "p99 / p50", "p50 above bare"):
        shown.add_column(head, justify="right")
    for row in rows:
        spread, above = f"{row.p99 / row.p50:.1f}", f"{row.p50 - bare:+,.0f}"
        numbers = (f"{row.connections}", f"{row.rate:,.0f}", f"{row.p50:,.0f}", f"{row.p99:,.0f}", spread, above)
        shown.add_row(row.how, "yes" if row.batching else "no", *numbers)
    return shown


def memory(bundle: Path, name: str, kind: str, x: np.ndarray, console: Console) -> list[tuple[int, float]]:
    """Megabytes of the server's memory after so many requests, by 10,000 sessions in all."""
    found: list[tuple[int, float]] = []
    with server(bundle, True) as (port, model, pid):
        done = 0
        while done < 100_000:
            times, _ = asyncio.run(load(port, model, name, kind, x, "binary", 64, 2.0))
            done += len(times)
            asyncio.run(sessions(port, model, name, kind, x, len(found)))
            found.append((done, resident(pid)))
            console.print(f"after {done:7,} requests, {1000 * len(found):6,} sessions: {found[-1][1]:.1f} MB")
    return found


async def sessions(port: int, model: str, name: str, kind: str, x: np.ndarray, turn: int) -> None:
    """1,000 sessions that nobody ends."""
    from keras_rnnkit.bench.load import Http, inferred

    loop = asyncio.get_running_loop()
    first = inferred(model, name, kind, x, 1, True, True)
    _, client = await loop.create_connection(lambda: Http(first, [], 0.0), "127.0.0.1", port)
    for i in range(1000):
        client.message = inferred(model, name, kind, x, 1000 * (turn + 1) + i, True, True)
        client.done = loop.create_future()
        await client.go()
    client.transport.close()


def resident(pid: int) -> float:
    """Megabytes of memory of a process."""
    with open(f"/proc/{pid}/statm", encoding="utf-8") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
