"""Series: pasted and loaded numbers, the chart, and the values under the pointer."""

import httpx
import numpy as np
import pytest

SERIES = [[round(float(np.sin(t / 3)), 3), round(float(np.cos(t / 4)), 3)] for t in range(30)]
CSV = "day,price,volume,note\n" + "\n".join(f"d{t},{a},{b},x" for t, (a, b) in enumerate(SERIES))
READOUT = "document.querySelector('.readout').textContent"
CHARTS = "document.querySelectorAll('svg[role=slider]').length"


@pytest.fixture
def forecast(page, page_server):
    """(the page with a forecast of two columns, what the server forecasts)."""
    page.choose("waves")
    page.fill("Comma-separated values", CSV)
    page.fill("Steps to forecast", "12")
    page.press("Forecast")
    page.wait(f"{CHARTS} === 2")
    answer = httpx.post(f"http://{page_server[0]}/v2/models/waves/forecast", json={"series": SERIES, "steps": 12})
    return page, answer.json()["forecast"]


def test_columns_of_numbers_are_taken_and_named(forecast):
    page, _ = forecast
    names = page.value("[...document.querySelectorAll('figcaption')].map((caption) => caption.textContent)")
    assert names == ["price", "volume"]


def test_keys_read_the_values_of_history_and_forecast(forecast):
    from selenium.webdriver.common.keys import Keys

    page, expected = forecast
    chart = page.find("svg[role=slider]")
    chart.send_keys(Keys.HOME, Keys.ARROW_RIGHT)
    assert page.value(READOUT) == "Step 1, history: price 0.3270, volume 0.9690"
    chart.send_keys(Keys.END)
    texts = page.value("[...document.querySelectorAll('.readout b')].map((value) => value.textContent)")
    assert [float(text) for text in texts] == pytest.approx(expected[-1], rel=2e-3)
    assert page.value("document.querySelector('svg[role=slider]').getAttribute('aria-valuenow')") == "41"


def test_the_pointer_reads_values_and_marks_every_chart(forecast):
    page, _ = forecast
    page.driver.execute_script(
        "const chart = document.querySelector('svg[role=slider]');"
        "const box = chart.getBoundingClientRect();"
        "chart.dispatchEvent(new PointerEvent('pointermove', {clientX: box.right - 1, clientY: box.top + 40}))"
    )
    assert page.value(READOUT).startswith("Step 41, forecast: price ")
    assert page.value("document.querySelectorAll('.chart .dot').length") == 2


def test_axes_have_round_numbers(forecast):
    page, _ = forecast
    labels = page.value("[...document.querySelectorAll('figure:first-of-type text')].map((text) => text.textContent)")
    numbers = [float(label) for label in labels if label != "step"]
    assert "step" in labels and len(numbers) >= 6
    assert all(len(label) <= 6 for label in labels)


def test_a_file_is_loaded_and_forecast_at_once(page, tmp_path):
    (tmp_path / "two.csv").write_text("a;b\n" + "\n".join(f"{t};{t * t}" for t in range(9)))
    page.choose("waves")
    page.labelled("File").send_keys(str(tmp_path / "two.csv"))
    page.wait(f"{CHARTS} === 2")
    assert page.value("document.querySelector('figcaption').textContent") == "a"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "The series is empty."),
        ("1,2\n3", "Row 2 has 1, and the first has 2."),
        ("a\nb\nc", "No column holds numbers only."),
        ("1\n2\n3", "The model reads 2 numbers at each step. Received: 1 column(s)"),
    ],
)
def test_series_that_cannot_be_read(page, text, sentence):
    page.choose("waves")
    page.fill("Comma-separated values", text)
    page.press("Forecast")
    assert sentence in page.problem()


def test_a_model_with_bounds_shows_its_interval(page, page_server):
    page.choose("tides")
    assert "with 90% intervals" in page.text(".card[aria-current]")
    page.fill("Comma-separated values", "level\n" + "\n".join(str(a) for a, _ in SERIES))
    page.fill("Steps to forecast", "12")
    page.press("Forecast")
    page.wait("document.querySelectorAll('path.interval').length === 1")
    asked = {"series": [a for a, _ in SERIES], "steps": 12}
    interval = httpx.post(f"http://{page_server[0]}/v2/models/tides/forecast", json=asked).json()["interval"]
    page.driver.execute_script(
        "document.querySelector('svg[role=slider]').dispatchEvent(new KeyboardEvent('keydown', {key: 'End'}))"
    )
    words = page.value(READOUT).rstrip(")").split()
    assert words[-5:-3] == ["(90%", "between"]
    assert [float(words[-3]), float(words[-1])] == pytest.approx(
        [interval["lower"][-1], interval["upper"][-1]], rel=1e-2
    )


def test_an_interval_is_drawn_and_read_where_the_model_has_one(page):
    """The view talks to the interface of a model: another runtime with intervals shows them."""
    page.choose("waves")
    page.driver.execute_async_script(
        "import('/static/views/series.js').then(({SeriesView}) => {"
        "  const forecast = async (series, steps) => ({"
        "    values: Array(steps).fill([2]),"
        "    interval: {level: 0.9, lower: Array(steps).fill([1]), upper: Array(steps).fill([3.5])}});"
        "  const view = new SeriesView({description: {inputs: [{shape: [-1, -1, 1]}]}, forecast});"
        "  document.querySelector('#view').replaceChildren(view.node);"
        "  arguments[0]();"
        "})"
    )
    page.press("Forecast")
    page.wait("document.querySelectorAll('path.interval').length === 1")
    assert "90% interval" in page.text(".legend")
    page.driver.execute_script(
        "document.querySelector('svg[role=slider]').dispatchEvent(new KeyboardEvent('keydown', {key: 'End'}))"
    )
    assert page.value(READOUT).endswith("forecast: 2.000 (90% between 1.00 and 3.50)")
