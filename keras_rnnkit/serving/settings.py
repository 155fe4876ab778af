"""What the server can be told."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from keras_rnnkit.settings import SettingsError

COUNTS = (
    *("threads", "workers", "max_batch", "max_rows", "max_steps", "max_tokens", "max_body", "max_header", "max_queue"),
    *("max_sessions", "max_generations", "max_connections"),
)
TIMES = ("session_ttl", "deadline", "header_timeout", "body_timeout", "idle_timeout", "send_timeout")


@dataclass(frozen=True)
class Settings:
    """Limits are there so that no client can take what others need; each field is an option of `rnnkit serve`."""

    folder: Annotated[Path, "A folder of bundles, or one bundle."]
    host: Annotated[str, "Where to listen; anything but this machine itself needs a token."] = "127.0.0.1"
    port: Annotated[int, "The port; 0 takes a free one."] = 8000
    allowed_hosts: Annotated[
        str | None, "Names by which clients may reach the server, with commas, such as models.example.org."
    ] = None
    token: Annotated[str | None, "Clients must send it as: Authorization: Bearer TOKEN.", "RNNKIT_TOKEN"] = None
    quantized: Annotated[Literal["int8", "float16"] | None, "Serve the graphs with such weights, where there are."] = (
        None
    )
    threads: Annotated[int, "Cores for one run of a graph; one is best for small models."] = 1
    providers: Annotated[str | None, "Execution providers of onnxruntime, best first, with commas."] = None
    workers: Annotated[int, "Runs of graphs at the same time, of those that take long."] = 2
    batching: Annotated[bool, "Run requests that wait together as one batch."] = True

    max_batch: Annotated[int, "Rows of one run."] = 64
    max_rows: Annotated[int, "Rows of one request."] = 256
    max_steps: Annotated[int, "Time steps of one request."] = 10_000
    max_tokens: Annotated[int, "Tokens of one generation."] = 2_000
    max_body: Annotated[int, "Bytes of one request."] = 16 * 2**20
    max_header: Annotated[int, "Bytes of the request line and headers of one request."] = 64 * 2**10
    max_queue: Annotated[int, "Requests that wait for a model; one more is refused with 429."] = 1_024
    max_sessions: Annotated[int, "Sessions of a model; for one more, the one unused for longest is dropped."] = 10_000
    max_generations: Annotated[int, "Generations, forecasts and activations at the same time."] = 16
    max_connections: Annotated[int, "Open connections; one more is answered with 503."] = 4_096
    session_ttl: Annotated[float, "Seconds after which an unused session is dropped."] = 600.0
    deadline: Annotated[float, "Seconds that a request may take."] = 30.0
    header_timeout: Annotated[float, "Seconds in which the headers of a request must come."] = 10.0
    body_timeout: Annotated[float, "Seconds in which the body of a request must come."] = 60.0
    idle_timeout: Annotated[float, "Seconds after which a connection without requests is closed."] = 75.0
    send_timeout: Annotated[float, "Seconds after which a client that does not read its answer is let go."] = 30.0
    drain: Annotated[float, "Seconds after SIGTERM in which new connections are still accepted."] = 1.0
    grace: Annotated[float, "Seconds that a stopping server then waits for requests in progress."] = 20.0
    reload: Annotated[float, "Seconds between looks at the folder for new bundles; 0 for none."] = 2.0
    ray: Annotated[int, "Run as many replicas under Ray Serve; 0 runs here, without Ray."] = 0
    telemetry: Annotated[bool, "Send traces by OpenTelemetry, as OTEL_EXPORTER_OTLP_ENDPOINT and others say."] = False
    access_log: Annotated[bool, "A line of JSON for every request, on standard error."] = True

    def __post_init__(self):
        for name in COUNTS:
            if getattr(self, name) < 1:
                raise SettingsError(f"{option(name)} must be 1 or more. Received: {getattr(self, name)}.")
        for name in TIMES:
            if not 0 < getattr(self, name) < float("inf"):
                raise SettingsError(
                    f"{option(name)} must be a number of seconds above 0. Received: {getattr(self, name)}."
                )
        for name in ("drain", "grace", "reload", "ray"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise SettingsError(f"{option(name)} must be 0 or more. Received: {getattr(self, name)}.")
        if not 0 <= self.port < 2**16:
            raise SettingsError(f"--port must be 0 to 65535. Received: {self.port}.")
        if self.token is not None and not (self.token.isascii() and self.token.isprintable()):
            raise SettingsError("The token must consist of printable ASCII characters, as it is sent in a header.")
        if not self.token and not loopback(self.host):
            raise SettingsError(
                f"--host {self.host} can be reached from other machines, so the server needs a token, which "
                "clients send as Authorization: Bearer TOKEN: set RNNKIT_TOKEN, or --token. Or listen on 127.0.0.1."
            )

    @property
    def hosts(self) -> list[str]:
        """The names that `allowed_hosts` has."""
        return [host.strip().lower() for host in (self.allowed_hosts or "").split(",") if host.strip()]


@dataclass(frozen=True)
class TritonSettings:
    """Of `rnnkit triton`."""

    bundle: Annotated[Path, "The bundle."]
    repository: Annotated[Path, "The folder of Triton's models; created if it does not exist."]
    name: Annotated[str | None, "Name of the model; that of the bundle if left out."] = None
    max_batch: Annotated[int, "Streams that Triton runs as one batch."] = 64
    idle: Annotated[float, "Seconds after which Triton forgets an unused stream."] = 600.0

    def __post_init__(self):
        if self.max_batch < 1 or not 0 < self.idle < float("inf"):
            raise SettingsError(
                f"--max-batch must be 1 or more, and --idle a number of seconds above 0. Received: "
                f"max_batch={self.max_batch}, idle={self.idle}."
            )


def option(name: str) -> str:
    """
    >>> option("max_rows")
    '--max-rows'
    """
    return f"--{name.replace('_', '-')}"


def loopback(host: str) -> bool:
    """Whether only this machine reaches it.

    >>> [loopback(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0")]
    [True, True, True, False]
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
