"""Models as Keras' own guides and examples write them: one call, then onnxruntime in a process of its own."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

import keras_rnnkit as rk
from tests.export.conftest import randomised

VOCABULARY, LENGTH = 50, 12


def bidirectional_lstm_on_imdb():
    """keras.io/examples/nlp/bidirectional_lstm_imdb"""
    inputs = keras.Input(shape=(None,), dtype="int32")
    x = layers.Embedding(VOCABULARY, 16)(inputs)
    x = layers.Bidirectional(layers.LSTM(8, return_sequences=True))(x)
    x = layers.Bidirectional(layers.LSTM(8))(x)
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))


def working_with_rnns():
    """keras.io/guides/working_with_rnns: the first models, and outputs and states."""
    encoder_input = layers.Input(shape=(None,))
    embedded = layers.Embedding(input_dim=VOCABULARY, output_dim=8)(encoder_input)
    _, state_h, state_c = layers.LSTM(8, return_state=True, name="encoder")(embedded)
    decoder_input = layers.Input(shape=(None,))
    decoder_embedded = layers.Embedding(input_dim=VOCABULARY, output_dim=8)(decoder_input)
    output = layers.LSTM(8, name="decoder")(decoder_embedded, initial_state=[state_h, state_c])
    return keras.Model([encoder_input, decoder_input], layers.Dense(10)(output))


def stacked_cells_of_the_guide():
    model = keras.Sequential()
    model.add(keras.Input(shape=(5, 10)))
    model.add(layers.Bidirectional(layers.LSTM(8, return_sequences=True)))
    model.add(layers.Bidirectional(layers.LSTM(4)))
    model.add(layers.Dense(10))
    return model


def masking_and_padding():
    """keras.io/guides/understanding_masking_and_padding"""
    inputs = keras.Input(shape=(None,), dtype="int32")
    x = layers.Embedding(input_dim=VOCABULARY, output_dim=16, mask_zero=True)(inputs)
    return keras.Model(inputs, layers.LSTM(8)(x))


def seq2seq_of_characters():
    """keras.io/examples/nlp/lstm_seq2seq: one-hot characters, training model."""
    encoder_inputs = keras.Input(shape=(None, 9))
    _, state_h, state_c = layers.LSTM(8, return_state=True)(encoder_inputs)
    decoder_inputs = keras.Input(shape=(None, 11))
    decoder_lstm = layers.LSTM(8, return_sequences=True, return_state=True)
    decoder_outputs, _, _ = decoder_lstm(decoder_inputs, initial_state=[state_h, state_c])
    return keras.Model([encoder_inputs, decoder_inputs], layers.Dense(11, activation="softmax")(decoder_outputs))


def seq2seq_decoder_of_characters():
    """The same example's sampling model: states in, states out."""
    decoder_inputs = keras.Input(shape=(None, 11), name="characters")
    state_h, state_c = keras.Input(shape=(8,), name="h"), keras.Input(shape=(8,), name="c")
    outputs, h, c = layers.LSTM(8, return_sequences=True, return_state=True)(
        decoder_inputs, initial_state=[state_h, state_c]
    )
    outputs = layers.Dense(11, activation="softmax")(outputs)
    return keras.Model([decoder_inputs, state_h, state_c], [outputs, h, c])


def addition():
    """keras.io/examples/nlp/addition_rnn"""
    model = keras.Sequential()
    model.add(layers.Input((7, 12)))
    model.add(layers.LSTM(16))
    model.add(layers.RepeatVector(4))
    for _ in range(2):
        model.add(layers.LSTM(16, return_sequences=True))
    model.add(layers.Dense(12, activation="softmax"))
    return model


def gru_language_model():
    """tensorflow.org/text/tutorials/text_generation, with padding masked."""
    inputs = keras.Input((None,), dtype="int64")
    x = layers.Embedding(VOCABULARY, 8, mask_zero=True)(inputs)
    x = layers.GRU(16, return_sequences=True)(x)
    return keras.Model(inputs, layers.Dense(VOCABULARY)(x))


