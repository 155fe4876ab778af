"""The page of `rnnkit web`: no server of ours, the models in the browser, the numbers of Python."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.decoding import Beam, Greedy, Sampling
from keras_rnnkit.web.errors import SiteError
from keras_rnnkit.web.site import build
from tests.serving.page.bundles import KINDS
from tests.serving.page.static_pages import ORT, asked, needs_onnxruntime

pytestmark = needs_onnxruntime


def test_whole_sequences(local, folder, rng):
    inputs = {"sensors": rng.normal(size=(2, 5, 3)), "station": rng.normal(size=(2, 4))}
    inputs = {name: array.astype("float32") for name, array in inputs.items()}
    tensors = [
        {"name": n, "datatype": "FP32", "shape": list(x.shape), "data": x.ravel().tolist()} for n, x in inputs.items()
    ]
    (output,) = asked(local, "faults", f"model.predict({json.dumps(tensors)})")
    expected = rk.runtime.load(folder / "faults").predict(inputs)
    assert output["shape"] == list(expected.shape)
    np.testing.assert_allclose(output["data"], expected.ravel(), atol=1e-5)


def test_text_token_for_token(local, folder):
    bundle = rk.runtime.load(folder / "writer")
    for seed in range(3):
        for options, strategy in (
            ({"temperature": 0.7, "top_k": 5}, Sampling(0.7, 5)),
            ({"temperature": 0}, Greedy()),
            ({"temperature": 1, "top_p": 0.8}, Sampling(1.0, None, 0.8)),
        ):
            call = json.dumps({"max_tokens": 20, "seed": seed, **options})
            loop = f"for await (const piece of model.tokens('to be', {call})) all.push(piece);"
            pieces = asked(local, "writer", f"(async () => {{ const all = []; {loop} return all }})()")
            assert "".join(pieces) == bundle.text(bundle.generate("to be", 20, strategy, seed=seed))
    hypotheses = asked(local, "writer", "model.generate('to be', { max_tokens: 9, beam: 3 })")
    expected = bundle.generate("to be", 9, Beam(3))
    assert [h["text"] for h in hypotheses] == [bundle.text(row) for row in expected.tokens[0]]


def test_translations_and_captions_with_attention(local, folder):
    bundle = rk.runtime.load(folder / "translator")
    found = asked(local, "translator", "model.translate('abcd', { max_tokens: 6 })")
    expected = bundle.translate("abcd", 6, best=9)
    assert [t["text"] for t in found] == [t.text for t in expected]
    assert found[0]["attention"]["source"] == ["a", "b", "c", "d"]
    np.testing.assert_allclose(found[0]["attention"]["weights"], expected[0].attention, atol=1e-5)
    image = np.random.default_rng(1).integers(0, 256, size=(12, 12, 3))
    pixels = f"{{ shape: [12, 12, 3], data: Uint8Array.from({image.ravel().tolist()}) }}"
    captions = asked(local, "captioner", f"model.translate({pixels}, {{ max_tokens: 5 }})")
    expected = rk.runtime.load(folder / "captioner").translate(image.astype("float32"), 5, best=9)
    assert [caption["text"] for caption in captions] == [caption.text for caption in expected]


def test_forecasts_and_states(local, folder):
    series = np.sin(np.arange(12) / 2)[:, None].tolist()
    found = asked(local, "tides", f"model.forecast({series}, 4)")
    stream, chunk, values = rk.runtime.load(folder / "tides").stream(), np.array([series], "float32"), []
    for _ in range(4):
        results = stream.push(chunk)
        chunk = results["forecast"][:, -1:]
        values.append(chunk[0, 0].tolist())
    np.testing.assert_allclose(found["values"], values, atol=1e-5)
    assert found["interval"]["level"] == 0.9
    widths = np.subtract(found["interval"]["upper"], found["interval"]["lower"])
    assert (widths > 0).all()
    answer = "({ tokens: a.tokens, first: a.tokens.map((_, t) => a.value(t, 0)) })"
    states = asked(local, "writer", f"model.activations('to be', 'state_0').then((a) => {answer})")
    stream, expected = rk.runtime.load(folder / "writer").stream(), []
    for token in rk.runtime.load(folder / "writer").vocabulary.encode("to be"):
        stream.push(np.array([[token]]))
        expected.append(stream.snapshot()["state_0"][0, 0])
    assert states["tokens"] == list("to be")
    np.testing.assert_allclose(states["first"], expected, atol=1e-5)


def test_every_view_shows_its_model(local):
    for name in KINDS:
        local.choose(name)
    local.choose("writer")
    local.press("Write")
    local.wait("document.querySelector('.text').innerText.length > 20")


def test_no_view_speaks_of_a_server(local):
    """The form of the server's page shows a request to it, where there is a server."""
    local.choose("faults")
    local.press("Run")
    local.wait("document.querySelector('table.numbers') !== null")
    assert "v2/models" not in local.text("main") and "curl" not in local.text("main")


def test_no_request_leaves_the_host(local):
    local.open()
    local.wait("document.querySelectorAll('#cards a').length > 0")
    hosts = local.value(
        "[...new Set(performance.getEntriesByType('resource').map((entry) => new URL(entry.name).origin))]"
    )
    assert hosts == [local.value("location.origin")]


def test_the_lines_of_the_guide_for_a_page_of_ones_own(local, local_site):
    """As they stand in docs/browser.md, with a bundle that is there."""
    guide = (Path(__file__).parents[3] / "docs/browser.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```html\n(.*?)```", guide, re.DOTALL)
    own = lines.replace("models/demo/", "models/writer/").replace('"The "', '"to be"')
    assert own != lines and len(lines.split("<script", 1)[1].strip().splitlines()) <= 12
    head = '<!doctype html><title>Own</title><link rel="icon" href="data:,">'
    (local_site / "own.html").write_text(f"{head}\n{own}")
    local.open("/own.html")
    local.wait("document.querySelector('#text').textContent.length > 20")


def test_a_folder_of_anybody_else_stays_as_it_is(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "precious.txt").write_text("mine")
    with pytest.raises(SiteError, match="did not write, such as 'precious.txt'"):
        build([folder / "waves"], other, ORT)
    assert (other / "precious.txt").read_text() == "mine" and not list(tmp_path.glob(".*.part"))
    build([folder / "waves"], tmp_path / "site", ORT)
    again = build([folder / "tides"], tmp_path / "site", ORT)
    assert again.models == ["tides"] and not (tmp_path / "site/models/waves").exists()
    with pytest.raises(SiteError, match="is not the npm package onnxruntime-web"):
        build([folder / "waves"], tmp_path / "new", tmp_path)
    with pytest.raises(SiteError, match="There is no bundle"):
        build([tmp_path], tmp_path / "new", ORT)
    with pytest.raises(SiteError, match="is there twice"):
        build([folder / "waves", folder / "waves"], tmp_path / "new", ORT)
    assert not (tmp_path / "new").exists()
