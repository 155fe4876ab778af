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
from collections.abc import Callable
from functools import partial
from typing import Any

import onnxruntime

from keras_rnnkit.runtime.graph import Graph
from keras_rnnkit.serving.errors import busy, too_large
from keras_rnnkit.serving.models.cost import MARGIN, QUICK, SHORT, Cost, steps_counter
from keras_rnnkit.serving.models.runs import (
    LONG_PACE,
    QUICK_PACE,
    SHORT_PACE,
    Arrays,
    Batch,
    BatchResult,
    RunRequest,
    deliver,
    expire,
    fed,
    late,
    not_finite,
    shares,
)
from keras_rnnkit.serving.models.sessions import Session
from keras_rnnkit.serving.models.workers import Workers


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
        self.waiting: deque[RunRequest] = deque()
        self.running: dict[str, list[RunRequest]] = {}  # what runs on threads, by pace
        self.scheduled = False
        self.latest: Session | None = None  # of the last run, if it was of one request

    async def run(self, feeds: Arrays, rows: int, timeout: float, session: Session | None = None) -> Arrays:
        """The outputs; where there is a session, after all its requests that came before."""
        cost = self.cost.seconds(rows, self.steps(feeds))
        if session is not None and self.alone(session, cost):
            return self.run_at_once(feeds, rows, session)
        loop = asyncio.get_running_loop()
        request = RunRequest(feeds, rows, loop.create_future(), time.perf_counter() + timeout, session, cost)
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

    def admit(self, request: RunRequest, timeout: float) -> None:
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

    def alone(self, session: Session, cost: float) -> bool:
        """Whether there is nobody to share a batch with: nothing waits, and the last run too was of this stream."""
        return (
            session is self.latest
            and cost < QUICK
            and not (self.waiting or self.scheduled)
            and not (self.running and session in self.sessions_running())
        )

    def run_at_once(self, feeds: Arrays, rows: int, session: Session) -> Arrays:
        """The outputs for a stream that is alone, without the queue."""
        began = time.perf_counter()
        outputs = self.graph.run_checked({**feeds, **session.pool.load(session.places)})
        seconds = time.perf_counter() - began
        error = not_finite(outputs)
        if error is not None:
            raise error
        session.pool.keep(session.places, outputs)
        if self.seen:
            self.seen(rows, 1, [0.0], seconds)
        return outputs

    def sessions_running(self) -> set[Session]:
        return {request.session for batch in self.running.values() for request in batch if request.session is not None}

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

    def start(self, loop, pace: str, batch: list[RunRequest], work: Callable[[], Any], finish: Callable) -> None:
        """Run `work` on a thread, and hand what it gives to `finish`."""
        self.running[pace] = batch
        task = loop.run_in_executor(self.workers.of(pace), work)

        def landed(task: asyncio.Future) -> None:
            self.running.pop(pace, None)
            failure = asyncio.CancelledError() if task.cancelled() else task.exception()
            finish(loop, batch, failure or task.result())

        task.add_done_callback(landed)

    # ------------------------------------------------------------------ which requests

    def batches(self) -> dict[str, list[RunRequest]]:
        """What can start now: the first request of each pace that is free, and those that can run in one batch with it.

        Requests of one session stay in order, whatever their paces.
        """
        now = time.perf_counter()
        batches: dict[str, Batch] = {}
        rest: deque[RunRequest] = deque()
        held = self.sessions_running() if self.running else set()
        while self.waiting:
            request = self.waiting.popleft()
            if request.done.done():  # nobody waits for it any more
                continue
            if now > request.deadline:
                request.done.set_exception(late())
                continue
            pace = request.pace
            if pace in self.running or request.session in held or not self.joins(request, pace, batches):
                rest.append(request)
            if request.session is not None:
                held.add(request.session)
            quick = batches.get(QUICK_PACE)
            if quick is not None and quick.rows >= quick.most_rows:
                break  # the next turn, after this batch, looks at the others: each request is looked at about once
        self.waiting.extendleft(reversed(rest))
        return {pace: batch.requests for pace, batch in batches.items()}

    def joins(self, request: RunRequest, pace: str, batches: dict[str, Batch]) -> bool:
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

    def computed(self, batch: list[RunRequest]) -> BatchResult | Exception:
        """What a run gives, or why it failed. Runs on any thread."""
        began = time.perf_counter()
        try:
            feeds = fed(batch)
            long = batch[0].pace == LONG_PACE
            outputs = run_and_give_back(self.graph, feeds) if long else self.graph.run_checked(feeds)
            return BatchResult(outputs, shares(batch, outputs, self.graph.outputs), time.perf_counter() - began)
        except Exception as error:  # it goes to those who wait
            return error

    def finish(self, loop, batch: list[RunRequest], result: BatchResult | BaseException) -> None:
        if isinstance(result, BatchResult):
            self.latest = batch[0].session if len(batch) == 1 else None
            if self.seen:
                began = time.perf_counter() - result.seconds
                waited = [began - request.arrived for request in batch]
                self.seen(sum(request.rows for request in batch), len(batch), waited, result.seconds)
            deliver(batch, result)
        elif len(batch) > 1:  # one of them may be at fault
            self.run_separately(loop, batch)
            return
        elif not batch[0].done.done():
            batch[0].done.set_exception(result)
        self.wake(loop)

    def run_alone(self, loop, request: RunRequest) -> None:
        self.finish(loop, [request], self.computed([request]))

    def run_separately(self, loop, batch: list[RunRequest]) -> None:
        """Run each for itself, where they failed together; on a thread, as together they are no longer quick."""
        pace = SHORT_PACE if SHORT_PACE not in self.running else LONG_PACE
        if pace in self.running:
            for request in batch:  # each in a turn of its own, so that others have theirs between them
                loop.call_soon(self.run_alone, loop, request)
            return

        def finish(loop, batch: list[RunRequest], results: list[Any]) -> None:
            for request, result in zip(batch, results, strict=True):
                self.finish(loop, [request], result)

        self.start(loop, pace, batch, lambda: [self.computed([request]) for request in batch], finish)


def stackable(graph: Graph) -> bool:
    """Whether rows of several requests can be one batch: all inputs have rows first, of any number, and no row changes
    another's numbers, as it does where weights of 8 bits scale their inputs by the batch."""
    free = all(shape and not isinstance(shape[0], int) for shape in graph.shapes.values())
    return free and ".int8." not in graph.path.name


def run_and_give_back(graph: Graph, feeds: Arrays) -> Arrays:
    """A long run, after which onnxruntime gives back the memory that it took. By itself it keeps all it ever needed, so
    that one large request would make the server large for good."""
    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return dict(zip(graph.results, graph.session.run(None, feeds, options), strict=True))
