"""What only a model in the browser can do: complete while one types, and follow a pointer, a pen and a camera."""

import json

import numpy as np
import pytest

import keras_rnnkit as rk
from tests.serving.page.bundles import KINDS
from tests.serving.page.local_bundles import LOCAL_KINDS
from tests.serving.page.static_pages import asked, needs_onnxruntime
from tests.serving.page.test_for_everybody import audit
from tests.serving.page.tour import LOOKS

pytestmark = needs_onnxruntime

STROKE = """
const canvas = document.querySelector('canvas.sketch');
const box = canvas.getBoundingClientRect();
const at = (kind, x, y) => canvas.dispatchEvent(new PointerEvent(
  kind, {clientX: box.left + x * box.width, clientY: box.top + y * box.height, buttons: 1, pointerId: 1}));
at('pointerdown', .3, .2); at('pointermove', .7, .2); at('pointermove', .4, .9); at('pointerup', .4, .9);
"""
CHIPS = "[...document.querySelectorAll('[aria-label=Completions] .chip')].map((chip) => chip.firstChild.textContent)"


def test_completions_are_the_likeliest_words(local, local_folder):
    bundle = rk.runtime.load(local_folder / "writer")
    for text in ("to be", "to b", "to be or", "that is", "t"):  # the last ones share a beginning, and then do not
        completions = asked(local, "writer", f"model.completions({text!r}, 3)")
        stream = bundle.stream()
        logits = stream.push([bundle.vocabulary.encode(text)])[0, -1]
        best = np.argsort(-logits, kind="stable")[:3]
        starts = [completion["text"][0] for completion in completions]
        assert set(starts) <= {bundle.vocabulary.tokens[token] for token in best}, text
        for completion in completions:
            tokens = bundle.vocabulary.encode(completion["text"])
            scores = np.exp(logits - logits.max())
            assert completion["probability"] <= scores[tokens[0]] / scores.sum() + 1e-5


def test_a_text_is_completed_while_it_is_typed(local):
    from selenium.webdriver.common.keys import Keys

    local.choose("writer")
    local.wait(f"{CHIPS}.length > 0")
    area = local.labelled("Your text")
    area.send_keys(" or")
    local.wait("document.querySelector('.ghost').textContent.startsWith('to be or')")
    local.wait(f"{CHIPS}.length > 0 && !document.querySelector('.ghost').textContent.endsWith('to be or')")
    ghost = local.text(".ghost")
    area.send_keys(Keys.END, Keys.ARROW_RIGHT)
    local.wait(f"document.querySelector('.ghost').textContent.startsWith({ghost!r})")
    assert area.get_attribute("value") == ghost
    local.wait("document.querySelector('#live').textContent.startsWith('Completions: ')")
    area.send_keys("€")
    assert "does not know" in local.problem() and "€" in local.problem()
    area.send_keys(Keys.BACKSPACE)
    local.wait("[...document.querySelectorAll('.problem')].every((problem) => problem.hidden)")


def test_a_live_series_is_forecast_as_the_whole(local):
    series = np.sin(np.arange(14) / 2).round(3)[:, None].tolist()
    lengths = [1, 3, 1, 5, 4]
    pushes = "".join(
        f"last = await series.push({json.dumps(series[sum(lengths[:i]) : sum(lengths[: i + 1])])}, 4);"
        for i in range(len(lengths))
    )
    call = f"(async () => {{ const series = await model.live(); let last; {pushes} return last; }})()"
    live, whole = asked(local, "tides", call), asked(local, "tides", f"model.forecast({series}, 4)")
    np.testing.assert_allclose(live["values"], whole["values"], atol=1e-5)


def test_the_pointer_and_the_keys_draw_a_series(local):
    from selenium.webdriver.common.keys import Keys

    local.choose("tides")
    pad = local.find(".pad")
    pad.send_keys(Keys.ARROW_UP, Keys.ARROW_UP, Keys.ARROW_DOWN)
    local.wait("document.querySelector('.pad .forecast').getAttribute('d').length > 100")
    assert local.text("#live").startswith("Step 3: ") and pad.get_attribute("aria-valuetext")
    local.driver.execute_script(
        "const box = arguments[0].getBoundingClientRect();"
        "const at = (kind, y) => arguments[0].dispatchEvent("
        "  new PointerEvent(kind, {clientX: box.left + 9, clientY: box.top + y * box.height, buttons: 1}));"
        "at('pointerdown', .2); at('pointermove', .8); setTimeout(() => at('pointerup', .8), 200);",
        pad,
    )
    local.wait("document.querySelector('#live').textContent.match(/Step (\\d+)/)[1] > 4")
    assert local.value("document.querySelectorAll('.pad path.interval').length") == 1
    local.press("Begin again")
    local.wait("document.querySelector('.pad .history').getAttribute('d') === ''")


