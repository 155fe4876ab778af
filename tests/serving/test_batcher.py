"""Paces: what is quick runs at once, what takes long holds up nobody, and deadlines hold while a run is under way."""

import asyncio
import contextlib
import os
import threading
import time

import numpy as np
import pytest

from keras_rnnkit.bench.serve import resident
from keras_rnnkit.serving.errors import ServingError
from keras_rnnkit.serving.models import cost as cost_module
from keras_rnnkit.serving.models.batcher import Batcher
from keras_rnnkit.serving.models.cost import QUICK, SHORT, Cost, cost_of, measured
from keras_rnnkit.serving.models.runs import RunRequest
from keras_rnnkit.serving.models.sessions import Pool, Session
from keras_rnnkit.serving.models.workers import Workers


class SlowGraph:
    """A graph whose runs of two steps or more wait until they are let go. threads: on which runs went."""

    def __init__(self, graph):
        self.graph = graph
        self.shapes, self.inputs, self.outputs, self.path = graph.shapes, graph.inputs, graph.outputs, graph.path
        self.free, self.begun = threading.Event(), threading.Event()
        self.threads = []

    @property
    def session(self):
        return self

    @property
    def results(self):
        return self.graph.results

    def run(self, names, feeds, options):
        return list(self.run_checked(feeds).values())

    def run_checked(self, feeds):
        self.threads.append(threading.current_thread())
        if feeds["x"].shape[1] > 1:
            self.begun.set()
            assert self.free.wait(20)
        return self.graph.run_checked(feeds)


class RecordingPool(Pool):
    """Remembers what is kept of each run."""

    def __init__(self, graph):
        super().__init__(graph)
        self.kept = []

    def keep(self, places, outputs, rows=None):
        self.kept.append((places.tolist(), outputs["y"].shape, rows))
        super().keep(places, outputs, rows)

    def session(self):
        return Session(self, self.taken(1), time.monotonic())


def x(steps):
    return {"x": np.ones((1, steps, 3), "float32")}


def cost_by_steps(seconds_of_second_step):
    """One step costs nothing, a second one that much."""
    return Cost(fixed=-seconds_of_second_step, step=seconds_of_second_step, cell=0.0)


@pytest.fixture
def slow(loaded):
    graph = SlowGraph(loaded("series").sequence)
    yield graph
    graph.free.set()


@pytest.fixture
def pool(loaded):
    return RecordingPool(loaded("series").sequence)


@contextlib.contextmanager
def batching(graph, seconds):
    with contextlib.closing(Workers(2)) as workers:
        yield Batcher(graph, workers, cost_by_steps(seconds), 8, 99)


@pytest.mark.parametrize("seconds", [2 * QUICK, 2 * SHORT])
def test_the_event_loop_goes_on_beside_a_long_run(slow, pool, seconds):
    async def go():
        with batching(slow, seconds) as batcher:
            small = pool.session()
            long = asyncio.create_task(batcher.run(x(2), 1, 9.0, pool.session()))
            await asyncio.to_thread(slow.begun.wait, 9)
            for _ in range(5):
                await batcher.run(x(1), 1, 9.0, small)  # of the same graph
            assert not long.done()
            slow.free.set()
            await long

    asyncio.run(go())
    main = threading.main_thread()
    assert slow.threads[0] is not main and slow.threads[1:] == [main] * 5


def test_the_first_run_is_judged_too(slow, pool):
    """Sabotage of the past: nothing was known before the first run, so that it went on the event loop."""

    async def go():
        with batching(slow, 2 * SHORT) as batcher:
            slow.free.set()
            first = pool.session()
            await batcher.run(x(2), 1, 9.0, first)
            await batcher.run(x(2), 1, 9.0, first)

    asyncio.run(go())
    assert threading.main_thread() not in slow.threads


