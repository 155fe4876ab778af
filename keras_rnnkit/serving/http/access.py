"""Who may use the server: by the host that is asked for, the page that asks, and the token or a browser's sign-in.

A page of another site can send requests to a server on this machine in two ways. It names itself in `Origin`; or its
own name is made to point at 127.0.0.1 (DNS rebinding), and then `Host` has that name. Both are compared with what the
server is called.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Any

from keras_rnnkit.serving.errors import ServingError
from keras_rnnkit.serving.settings import Settings, loopback

OPEN = ("/", "/sign-in", "/v2/health/live", "/v2/health/ready")
"""What needs no token: health, and the page, which asks for it."""
COOKIE = "rnnkit-session"


class Access:
    """What a server with these settings lets in."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.token = settings.token
        self.bearer = f"Bearer {settings.token}".encode()
        self.hosts: set[bytes] = set()  # values of Host that were accepted before

    def check(self, scope: Any) -> None:
        """An error if this client may not ask."""
        host = origin = authorization = None
        cookies: list[bytes] = []
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
            elif name == b"origin":
                origin = value
            elif name == b"authorization":
                authorization = value
            elif name == b"cookie":
                cookies.append(value)
        if host is not None and host not in self.hosts:
            self.check_host(host)
        if origin is not None and origin.split(b"://", 1)[-1] != host:
            raise ServingError(403, "origin", f"Pages of {shown(origin)} may not use this server.")
        if self.token is None or scope["path"] in OPEN or scope["path"].startswith("/static/"):
            return
        if not (hmac.compare_digest(authorization or b"", self.bearer) or self.signed_in(cookies)):
            raise ServingError(401, "token", "This server needs its token: Authorization: Bearer TOKEN.")

    def check_host(self, value: bytes) -> None:
        """An error for a name that the server does not have. With a token any name does: other sites do not know it."""
        names = [self.settings.host.lower(), *self.settings.hosts]
        name = host_name(value.decode("latin-1").lower())
        free = not self.settings.hosts and not loopback(self.settings.host)
        if not (free or name in names or (loopback(self.settings.host) and loopback(name))):
            raise ServingError(
                403,
                "host",
                f"This server is not called {shown(value)}. Start it with --allowed-hosts to give it more names.",
            )
        if len(self.hosts) < 64:
            self.hosts.add(value)

    def session(self) -> str:
        """What the cookie of a browser that signed in holds: a proof of the token that does not tell it."""
        return hmac.new((self.token or "").encode(), b"browser session", hashlib.sha256).hexdigest()

    def signed_in(self, cookies: Iterable[bytes]) -> bool:
        pairs = (pair.strip().partition(b"=") for line in cookies for pair in line.split(b";"))
        return any(
            name == COOKIE.encode() and hmac.compare_digest(value, self.session().encode()) for name, _, value in pairs
        )


def host_name(host: str) -> str:
    """The name without the port.

    >>> [host_name(host) for host in ("localhost:8000", "[::1]:8000", "a.example")]
    ['localhost', '::1', 'a.example']
    """
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def shown(value: bytes) -> str:
    return repr(value[:200].decode("latin-1"))
