"""The page in a real browser, headless Chromium, driven by its DevTools protocol."""

import contextlib
import json
import shutil
import subprocess
import time
import urllib.request

import pytest
from websockets.sync.client import connect

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here")


class Page:
    """A tab: it goes somewhere, and evaluates JavaScript. `complaints`: what the browser logs as errors."""

    def __init__(self, socket):
        self.socket, self.count, self.complaints = socket, 0, []
        for domain in ("Log", "Runtime", "Page"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        self.count += 1
        self.socket.send(json.dumps({"id": self.count, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv(timeout=20))
            if message.get("id") == self.count:
                return message["result"]
            if message["method"] in ("Log.entryAdded", "Runtime.exceptionThrown"):
                self.complaints.append(message["params"])

    def value(self, code):
        return self.call("Runtime.evaluate", expression=code, returnByValue=True)["result"].get("value")

    def wait(self, code):
        end = time.monotonic() + 15
        while not self.value(code):
            assert time.monotonic() < end, (code, self.value("document.body.innerText"))
            time.sleep(0.05)


@pytest.fixture(scope="module")
def page(address, tmp_path_factory):
    with browsing(address, tmp_path_factory.mktemp("browser")) as page:
        yield page


@contextlib.contextmanager
def browsing(address, folder):
    """The page of the server at that address, in a browser of its own."""
    flags = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--remote-debugging-port=0",
        f"--user-data-dir={folder}",
    ]
    process = subprocess.Popen([BROWSER, *flags, "about:blank"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        file = folder / "DevToolsActivePort"
        end = time.monotonic() + 30
        while not (file.exists() and file.read_text().strip()):
            assert time.monotonic() < end
            time.sleep(0.05)
        port = file.read_text().split()[0]
        tabs = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json"))
        address_of_tab = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
        with connect(address_of_tab, max_size=None) as socket:
            page = Page(socket)
            page.call("Page.navigate", url=f"http://{address}/")
            page.wait("typeof choose === 'function' && Boolean(model && model.inputs)")
            yield page
    finally:
        process.terminate()
        process.wait(20)


def choose(page, name):
    page.value(f"at('model').value = {name!r}; choose()")


def test_it_lists_the_models(page):
    assert page.value("[...at('model').options].map((o) => o.value).join()") == "series,whole,writer"


def test_it_writes_what_the_bundle_generates_and_colours_it(page, loaded):
    bundle = loaded("writer")
    choose(page, "writer")
    page.value("at('prompt').value = 'to be'; at('count').value = 30; at('seed').value = 4; at('write').click()")
    page.wait("at('pace').textContent.startsWith('30 tokens')")
    expected = bundle.text(bundle.generate("to be", 30, seed=4, temperature=0.8))
    assert page.value("at('text').textContent") == f"to be{expected}"
    page.value("at('colour').click()")
    page.wait(f"at('coloured').children.length === {len('to be' + expected)}")
    assert page.value("at('coloured').textContent") == f"to be{expected}"


def test_beams(page):
    choose(page, "writer")
    page.value("at('prompt').value = 'to be'; at('beam').value = 3; at('count').value = 8; at('write').click()")
    page.wait("at('pace').textContent.startsWith('the best of 3')")
    page.value("at('beam').value = 1")


def test_what_goes_wrong_is_a_sentence(page):
    choose(page, "writer")
    page.value("at('prompt').value = 'TO'; at('write').click()")
    page.wait("!at('status').hidden")
    assert "the vocabulary of 14 does not know: 'O', 'T'" in page.value("at('status').textContent")


def test_tensors(page):
    choose(page, "whole")
    page.value("at('send').click()")
    page.wait("at('answer').textContent.includes('model_name')")


def test_the_interface_is_described(page, address):
    page.complaints.clear()
    page.call("Page.navigate", url=f"http://{address}/docs")
    page.wait("document.querySelectorAll('section').length > 12")
    assert not page.complaints  # of the content policy, among others
