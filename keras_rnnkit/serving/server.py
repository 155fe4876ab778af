"""Running the application: uvicorn, and an end in which nothing that was accepted is lost."""

from __future__ import annotations

import asyncio
import logging
import signal
import time

import uvicorn

from keras_rnnkit.serving.http.application import application
from keras_rnnkit.serving.observability import logs
from keras_rnnkit.serving.settings import Settings

LINGER = 0.5
"""Seconds after a signal in which requests are still taken: answers tell clients to close their connections, and load
balancers see that the server is not ready."""


class Gentle(uvicorn.Server):
    """uvicorn, but at a signal it first says that it is not ready, and stops when clients have had time to see it."""

    def __init__(self, config: uvicorn.Config, app, grace: float):
        super().__init__(config)
        self.app, self.grace = app, grace
        self.ending: asyncio.Task | None = None

    def handle_exit(self, sig, frame):
        if self.ending is not None or sig != signal.SIGTERM:
            super().handle_exit(sig, frame)
            return
        self.ending = asyncio.get_event_loop().create_task(self.end())

    async def end(self) -> None:
        """Not ready; then no new connections; then, when what is under way is done or its time is over, the end."""
        server = self.app.server
        server.stopping.set()
        logging.getLogger("keras_rnnkit.serving").info("stopping: %d requests are under way", server.under_way)
        over = time.monotonic() + self.grace
        await asyncio.sleep(min(LINGER, self.grace))
        for listener in self.servers:
            listener.close()
        quiet = time.monotonic()
        while self.server_state.connections and time.monotonic() < min(over, quiet + LINGER):
            await asyncio.sleep(0.02)
            quiet = time.monotonic() if server.under_way else quiet
        server.over.set()  # streams tell their clients
        await asyncio.sleep(0.05)
        self.should_exit = True


def with_traces(app):
    from keras_rnnkit.serving.observability.tracing import traced

    return traced(app)


def serve(settings: Settings) -> None:
    """Serve a folder of bundles until a signal comes."""
    logs.set_up(settings.access_log)
    app = application(settings)
    config = uvicorn.Config(
        with_traces(app) if settings.telemetry else app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="websockets-sansio",
        ws_max_size=settings.max_body,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=75,
        backlog=4096,
    )
    Gentle(config, app, settings.grace).run()
