"""The page at `/`: static files with a strict content policy."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import Response

from keras_rnnkit.serving.errors import unknown

FOLDER = Path(__file__).parent.parent / "playground"
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
}
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def read(name: str) -> bytes:
    """The content of a file of the page; its name is compared with those there are."""
    files = {path.relative_to(FOLDER).as_posix(): path for path in FOLDER.rglob("*") if path.suffix in KINDS}
    if name not in files:
        raise unknown(f"There is no file {name[:80]!r}.")
    return files[name].read_bytes()


def sent(name: str) -> Response:
    content = read(name)
    if name == "sign_in.html":  # only with its places filled in
        raise unknown(f"There is no file {name!r}.")
    return Response(content, media_type=KINDS[Path(name).suffix], headers=HEADERS)


async def page(server, request) -> Response:
    return sent("index.html")


async def docs(server, request) -> Response:
    return sent("docs.html")


async def static(server, request) -> Response:
    return sent(request.path_params["file"])
