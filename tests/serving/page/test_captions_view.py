"""Captions: images that are chosen, dropped or samples, and where the model looked."""

import numpy as np
import pytest

from keras_rnnkit import runtime

WORDS = "[...document.querySelectorAll('.chips .chip')].map((chip) => chip.textContent)"


@pytest.fixture
def image(tmp_path):
    """(path of a picture of the size that the model reads, its pixels)."""
    package = pytest.importorskip("PIL.Image", reason="Needs pillow: pip install 'keras-rnnkit[test]'")
    pixels = np.random.default_rng(1).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    package.fromarray(pixels).save(tmp_path / "picture.png")
    return tmp_path / "picture.png", pixels


@pytest.fixture
def captioner(page):
    page.choose("captioner")
    return page


def test_a_file_is_described_as_the_bundle_describes_its_pixels(captioner, image, folder):
    path, pixels = image
    captioner.labelled("Image file").send_keys(str(path))
    captioner.wait("document.querySelectorAll('.choice').length === 5")
    expected = runtime.load(folder / "captioner").translate(pixels.astype("float32"), best=5)
    texts = captioner.value("[...document.querySelectorAll('.choice')].map((choice) => choice.children[1].textContent)")
    assert texts == [caption.text for caption in expected]
    assert captioner.value(WORDS) == [*expected[0].text.split(), "Whole image"]
    captioner.driver.execute_script("document.querySelectorAll('.chips .chip')[1].click()")
    weights = expected[0].attention[1]
    sentence = captioner.value("document.querySelector('.readout').textContent")
    assert f"(weight {weights.max():.2f} of 1)" in sentence and sentence.startswith(f"“{expected[0].text.split()[1]}”")


def test_samples_and_words_change_the_picture(captioner):
    captioner.press("Sample image: red circle")
    captioner.wait("document.querySelectorAll('.chips .chip').length > 2")
    whole = captioner.value("document.querySelector('.picture').toDataURL()")
    captioner.driver.execute_script("document.querySelector('.chips .chip').click()")
    assert captioner.value("document.querySelector('.picture').toDataURL()") != whole
    captioner.press("Whole image")
    assert captioner.value("document.querySelector('.picture').toDataURL()") == whole
    captioner.press("Sample image: blue square")
    captioner.wait(f"document.querySelector('.picture').toDataURL() !== {whole!r}")


def test_an_image_is_dropped(captioner, image):
    import base64

    content = base64.b64encode(image[0].read_bytes()).decode()
    captioner.driver.execute_script(
        "const bytes = Uint8Array.from(atob(arguments[0]), (letter) => letter.charCodeAt(0));"
        "const data = new DataTransfer();"
        "data.items.add(new File([bytes], 'picture.png', {type: 'image/png'}));"
        "const dropped = new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true});"
        "document.querySelector('.drop').dispatchEvent(dropped)",
        content,
    )
    captioner.wait("document.querySelectorAll('.choice').length === 5")


def test_a_file_that_is_no_image(captioner, tmp_path):
    (tmp_path / "words.txt").write_text("no pixels")
    captioner.labelled("Image file").send_keys(str(tmp_path / "words.txt"))
    assert "“words.txt” is no image that this browser can read" in captioner.problem()
