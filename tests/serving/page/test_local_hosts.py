"""The page of `rnnkit web` behind web servers of other habits: it works there, or says what is wrong."""

import gzip
import io
import shutil
from pathlib import Path

import pytest

from keras_rnnkit.web.site import build
from tests.serving.page.static_pages import ORT, Files, needs_onnxruntime, serving
from tests.serving.page.test_local_faults import OFFLINE, computes, opened

pytestmark = needs_onnxruntime


@pytest.fixture
def site(folder, tmp_path):
    """A page of one model, with letters in its name that addresses have only as numbers."""
    shutil.copytree(folder / "tides", tmp_path / "größe_日本")
    build([tmp_path / "größe_日本"], tmp_path / "site", ORT)
    return tmp_path / "site"


class OtherTypes(Files):
    """Knows neither .mjs nor .wasm."""

    extensions_map = {**Files.extensions_map, ".mjs": "text/plain", ".wasm": "application/octet-stream"}


class Packed(Files):
    """Sends everything packed, and refuses parts of files."""

    def send_head(self):
        file = super().send_head()
        if file is None:
            return None
        with file:
            return io.BytesIO(gzip.compress(file.read()))

    def send_header(self, keyword, value):
        if keyword.lower() == "content-length":
            keyword, value = "Content-Encoding", "gzip"
        super().send_header(keyword, value)


@pytest.mark.parametrize("server", [OtherTypes, Packed])
def test_a_server_that_sends_files_otherwise(at, site, server):
    with serving(site, server) as address:
        page = at(address)
        opened(page, "größe_日本")
        assert computes(page, "größe_日本", channels=1)
        page.wait(OFFLINE)
        page.open()
    page.open("/#größe_日本")
    page.wait("document.querySelector('.facts')?.textContent.includes('Opened')")


class PageInstead(Files):
    """Answers with a page where there is no file, as hosts of pages with one address do."""

    def translate_path(self, path):
        place = super().translate_path(path)
        return place if Path(place).exists() else super().translate_path("/index.html")


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("models/größe_日本/step.onnx", "is not the one that was exported: it was changed, or cut off."),
        ("models/größe_日本/manifest.json", "is not that of a bundle"),
        ("models.json", "The list of models, models.json, cannot be read"),
        ("playground/views/series.js", "This page is not whole: /playground/app.js"),
        ("worker.js", "The models cannot run here"),
        ("ort/ort-wasm-simd-threaded.wasm", "is not the one that this page was built with"),
    ],
)
def test_a_page_instead_of_a_file(at, site, file, sentence):
    (site / file).unlink()
    with serving(site, PageInstead) as address:
        page = at(address)
        page.open("/#größe_日本")
        assert sentence in page.problem()


def test_a_list_of_files_that_is_a_page(at, site):
    (site / "files.json").unlink()
    with serving(site, PageInstead) as address:
        page = at(address)
        opened(page, "größe_日本")
        assert computes(page, "größe_日本", channels=1)
        page.wait("document.querySelector('#offline').innerText.includes('its files could not be kept')")
