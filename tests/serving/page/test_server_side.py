"""What the server tells the page: kinds of models, states of units, attention of all hypotheses, files. No browser."""

import base64
from pathlib import Path

import httpx
import numpy as np
import pytest

from keras_rnnkit import runtime, serving
from tests.serving.page.bundles import KINDS


@pytest.fixture(scope="module")
def http(page_server):
    with httpx.Client(base_url=f"http://{page_server[0]}", timeout=20) as client:
        yield client


def test_every_model_says_its_kind(http):
    models = {model["name"]: model for model in http.get("/v2/models").json()["models"]}
    assert {name: model["kind"] for name, model in models.items()} == KINDS
    assert models["captioner"]["source"] == {"kind": "image", "shape": [12, 12, 3]}
    assert models["writer"]["example"] == "to be" and models["translator"]["example"] == "a"
    assert models["writer"]["layers"] == [{"layer": "memory", "operator": "LSTM"}]
    assert [(state["layer"], state["letter"]) for state in models["writer"]["states"]] == [
        ("memory", "h"),
        ("memory", "c"),
    ]


def test_the_states_of_all_units_are_those_of_single_ones(http):
    asked = {"text_input": "to be or not", "state": "state_1"}
    answer = http.post("/v2/models/writer/activations", json={**asked, "all_units": True}).json()
    numbers = np.frombuffer(base64.b64decode(answer["data"]), "<i2").reshape(12, answer["units"]) * answer["scale"]
    assert answer["tokens"] == list("to be or not") and sorted(answer["ranking"]) == list(range(8))
    for unit in range(8):
        single = http.post("/v2/models/writer/activations", json={**asked, "unit": unit}).json()
        np.testing.assert_allclose(numbers[:, unit], single["values"], atol=answer["scale"])
    assert http.post("/v2/models/writer/activations", json=asked).json()["unit"] == answer["ranking"][0]


def test_all_hypotheses_have_their_attention_where_it_is_asked_for(http, folder):
    asked = {"text_input": "abcfed", "max_tokens": 6}
    assert "attention" not in http.post("/v2/models/translator/generate", json=asked).json()["hypotheses"][1]
    answer = http.post("/v2/models/translator/generate", json={**asked, "all_attention": True}).json()
    expected = runtime.load(folder / "translator").translate("abcfed", 6, best=5)
    for hypothesis, translation in zip(answer["hypotheses"], expected, strict=True):
        np.testing.assert_allclose(hypothesis["attention"]["weights"], translation.attention, atol=1e-3)


def image_of(shape=(12, 12, 3), size=432):
    return {"shape": list(shape), "data": base64.b64encode(bytes(size)).decode()}


def test_an_image_is_captioned(http, folder):
    answer = http.post("/v2/models/captioner/generate", json={"image": image_of(), "max_tokens": 5}).json()
    expected = runtime.load(folder / "captioner").translate(np.zeros((12, 12, 3), "float32"), 5, best=5)
    assert [hypothesis["text"] for hypothesis in answer["hypotheses"]] == [caption.text for caption in expected]
    assert answer["attention"]["source"] == []


@pytest.mark.parametrize(
    ("model", "image", "sentence"),
    [
        ("captioner", "red", 'An "image" must have "shape"'),
        ("captioner", {"shape": [12, 12, 3]}, 'An "image" must have "shape"'),
        ("captioner", {"shape": [12, True, 3], "data": ""}, 'An "image" must have "shape"'),
        ("captioner", {"shape": [12, 12, 3], "data": "*"}, "must be base64"),
        ("captioner", image_of(size=431), "must have 432 bytes. Received: 431"),
        ("captioner", image_of((2**40, 2**40, 2**40), 3), "bytes. Received: 3"),
        ("captioner", image_of((10, 12, 3), 360), "A source must have the shape [12, 12, 3]. Received: [10, 12, 3]"),
        ("translator", image_of(), "reads tokens, and no image"),
    ],
)
def test_images_that_cannot_be_read(http, model, image, sentence):
    response = http.post(f"/v2/models/{model}/generate", json={"image": image})
    assert response.status_code == 400 and sentence in response.json()["error"], response.text


def test_an_image_that_is_too_large(http):
    response = http.post("/v2/models/captioner/generate", json={"image": {"shape": [1], "data": "A" * 2**20}})
    assert response.status_code == 413


@pytest.mark.parametrize(
    "path",
    ["../http/pages.py", "%2e%2e/http/pages.py", "views", "/etc/passwd", "sign_in.html", "views%2f..%2f..%2fserver.py"],
)
def test_only_files_of_the_page_are_sent(http, path):
    assert http.get(f"/static/{path}").status_code == 404


def test_files_of_the_page_have_a_strict_policy(http):
    for path in ("/", "/docs", "/static/views/text.js", "/static/styles/theme.css"):
        response = http.get(path)
        policy = response.headers["content-security-policy"]
        assert response.status_code == 200 and "default-src 'none'" in policy and "unsafe" not in policy


def test_both_pages_have_the_same_frame():
    """They are plain files, so that no server has to fill them in: the bar on top stands in both."""
    folder = Path(serving.__file__).parent / "playground"
    bars = []
    for name in ("index.html", "docs.html"):
        bar = (folder / name).read_text().partition('<header class="bar">')[2].partition("</header>")[0]
        lines = bar.replace(' aria-current="page"', "").splitlines()
        bars.append([line for line in lines if 'id="sign-out"' not in line])
    assert bars[0] == bars[1] and len(bars[0]) > 8
