"""Every view in both widths and themes: its picture is kept, and it has contrast, labels and room."""

from pathlib import Path

import pytest

from tests.serving.page.bundles import KINDS
from tests.serving.page.tour import LOOKS, tour, visit

AUDIT = Path(__file__).with_name("audit.js").read_text()


def audit(page) -> list[str]:
    """What is wrong with the page as it is now, in sentences."""
    return page.value(AUDIT[AUDIT.index("(() =>") :])


MODELS = [{"name": name, "kind": kind} for name, kind in KINDS.items()]
ALTERNATELY = [(MODELS[::2], LOOKS[:1]), (MODELS[1::2], LOOKS[-1:])]
"""Each view wide and light, or narrow and dark. In all four looks they are a study."""


@pytest.mark.parametrize(
    "tours",
    [pytest.param(ALTERNATELY, id="one look"), pytest.param([(MODELS, LOOKS)], id="all", marks=pytest.mark.study)],
)
def test_every_view_has_its_picture_and_passes_the_audit(tours, page, tmp_path_factory, capsys):
    folder = tmp_path_factory.mktemp("pictures")
    names = (name for models, looks in tours for name in tour(page, models, folder, looks))
    problems = {name: found for name in names if (found := audit(page))}
    with capsys.disabled():
        print(f"\nPictures of the page: {folder}")
    assert problems == {}
    assert len(list(folder.glob("*.png"))) == sum(len(looks) * (len(models) + 1) for models, looks in tours)


@pytest.mark.parametrize(
    ("sabotage", "sentence"),
    [
        ("document.querySelector('#view h2').style.color = '#bbb'", "The text of <h2"),
        ("document.querySelector('.view button:not(.primary)').style.borderColor = '#ddd'", "The border of <button"),
        ("document.querySelector('#view label.field').outerHTML = '<textarea></textarea>'", "no label"),
        ("document.querySelector('#view').style.width = '2000px'", "pixels wide"),
        ("document.querySelector('#live').remove()", "no live region"),
    ],
)
def test_the_audit_sees_what_is_wrong(page, sabotage, sentence):
    page.choose("translator")
    page.press("Translate")
    page.wait("document.querySelector('.heatmap') !== null")
    assert audit(page) == []
    page.driver.execute_script(sabotage)
    assert any(sentence in problem for problem in audit(page))


def test_the_theme_can_be_chosen_and_is_remembered(page):
    ground = "getComputedStyle(document.body).backgroundColor"
    page.open()
    light = page.value(ground)
    page.press("Theme: system")
    page.press("Theme: light")
    dark = page.value(ground)
    assert light != dark
    page.open("/docs")
    assert page.value(ground) == dark and page.value("document.getElementById('theme').ariaLabel") == "Theme: dark"
    page.press("Theme: dark")
    assert page.value(ground) == light


def test_a_model_can_be_used_with_the_keyboard_alone(page):
    """Tab reaches the cards, the fields and the buttons, in the order in which they are seen."""
    from selenium.webdriver.common.keys import Keys

    page.choose("translator")
    focused, reached = "document.activeElement", []
    for _ in range(16):
        page.driver.switch_to.active_element.send_keys(Keys.TAB)
        names = f"[{focused}.getAttribute('href'), {focused}.textContent.trim(), {focused}.localName]"
        reached.append(page.value(f"{names}.find(Boolean)"))
    places = [reached.index(name) for name in ("/docs", "#captioner", "#writer", "textarea", "Translate Ctrl+Enter")]
    assert places == sorted(places)


def test_no_view_asks_for_anything_from_elsewhere(page, page_server):
    visit(page, {"name": "writer", "kind": "text"})
    names = page.value("performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert names and all(name.startswith(f"http://{page_server[0]}/") for name in names)
