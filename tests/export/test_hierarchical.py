"""TimeDistributed: one recurrence over folded rows where each row is computed alone, and never where it is not."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_rnnkit as rk
from keras_rnnkit.export.checking.sessions import session
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.reading.hooks.folding import treats_rows_alone
from tests.covering import studied
from tests.export.conftest import randomised

L = keras.layers
RNG = np.random.default_rng(0)


def sentence_reader(make=L.GRU, bidirectional=False, masked=False, centred=False):
    """A model from a sentence [T, 3] to a vector."""
    x = keras.Input((None, 3))
    y = L.Masking()(x) if masked else x
    y = y - keras.ops.mean(y, axis=0, keepdims=True) if centred else y
    return keras.Model(x, (L.Bidirectional(make(4)) if bidirectional else make(4))(y))


def document_reader(sentences=None, **kwargs):
    x = keras.Input((sentences, None, 3), name="x")
    return randomised(keras.Model(x, L.GRU(2, name="document")(L.TimeDistributed(sentence_reader(**kwargs))(x))))


def documents(sentences=4, padded=True):
    x = RNG.normal(size=(2, sentences, 5, 3)).astype("float32")
    if padded:
        x[0, 0, 3:], x[1, 1, :2], x[1, -1] = 0.0, 0.0, 0.0  # on the right, on the left, a whole sentence
    return x


def assert_like_keras(model, path, x, in_graph=False):
    """The file against the model as its user calls it, eagerly or in a graph as well, with nothing patched."""
    runner = session(path.read_bytes())
    (found,) = runner.run(None, {runner.get_inputs()[0].name: x})
    np.testing.assert_allclose(found, np.asarray(model(x)), atol=1e-5)
    if in_graph:
        np.testing.assert_allclose(found, model.predict(x, verbose=0), atol=1e-5)


KINDS = {
    "plain": {},
    "masked": {"masked": True},
    "bidirectional": {"bidirectional": True},
    "masked_bidirectional": {"bidirectional": True, "masked": True},
    "our_bidirectional": {"bidirectional": True, "masked": True, "make": rk.GRU},
}


@studied("kind, sentences", itertools.product(KINDS, [None, 4]), [("masked", 4), ("our_bidirectional", None)])
def test_the_inner_recurrence_is_one_node(tmp_path, op_types, kind, sentences):
    model, path = document_reader(sentences, **KINDS[kind]), tmp_path / "model.onnx"
    report = rk.export_onnx(model, path)
    recurrences = 2 if "bidirectional" in kind else 1
    assert [row.lowering for row in report.rows] == ["GRU"] * (recurrences + 1)
    assert op_types(path).count("GRU") == recurrences + 1 and "Loop" not in op_types(path)
    assert_like_keras(model, path, documents(), in_graph=kind == "masked")


@studied("sentences, bidirectional", itertools.product([None, 4], [False, True]), [(None, True), (4, False)])
def test_a_mask_of_words(tmp_path, op_types, sentences, bidirectional):
    """An Embedding before the TimeDistributed gives its mask [B, N, T]."""
    x = keras.Input((sentences, None), name="x", dtype="int32")
    reader = L.Bidirectional(L.GRU(4)) if bidirectional else L.LSTM(4)
    model = randomised(keras.Model(x, L.TimeDistributed(reader)(L.Embedding(9, 3, mask_zero=True)(x))))
    rk.export_onnx(model, tmp_path / "model.onnx", verify=False)
    kinds = op_types(tmp_path / "model.onnx")
    assert kinds.count("GRU") + kinds.count("LSTM") == 1 + bidirectional and "Loop" not in kinds
    tokens = RNG.integers(1, 9, size=(2, 4, 5)).astype("int32")
    tokens[0, 1, 2:], tokens[1, 3] = 0, 0
    assert_like_keras(model, tmp_path / "model.onnx", tokens)


class Hierarchical(keras.Model):
    """Attention over sentences, after a reader of words; sentences of padding are masked."""

    def __init__(self):
        super().__init__()
        self.embedding = L.Embedding(9, 3, mask_zero=True)
        self.words = L.TimeDistributed(L.Bidirectional(L.GRU(4)))
        self.sentences = L.Bidirectional(rk.LSTM(3, return_sequences=True))
        self.score = L.Dense(1)

    def call(self, tokens):
        valid = keras.ops.any(tokens != 0, axis=-1)
        words = self.words(self.embedding(tokens), mask=self.embedding.compute_mask(tokens))
        h = self.sentences(words, mask=valid)
        weights = keras.ops.softmax(keras.ops.where(valid[..., None], self.score(h), -1e9), axis=1)
        return keras.ops.sum(weights * h, axis=1)


@pytest.mark.study  # hierarchy_with_masks of the table is a smaller one
def test_hierarchical_attention(tmp_path, op_types):
    tokens = RNG.integers(1, 9, size=(2, 4, 5)).astype("int32")
    tokens[0, 1, 2:], tokens[1, 2:] = 0, 0
    model = Hierarchical()
    model(tokens)
    spec = keras.InputSpec(shape=(None, None, None), dtype="int32", name="tokens")
    report = rk.export_onnx(randomised(model), tmp_path / "model.onnx", inputs=spec)
    assert [row.lowering for row in report.rows] == ["GRU", "GRU", "LSTM", "LSTM"]
    assert report.inputs["tokens"] == ["batch", "time", "tokens_axis_2"] and "Loop" not in op_types(
        tmp_path / "model.onnx"
    )
    assert_like_keras(model, tmp_path / "model.onnx", tokens)


def test_three_levels(tmp_path, op_types):
    words = sentence_reader()
    x = keras.Input((None, None, 3))
    paragraph = keras.Model(x, L.GRU(3)(L.TimeDistributed(words)(x)))
    x = keras.Input((None, 2, None, 3), name="x")
    model = randomised(keras.Model(x, L.GRU(2)(L.TimeDistributed(paragraph)(x))))
    rk.export_onnx(model, tmp_path / "model.onnx", verify=False)
    assert op_types(tmp_path / "model.onnx").count("GRU") == 3
    assert_like_keras(model, tmp_path / "model.onnx", RNG.normal(size=(2, 3, 2, 4, 3)).astype("float32"))


class Zeroing(L.Layer):
    """Takes a mask [B] in each step, that is [B, N] outside."""

    def call(self, x, mask=None):
        return x if mask is None else keras.ops.where(mask[:, None], x, 0.0)

    def compute_output_shape(self, shape):
        return shape


class MaskedSteps(keras.Model):
    def __init__(self):
        super().__init__()
        self.zeroing, self.reader = L.TimeDistributed(Zeroing()), L.GRU(3)

    def call(self, x):
        return self.reader(self.zeroing(x, mask=keras.ops.any(x > 0.5, axis=-1)))


def test_a_mask_of_sentences(tmp_path, op_types):
    model, x = MaskedSteps(), RNG.normal(size=(2, 6, 3)).astype("float32")
    model(x)
    rk.export_onnx(randomised(model), tmp_path / "model.onnx", verify=False)
    assert "Loop" not in op_types(tmp_path / "model.onnx")
    assert_like_keras(model, tmp_path / "model.onnx", x)


def test_a_mask_that_keras_refuses_is_refused_with_the_layers_name(tmp_path):
    """A recurrent layer in a TimeDistributed cannot use a mask of sentences [B, N], in Keras neither."""
    x = keras.Input((None, 4, 3), name="x")
    model = keras.Model(x, L.TimeDistributed(L.GRU(4), name="rows")(x, mask=keras.ops.any(x != 0, axis=(2, 3))))
    with pytest.raises(IndexError):
        model(RNG.normal(size=(2, 3, 4, 3)).astype("float32"))
    with pytest.raises(ExportError, match="layer 'rows' .TimeDistributed. could not be traced"):
        rk.export_onnx(model, tmp_path / "model.onnx")


# ---------------------------------------------------------------------- rows that are not computed alone


class Centred(L.Layer):
    """Takes from each row the mean of all rows."""

    def call(self, x):
        return x - keras.ops.mean(x, axis=0, keepdims=True)

    def compute_output_shape(self, shape):
        return shape


def inside(layer, steps=None):
    x = keras.Input((steps, 3), name="x")
    return randomised(keras.Model(x, L.GRU(2, return_sequences=True)(L.TimeDistributed(layer)(x))))


NOT_ALONE = {
    "layer": Centred,
    "lambda": lambda: L.Lambda(lambda x: x - keras.ops.mean(x, axis=0, keepdims=True), output_shape=lambda s: s),
    "operations": lambda: keras.Model(x := keras.Input((3,)), x - keras.ops.mean(x, axis=0, keepdims=True)),
    "sorted": lambda: keras.Model(x := keras.Input((3,)), keras.ops.flip(x, axis=0)),
}
ALONE = {
    "dense": lambda: L.Dense(3),
    "lambda": lambda: L.Lambda(lambda x: 2 * x + 1, output_shape=lambda s: s),
    "operations": lambda: keras.Model(x := keras.Input((3,)), x - keras.ops.mean(x, axis=1, keepdims=True)),
    "batch normalization": lambda: L.BatchNormalization(),
    "dropout": lambda: L.Dropout(0.5),
}


@studied("kind, steps", itertools.product(NOT_ALONE, [None, 4]), [("layer", None), ("lambda", 4)])
def test_rows_that_see_each_other_are_not_folded(tmp_path, kind, steps):
    model, x = inside(NOT_ALONE[kind](), steps), RNG.normal(size=(3, 4, 3)).astype("float32")
    rk.export_onnx(model, tmp_path / "model.onnx", verify=False)
    assert_like_keras(model, tmp_path / "model.onnx", x)


@studied("kind", ALONE, ["lambda", "batch normalization"])
def test_rows_that_are_alone_are_folded(tmp_path, op_types, kind):
    model, x = inside(ALONE[kind]()), RNG.normal(size=(3, 4, 3)).astype("float32")
    rk.export_onnx(model, tmp_path / "model.onnx", verify=False)
    assert "Loop" not in op_types(tmp_path / "model.onnx")
    assert_like_keras(model, tmp_path / "model.onnx", x)


@studied("bidirectional", [False, True], [False])
def test_a_recurrence_among_rows_that_see_each_other_is_a_node_in_a_loop(tmp_path, op_types, bidirectional):
    model = document_reader(bidirectional=bidirectional, centred=True)
    rk.export_onnx(model, tmp_path / "model.onnx", verify=bidirectional)
    kinds = op_types(tmp_path / "model.onnx")
    assert (kinds.count("Loop"), kinds.count("GRU")) == (1, 2 + bidirectional)
    assert_like_keras(model, tmp_path / "model.onnx", documents(padded=False), in_graph=bidirectional)


@pytest.mark.study
def test_a_saved_model_of_a_recurrence_among_rows_that_see_each_other(tmp_path):
    model = document_reader(centred=True)
    rk.export_saved_model(model, tmp_path / "saved")
    x = documents(padded=False)
    loaded = tf.saved_model.load(tmp_path / "saved")  # its functions do not keep its variables alive
    np.testing.assert_allclose(loaded.serve(x), model(x), atol=1e-5)


def test_rows_of_a_stateful_layer_are_not_folded(tmp_path):
    x = keras.Input((3, 4, 2), name="x", batch_size=2)
    model = randomised(keras.Model(x, L.TimeDistributed(L.GRU(3, stateful=True))(x)))
    report = rk.export_onnx(model, tmp_path / "model.onnx")
    assert len(report.rows) == 3 and report.error < 1e-5


class Counting(L.Layer):
    """Counts its calls."""

    def build(self, shape):
        self.count = self.add_weight(shape=(), dtype="int32", trainable=False, initializer="zeros")

    def call(self, x):
        self.count.assign_add(1)
        return x + 1.0


def test_the_trial_writes_no_variable():
    layer, x = Counting(), tf.zeros((2, 3, 4))
    layer.build((None, 4))
    assert treats_rows_alone(layer, x, None)
    assert int(layer.count) == 0


@pytest.mark.parametrize("kind", ALONE)
def test_the_trial_tells_rows_that_are_alone(kind):
    layer = ALONE[kind]()
    layer(np.ones((2, 3), "float32"))
    assert treats_rows_alone(layer, tf.zeros((2, 3, 3)), None)


@pytest.mark.parametrize("kind", NOT_ALONE)
def test_the_trial_tells_rows_that_see_each_other(kind):
    layer = NOT_ALONE[kind]()
    layer(np.ones((2, 3), "float32"))
    assert not treats_rows_alone(layer, tf.zeros((2, 3, 3)), None)


def test_free_axes_may_have_to_be_long():
    images = keras.Input((None, None, 1))
    layer = keras.Model(images, L.GlobalAveragePooling2D()(L.MaxPooling2D(8)(L.Conv2D(2, 5)(images))))
    x = keras.KerasTensor((None, None, None, None, 1))
    assert treats_rows_alone(layer, tf.zeros((2, 3, 30, 30, 1)), None) and x.shape[2] is None


# ---------------------------------------------------------------------- means of nothing


def pooled_document_reader():
    x = keras.Input((None, 3))
    pooled = L.GlobalAveragePooling1D()(L.GRU(4, return_sequences=True)(L.Masking()(x)))
    documents = keras.Input((None, None, 3), name="x")
    return randomised(keras.Model(documents, L.TimeDistributed(keras.Model(x, pooled))(documents)))


def test_the_mean_of_a_sentence_without_words_is_nan_in_keras_and_in_the_file(tmp_path):
    """GlobalAveragePooling1D divides by the number of valid steps, 0: it is Keras that gives NaN, in that row alone."""
    model, x = pooled_document_reader(), documents()
    rk.export_onnx(model, tmp_path / "model.onnx")
    (found,) = session((tmp_path / "model.onnx").read_bytes()).run(None, {"x": x})
    expected = np.asarray(model(x))
    assert np.isnan(expected[1, -1]).all() and np.isnan(expected).sum() == 4
    np.testing.assert_allclose(found, expected, atol=1e-5, equal_nan=True)
