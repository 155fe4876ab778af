"""The frame of the page: cards, changing models, a sign-in, a server without models."""

from dataclasses import replace

import pytest

from tests.serving.conftest import running
from tests.serving.page.bundles import KINDS


def test_cards_say_what_models_do(page):
    page.open()
    page.wait("document.querySelectorAll('.card').length > 0")
    names = page.value("[...document.querySelectorAll('.card strong')].map((name) => name.textContent)")
    assert names == list(KINDS)
    text = page.text("#cards")
    for sentence in (
        "Writes text, character by character",
        "Continues a series",
        "Computes fault from sensors, station",
    ):
        assert sentence in text
    assert page.value("document.querySelectorAll('.card[aria-current]').length") == 1


def test_the_address_names_the_model(page):
    page.choose("waves")
    page.find(".card[href='#writer']").click()
    page.wait("document.querySelector('#view h2').textContent === 'writer'")
    assert page.value("location.hash") == "#writer" and page.value("document.title").startswith("writer")
    assert page.value("document.activeElement.id") == "view"
    page.driver.back()
    page.wait("document.querySelector('#view h2').textContent === 'waves'")


def test_changing_models_stops_what_runs_and_clears_what_is_old(page):
    """The request waits for ever here, as a small model may be done before the test has changed to another."""
    page.choose("writer")
    page.driver.execute_script(
        "window.fetch = (path, {signal}) => new Promise((_, reject) => {"
        "  window.signal = signal;"
        "  signal.onabort = () => reject(new DOMException('', 'AbortError')); })"
    )
    page.press("Write")
    page.wait("window.signal !== undefined")
    assert page.value("window.signal.aborted") is False
    page.find(".card[href='#translator']").click()
    page.wait("document.querySelector('#view h2').textContent === 'translator'")
    assert page.value("window.signal.aborted") is True
    assert page.value("document.querySelector('.text')") is None
    page.find(".card[href='#writer']").click()
    page.wait("document.querySelector('#view h2').textContent === 'writer'")
    assert page.value("document.querySelector('.text').textContent") == ""
    assert page.value("[...document.querySelectorAll('.problem')].every((problem) => problem.hidden)") is True


def test_an_answer_that_comes_late_does_not_show(page):
    """A view that was left draws nothing, and says nothing."""
    page.choose("translator")
    page.driver.execute_script(
        "const fetched = window.fetch;"
        "window.fetch = async (...request) => {"
        "  await new Promise((resolve) => (window.answer = resolve)); return fetched(...request); }"
    )
    page.press("Translate")
    page.find(".card[href='#faults']").click()
    page.wait("document.querySelector('#view h2').textContent === 'faults'")
    page.driver.execute_script("window.answer()")
    assert page.value("document.querySelector('.heatmap')") is None
    assert "translations" not in page.text("#live")


def test_texts_of_models_are_no_markup(page):
    page.choose("faults")
    page.driver.execute_async_script(
        "import('/static/views/hypotheses.js').then(({hypothesisList}) => {"
        "  const hostile = {text: '<img src=x onerror=window.broken=1>', score: 0, attention: null};"
        "  document.querySelector('#view').append(hypothesisList([hostile], () => {})); arguments[0](); })"
    )
    assert page.value("document.querySelector('#view img')") is None
    assert page.value("document.querySelector('.choice').textContent").count("<img") == 1


def at_another_server(tab, address: str):
    """The same tab at another server; the address is put back by the caller."""
    tab.base = f"http://{address}"
    return tab


@pytest.fixture
def elsewhere(tab, page_server):
    yield lambda address: at_another_server(tab, address)
    tab.base = f"http://{page_server[0]}"
    tab.driver.delete_all_cookies()
    tab.complaints()


def test_the_token_is_asked_for_once(elsewhere, page_settings):
    with running(replace(page_settings, token="secret")) as (address, _):
        page = elsewhere(address)
        page.open()
        page.wait("!document.querySelector('#sign-in').hidden")
        assert page.value("document.activeElement.id") == "token"
        page.fill("Token", "wrong")
        page.press("Sign in")
        assert "This is not the token" in page.problem()
        page.fill("Token", "secret")
        page.press("Sign in")
        page.wait("document.querySelectorAll('.card').length > 0")
        page.open("/metrics")
        assert "# HELP" in page.value("document.body.innerText")
        page.open("/docs")
        page.wait("document.querySelectorAll('.operation').length > 12")
        page.value("document.querySelector('.operation').open = true")
        page.wait("document.querySelector('.operation pre')?.textContent.includes('$RNNKIT_TOKEN')")
        page.open()
        page.wait("document.querySelectorAll('.card').length > 0")
        page.wait("!document.querySelector('#sign-out').hidden")
        page.press("Sign out")
        page.wait("!document.querySelector('#sign-in')?.hidden")
        page.open("/metrics")
        page.wait("document.querySelector('form[action=\"/sign-in\"]') !== null")


def test_a_server_without_models_says_so(elsewhere, page_settings, tmp_path):
    with running(replace(page_settings, folder=tmp_path)) as (address, _):
        page = elsewhere(address)
        page.open()
        assert "There is no model in the folder that is served" in page.problem()
