"""Translating: n-best lists and attention, for the mouse and for the keyboard."""

import pytest

from keras_rnnkit import runtime

READOUT = "document.querySelector('.readout').textContent"


@pytest.fixture
def translated(page, folder):
    """(the page with the translations of a source, the translations as the bundle makes them)."""
    page.choose("translator")
    page.fill("Source", "abcfed")
    page.press("Translate")
    page.wait("document.querySelector('.heatmap') !== null")
    return page, runtime.load(folder / "translator").translate("abcfed", best=5)


def cell(page, i: int, j: int) -> str:
    return f'document.querySelector(\'td[data-i="{i}"][data-j="{j}"]\')'


def test_the_best_come_first_with_their_scores(translated):
    page, expected = translated
    texts = page.value("[...document.querySelectorAll('.choice')].map((choice) => choice.children[1].textContent)")
    scores = page.value("[...document.querySelectorAll('.choice .score')].map((score) => score.textContent)")
    assert texts == [translation.text for translation in expected]
    assert [float(score) for score in scores] == pytest.approx(
        [translation.score for translation in expected], abs=0.006
    )


def test_cells_have_the_weights(translated):
    page, expected = translated
    weights = expected[0].attention
    assert page.value("document.querySelectorAll('.heatmap thead th').length") == 6 == weights.shape[1]
    assert page.value("document.querySelectorAll('.heatmap tbody th').length") == len(weights)
    for i, j in ((0, 0), (3, 5)):
        page.driver.execute_script(
            f"{cell(page, i, j)}.dispatchEvent(new PointerEvent('pointerover', {{bubbles: true}}))"
        )
        assert page.value(READOUT).endswith(f"{weights[i, j]:.3f}")
    page.driver.execute_script(f"{cell(page, 1, 2)}.click()")  # as a touch does
    assert page.value(READOUT).endswith(f"{weights[1, 2]:.3f}")


def test_arrow_keys_go_from_cell_to_cell(translated):
    from selenium.webdriver.common.keys import Keys

    page, expected = translated
    page.driver.execute_script(f"{cell(page, 0, 0)}.focus()")
    page.driver.switch_to.active_element.send_keys(Keys.ARROW_DOWN, Keys.ARROW_RIGHT, Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert page.value("[document.activeElement.dataset.i, document.activeElement.dataset.j]") == ["1", "0"]
    assert page.value(READOUT).endswith(f"{expected[0].attention[1, 0]:.3f}")
    assert page.value("document.querySelectorAll('.heatmap td[tabindex=\"0\"]').length") == 1


def test_every_hypothesis_has_its_attention(translated):
    page, expected = translated
    page.driver.execute_script("document.querySelectorAll('.choice')[3].click()")
    rows = page.value("[...document.querySelectorAll('.heatmap tbody th')].map((head) => head.textContent).join('')")
    assert rows == expected[3].text
    page.driver.execute_script(f"{cell(page, 2, 1)}.focus()")
    assert page.value(READOUT).endswith(f"{expected[3].attention[2, 1]:.3f}")


def test_a_source_that_cannot_be_read(page):
    page.choose("translator")
    page.fill("Source", "a" * 13)
    page.press("Translate")
    assert "Source 0 has 13 steps, and the model takes 12 at most" in page.problem()
    page.complaints()
