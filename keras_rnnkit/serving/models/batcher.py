"""One graph, and the requests that wait for it.

Whatever waits when the graph is free runs as one batch, without waiting for more: under load batches form by
themselves, and a single client never waits for others. Requests are stacked if their arrays differ in nothing but their
rows.

A run is judged by the work it brings (`Cost`). Quick ones run on the event loop; longer ones on a thread, one batch of
each pace at a time, so that a run of seconds holds up neither the event loop nor the shorter runs of the same graph.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from keras_rnnkit.runtime.graph import Graph
from keras_rnnkit.serving.errors import ServingError, busy, too_large
from keras_rnnkit.serving.models.cost import MARGIN, QUICK, SHORT, Cost, steps_counter
from keras_rnnkit.serving.models.datatypes import all_finite
from keras_rnnkit.serving.models.workers import Workers

Arrays = dict[str, np.ndarray]
QUICK_PACE, SHORT_PACE, LONG_PACE = "quick", "short", "long"


@dataclass(eq=False)
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
    cost: float = 0.0
    arrived: float = field(default_factory=time.perf_counter)

    @property
    def kind(self) -> tuple:
        return tuple((name, a.dtype.char, a.shape[1:]) for name, a in self.feeds.items())

    @property
    def pace(self) -> str:
        return QUICK_PACE if self.cost < QUICK else SHORT_PACE if self.cost < SHORT else LONG_PACE


@dataclass
class Batch:
    """Requests that run together, all of one kind."""

    requests: list[Request]
    rows: int
    most_rows: int
    kind: tuple


class Batcher:
    """Runs one graph, a batch at a time.

    Arguments:
        cost: of the graph. steps: how many steps some feeds have; by default the longest free axis behind the rows.
        seen: is told (rows, requests, seconds waited by each, seconds of the run) after each run.
    """

    def __init__(
        self,
        graph: Graph,
        workers: Workers,
        cost: Cost,
        max_batch: int,
        max_queue: int,
        batching: bool = True,
        seen: Callable[[int, int, list[float], float], None] | None = None,
        steps: Callable[[Arrays], int] | None = None,
    ):
        self.graph, self.workers, self.cost = graph, workers, cost
        self.max_batch, self.max_queue = max_batch, max_queue
        self.batching = batching and stackable(graph)
        self.seen = seen
        self.steps = steps or steps_counter(graph)
        self.waiting: deque[Request] = deque()
        self.running: dict[str, list[Request]] = {}  # what runs on threads, by pace
        self.scheduled = False
        self.latest: Any = None  # the order of the last run, if it was of one request

    async def run(self, feeds: Arrays, rows: int, timeout: float, load=None, keep=None, order=None) -> Arrays:
        """The outputs, states included, after all that came before it in the same order."""
        loop = asyncio.get_running_loop()
        cost = self.cost.seconds(rows, self.steps(feeds))
        request = Request(feeds, rows, loop.create_future(), time.perf_counter() + timeout, load, keep, order, cost)
        if self.alone(request):
            self.finish(loop, [request], self.computed([request]))
            return await request.done
        self.admit(request, timeout)
        self.waiting.append(request)
        self.wake(loop)
        if cost < QUICK:
            return await request.done
        timer = loop.call_later(timeout, expire, request)
        try:
            return await request.done
        finally:
            timer.cancel()

    def admit(self, request: Request, timeout: float) -> None:
        """Refuse what could not be answered in time anyway."""
        if len(self.waiting) >= self.max_queue:
            raise busy("queue_full", f"{len(self.waiting)} requests wait for this model. Try again in a second.")
        if request.cost < SHORT:
            return
        seconds = request.cost / MARGIN
        if seconds > timeout:
            raise too_large(
                f"The request takes about {seconds:.3g} s to compute, and must be done in {timeout:g} s. Send fewer "
                "rows or steps."
            )
        ahead = [*self.running.get(LONG_PACE, []), *self.waiting]
        seconds = sum(other.cost for other in ahead if other.pace == LONG_PACE and not other.done.done())
        if seconds and seconds + request.cost > timeout:
            raise busy(
                "backlog", f"About {seconds:.3g} s of work wait for this model. Try again then.", retry_after=seconds
            )

    def alone(self, request: Request) -> bool:
        """Whether there is nobody to share a batch with: nothing waits, and the last run too was of this stream."""
        order = request.order
        return (
            order is not None
            and order == self.latest
            and request.cost < QUICK
            and not (self.waiting or self.scheduled)
            and not (self.running and order in self.orders_running())
        )

    def orders_running(self) -> set[Any]:
        return {request.order for batch in self.running.values() for request in batch if request.order is not None}

    def wake(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the queue looked at, after the other requests that this turn of the event loop brings."""
        if self.waiting and not self.scheduled:
            self.scheduled = True
            loop.call_soon(self.drain, loop)

    def drain(self, loop: asyncio.AbstractEventLoop) -> None:
        self.scheduled = False
        for pace, batch in self.batches().items():
            if pace == QUICK_PACE:
                self.finish(loop, batch, self.computed(batch))
            else:
                self.start(loop, pace, batch, partial(self.computed, batch), self.finish)

    def start(self, loop, pace: str, batch: list[Request], work: Callable[[], Any], finish: Callable) -> None:
        """Run `work` on a thread, and hand what it gives to `finish`."""
        self.running[pace] = batch
        task = loop.run_in_executor(self.workers.of(pace), work)

        def landed(task: asyncio.Future) -> None:
            self.running.pop(pace, None)
            failure = asyncio.CancelledError() if task.cancelled() else task.exception()
            finish(loop, batch, failure or task.result())

        task.add_done_callback(landed)

    # ------------------------------------------------------------------ which requests

    def batches(self) -> dict[str, list[Request]]:
        """What can start now: the first request of each pace that is free, and those that can run in one batch with it.

        Requests of one order stay in order, whatever their paces.
        """
        now = time.perf_counter()
        batches: dict[str, Batch] = {}
        rest: deque[Request] = deque()
        held = self.orders_running() if self.running else set()
        while self.waiting:
            request = self.waiting.popleft()
            if request.done.done():  # nobody waits for it any more
                continue
            if now > request.deadline:
                request.done.set_exception(late())
                continue
            pace = request.pace
            if pace in self.running or request.order in held or not self.joins(request, pace, batches):
                rest.append(request)
            if request.order is not None:
                held.add(request.order)
            if QUICK_PACE in batches and batches[QUICK_PACE].rows >= self.max_batch:
                break  # the next turn looks at the others
        self.waiting.extendleft(reversed(rest))
        return {pace: batch.requests for pace, batch in batches.items()}

    def joins(self, request: Request, pace: str, batches: dict[str, Batch]) -> bool:
        """Put a request into the batch of its pace, if it fits."""
        batch = batches.get(pace)
        if batch is None:
            # Long runs gain nothing by waiting for each other, and a batch must keep its pace.
            single = not self.batching or pace == LONG_PACE
            limit = QUICK if pace == QUICK_PACE else SHORT
            most = request.rows if single else self.cost.rows_within(limit, self.steps(request.feeds))
            batches[pace] = Batch([request], request.rows, min(most, self.max_batch), request.kind)
            return True
        if batch.rows + request.rows > batch.most_rows or request.kind != batch.kind:
            return False
        batch.requests.append(request)
        batch.rows += request.rows
        return True

    # ------------------------------------------------------------------ the run

    def computed(self, batch: list[Request]) -> tuple[list[Arrays | ServingError], float] | Exception:
        """What each request gets; an exception for all of them. Runs on any thread."""
        began = time.perf_counter()
        try:
            feeds = [{**request.feeds, **request.load()} if request.load else request.feeds for request in batch]
            if len(feeds) == 1:
                results = [finite_or_error(self.graph.run_checked(feeds[0]))]
            else:
                outputs = split(self.graph.run_checked(joined(feeds)), [request.rows for request in batch])
                results = [finite_or_error(each) for each in outputs]
            return results, time.perf_counter() - began
        except Exception as error:  # it goes to those who wait
            return error

    def finish(self, loop, batch: list[Request], result) -> None:
        if isinstance(result, BaseException):
            if len(batch) > 1:  # one of them may be at fault
                self.run_separately(loop, batch)
            else:
                deliver(batch[0], result)
                self.wake(loop)
            return
        outputs, seconds = result
        self.latest = batch[0].order if len(batch) == 1 else None
        for request, each in zip(batch, outputs, strict=True):
            deliver(request, each)
        if self.seen:  # counted after those who wait have been woken
            began = time.perf_counter() - seconds
            waited = [began - request.arrived for request in batch]
            loop.call_soon(self.seen, sum(request.rows for request in batch), len(batch), waited, seconds)
        self.wake(loop)

    def run_separately(self, loop, batch: list[Request]) -> None:
        """Run each for itself, where they failed together; on a thread, as together they are no longer quick."""
        pace = SHORT_PACE if SHORT_PACE not in self.running else LONG_PACE
        if pace in self.running:
            for request in batch:
                self.finish(loop, [request], self.computed([request]))
            return

        def finish(loop, batch: list[Request], results: list[Any]) -> None:
            for request, result in zip(batch, results, strict=True):
                self.finish(loop, [request], result)

        self.start(loop, pace, batch, lambda: [self.computed([request]) for request in batch], finish)