def test_a_drawn_digit_is_looked_at(local, local_folder):
    pixels = np.random.default_rng(2).integers(0, 256, size=(4, 4))
    image = f"{{ shape: [4, 4, 1], data: {pixels.ravel().tolist()} }}"
    glimpses = asked(local, "looker", f"model.glimpses({image}, 3)")
    stream, place, seen = rk.runtime.load(local_folder / "looker").stream(), 3, []
    for n in range(3):
        y, x = 2 * (place // 2), 2 * (place % 2)
        patch = pixels[y : y + 2, x : x + 2].reshape(1, 1, 4).astype("float32")
        answer = stream.push({"patches": patch, "places": np.array([[place]], "int32")})
        assert glimpses["places"][n] == place
        np.testing.assert_allclose(glimpses["labels"][n], answer["label"][0, 0], atol=1e-5)
        seen.append(place)
        scores = answer["next"][0, 0].copy()
        scores[seen] = -np.inf
        place = int(scores.argmax())
    local.choose("looker")
    local.driver.execute_script(STROKE)
    local.wait("document.querySelector('.caption').textContent.includes('with a probability of')")
    assert local.text("#live").startswith("This is label ")
    local.press("Wipe")
    local.wait("document.querySelector('.caption').textContent.startsWith('What the model reads')")


def test_the_keyboard_draws_too(local):
    from selenium.webdriver.common.keys import Keys

    local.choose("looker")
    pad = local.find("canvas.sketch")
    pad.send_keys(Keys.ARROW_UP, Keys.SPACE, Keys.ARROW_LEFT, Keys.ARROW_DOWN)
    local.wait("document.querySelector('.caption').textContent.includes('with a probability of')")


def test_an_image_is_completed_as_in_python(local, local_folder):
    bundle = rk.runtime.load(local_folder / "painter")
    request = {"label": 1, "labels": 2, "shades": [0, 2, 1, 1, 0], "start": 3, "count": 16, "temperature": 0.8}
    label = np.array([[0, 1]], "float32")
    for seed in range(3):
        drawn = asked(local, "painter", f"model.draw({json.dumps({**request, 'seed': seed})})")
        expected = bundle.generate([[3, 0, 2, 1, 1, 0]], steps=11, label=label, temperature=0.8, seed=seed)
        assert drawn[:5] == request["shades"] and drawn[5:] == expected.tokens[0].tolist()
    local.choose("painter")
    local.wait("document.querySelector('#live').textContent.includes('All of it')")
    local.driver.execute_script(STROKE)
    local.wait("document.querySelector('#live').textContent.includes('upper 2 rows are yours')")


def test_a_camera_is_labelled_frame_by_frame(local):
    for name in ("camera", "captioner"):
        local.choose(name)
        local.value("[...document.querySelectorAll('details')].forEach((details) => (details.open = true))")
        local.press("Start the camera")
        local.wait("document.querySelector('.numbers meter, [aria-label^=Words]') !== null")
        local.press("Stop the camera")
        assert local.value("document.querySelector('video').srcObject.active") is False


def test_a_text_is_judged_while_it_is_typed(local, local_folder):
    bundle = rk.runtime.load(local_folder / "reviewer")
    (output,) = asked(local, "reviewer", "model.read('a good film and')")
    expected = bundle.predict([bundle.vocabulary.encode("a good film and")])
    np.testing.assert_allclose(output["data"], expected[0], atol=1e-5)
    local.choose("reviewer")
    local.fill("A text to judge", "a bad film")
    local.wait("document.querySelector('.numbers meter') !== null")
    names = local.value("[...document.querySelectorAll('.numbers th')].map((cell) => cell.textContent)")
    assert sorted(names) == ["bad", "good"] and local.text(".caption").startswith(f"{names[0]}, with a probability of ")


def test_the_page_begins_with_all_models(local):
    local.open()
    local.wait("document.querySelectorAll('.gallery a').length > 0")
    names = local.value("[...document.querySelectorAll('.gallery strong')].map((name) => name.textContent)")
    assert names == sorted({**KINDS, **LOCAL_KINDS})
    assert " kB of graphs" in local.text(".gallery")
    local.find(".gallery a[href='#tides']").click()
    local.wait("document.querySelector('.facts')?.textContent.includes('Opened in ')")


VIEWS = ("", *LOCAL_KINDS, "writer", "tides", "captioner")
ALTERNATELY = [(LOOKS[0], VIEWS[::2]), (LOOKS[-1], VIEWS[1::2])]
"""Each view wide and light, or narrow and dark. In all four looks they are a study."""


@pytest.mark.parametrize(
    "visits",
    [
        pytest.param(ALTERNATELY, id="one look"),
        pytest.param([(look, VIEWS) for look in LOOKS], id="all", marks=pytest.mark.study),
    ],
)
def test_every_view_passes_the_audit_in_both_widths_and_themes(local, visits, tmp_path_factory, capsys):
    folder, problems = tmp_path_factory.mktemp("local_pictures"), {}
    for (width, theme), names in visits:
        local.emulate(width, theme)
        for name in names:
            local.open(f"/#{name}")
            local.wait(
                "document.querySelector('.gallery') || document.querySelector('.facts')?.textContent.includes('Opened')"
            )
            local.value("[...document.querySelectorAll('details')].forEach((details) => (details.open = true))")
            if name in ("looker", "painter", "camera"):
                local.driver.execute_script(STROKE)
                local.wait("document.querySelector('.numbers meter') || document.querySelector('#live').textContent")
            if name == "tides":
                local.find(".pad").send_keys("\ue013" * 4)
            problems |= {f"{name} {width} {theme}": found for found in [audit(local)] if found}
            local.screenshot(folder / f"{name or 'gallery'}-{width}-{theme}.png")
    with capsys.disabled():
        print(f"\nPictures of the local page: {folder}")
    assert problems == {}
