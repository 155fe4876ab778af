"""Headless Chromium, driven by Selenium; what it logs as errors is kept."""

from __future__ import annotations

import base64
import contextlib
import shutil
from pathlib import Path

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),  # a camera with a moving picture
)
HEIGHT, HIGHEST = 900, 6000
"""Pixels of the window, and of a picture at most."""
PATIENCE = 15
"""Seconds that a test waits for the page to show something."""


def require_browser() -> None:
    """Skip the tests that call this where there is no browser to run them in."""
    pytest.importorskip("selenium", reason="The tests of the page need selenium: pip install 'keras-rnnkit[test]'")
    if BROWSER is None or DRIVER is None:
        pytest.skip("The tests of the page need Chromium and its driver: apt-get install chromium chromium-driver.")


class Page:
    """A tab of the browser at the page of a server."""

    def __init__(self, driver, address: str):
        self.driver, self.base = driver, f"http://{address}"

    def open(self, path: str = "/") -> None:
        """Go to an address of the server; a page that only differs by its # is loaded anew as well."""
        self.driver.get("about:blank")
        self.driver.get(self.base + path)

    def choose(self, model: str) -> None:
        """Open the page at a model."""
        self.open(f"/#{model}")
        self.wait(f"document.querySelector('#view h2')?.textContent === {model!r}")

    def value(self, code: str):
        """What an expression of JavaScript is worth."""
        return self.driver.execute_script(f"return ({code})")

    def wait(self, code: str) -> None:
        """Until an expression is true."""
        from selenium.common.exceptions import TimeoutException
        from selenium.webdriver.support.ui import WebDriverWait

        try:
            WebDriverWait(self.driver, PATIENCE, poll_frequency=0.05).until(lambda _: self.value(code))
        except TimeoutException:
            raise AssertionError(f"{code} did not come true. The page: {self.text('main')[:2000]}") from None

    def find(self, selector: str):
        from selenium.webdriver.common.by import By

        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def labelled(self, label: str):
        """The control whose label begins with these words, as a person finds it."""
        return self.driver.execute_script(
            "const begins = (label) => label.textContent.trim().startsWith(arguments[0]);"
            "const label = [...document.querySelectorAll('label')].find(begins);"
            "return label?.control ?? label?.querySelector('input, select, textarea')",
            label,
        )

    def fill(self, label: str, text: str) -> None:
        """Replace the content of a field."""
        control = self.labelled(label)
        assert control is not None, f"There is no control with the label {label!r}."
        self.driver.execute_script(
            "arguments[0].value = arguments[1];"
            "arguments[0].dispatchEvent(new Event('input', {bubbles: true}));"
            "arguments[0].dispatchEvent(new Event('change', {bubbles: true}))",
            control,
            text,
        )

    def press(self, name: str) -> None:
        """Click the visible button whose name begins with these words."""
        button = self.driver.execute_script(
            "return [...document.querySelectorAll('button')].find((b) => b.offsetParent && "
            "(b.getAttribute('aria-label') ?? b.textContent).trim().startsWith(arguments[0]))",
            name,
        )
        assert button is not None, f"There is no button {name!r}."
        self.driver.execute_script("arguments[0].click()", button)

    def text(self, selector: str) -> str:
        return self.value(f"document.querySelector({selector!r})?.innerText ?? ''")

    def problem(self) -> str:
        """The sentence of the error that is shown, once there is one."""
        self.wait("[...document.querySelectorAll('.problem')].some((p) => p.offsetParent && p.textContent)")
        return self.value("[...document.querySelectorAll('.problem')].find((p) => p.offsetParent).textContent")

    def complaints(self) -> list[str]:
        """Errors that the browser logged since the last call, those of the content policy among them."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def emulate(self, width: int, theme: str) -> None:
        """A window of this width, on a system with light or dark colours."""
        self.width = width
        self.resize(HEIGHT)
        features = [{"name": "prefers-color-scheme", "value": theme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def resize(self, height: int) -> None:
        size = {"width": self.width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def screenshot(self, path: Path) -> None:
        """The whole page as a picture: the window is made as high as the page, as what scrolls inside it must stay."""
        self.resize(min(self.value("document.documentElement.scrollHeight"), HIGHEST))
        self.driver.execute_async_script(PAINTED)
        picture = self.driver.execute_cdp_cmd("Page.captureScreenshot", {})
        path.write_bytes(base64.b64decode(picture["data"]))
        self.resize(HEIGHT)


PAINTED = "requestAnimationFrame(() => requestAnimationFrame(() => arguments[0]()))"
"""Returns when the browser has painted the page in its new size; a picture taken before may have black areas."""


@contextlib.contextmanager
def browsing(address: str, profile: Path):
    """A page in a browser of its own, which ends with the context."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(DRIVER))
    try:
        driver.set_script_timeout(PATIENCE)
        yield Page(driver, address)
    finally:
        driver.quit()
