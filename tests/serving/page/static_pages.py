"""Folders of files behind a plain web server, such as `python -m http.server`, and calls of models in the page."""

from __future__ import annotations

import contextlib
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.test_javascript import onnxruntime_web

ORT = onnxruntime_web()
needs_onnxruntime = pytest.mark.skipif(
    ORT is None, reason="run `npm install --no-save onnxruntime-web`, or set RNNKIT_ORT to its folder, to test the page"
)


class Files(http.server.SimpleHTTPRequestHandler):
    """Quiet, and open to pages of other hosts, as a public network of files is."""

    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}

    def end_headers(self):
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()

    def copyfile(self, source, outputfile):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a tab that was closed
            super().copyfile(source, outputfile)

    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def serving(folder: Path, handler=Files) -> Iterator[str]:
    """The address of a server of the files; it ends with the context."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder))) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"localhost:{server.server_port}"
        finally:
            server.shutdown()


def asked(page, model, call):
    """What a call of a local model answers; `model` is its name in the code."""
    answer = page.driver.execute_async_script(
        "const [name, done] = arguments;"
        "import('./playground/models/local_model.js').then(async ({ allModels }) => {"
        "  const model = (await allModels()).find((each) => each.description.name === name);"
        f"  return done({{ value: await {call} }});"
        "}).catch((error) => done({ error: error.message }));",
        model,
    )
    assert "error" not in answer, answer
    return answer["value"]