def deliver(request: Request, result: Arrays | BaseException) -> None:
    """Hand the result to whom it belongs; states move on only if it is a result, and somebody still waits for it."""
    if request.done.done():
        return
    if isinstance(result, BaseException):
        request.done.set_exception(result)
        return
    if request.keep:
        request.keep(result)
    request.done.set_result(result)


def finite_or_error(outputs: Arrays) -> Arrays | ServingError:
    """The outputs, or what the client is told where one of them is not finite."""
    for name, array in outputs.items():
        if not all_finite(array):
            sentence = f"The model's {name!r} is NaN or infinite for this input. Its state is as it was before."
            return ServingError(422, "not_finite", sentence)
    return outputs


def expire(request: Request) -> None:
    """Answer a request whose time is over; what its run gives later is dropped."""
    if not request.done.done():
        request.done.set_exception(late())


def late() -> ServingError:
    return ServingError(504, "deadline", "The request took longer than its deadline; no state has changed.", 1.0)


def stackable(graph: Graph) -> bool:
    """Whether rows of several requests can be one batch: all inputs have rows first, of any number, and no row changes
    another's numbers, as it does where weights of 8 bits scale their inputs by the batch."""
    free = all(shape and not isinstance(shape[0], int) for shape in graph.shapes.values())
    return free and ".int8." not in graph.path.name


def joined(feeds: list[Arrays]) -> Arrays:
    return {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}


def split(arrays: Mapping[str, np.ndarray], rows: list[int]) -> list[Arrays]:
    """The rows of each request.

    >>> [part["y"].tolist() for part in split({"y": np.arange(3)}, [1, 2])]
    [[0], [1, 2]]
    """
    cuts = np.cumsum(rows)[:-1].tolist()
    parts = {name: np.split(array, cuts) for name, array in arrays.items()}
    return [{name: parts[name][i] for name in parts} for i in range(len(rows))]
