"""A tour through the page that keeps a picture of every view, for a person to look at.

    python -m tests.serving.page.tour http://127.0.0.1:8000 pictures/

does it against a server that is running already; the tests do it with small models of their own.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from pathlib import Path

from tests.serving.page.browser import Page, browsing

WIDTHS, THEMES = (1280, 390), ("light", "dark")
LOOKS = list(itertools.product(WIDTHS, THEMES))


def write_text(page: Page) -> None:
    page.fill("Tokens", "120")
    page.press("Write")
    page.wait("document.querySelector('#live').textContent.startsWith('Done.')")
    page.press("Colour the text")
    page.wait("document.querySelector('.coloured') !== null")


def translate(page: Page) -> None:
    page.press("Translate")
    page.wait("document.querySelector('.heatmap td.lit, .heatmap td[data-i]') !== null")
    page.value('document.querySelector(\'.heatmap td[data-i="2"][data-j="1"]\')?.focus()')


def caption(page: Page) -> None:
    page.press("Sample image: blue square")
    page.wait("document.querySelector('.caption, .chips .chip') !== null")
    page.value("document.querySelectorAll('.chips .chip')[2]?.click()")


def forecast(page: Page) -> None:
    page.press("Forecast")
    page.wait("document.querySelector('svg[role=slider]') !== null")
    page.value(
        "document.querySelector('svg[role=slider]').dispatchEvent(new KeyboardEvent('keydown', {key: 'PageDown'}))"
    )


def compute(page: Page) -> None:
    page.press("Run")
    page.wait("document.querySelector('table.numbers') !== null")


DEEDS = {"text": write_text, "translation": translate, "captions": caption, "series": forecast, "tensors": compute}
"""What is done in the view of each kind of model before its picture is taken."""


def visit(page: Page, model: dict) -> None:
    """Open a model's view and use it."""
    page.choose(model["name"])
    DEEDS[model["kind"]](page)


def describe(page: Page) -> None:
    """Open the description of the interface, and some of its operations."""
    page.open("/docs")
    page.wait("document.querySelectorAll('.operation').length > 12")
    page.value("[0, 2].forEach((i) => (document.querySelectorAll('.operation')[i].open = true))")
    page.wait("document.querySelectorAll('.operation .body').length === 2")


def tour(page: Page, models: list[dict], folder: Path, looks=LOOKS):
    """Visit everything in each width and theme; yields the name of each view after its picture was taken."""
    folder.mkdir(parents=True, exist_ok=True)
    for width, theme in looks:
        page.emulate(width, theme)
        for model in models:
            visit(page, model)
            yield shot(page, folder, f"{model['kind']}-{model['name']}", width, theme)
        describe(page)
        yield shot(page, folder, "interface", width, theme)


def shot(page: Page, folder: Path, view: str, width: int, theme: str) -> str:
    name = f"{view}-{width}-{theme}"
    page.screenshot(folder / f"{name}.png")
    return name


def main(address: str, folder: str) -> None:
    with (
        tempfile.TemporaryDirectory() as profile,
        browsing(address.removeprefix("http://").rstrip("/"), Path(profile)) as page,
    ):
        page.open()
        page.wait("document.querySelector('.card') !== null")
        models = page.driver.execute_async_script(
            "fetch('/v2/models').then((answer) => answer.json()).then(({models}) => arguments[0](models))"
        )
        for name in tour(page, models, Path(folder)):
            print(Path(folder) / f"{name}.png")
        for complaint in page.complaints():
            print(complaint, file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
