"""The same application under Ray Serve, on many processes or machines.

A stream's state is in one replica's memory, so all requests of a session must go there: Ray's consistent-hash router
does that for requests that carry its session header. Without it, a session's requests are spread over the replicas.

The replicas share a `Noticeboard`, an actor of Ray: each writes its metrics there and reads whether it is to stop.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from typing import Any

from keras_rnnkit.serving.http.state import ServerState
from keras_rnnkit.serving.observability import logs
from keras_rnnkit.serving.observability.metrics import merged
from keras_rnnkit.serving.settings import Settings

ROUTER = "ray.serve.experimental.consistent_hash_router.ConsistentHashRouter"
SESSION = "x-session-id"
"""The header by which Ray finds the replica of a session."""
BOARD = "keras-rnnkit-noticeboard"
SERVING, STOPPING, OVER = 0, 1, 2
EVERY = 0.25
"""Seconds between two looks of a replica at the noticeboard."""
FORGOTTEN = 10.0
"""Seconds after which a replica that does not write any more has gone, and its metrics with it."""

log = logging.getLogger("keras_rnnkit.serving")


class Noticeboard:
    """What replicas write for each other. phase: SERVING, STOPPING, or OVER, when streams are told to end."""

    def __init__(self) -> None:
        self.phase = SERVING
        self.replicas: dict[str, tuple[float, bytes, int]] = {}

    def write(self, replica: str, text: bytes, in_progress: int) -> int:
        """A replica's metrics and how many requests it answers; back comes the phase."""
        self.replicas[replica] = (time.monotonic(), text, in_progress)
        return self.phase

    def enter(self, phase: int) -> None:
        self.phase = phase

    def texts(self) -> dict[str, bytes]:
        return {replica: text for replica, (_, text, _) in self.present().items()}

    def in_progress(self) -> int:
        return sum(count for _, _, count in self.present().values())

    def present(self) -> dict[str, tuple[float, bytes, int]]:
        limit = time.monotonic() - FORGOTTEN
        self.replicas = {name: entry for name, entry in self.replicas.items() if entry[0] > limit}
        return self.replicas


class Replica:
    """This process among the replicas."""

    adds_request_id = False  # Ray's proxy puts the id that requests and the log have into its answers itself

    def __init__(self, state: ServerState):
        import ray
        from ray import serve

        self.state, self.name = state, serve.get_replica_context().replica_id.unique_id
        self.board = ray.get_actor(BOARD)

    async def follow(self) -> None:
        """Write to the noticeboard and do what it says, for as long as the replica lives."""
        while True:
            try:
                text = await asyncio.to_thread(self.state.metrics.text)
                phase = await self.board.write.remote(self.name, text, self.state.in_progress)
                if phase >= STOPPING:
                    self.state.stopping.set()
                if phase >= OVER:
                    self.state.over.set()
            except Exception:  # the board is being started again, or everything ends
                log.exception("the noticeboard of the replicas does not answer")
            await asyncio.sleep(EVERY)

    async def metrics(self) -> bytes:
        """The metrics of all replicas, each with its name."""
        texts = await self.board.texts.remote()
        return merged({**texts, self.name: await asyncio.to_thread(self.state.metrics.text)})


def serve(settings: Settings) -> None:
    """Run as many replicas of the application as `settings.ray` says, until a signal comes."""
    import ray
    from ray import serve

    logs.set_up(settings.access_log)
    serve.start(http_options={"host": settings.host, "port": settings.port})
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):  # after Ray has begun, whose own handlers end at once
        signal.signal(number, lambda *_: stop.set())
    board = ray.remote(Noticeboard).options(name=BOARD, num_cpus=0).remote()
    serve.run(deployment(settings), name="keras-rnnkit", logging_config={"enable_access_log": False})
    log.info("running on http://%s:%d/ with %d replicas", settings.host, settings.port, settings.ray)
    stop.wait()
    drain(settings, board)
    serve.shutdown()
    ray.shutdown()


def drain(settings: Settings, board: Any) -> None:
    """Not ready; then wait for the requests in progress; then tell the streams that are left."""
    import ray

    ray.get(board.enter.remote(STOPPING))
    time.sleep(max(settings.drain, 2 * EVERY))
    over = time.monotonic() + settings.grace
    while time.monotonic() < over and ray.get(board.in_progress.remote()):
        time.sleep(EVERY)
    ray.get(board.enter.remote(OVER))
    time.sleep(2 * EVERY)


def deployment(settings: Settings) -> Any:
    """The application as a deployment of Ray Serve; needs `pip install 'ray[serve]'`."""
    from ray import serve
    from ray.serve.config import RequestRouterConfig

    def build():
        from keras_rnnkit.serving.http.application import application
        from keras_rnnkit.serving.observability import logs
        from keras_rnnkit.serving.ray_serve import Replica

        logs.set_up(settings.access_log)
        return application(settings, Replica)

    @serve.deployment(
        name="keras-rnnkit",
        num_replicas=settings.ray,
        request_router_config=RequestRouterConfig(request_router_class=ROUTER),
        max_ongoing_requests=settings.max_queue,
        graceful_shutdown_timeout_s=settings.grace,
        graceful_shutdown_wait_loop_s=EVERY,
    )
    @serve.ingress(build)
    class Application:
        """The routes are the application's own."""

    return Application.bind()  # type: ignore[attr-defined]
