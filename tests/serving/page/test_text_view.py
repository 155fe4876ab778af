"""Writing: the page shows what the bundle generates, and what its units do."""

import numpy as np
import pytest

from keras_rnnkit import runtime
from keras_rnnkit.decoding import Beam, Greedy, Sampling

DONE = "document.querySelector('#live').textContent.startsWith('Done.')"
OUTPUT = "document.querySelector('.text').textContent"


@pytest.fixture
def bundle(folder):
    return runtime.load(folder / "writer")


@pytest.fixture
def writer(page):
    page.choose("writer")
    return page


def settle(page, **fields) -> None:
    for label, value in fields.items():
        page.fill(label.replace("_", "-").capitalize(), str(value))


def test_it_writes_what_the_bundle_generates(writer, bundle):
    settle(writer, prompt="to be", tokens=30, seed=4, temperature=0.7, top_k=5, top_p=0.9)
    writer.press("Write")
    writer.wait(DONE)
    expected = bundle.text(bundle.generate("to be", 30, Sampling(0.7, 5, 0.9), seed=4))
    assert writer.value(OUTPUT) == f"to be{expected}"
    assert "30 tokens" in writer.text(".view") and "per second" in writer.text(".view")


def test_control_and_enter_start_it_and_the_likeliest_needs_no_seed(writer, bundle):
    from selenium.webdriver.common.keys import Keys

    settle(writer, tokens=8, temperature=0)
    writer.labelled("Prompt").send_keys(Keys.CONTROL, Keys.ENTER)
    writer.wait(DONE)
    prompt = writer.value("document.querySelector('textarea').value")
    assert prompt == "to be"  # the example that the vocabulary can spell
    assert writer.value(OUTPUT) == prompt + bundle.text(bundle.generate(prompt, 8, Greedy()))


def test_a_beam_has_hypotheses_to_choose_from(writer, bundle):
    settle(writer, prompt="to be", tokens=8, beam=3)
    assert writer.labelled("Temperature").get_property("disabled") is True
    writer.press("Write")
    writer.wait("document.querySelectorAll('.choice').length === 3")
    beam = bundle.generate("to be", 8, Beam(3))
    texts = [bundle.text(tokens[:length]) for tokens, length in zip(beam.tokens[0], beam.lengths[0], strict=True)]
    assert writer.value(OUTPUT) == f"to be{texts[0]}"
    writer.value("document.querySelectorAll('.choice')[2].click()")
    assert writer.value(OUTPUT) == f"to be{texts[2]}"
    assert writer.value("document.querySelectorAll('.choice')[2].getAttribute('aria-pressed')") == "true"


def test_it_stops(writer):
    """The page presses Stop itself, as soon as there is some text: a test is slower than the model."""
    settle(writer, prompt="to be", tokens=2000)
    writer.driver.execute_script(
        "const [stop] = [...document.querySelectorAll('button')].filter((button) => button.textContent === 'Stop');"
        "new MutationObserver(() => document.querySelector('.text').textContent.length > 20 && stop.click())"
        ".observe(document.querySelector('.text'), {childList: true})"
    )
    writer.press("Write")
    writer.wait("document.querySelector('.text').textContent.length > 20")
    writer.wait("!document.querySelector('.text').classList.contains('waiting')")
    assert len(writer.value(OUTPUT)) < 2000
    writer.wait("document.querySelector('button.primary').disabled === false")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"prompt": "TO"}, "does not know: 'O', 'T'"),
        ({"tokens": "0"}, "Tokens must be 1 to 2000. Received: 0."),
        ({"tokens": "1.5"}, "Tokens must be a whole number, 1 to 2000. Received: 1.5."),
        ({"temperature": ""}, "Temperature must be 0 to 5. Received: nothing."),
    ],
)
def test_errors_are_sentences(writer, fields, sentence):
    settle(writer, **fields)
    writer.value("document.querySelector('#view form').noValidate = true")
    writer.press("Write")
    assert sentence in writer.problem()
    writer.complaints()  # the browser logs the status 400


def test_the_text_is_copied(writer):
    writer.driver.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    )
    settle(writer, prompt="to be", tokens=5, temperature=0)
    writer.press("Write")
    writer.wait(DONE)
    writer.press("Copy text")
    writer.wait("document.querySelector('#live').textContent === 'Copied'")
    copied = writer.driver.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
    assert copied == writer.value(OUTPUT)


def colour(page) -> None:
    page.press("Colour the text")
    page.wait("document.querySelectorAll('.coloured .token').length > 0")


def states_of(bundle, text: str) -> dict[str, np.ndarray]:
    """Each state after each token [T, U]."""
    graph, rows = bundle.step, []
    states = graph.start(1)
    for token in bundle.vocabulary.encode(text):
        results = graph.run({graph.inputs[0]: [[token]], **states})
        states = {state["input"]: results[state["output"]] for state in graph.states}
        rows.append(states)
    return {name: np.concatenate([row[name] for row in rows]) for name in states}


def test_tokens_have_the_states_of_the_unit_that_the_slider_names(writer, bundle):
    settle(writer, prompt="to be or not")
    colour(writer)
    h = states_of(bundle, "to be or not")["state_0"]
    for unit in (0, 7):
        writer.fill("Unit", str(unit))
        for token in (0, 5):
            writer.value(f"document.querySelectorAll('.coloured .token')[{token}].focus()")
            text = writer.value("[...document.querySelectorAll('.readout')].at(-1).textContent")
            assert f"unit {unit} is {h[token, unit]:.3f}".replace("-0.000", "0.000") in text.replace("-0.000", "0.000")


def test_layers_and_units_have_names(writer, bundle):
    colour(writer)
    names = writer.value("[...document.querySelectorAll('select option')].map((option) => option.textContent)")
    assert names == ["memory · h (8 units)", "memory · c (8 units)"]
    ranking = writer.value("[...document.querySelectorAll('.chips .chip')].map((chip) => Number(chip.value))")
    assert sorted(ranking) == list(range(8))
    writer.value(f"document.querySelector('.chip[value=\"{ranking[3]}\"]').click()")
    assert writer.labelled("Unit").get_property("value") == str(ranking[3])


def test_signs_are_not_told_by_colour_alone(writer, bundle):
    settle(writer, prompt="to be or not to be")
    colour(writer)
    unit = int(writer.labelled("Unit").get_property("value"))
    values = states_of(bundle, "to be or not to be")["state_0"][:, unit]
    shares = values / np.abs(values).max()
    classes = writer.value("[...document.querySelectorAll('.coloured .token')].map((token) => token.className)")
    for share, name in zip(shares, classes, strict=True):
        if abs(abs(share) - 0.35) > 0.01:
            assert name == "token" + ((" below" if share < 0 else " above") if abs(share) > 0.35 else "")


def test_arrow_keys_go_from_token_to_token(writer):
    from selenium.webdriver.common.keys import Keys

    settle(writer, prompt="to be")
    colour(writer)
    writer.value("document.querySelector('.coloured .token').focus()")
    writer.driver.switch_to.active_element.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert writer.value("document.activeElement.dataset.i") == "2"
    assert "After ␣ unit" in writer.value("[...document.querySelectorAll('.readout')].at(-1).textContent")


def test_old_colours_go_with_the_old_text(writer):
    settle(writer, prompt="to be", tokens=5)
    colour(writer)
    writer.press("Write")
    writer.wait(DONE)
    assert writer.value("document.querySelector('.coloured').checkVisibility()") is False
