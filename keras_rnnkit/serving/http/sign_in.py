"""The sign-in of browsers: the token once, then a cookie, so that the browser may open every address."""

from __future__ import annotations

import hmac
from html import escape
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from keras_rnnkit.serving.errors import ServingError, malformed
from keras_rnnkit.serving.http import pages, wire_format
from keras_rnnkit.serving.http.access import COOKIE
from keras_rnnkit.serving.http.bodies import body_of
from keras_rnnkit.serving.http.state import ServerState

DAY = 24 * 60 * 60
FORM = "application/x-www-form-urlencoded"


async def sign_in(server: ServerState, request: Request) -> Response:
    """{"token": ...}, or a form with token and next, which goes on to that address."""
    body = await body_of(server, request, most=4096)
    form = request.headers.get("content-type", "").startswith(FORM)
    if form:
        fields = {name: values[0] for name, values in parse_qs(bytes(body).decode("latin-1")).items()}
    else:
        fields = wire_format.parsed(body, None)[0]
    token, address = fields.get("token"), fields.get("next", "/")
    if not isinstance(token, str) or not isinstance(address, str):
        raise malformed('A sign-in must have "token", a text.')
    access = server.access
    if access.token is not None and not hmac.compare_digest(token.encode(), access.token.encode()):
        if form:
            return sign_in_page(address, "This is not the token of the server.")
        raise ServingError(401, "token", "This is not the token of the server.")
    response = RedirectResponse(local(address), 303) if form else Response(status_code=204)
    if access.token is not None:
        response.set_cookie(COOKIE, access.session(), max_age=DAY, httponly=True, samesite="strict")
    return response


async def sign_out(server: ServerState, request: Request) -> Response:
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


def local(address: str) -> str:
    """An address on this server, whatever a form says.

    >>> local("/metrics"), local("//evil.example"), local("https://evil.example")
    ('/metrics', '/', '/')
    """
    plain = address.startswith("/") and address[1:2] not in ("/", "\\") and address.isprintable()
    return address if plain else "/"


def sign_in_page(address: str, sentence: str) -> Response:
    """The form for the token, with status 401; for a browser that opened an address without one."""
    text = pages.read("sign_in.html").decode()
    text = text.replace("{{next}}", escape(local(address))).replace("{{sentence}}", escape(sentence))
    return Response(text, 401, headers=pages.HEADERS, media_type=pages.KINDS[".html"])


def wants_page(request: Request) -> bool:
    """Whether a browser opened the address in its window."""
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")
