"""One graph, and the requests that wait for it.

Whatever waits when the graph is free runs as one batch, without waiting for more: under load batches form by
themselves, and a single client never waits for others. Requests are stacked if their
arrays differ in nothing but their rows.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_rnnkit.runtime.graph import Graph
from keras_rnnkit.serving.errors import ServingError, busy

QUICK = 0.002
"""Seconds; a graph that takes less runs where the requests are read: waking another thread would take longer."""

Arrays = dict[str, np.ndarray]


@dataclass
class Request:
    """One run of a graph for somebody: `feeds` as `Graph.checked` gives them, and where states come from and go to.

    load: gives the states when the request runs, as a session's last one may still be running before; keep: is given
    the states after it, only if all went well. order: requests of the same order run one after the other.
    """

    feeds: Arrays
    rows: int
    done: asyncio.Future
    deadline: float
    load: Callable[[], Arrays] | None = None
    keep: Callable[[Arrays], None] | None = None
    order: Any = None
    arrived: float = field(default_factory=time.perf_counter)

    @property
    def kind(self) -> tuple:
        return tuple((name, a.dtype.char, a.shape[1:]) for name, a in self.feeds.items())


class Batcher:
    """Runs one graph, one batch at a time.

    Arguments:
        seen: is told (rows, requests, seconds waited by each, seconds of the run) after each run.
    """

    def __init__(
        self,
        graph: Graph,
        executor: Executor,
        max_batch: int,
        max_queue: int,
        batching: bool = True,
        seen: Callable[[int, int, list[float], float], None] | None = None,
    ):
        self.graph, self.executor = graph, executor
        self.max_batch, self.max_queue = max_batch, max_queue
        self.batching = batching and stackable(graph)
        self.seen = seen
        self.waiting: deque[Request] = deque()
        self.running = self.scheduled = False
        self.seconds = 0.0  # of a run, lately
        self.latest: Any = None  # the order of the last run, if it was of one request

    async def run(self, feeds: Arrays, rows: int, timeout: float, load=None, keep=None, order=None) -> Arrays:
        """The outputs, states included, after all that came before it in the same order."""
        if len(self.waiting) >= self.max_queue:
            raise busy("queue_full", f"{len(self.waiting)} requests wait for this model. Try again in a second.")
        loop = asyncio.get_running_loop()
        request = Request(feeds, rows, loop.create_future(), time.perf_counter() + timeout, load, keep, order)
        if self.alone(order):
            self.finish(loop, [request], self.computed([request]))
        else:
            self.waiting.append(request)
            self.wake(loop)
        return await request.done

    def alone(self, order: Any) -> bool:
        """Whether there is nobody to share a batch with: nothing waits, and the last run too was of this stream."""
        quiet = not (self.waiting or self.running or self.scheduled)
        return quiet and order is not None and order == self.latest and self.seconds < QUICK

    def wake(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the queue looked at, after the other requests that this turn of the event loop brings."""
        if self.waiting and not self.running and not self.scheduled:
            self.scheduled = True
            loop.call_soon(self.drain, loop)

    def drain(self, loop: asyncio.AbstractEventLoop) -> None:
        self.scheduled = False
        if self.running:
            return
        batch = self.taken()
        if not batch:
            return
        if self.seconds < QUICK:
            self.finish(loop, batch, self.computed(batch))
            return
        self.running = True
        task = loop.run_in_executor(self.executor, self.computed, batch)
        task.add_done_callback(lambda task: self.landed(loop, batch, task))

    def landed(self, loop, batch: list[Request], task: asyncio.Future) -> None:
        self.running = False
        self.finish(loop, batch, task.exception() if task.exception() else task.result())

    # ------------------------------------------------------------------ which requests

    def taken(self) -> list[Request]:
        """The first request that waits, and those that can run in one batch with it, in order."""
        now, rows = time.perf_counter(), 0
        batch: list[Request] = []
        rest: deque[Request] = deque()
        held: set[Any] = set()
        while self.waiting:
            request = self.waiting.popleft()
            if request.done.done():  # nobody waits for it any more
                continue
            if now > request.deadline:
                request.done.set_exception(late())
                continue
            fits = not batch or (
                self.batching and rows + request.rows <= self.max_batch and request.kind == batch[0].kind
            )
            if fits and request.order not in held:
                batch.append(request)
                rows += request.rows
            else:
                rest.append(request)
            if request.order is not None:
                held.add(request.order)
            if rows >= self.max_batch or not self.batching:
                break
        self.waiting.extendleft(reversed(rest))
        return batch

    # ------------------------------------------------------------------ the run

    def computed(self, batch: list[Request]) -> tuple[list[Arrays], float] | Exception:
        """What each request gets; an exception for all of them. Runs on any thread."""
        began = time.perf_counter()
        try:
            given = [{**request.feeds, **(request.load() if request.load else {})} for request in batch]
            if len(given) == 1:
                found = [self.graph.run_checked(given[0])]
            else:
                found = split(self.graph.run_checked(joined(given)), [request.rows for request in batch])
        except Exception as error:  # it goes to those who wait
            return error
        return found, time.perf_counter() - began

    def finish(self, loop, batch: list[Request], result) -> None:
        if isinstance(result, BaseException):
            if len(batch) > 1:  # one of them may be at fault
                self.run_separately(loop, batch)
                return
            deliver(batch[0], result)
        else:
            found, seconds = result
            self.seconds = seconds if not self.seconds else 0.9 * self.seconds + 0.1 * seconds
            self.latest = batch[0].order if len(batch) == 1 else None
            for request, outputs in zip(batch, found, strict=True):
                deliver(request, outputs)
            if self.seen:  # counted after those who wait have been woken
                began = time.perf_counter() - seconds
                waited = [began - request.arrived for request in batch]
                loop.call_soon(self.seen, sum(request.rows for request in batch), len(batch), waited, seconds)
        self.wake(loop)

    def run_separately(self, loop, batch: list[Request]) -> None:
        """Run each for itself, where they failed together."""
        if self.seconds < QUICK:
            for request in batch:
                self.finish(loop, [request], self.computed([request]))
            return
        self.running = True
        task = loop.run_in_executor(self.executor, lambda: [self.computed([request]) for request in batch])

        def landed(task: asyncio.Future) -> None:
            self.running = False
            for request, result in zip(batch, task.result(), strict=True):
                self.finish(loop, [request], result)

        task.add_done_callback(landed)


