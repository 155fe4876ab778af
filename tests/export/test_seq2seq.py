"""A `Seq2Seq` as a bundle: Keras, the graph of the whole loop, a loop over the step, TensorFlow's own SavedModel."""

import json

import numpy as np
import onnx
import pytest
import tensorflow as tf

import keras_rnnkit as rk
from keras_rnnkit.decoding import Beam, Greedy, Sampling
from keras_rnnkit.export.drafts import Drafts
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.generating.encoder_decoder.loop import TranslationFile
from keras_rnnkit.export.generating.encoder_decoder.parts import EncoderFile, EncoderModel, StepFile, sources
from keras_rnnkit.export.settings import Settings
from keras_rnnkit.runtime import BundleError, InputError
from keras_rnnkit.text.vocabulary import UNKNOWN
from tests.seq2seq.table import SOURCES, TARGETS, model_of

RESERVED = ["<pad>", "<unk>", "<bos>", "<eos>"]
TEXTS = ["abc", "hgfedcba", "f"]


def vocabularies():
    source, target = (
        rk.text.Vocabulary.of("abcdefgh", reserved=RESERVED),
        rk.text.Vocabulary.of("vwxyz", reserved=RESERVED),
    )
    assert len(source) == SOURCES and len(target) == TARGETS
    return source, target


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(model, report, bundle) of the richest of decoders."""
    model, folder = model_of("general, fed", seed=4, limit=10), tmp_path_factory.mktemp("bundles") / "translator"
    report = rk.export_bundle(model, folder, vocabulary=vocabularies(), quantize="float16", max_error=0.1)
    return model, report, rk.runtime.load(folder)


@pytest.mark.parametrize(
    ("name", "strategy"),
    [
        pytest.param("additive", "greedy", marks=pytest.mark.study),
        pytest.param("dot, scaled", "greedy", marks=pytest.mark.study),
        pytest.param("general, conditioned", "sample", marks=pytest.mark.study),
        pytest.param("fixed vector", Beam(2), marks=pytest.mark.study),
        ("fixed vector, fed", Beam(3, 0.7, early_stopping=True)),
    ],
)
def test_every_decoder_is_exported_exactly(name, strategy, tmp_path):
    """Every graph was compared with Keras while it was written; here the loop over the step joins them."""
    model = model_of(name, seed=2)
    report = rk.export_bundle(model, tmp_path / "b", strategy=strategy, saved_model=False)
    assert set(report.reports) == {"encoder", "step", "generate"} and report.error <= 1e-5
    bundle, sources = rk.runtime.load(tmp_path / "b"), [[4, 5], [6, 7, 8, 9, 10], [11]]
    own = {"sample": Sampling(), "greedy": Greedy()}.get(strategy, strategy)
    one, other = (bundle.translate(sources, 9, strategy=s, seed=3) for s in (None, own))
    expected = model.translate(sources, own, 9, seed=3)
    for b, (x, y) in enumerate(zip(one, other, strict=True)):
        np.testing.assert_array_equal(x.tokens, y.tokens)
        if strategy != "sample":  # its rows draw in the order of the batch
            np.testing.assert_allclose([x.score, y.score], np.ravel(expected.scores[b])[0], atol=1e-4)


def test_a_bundle_has_all_it_takes(exported):
    _, report, bundle = exported
    names = {path.name for path in bundle.folder.iterdir()}
    graphs = {f"{name}{kind}.onnx" for name in ("encoder", "step", "generate") for kind in ("", ".float16")}
    assert names == {*graphs, "saved_model", "manifest.json", "vocabulary.json", "source_vocabulary.json"}
    manifest = json.loads((bundle.folder / "manifest.json").read_text())
    assert manifest["translation"]["limit"] == 10 and manifest["source_vocabulary"] == "source_vocabulary.json"
    inputs, outputs = report.reports["generate"].inputs, report.reports["generate"].outputs
    assert inputs == {"source": ["batch", "source_time"], "steps": []}
    assert outputs["attention"] == ["batch", 5, "time", "source_time"] and outputs["scores"] == ["batch", 5]
    operators = {node.op_type for node in onnx.load(bundle.folder / "encoder.onnx").graph.node}
    assert "LSTM" in operators and "Loop" not in operators


def test_text_goes_in_and_comes_out(exported):
    model, _, bundle = exported
    source, target = vocabularies()
    expected = model.translate([source.encode(text) for text in TEXTS], Beam(5), 9)
    found = bundle.translate(TEXTS, 9, best=5)
    for b, (text, hypotheses) in enumerate(zip(TEXTS, found, strict=True)):
        np.testing.assert_allclose([h.score for h in hypotheses], expected.scores[b], atol=1e-4)
        for k, hypothesis in enumerate(hypotheses):
            tokens = [t for t in expected.tokens[b, k, : expected.lengths[b, k]] if t != model.end]
            assert hypothesis.text == target.decode(tokens)
            assert hypothesis.attention.shape == (len(hypothesis.tokens), len(text))
            attention = expected.attention[b, k, : len(hypothesis.tokens), : len(text)]
            np.testing.assert_allclose(hypothesis.attention, attention, atol=1e-4)
    assert bundle.translate("abc", 9).text == found[0][0].text


def test_batches_and_other_strategies_give_the_same(exported):
    _, _, bundle = exported
    whole, parts = bundle.translate(TEXTS, 9), bundle.translate(TEXTS, 9, batch=2)
    looped = bundle.translate(TEXTS, 9, strategy=Beam(5))
    for a, b, c in zip(whole, parts, looped, strict=True):
        assert a.text == b.text == c.text and np.allclose([b.score, c.score], a.score, atol=1e-4)


def test_tensorflow_alone_translates(exported):
    model, _, bundle = exported
    loaded = tf.saved_model.load(str(bundle.folder / "saved_model"))
    source = np.array([[4, 5, 6, 0], [7, 8, 9, 10]], "int32")
    found = loaded.signatures["translate"](source=tf.constant(source), steps=tf.constant(8))
    expected = model.translate(source, steps=8)
    np.testing.assert_array_equal(found["tokens"], expected.tokens)
    np.testing.assert_allclose(found["scores"], expected.scores, atol=1e-4)


def test_weights_in_fewer_bits_translate_too(exported):
    _, _, bundle = exported
    rough = rk.runtime.load(bundle.folder, quantized="float16").translate(TEXTS, 9)
    for a, b in zip(bundle.translate(TEXTS, 9), rough, strict=True):
        assert abs(a.score - b.score) < 0.1


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("abcdefghabc", "Source 0 has 11 steps, and the model takes 10 at most"),
        ("", "Source 0 is empty"),
        ([], "There is no source"),
        ([[4, 99]], "Tokens must be 0 to 11"),
        ([["a"]], "the ids of its tokens"),
    ],
)
def test_sources_that_cannot_be_read(exported, source, sentence):
    with pytest.raises(InputError, match=sentence):
        exported[2].translate(source)


def test_what_is_not_there_gets_a_sentence(exported, tmp_path):
    with pytest.raises(InputError, match="has no 'temperature'. Pass strategy="):
        exported[2].translate("abc", temperature=0.5)
    with pytest.raises(ExportError, match="modes='stream'. Expected one of 'encoder'"):
        rk.export_bundle(exported[0], tmp_path / "b", modes=["stream"])
    with pytest.raises(BundleError, match="no graph for 'stream'"):
        exported[2].stream()
    encoder = rk.Encoder(rk.GRU(4), SOURCES, 4)
    with pytest.raises(ExportError, match="has not been called yet"):
        rk.export_bundle(rk.Seq2Seq(encoder, rk.Decoder(rk.GRU(4), TARGETS, 4)), tmp_path / "c")


def test_images_are_sources_too(tmp_path, rng):
    import keras

    network = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, strides=2, padding="same")])
    decoder = rk.Decoder(rk.GRU(6), TARGETS, 4, attention=rk.attention.Additive(5), bridge="dense")
    model, images = (
        rk.Seq2Seq(rk.seq2seq.ImageEncoder(network), decoder),
        rng.normal(size=(3, 8, 8, 3)).astype("float32"),
    )
    model((images, np.full((3, 2), 2)))
    rk.export_bundle(model, tmp_path / "b", vocabulary=(None, vocabularies()[1]), saved_model=False)
    bundle = rk.runtime.load(tmp_path / "b")
    unknown = vocabularies()[1].number(UNKNOWN)  # the loop of a bundle never picks it
    expected = model.translate(images, Beam(5).forbidding([unknown]), 6)
    np.testing.assert_allclose([t.score for t in bundle.translate(images, 6)], expected.scores[:, 0], atol=1e-4)
    assert bundle.translate(images[0], 6).attention.shape[1] == 16
    with pytest.raises(InputError, match=r"the shape \[8, 8, 3\]. Received: \[9, 8, 3\]"):
        bundle.translate(np.ones((1, 9, 8, 3)))
    with pytest.raises(InputError, match=r"the shape \[8, 8, 3\]"):
        bundle.translate(np.ones((8, 8)))


@pytest.fixture(scope="module")
def captioner():
    """A captioner whose encoder takes pixels from 0 to 255."""
    import keras

    keras.utils.set_random_seed(3)
    see = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")
    network = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Rescaling(2 / 255, -1.0), see])
    decoder = rk.Decoder(rk.GRU(6), TARGETS, 4, attention=rk.attention.Additive(5), bridge="dense")
    model = rk.Seq2Seq(rk.seq2seq.ImageEncoder(network), decoder)
    model((np.zeros((3, 8, 8, 3)), np.full((3, 2), 2)))
    return model


@pytest.fixture
def pixels(rng):
    """Images of different brightness."""
    return rng.integers(0, 256, (20, 1, 1, 3)) * np.ones((1, 8, 8, 1)) * rng.random((20, 8, 8, 1))


def test_made_up_images_are_scaled_as_the_encoder_expects(captioner):
    """Otherwise they all look the same to it, and its outputs hardly vary."""
    encoder = EncoderModel(captioner)
    made_up = np.concatenate(sources(captioner))
    assert made_up.std() > 80 and made_up.mean() == pytest.approx(127.5, abs=20)
    near_0 = np.random.default_rng(0).normal(size=(9, 8, 8, 3))
    varied, alike = (np.std(encoder(images)["values"], axis=0).max() for images in (made_up, near_0))
    assert varied > 10 * alike


def test_sources_of_calibration_are_tried_in_every_file(captioner, pixels):
    encoder, drafts = EncoderModel(captioner), Drafts()
    settings = Settings(strategy=Beam(2), calibration=pixels, quantize="int8")
    for kind in (EncoderFile, StepFile, TranslationFile):
        file = kind(encoder, settings, drafts)
        inputs = [sample.inputs for sample in file.trial().samples]
        values = np.asarray(encoder(pixels[:16].astype("float32"))["values"])
        last = inputs[3][[x.shape for x in inputs[3]].index(values.shape)] if kind is StepFile else inputs[3][0]
        np.testing.assert_allclose(last, values if kind is StepFile else pixels[:16].astype("float32"), atol=1e-6)
        assert len(file.rough_trial().samples[0].inputs[0]) == 20


def test_sources_of_calibration_that_the_model_does_not_take(captioner, tmp_path):
    with pytest.raises(ExportError, match=r"calibration= takes .*: source \[None, 8, 8, 3\]. Received: \[2, 9, 9, 3\]"):
        rk.export_bundle(captioner, tmp_path / "b", saved_model=False, calibration=np.zeros((2, 9, 9, 3)))


@pytest.mark.study
def test_a_captioner_with_weights_in_fewer_bits(captioner, pixels, tmp_path):
    report = rk.export_bundle(captioner, tmp_path / "b", calibration=pixels, quantize="int8", saved_model=False)
    assert report.error <= 1e-5 and not any(graph.notes for graph in report.reports.values())


def test_the_runtime_translates_without_a_framework(exported):
    from tests.test_package import python

    code = f"import keras_rnnkit as rk; print(rk.runtime.load({str(exported[2].folder)!r}).translate('abc', 9).text)"
    done = python(code, blocked=("keras", "tensorflow", "jax", "torch", "onnx", "tf2onnx"))
    assert done.stdout.rstrip("\n") == exported[2].translate("abc", 9).text, done.stderr


def test_the_command_translates(exported):
    from typer.testing import CliRunner

    from keras_rnnkit.cli import app

    bundle, run = exported[2], CliRunner().invoke
    found = run(app, ["translate", str(bundle.folder), "abc", "f", "--steps", "9"])
    assert found.stdout.split("\n")[:2] == [t.text for t in bundle.translate(["abc", "f"], 9)]
    lines = run(app, ["translate", str(bundle.folder), "--best", "2", "--steps", "9"], input="abc\n").stdout
    assert len(lines.rstrip("\n").split("\n")) == 2 and f"{bundle.translate('abc', 9).score:.4f}" in lines
    refused = run(app, ["translate", str(bundle.folder), "a" * 11])
    assert refused.exit_code == 2 and "Source 0 has 11 steps" in refused.output
