"""Connections with limits: what uvicorn's parser leaves open.

A head (request line and headers) has so many bytes and seconds, a body so many seconds, and an answer must be read.
Nothing here costs a request a timer of its own: each connection notes since when it waits, and `Watch` looks at all of
them now and then.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from keras_rnnkit.serving.settings import Settings

log = logging.getLogger("keras_rnnkit.serving")

HEAD, BODY, LINGERING = "head", "body and answer", "lingering"
LINGER = 2.0
"""Seconds in which what a client still sends is read and thrown away after it was refused. Closing at once would
reset the connection, and the client would never see why."""
HURRY = 1.0
"""Seconds that a server which stops gives to half a request."""
MAX_HEADERS = 100
READ = 2**18
"""Bytes that uvloop reads at once; a head is only measured between two reads while it is incomplete."""
FRAMES = 8
"""Bytes on the wire for each byte of a body, at most: one byte in a chunk of its own takes 6."""


class HeadTooLarge(Exception):
    """Raised inside the parser, which stops at it."""


class SendTimeout(asyncio.BaseProtocol):
    """Notes since when the client does not read what it is sent. `settings`: as in `Connection`."""

    settings: Settings
    loop: asyncio.AbstractEventLoop
    unread_since: float | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self.unread_since = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.unread_since = None

    def unread_too_long(self, now: float) -> bool:
        return self.unread_since is not None and now - self.unread_since > self.settings.send_timeout


class Connection(SendTimeout, HttpToolsProtocol):
    """One HTTP connection. `settings`, `stopping`: set on the subclass that `with_limits` makes."""

    stopping: asyncio.Event

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.state, self.since = HEAD, self.loop.time()
        self.head_bytes = self.overhead = self.size = 0
        self.began = False
        if len(self.connections) > self.settings.max_connections:
            self.refuse(503, "The server has as many connections as it takes. Try again in a second.")

    def data_received(self, data: bytes) -> None:
        if self.state == LINGERING:
            return
        self.size = len(data)
        if self.state == BODY:
            self.overhead += self.size
        self.began = False
        super().data_received(data)
        if self.state == HEAD:
            self.head_bytes = 1 if self.began else self.head_bytes + self.size
            if self.head_bytes > self.settings.max_header:
                self.refuse_head()
        elif self.state == BODY and self.overhead > self.settings.max_header + READ:
            self.refuse_head()  # endless trailers, or chunks that are all frame and no content

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls when the parser has stopped."""
        if self.head_size() > self.settings.max_header or len(self.headers or ()) > MAX_HEADERS:
            self.refuse_head()
        else:
            self.refuse(400, "The request is not HTTP.")

    def head_size(self) -> int:
        return len(getattr(self, "url", b"")) + sum(len(name) + len(value) + 4 for name, value in self.headers or ())

    def refuse_head(self) -> None:
        self.refuse(
            431,
            f"A request has {self.settings.max_header:,} bytes of request line and headers at most, and {MAX_HEADERS} "
            "headers.",
        )

    # What the parser tells. It does so for every request, so this is kept short.

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.state, self.since, self.began = HEAD, self.loop.time(), True

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        elif self.state == BODY and (len(self.headers) > MAX_HEADERS or len(name) + len(value) > 1024):
            raise HeadTooLarge  # trailers behind a body in chunks
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        most = self.settings.max_header
        if len(self.headers) > MAX_HEADERS or (self.head_bytes + self.size > most and self.head_size() > most):
            raise HeadTooLarge
        self.state, self.since = BODY, self.loop.time()
        self.head_bytes = self.overhead = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self.overhead -= FRAMES * len(body)
        super().on_body(body)

    # What happens to slow clients.

    def overdue(self, now: float) -> None:
        """End what has taken too long."""
        if self.unread_too_long(now):
            self.transport.abort()
        elif self.state == LINGERING:
            if now - self.since > self.limited(LINGER):
                self.transport.abort()
        elif self.state == HEAD:
            self.check_head(now)
        elif self.cycle is not None and self.cycle.more_body:
            self.check_body(now)

    def check_head(self, now: float) -> None:
        being_answered = self.cycle is not None and not self.cycle.response_complete  # the request before
        if not being_answered and now - self.since > self.limited(self.settings.header_timeout):
            self.time_out("request line and headers", self.settings.header_timeout)

    def check_body(self, now: float) -> None:
        if self.cycle.response_complete:  # it was refused before all of it had come
            self.state, self.since = LINGERING, now
        elif now - self.since > self.limited(self.settings.body_timeout):
            self.time_out("body", self.settings.body_timeout)

    def limited(self, seconds: float) -> float:
        """A server that stops waits no longer for half a request."""
        return min(seconds, HURRY) if self.stopping.is_set() else seconds

    def time_out(self, part: str, seconds: float) -> None:
        if self.state == HEAD and not self.head_bytes:
            self.transport.close()  # it never asked for anything
        else:
            self.refuse(408, f"The {part} of a request must come within {seconds:g} s.")

    def refuse(self, status: int, sentence: str) -> None:
        """Answer outside of the application, and end the connection."""
        started = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if self.transport.is_closing() or started:
            self.transport.abort()
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # the handler that waits for the rest hears that the client has left
            self.cycle.message_event.set()
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        body = orjson.dumps({"error": sentence})
        head = f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode()
        self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.write_eof()
        self.state, self.since = LINGERING, self.loop.time()

    def shutdown(self) -> None:
        """What uvicorn calls at the end of all connections."""
        if self.state == LINGERING:
            self.transport.abort()
        else:
            super().shutdown()


class WebSocketConnection(SendTimeout, WebSocketsSansIOProtocol):
    """One WebSocket; a client that does not read is let go."""

    def overdue(self, now: float) -> None:
        if self.unread_too_long(now):
            self.transport.abort()


def with_limits(settings: Settings, stopping: asyncio.Event) -> tuple[type[Connection], type[WebSocketConnection]]:
    """The classes of connections that uvicorn makes for a server with these settings."""
    limits = {"settings": settings, "stopping": stopping}
    return type("LimitedConnection", (Connection,), limits), type("LimitedSocket", (WebSocketConnection,), limits)


async def watch(connections: set[Any], every: float = 0.25) -> None:
    """Look at all connections again and again."""
    while True:
        await asyncio.sleep(every)
        now = asyncio.get_running_loop().time()
        for connection in list(connections):
            try:
                connection.overdue(now)
            except Exception:
                log.exception("a connection could not be ended")
