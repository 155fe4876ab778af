"""The checks of the JavaScript runtime in Chromium, from a plain web server, and its memory over many steps."""

import shutil

import pytest

from keras_rnnkit.web import onnxruntime
from keras_rnnkit.web.site import HERE
from tests.serving.page.browser import browsing, require_browser
from tests.serving.page.static_pages import ORT, needs_onnxruntime, serving

pytestmark = needs_onnxruntime

BEGIN = """
globalThis.memories = [];
const { Memory } = WebAssembly;
WebAssembly.Memory = class extends Memory { constructor(size) { super(size); globalThis.memories.push(this); } };
globalThis.begin = async () => {
  const ort = await import("/ort/ort.wasm.min.mjs");
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  const api = await import("/rnnkit/rnnkit.js");
  const cases = await (await fetch("/cases.json")).json();
  return { cases, api, open: (name, options) => api.load(`/${name}/`, { ort, ...options }) };
};
"""


@pytest.fixture(scope="module")
def page(recorded, tmp_path_factory):
    """An empty page beside the runtime, the cases and their bundles."""
    require_browser()
    folder = tmp_path_factory.mktemp("page")
    (folder / "index.html").write_text("<!doctype html><title>Checks</title><link rel=icon href=data:,><main></main>")
    shutil.copytree(HERE / "runtime", folder / "rnnkit/runtime")
    shutil.copy(HERE / "rnnkit.js", folder / "rnnkit")
    shutil.copy(HERE.parents[1] / "tests/web/checks.mjs", folder)
    shutil.copytree(recorded.parent, folder, dirs_exist_ok=True)
    (folder / "ort").mkdir()
    for path, file in onnxruntime.in_the_folder(ORT):
        shutil.copy(path, folder / file.address)
    with serving(folder) as address, browsing(address, tmp_path_factory.mktemp("profile")) as page:
        page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": BEGIN})
        page.driver.set_script_timeout(120)
        page.open()
        yield page


def answer(page, code: str):
    """What asynchronous code returns; a failure with its error."""
    answer = page.driver.execute_async_script(
        "const done = arguments[0];"
        f"(async () => {{ {code} }})().then((value) => done({{ value }}), (error) => done({{ error: String(error) }}))"
    )
    assert "error" not in answer, answer
    return answer["value"]


def test_every_check_in_the_browser(page):
    code = "const { run } = await import('/checks.mjs'); return run(await begin());"
    assert len(answer(page, code)) >= 5


def test_a_check_that_must_fail_is_seen(page):
    """Otherwise the page could be one that checks nothing."""
    code = (
        "const { checks } = await import('/checks.mjs'); const all = await begin();"
        "all.cases.predict[1].y[0][0][0] += 1e-4;"
        "return checks['whole sequences'](all).then(() => 'passed', (error) => error.message);"
    )
    assert "is not" in answer(page, code)


def test_memory_stays_flat_over_ten_thousand_steps(page):
    begin = (
        "const { cases, open } = await begin(); globalThis.stream = await (await open('reader')).stream();"
        "globalThis.chunk = [[cases.predict[0].x[0][0]]];"
    )
    answer(page, begin)
    sizes = []
    for _ in range(3):
        answer(page, "for (let step = 0; step < 5000; step++) await stream.push(chunk);")
        page.driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
        page.driver.execute_cdp_cmd("Performance.enable", {})
        metrics = page.driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
        heap = next(each["value"] for each in metrics if each["name"] == "JSHeapUsedSize")
        wasm = page.value("memories.map((memory) => memory.buffer.byteLength)")
        assert wasm, "The memory of WebAssembly was not seen."
        sizes.append((heap, wasm))
    (first, memory), (_, _), (last, later) = sizes  # 10,000 steps between the first and the last
    assert later == memory and last - first < 10_000 * 20, sizes
