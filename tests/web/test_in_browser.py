"""The checks of the JavaScript runtime in Chromium, from a plain web server, and its memory over many steps."""

import pytest

from tests.serving.page.browser import require_browser
from tests.serving.page.static_pages import needs_onnxruntime
from tests.web.checks_page import answer, checks_page

pytestmark = needs_onnxruntime


@pytest.fixture(scope="module")
def page(recorded, tmp_path_factory):
    require_browser()
    with checks_page(recorded, "checks.mjs", tmp_path_factory) as page:
        yield page


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