@keras.saving.register_keras_serializable()
class TextGenerator(keras.Model):
    """The same tutorial's subclassed model, which takes and returns states."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.embedding = layers.Embedding(VOCABULARY, 8)
        self.gru = layers.GRU(16, return_sequences=True, return_state=True)
        self.dense = layers.Dense(VOCABULARY)

    def call(self, inputs, states=None, return_state=False, training=False):
        x = self.embedding(inputs, training=training)
        if states is None:
            states = self.gru.get_initial_state(keras.ops.shape(x)[0])
        x, states = self.gru(x, initial_state=states, training=training)
        x = self.dense(x, training=training)
        return (x, states) if return_state else x


def text_generator():
    model = TextGenerator()
    model(np.zeros((1, 4), "int32"))
    return model


def cnn_rnn_on_video():
    """keras.io/examples/vision/video_classification: features of frames, and a mask of them."""
    frame_features = keras.Input((LENGTH, 20), name="features")
    mask = keras.Input((LENGTH,), dtype="bool", name="mask")
    x = layers.GRU(16, return_sequences=True)(frame_features, mask=mask)
    x = layers.GRU(8)(x)
    x = layers.Dropout(0.4)(x)
    return keras.Model([frame_features, mask], layers.Dense(5, activation="softmax")(x))


def cnn_over_frames():
    """TimeDistributed convolutions before an LSTM."""
    return keras.Sequential(
        [
            keras.Input((6, 8, 8, 1)),
            layers.TimeDistributed(layers.Conv2D(4, 3, activation="relu")),
            layers.TimeDistributed(layers.GlobalAveragePooling2D()),
            layers.LSTM(8),
            layers.Dense(3),
        ]
    )


def captcha_ocr():
    """keras.io/examples/vision/captcha_ocr: convolutions, a reshape, two bidirectional LSTMs."""
    image = layers.Input(shape=(20, 16, 1), name="image")
    x = layers.Conv2D(4, 3, activation="relu", padding="same")(image)
    x = layers.MaxPooling2D((2, 2))(x)
    x = layers.Reshape(target_shape=(10, 32))(x)
    x = layers.Dense(16, activation="relu")(x)
    x = layers.Bidirectional(layers.LSTM(8, return_sequences=True, dropout=0.25))(x)
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True, dropout=0.25))(x)
    return keras.Model(image, layers.Dense(12, activation="softmax")(x))


def ticket_routing():
    """keras.io/guides/functional_api: several inputs and outputs."""
    title, body = keras.Input((None,), name="title"), keras.Input((None,), name="body")
    tags = keras.Input((12,), name="tags")
    title_features = layers.LSTM(8)(layers.Embedding(VOCABULARY, 8)(title))
    body_features = layers.LSTM(4)(layers.Embedding(VOCABULARY, 8)(body))
    x = layers.concatenate([title_features, body_features, tags])
    return keras.Model(
        inputs={"title": title, "body": body, "tags": tags},
        outputs={"priority": layers.Dense(1, name="priority")(x), "department": layers.Dense(4, name="department")(x)},
    )


def weather_forecast():
    """keras.io/examples/timeseries/timeseries_weather_forecasting"""
    inputs = keras.layers.Input(shape=(24, 7))
    lstm_out = keras.layers.LSTM(16)(inputs)
    return keras.Model(inputs=inputs, outputs=keras.layers.Dense(1)(lstm_out))


QUICK = [bidirectional_lstm_on_imdb, working_with_rnns, seq2seq_decoder_of_characters, addition, text_generator]
QUICK += [cnn_rnn_on_video, cnn_over_frames, ticket_routing]
STUDIES = [stacked_cells_of_the_guide, masking_and_padding, seq2seq_of_characters, gru_language_model, captcha_ocr]
STUDIES += [weather_forecast]

RUN = """
import sys
import numpy as np
import onnxruntime
for name in sys.argv[2:]:
    known = np.load(f"{sys.argv[1]}/{name}.npz")
    session = onnxruntime.InferenceSession(f"{sys.argv[1]}/{name}.onnx")
    outputs = session.run(None, {i.name: known[i.name] for i in session.get_inputs()})
    for i, y in enumerate(outputs):
        np.testing.assert_allclose(y, known[f"output {i}"], atol=1e-5, err_msg=name)
assert not {"tensorflow", "keras", "keras_rnnkit", "onnx"} & set(sys.modules)
print("all the same")
"""


def example(model, report):
    """Inputs by the names of the graph."""
    rng = np.random.default_rng(4)
    kinds = {spec.name: spec.dtype for spec in inputs_of(model)}
    for name, dims in report.inputs.items():
        shape = [{"batch": 3}.get(n, LENGTH) if isinstance(n, str) else n for n in dims]
        tokens = len(dims) == 2 and isinstance(dims[1], str)
        kind = kinds.get(name, "int32" if tokens else "float32")
        if kind == "bool":
            yield name, rng.random(shape) < 0.7
        elif tokens:
            yield name, rng.integers(0, VOCABULARY, size=shape).astype(kind)
        else:
            yield name, rng.normal(size=shape).astype(kind)


def inputs_of(model):
    return model.inputs if hasattr(model, "inputs") and model.inputs else []


@pytest.fixture(scope="module", params=[QUICK, pytest.param(STUDIES, marks=pytest.mark.study)], ids=["quick", "others"])
def written(request, tmp_path_factory):
    """A folder with every model's file and what Keras gives for an example; and the reports."""
    folder, reports = tmp_path_factory.mktemp("guides"), {}
    for build in request.param:
        name, model = build.__name__, randomised(build(), spread=0.3)
        reports[name] = rk.export_onnx(model, folder / f"{name}.onnx")
        given = dict(example(model, reports[name]))
        outputs = model(list(given.values()) if len(given) > 1 and name != "ticket_routing" else alone(given))
        flat = [np.asarray(y) for y in keras.tree.flatten(outputs)]
        np.savez(folder / f"{name}.npz", **given, **{f"output {i}": y for i, y in enumerate(flat)})
    return folder, reports


def alone(given):
    return given if len(given) > 1 else next(iter(given.values()))


def test_they_run_the_same_without_tensorflow(written):
    folder, reports = written
    done = subprocess.run([sys.executable, "-c", RUN, folder, *reports], capture_output=True, text=True)
    assert done.stdout.strip() == "all the same", done.stderr


def test_every_recurrence_is_an_operator(written):
    _, reports = written
    kinds = {name: [row.lowering for row in report.rows] for name, report in reports.items()}
    assert all(row in ("LSTM", "GRU") for rows in kinds.values() for row in rows), json.dumps(kinds)
    if "cnn_rnn_on_video" in kinds:
        assert len(kinds["bidirectional_lstm_on_imdb"]) == 4 and len(kinds["cnn_rnn_on_video"]) == 2