def deliver(request: Request, result: Arrays | BaseException) -> None:
    """Hand the result to whom it belongs; states move on only if it is finite."""
    if not isinstance(result, BaseException):
        bad = next((n for n, a in result.items() if a.dtype.kind == "f" and not np.isfinite(a).all()), None)
        if bad is not None:
            result = ServingError(
                422,
                "not_finite",
                f"The model's {bad!r} is NaN or infinite for this input. Its state is as it was before.",
            )
        elif request.keep:
            request.keep(result)
    if request.done.done():
        return
    if isinstance(result, BaseException):
        request.done.set_exception(result)
    else:
        request.done.set_result(result)


def late() -> ServingError:
    return ServingError(
        504, "deadline", "The request waited longer than its deadline and was not run; no state has changed.", 1.0
    )


def stackable(graph: Graph) -> bool:
    """Whether rows of several requests can be one batch: all inputs have rows first, of any number, and no row changes
    another's numbers, as it does where weights of 8 bits scale their inputs by the batch."""
    free = all(shape and not isinstance(shape[0], int) for shape in graph.shapes.values())
    return free and ".int8." not in graph.path.name


def joined(feeds: Sequence[Mapping[str, np.ndarray]]) -> Arrays:
    return {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}


def split(arrays: Mapping[str, np.ndarray], rows: list[int]) -> list[Arrays]:
    """The rows of each request.

    >>> [part["y"].tolist() for part in split({"y": np.arange(3)}, [1, 2])]
    [[0], [1, 2]]
    """
    cuts = np.cumsum(rows)[:-1].tolist()
    parts = {name: np.split(array, cuts) for name, array in arrays.items()}
    return [{name: parts[name][i] for name in parts} for i in range(len(rows))]
