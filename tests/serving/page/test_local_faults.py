"""Faults of a page without a server of ours: each is a sentence on the page, and the next visit works."""

import json
import shutil
import threading

import pytest

import keras_rnnkit.web.onnxruntime as network
from keras_rnnkit.web.site import build
from tests.serving.page.static_pages import ORT, Files, asked, needs_onnxruntime, serving

pytestmark = needs_onnxruntime

OFFLINE = "document.querySelector('#offline').innerText.includes('can be used without a network')"
KEPT = (
    "const done = arguments[0];"
    "caches.keys().then(async (names) => done(Object.fromEntries(await Promise.all(names.map(async (name) => "
    "  [name, (await (await caches.open(name)).keys()).length])))))"
)


@pytest.fixture
def site(folder, tmp_path):
    """A page of two models."""
    build([folder / "tides", folder / "waves"], tmp_path / "site", ORT)
    return tmp_path / "site"


def computes(page, model="tides", channels=None) -> bool:
    channels = channels or {"tides": 1, "waves": 2}[model]
    forecast = asked(page, model, f"model.forecast({[[1] * channels, [2] * channels]}, 3)")
    return len(forecast["values"]) == 3


def opened(page, model: str) -> None:
    page.choose(model)
    page.wait(
        "document.querySelector('.facts').textContent.includes('Opened') || document.querySelector('.head .problem')"
    )


def test_it_works_without_its_server_once_it_was_loaded(at, site):
    with serving(site) as address:
        page = at(address)
        page.open()
        page.wait(OFFLINE)
    page.choose("tides")
    page.press("Forecast")
    page.wait("document.querySelectorAll('path.interval').length > 0")
    page.open()
    page.wait("document.querySelectorAll('.gallery a').length === 2")


def changed(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def of_later_version(path):
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))


@pytest.mark.parametrize(
    ("file", "fault", "sentence"),
    [
        ("models/tides/step.onnx", changed, "is not the one that was exported: it was changed, or cut off."),
        ("models/tides/step.onnx", lambda path: path.unlink(), "has no file 'step.onnx': the server answered 404."),
        (
            "models/tides/manifest.json",
            lambda path: path.unlink(),
            "has no file 'manifest.json': the server answered 404.",
        ),
        ("models/tides/manifest.json", of_later_version, "has format 2; this keras_rnnkit reads format 1."),
    ],
)
def test_a_model_that_cannot_be_used(at, site, file, fault, sentence):
    fault(site / file)
    with serving(site) as address:
        page = at(address)
        opened(page, "tides")
        assert sentence in page.problem()
        page.find(".card[href='#waves']").click()
        page.wait("document.querySelector('.facts').textContent.includes('Opened')")
        page.wait("document.querySelector('#offline').innerText.includes('its files could not be kept')")
        assert computes(page, "waves") and page.driver.execute_async_script(KEPT) == {}


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("playground/views/series.js", "This page is not whole: /playground/app.js"),
        ("models.json", "The page has no list of models: the server answered 404"),
        ("worker.js", "The models cannot run here"),
        ("rnnkit/runtime/beam.js", "The models cannot run here"),
        ("ort/ort.wasm.min.mjs", "ort.wasm.min.mjs of onnxruntime-web is missing"),
    ],
)
def test_a_page_that_is_not_whole(at, site, file, sentence):
    (site / file).unlink()
    with serving(site) as address:
        page = at(address)
        page.open("/#tides")
        assert sentence in page.problem()


def test_a_browser_without_webassembly(at, site):
    with serving(site) as address:
        page = at(address)
        stub = {"source": "delete globalThis.WebAssembly"}
        added = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", stub)
        page.open()
        assert "This browser has no WebAssembly" in page.problem()
        page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
        opened(page, "tides")
        assert computes(page)


def test_a_tab_that_is_closed_in_the_middle(at, site):
    """The large file comes after the tab was closed: nothing of the page is kept by then; the next visit is whole."""
    asked_for, may_go_on = threading.Event(), threading.Event()

    class Slow(Files):
        def do_GET(self):
            if self.path.endswith(".wasm") and not may_go_on.is_set():
                asked_for.set()
                may_go_on.wait(20)
            super().do_GET()

    with serving(site, Slow) as address:
        page = at(address)
        first = page.driver.current_window_handle
        page.driver.switch_to.new_window("tab")
        page.driver.get(f"http://{address}/")
        assert asked_for.wait(10)
        page.driver.close()
        page.driver.switch_to.window(first)
        may_go_on.set()
        page.open()
        page.wait(OFFLINE)
        listing = json.loads((site / "files.json").read_text())
        assert page.driver.execute_async_script(KEPT) == {listing["version"]: len(listing["files"])}
        assert computes(page)


def test_a_new_build_takes_over_as_a_whole(at, site, folder):
    with serving(site) as address:
        page = at(address)
        page.open()
        page.wait(OFFLINE)
        build([folder / "waves", folder / "faults"], site, ORT)
        page.open()
        page.wait("!document.querySelector('#update').hidden")
        assert computes(page, "tides")  # the page that was opened before stays what it was
        page.press("Use the new version")
        page.wait("document.querySelector('.gallery a[href=\"#faults\"]') !== null")
        (version,) = page.driver.execute_async_script(KEPT)
        assert version == json.loads((site / "files.json").read_text())["version"]
        opened(page, "waves")
        assert computes(page, "waves")


@pytest.fixture
def public(monkeypatch, folder, tmp_path):
    """A function that builds a page whose onnxruntime-web lies on another host."""
    files = network.in_the_folder(ORT)
    monkeypatch.setattr(network, "RELEASE", tuple((file.name, file.integrity, file.size) for _, file in files))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for path, file in files:
        shutil.copy(path, elsewhere / file.name)

    def built(address: str):
        monkeypatch.setattr(network, "NETWORK", f"http://{address}/")
        build([folder / "tides", folder / "waves"], tmp_path / "site")
        return tmp_path / "site"

    return elsewhere, built


def test_onnxruntime_from_a_public_network(at, public):
    elsewhere, built = public
    with serving(elsewhere) as far, serving(built(far)) as address:
        page = at(address)
        opened(page, "tides")
        assert computes(page)
        page.wait(OFFLINE)
        names = page.value("performance.getEntriesByType('resource').map((entry) => entry.name)")
        others = {name for name in names if not name.startswith(page.base)}
        assert others == {f"http://{far}/{name}" for name in network.FILES}
        assert page.complaints() == []
        fetched = "fetch(arguments[0]).then(() => arguments[1]('fetched'), () => arguments[1]('refused'))"
        for path in ("other.mjs", ""):
            assert page.driver.execute_async_script(fetched, f"http://{far}/{path}") == "refused"
        assert all("Content Security Policy" in complaint for complaint in page.complaints())


def test_a_public_network_with_other_files(at, public):
    elsewhere, built = public
    with (elsewhere / "ort-wasm-simd-threaded.mjs").open("a") as loader:
        loader.write("// changed")
    with serving(elsewhere) as far, serving(built(far)) as address:
        page = at(address)
        opened(page, "tides")
        assert "its hash differs" in page.problem() and "ort-wasm-simd-threaded.mjs" in page.problem()


def test_a_public_network_that_is_down(at, public):
    elsewhere, built = public
    with serving(elsewhere) as far:
        site = built(far)
    with serving(site) as address:
        page = at(address)
        opened(page, "tides")
        assert "cannot be fetched from" in page.problem()
        page.wait("document.querySelector('#offline').innerText.includes('its files could not be kept')")