@pytest.mark.parametrize("seconds", [2 * QUICK, 2 * SHORT])
def test_a_deadline_holds_while_a_run_is_under_way(slow, pool, seconds):
    """It is answered when its time is over; what the run gives later is dropped, and no state moves."""

    async def go():
        with batching(slow, seconds) as batcher:
            began, late = time.perf_counter(), pool.session()
            with pytest.raises(ServingError, match="no state has changed") as error:
                await batcher.run(x(2), 1, 0.3, late)
            assert error.value.status == 504 and time.perf_counter() - began < 5.0
            slow.free.set()
            await batcher.run(x(1), 1, 9.0, late)

    asyncio.run(go())
    ((_, shape, _),) = pool.kept
    assert shape[1] == 1


def test_a_stream_keeps_its_order_across_paces(slow, pool):
    """A small chunk behind a large one of the same stream waits for it; those of other streams do not."""
    done = []

    async def go():
        with batching(slow, 2 * SHORT) as batcher:
            a, b = pool.session(), pool.session()

            async def run(name, steps, session):
                await batcher.run(x(steps), 1, 9.0, session)
                done.append(name)

            large = asyncio.create_task(run("large", 2, a))
            await asyncio.to_thread(slow.begun.wait, 9)
            small = asyncio.create_task(run("small", 1, a))
            await run("other", 1, b)
            await run("other", 1, b)
            slow.free.set()
            await asyncio.gather(large, small)

    asyncio.run(go())
    assert done == ["other", "other", "large", "small"]


def test_work_beyond_the_deadline_is_refused_before_it_runs(slow):
    async def go():
        with batching(slow, 100.0) as batcher:
            await batcher.run(x(2), 1, 30.0)

    with pytest.raises(ServingError, match=r"takes about 66.7 s to compute, and must be done in 30 s") as error:
        asyncio.run(go())
    assert error.value.status == 413 and not slow.threads


def test_a_backlog_is_refused_with_the_time_it_takes(slow):
    async def go():
        with batching(slow, 20.0) as batcher:
            first = asyncio.create_task(batcher.run(x(2), 1, 30.0))
            await asyncio.to_thread(slow.begun.wait, 9)
            with pytest.raises(ServingError, match="About 20 s of work wait") as error:
                await batcher.run(x(2), 1, 30.0)
            assert (error.value.status, error.value.retry_after) == (429, 20.0)
            slow.free.set()
            await first

    asyncio.run(go())


def test_those_who_left_are_not_waited_for(slow):
    """A backlog of requests whose clients have gone is no backlog."""

    async def go():
        with batching(slow, 20.0) as batcher:
            first = asyncio.create_task(batcher.run(x(2), 1, 30.0))
            await asyncio.to_thread(slow.begun.wait, 9)
            first.cancel()
            await asyncio.sleep(0)
            slow.free.set()
            assert "y" in await batcher.run(x(2), 1, 30.0)

    asyncio.run(go())


def test_a_batch_stays_quick(loaded):
    """Requests that wait together are cut into batches that keep the event loop for less than QUICK seconds each."""
    sizes = []

    async def go():
        with contextlib.closing(Workers(1)) as workers:
            cost = Cost(fixed=0.0, step=0.0, cell=QUICK / 4.5)
            seen = lambda rows, *_: sizes.append(rows)  # noqa: E731
            batcher = Batcher(loaded("series").sequence, workers, cost, 64, 99, seen=seen)
            await asyncio.gather(*(batcher.run(x(1), 1, 9.0) for _ in range(10)))
            await asyncio.sleep(0.01)

    asyncio.run(go())
    assert sizes == [4, 4, 2]


