"""Running the application: uvicorn with limits, and an end in which nothing that was accepted is lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import time

import uvicorn

from keras_rnnkit.serving.http.application import application
from keras_rnnkit.serving.http.connection import watch, with_limits
from keras_rnnkit.serving.observability import logs
from keras_rnnkit.serving.settings import Settings, SettingsError

QUIET = 0.5
"""Seconds without a request in progress after which the connections that are left are idle, and are closed."""
UNREAD = 2**17
"""Bytes of answers that the kernel keeps for a client that does not read; it would take megabytes for each."""
SWITCH = 0.001
"""Seconds for which a thread of Python keeps the others waiting: the event loop waits for one of them at most."""

log = logging.getLogger("keras_rnnkit.serving")


class DrainingServer(uvicorn.Server):
    """uvicorn, but at SIGTERM it drains.

    First it is not ready any more, and answers tell clients to close their connections; new connections are still
    accepted for `drain` seconds, so that load balancers see it. Then the socket closes, and what was accepted is
    answered, for `grace` seconds at most.
    """

    def __init__(self, config: uvicorn.Config, app, settings: Settings, listener: socket.socket):
        super().__init__(config)
        self.app, self.settings, self.listener = app, settings, listener
        self.ending: asyncio.Task | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.watching = asyncio.create_task(watch(self.server_state.connections))
        log.info("running on %s/ with the models of %s", address(self.listener), self.settings.folder)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.watching.cancel()
        await super().shutdown(sockets=sockets)

    def handle_exit(self, sig, frame):
        if self.ending is not None or sig != signal.SIGTERM:
            super().handle_exit(sig, frame)
            return
        self.ending = asyncio.get_event_loop().create_task(self.end())

    async def end(self) -> None:
        state = self.app.server
        state.stopping.set()
        log.info("stopping: %d requests are in progress", state.in_progress)
        await asyncio.sleep(self.settings.drain)
        await self.stop_listening()
        over = quiet = time.monotonic()
        over += self.settings.grace
        while self.server_state.connections and time.monotonic() < min(over, quiet + QUIET):
            await asyncio.sleep(0.02)
            quiet = time.monotonic() if state.in_progress else quiet
        state.over.set()  # streams tell their clients
        await asyncio.sleep(0.05)
        self.should_exit = True

    async def stop_listening(self) -> None:
        """Accept whoever is connected already, and close the socket.

        The kernel completes connections by itself and queues them; closing the socket resets those in the queue. So the
        queue is made short, uvicorn gives the socket up, and the rest is accepted here, up to the moment of closing.
        """
        rest = self.listener.dup()  # the same socket, which so outlives uvicorn's side of it
        rest.setblocking(False)
        rest.listen(0)
        await asyncio.sleep(0.01)
        for server in self.servers:
            server.close()
        self.listener.close()
        accepted = []
        with contextlib.suppress(BlockingIOError):
            while True:
                accepted.append(rest.accept()[0])
        rest.close()
        loop = asyncio.get_running_loop()
        for connection in accepted:
            connection.setblocking(False)
            await loop.connect_accepted_socket(self.connection, connection)

    def connection(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )


def listening(settings: Settings) -> socket.socket:
    """A socket that is bound, or the sentence that says why there is none."""
    try:
        family, _, _, _, where = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD)
        listener.bind(where)
    except OSError as error:
        raise SettingsError(
            f"The server cannot listen on {settings.host}:{settings.port}: {error.strerror or error}. Choose another "
            "--port (0 takes a free one) or --host."
        ) from error
    return listener


def address(listener: socket.socket) -> str:
    """The address of the server, for people and programs that read the log."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def raise_limit_of_files() -> None:
    """Each connection takes a file, and systems often allow 1,024 unless a process asks for more."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def configured(settings: Settings, app) -> uvicorn.Config:
    """uvicorn for the application, its connections with limits."""
    http, websocket = with_limits(settings, app.server.stopping)
    return uvicorn.Config(
        with_traces(app) if settings.telemetry else app,
        log_config=None,
        access_log=False,
        server_header=False,
        http=http,
        ws=websocket,
        ws_max_size=settings.max_body,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=settings.idle_timeout,  # type: ignore[arg-type]  # seconds, whole or not
        backlog=4096,
    )


def with_traces(app):
    from keras_rnnkit.serving.observability.tracing import traced

    return traced(app)


def serve(settings: Settings) -> None:
    """Serve a folder of bundles until a signal comes."""
    listener = listening(settings)
    logs.set_up(settings.access_log)
    raise_limit_of_files()
    sys.setswitchinterval(SWITCH)
    app = application(settings)
    DrainingServer(configured(settings, app), app, settings, listener).run([listener])