def test_states_move_on_for_those_who_still_wait(loaded):
    """Of three sessions in one batch one has left and one has ended: the third alone keeps its state, its own."""
    graph = loaded("series").step
    pool = RecordingPool(graph)
    chunks = [np.full((1, 1, 3), value, "float32") for value in (0.1, 0.2, 0.3)]
    expected = graph.run({"x": chunks[2], **graph.start(1)})

    async def go():
        with contextlib.closing(Workers(1)) as workers:
            batcher = Batcher(graph, workers, Cost(0.0, 0.0, 0.0), 8, 99)
            sessions = [pool.session() for _ in chunks]
            sessions[1].gone = True
            tasks = [
                asyncio.create_task(batcher.run({"x": x}, 1, 9.0, s)) for x, s in zip(chunks, sessions, strict=True)
            ]
            await asyncio.sleep(0)
            tasks[0].cancel()
            return sessions, await asyncio.gather(*tasks, return_exceptions=True)

    sessions, results = asyncio.run(go())
    assert isinstance(results[0], asyncio.CancelledError) and "y" in results[1]
    np.testing.assert_allclose(results[2]["y"], expected["y"], atol=1e-6)
    for state in graph.states:
        np.testing.assert_allclose(pool.load(sessions[2].places)[state["input"]], expected[state["output"]], atol=1e-6)
        np.testing.assert_array_equal(pool.load(sessions[1].places)[state["input"]], graph.start(1)[state["input"]])
    assert [places for places, _, _ in pool.kept] == [sessions[2].places.tolist()]


def test_the_queue_is_looked_at_once_for_each_run(loaded, monkeypatch):
    """Without batches a run takes one request, and must not look at all that wait behind it."""
    looked = []
    monkeypatch.setattr(RunRequest, "pace", property(lambda request: looked.append(request) or "quick"))

    async def go():
        with contextlib.closing(Workers(1)) as workers:
            batcher = Batcher(loaded("series").sequence, workers, Cost(0.0, 0.0, 0.0), 8, 99, batching=False)
            await asyncio.gather(*(batcher.run(x(1), 1, 9.0) for _ in range(20)))

    asyncio.run(go())
    assert len(looked) < 3 * 20


def test_costs_are_measured(loaded, monkeypatch):
    clock = [0.0]
    with monkeypatch.context() as patch:
        patch.setattr(cost_module.time, "perf_counter", lambda: clock[0])

        def run(rows, steps):
            clock[0] += 1e-4 + steps * (2e-5 + rows * 1e-5)

        cost = measured(run)
    for rows, steps in ((1, 1), (3, 700), (64, 10_000)):
        exact = 1e-4 + steps * (2e-5 + rows * 1e-5)
        assert cost.seconds(rows, steps) == pytest.approx(cost_module.MARGIN * exact)
    graph = cost_of(loaded("series").sequence)
    assert graph.seconds(1, 1) > 0 and graph.seconds(64, 10_000) > graph.seconds(1, 10)


def test_a_process_that_is_held_up_while_it_measures(monkeypatch):
    """Each size is measured again where a run took long, so that one pause does not make a model slow for good."""
    clock, sizes = [0.0], set()

    def run(rows, steps):
        clock[0] += 1e-3 + (0.0 if (rows, steps) in sizes else 5.0)
        sizes.add((rows, steps))

    monkeypatch.setattr(cost_module.time, "perf_counter", lambda: clock[0])
    assert measured(run).seconds(8, 100) < QUICK


def test_a_long_run_gives_its_memory_back(tmp_path):
    """onnxruntime would keep what the largest request ever took."""
    import keras

    import keras_rnnkit as rk
    from keras_rnnkit.runtime import Graph
    from keras_rnnkit.serving.models.batcher import run_and_give_back

    inputs = keras.Input((None, 8), name="x")
    rk.export_onnx(keras.Model(inputs, rk.LSTM(128)(inputs)), tmp_path / "large.onnx", verify=False)
    keras.backend.clear_session()
    graph, x = Graph(tmp_path / "large.onnx"), {"x": np.ones((32, 2000, 8), "float32")}
    before = resident(os.getpid())
    first = run_and_give_back(graph, x)
    after = resident(os.getpid())
    kept = graph.run_checked(x)
    assert after - before < 60.0 < resident(os.getpid()) - before  # the second kind of run is the sabotage
    for name, array in kept.items():
        np.testing.assert_array_equal(first[name], array)
