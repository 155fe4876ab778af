"""The check of an export notices whatever is done to a file between writing and checking it, and names the layer."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import onnx
import pytest

import keras_rnnkit as rk
from keras_rnnkit.export import road, saved_model
from keras_rnnkit.export.drafts import Drafts
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.generating.encoder_decoder import bundle_files
from keras_rnnkit.export.generating.encoder_decoder.parts import EncoderModel
from keras_rnnkit.export.lowering import operators
from keras_rnnkit.export.settings import MODES as FILE_MODES
from keras_rnnkit.export.settings import QUANTIZATIONS, Settings
from tests.covering import studied
from tests.export import sabotage as s
from tests.export.conftest import randomised
from tests.seq2seq.table import model_of

L = keras.layers
V, U, END = 11, 4, 3
NAN = np.array([0, np.nan, 0], np.float32)


def tagger():
    tokens = keras.Input((None,), name="tokens", dtype="int32")
    y = L.Embedding(V, 3, mask_zero=True, name="embedding")(tokens)
    y = L.GRU(U, return_sequences=True, name="memory")(L.LSTM(U, return_sequences=True, name="reader")(y))
    heads = {"left": L.Dense(3, name="left_head")(y), "right": L.Dense(3, name="right_head")(y)}
    return keras.Model(tokens, heads | {"flags": keras.ops.cast(heads["left"][..., 0] > 0, "int64")})


def sequential(*layers, **arguments):
    return keras.Sequential([keras.Input((None, 3), name="x", **arguments), *layers])


def both_starts():
    x, h, c = keras.Input((None, 3), name="x"), keras.Input((U,), name="h"), keras.Input((U,), name="c")
    return keras.Model([x, h, c], L.LSTM(U, return_sequences=True, name="started")(x, initial_state=[h, c]))


def restarted():
    x, reset = keras.Input((None, 3), name="x"), keras.Input((None,), name="reset", dtype="bool")
    layer = rk.GRU(U, return_sequences=True, learn_initial_state=True, name="restarted")
    return keras.Model([x, reset], layer(x, reset_mask=reset))


def deep():
    return sequential(
        L.Conv1D(3, 2, padding="causal", name="convolution"),
        rk.LSTM(U, return_sequences=True, name="reader"),
        rk.GRU(U, return_sequences=True, learn_initial_state=True, name="memory"),
        L.Dense(2, name="head"),
    )


def language_model():
    return keras.Sequential(
        [
            keras.Input((None,), name="tokens", dtype="int32"),
            L.Embedding(V, 5, name="embedding"),
            rk.GRU(6, return_sequences=True, name="memory"),
            L.Dense(V, name="scores"),
        ]
    )


def scanned():
    cell = rk.cells.LayerNormLSTMCell(U)
    return sequential(rk.Recurrent(cell, return_sequences=True, name="scanned"), L.Dense(2, name="head"))


def convolved_memory():
    cells = {"windows": rk.cells.ConvolutionCell(3), "matrix": rk.cells.MLSTMCell(U, heads=2)}
    return sequential(*(rk.Recurrent(cell, return_sequences=True, name=name) for name, cell in cells.items()))


def wide():
    return sequential(L.LSTM(24, return_sequences=True, name="reader"), L.Dense(3, name="head"))


@functools.cache
def translator():
    """(model, drafts) that the parts of a model from sequences to sequences share, as those of a bundle do."""
    return EncoderModel(model_of("general, fed", seed=4, deep=False)), Drafts(shared=True)


MODELS: dict[str, tuple[Callable[[], keras.Model], dict]] = {
    "tagger": (tagger, {}),
    "rnn": (lambda: sequential(L.SimpleRNN(U, return_sequences=True, name="plain"), L.Dense(2, name="head")), {}),
    "peephole": (
        lambda: sequential(
            rk.Recurrent(rk.cells.PeepholeLSTMCell(U), learn_initial_state=True, name="peephole"),
        ),
        {},
    ),
    "scan": (scanned, {}),
    "linear": (lambda: sequential(rk.Recurrent(rk.cells.MinGRUCell(U), return_sequences=True, name="linear")), {}),
    "windows": (convolved_memory, {"mode": "stream"}),
    "starts": (both_starts, {}),
    "resets": (restarted, {}),
    "both ways": (lambda: sequential(L.Bidirectional(L.GRU(U, return_sequences=True), name="both")), {}),
    "stateful": (lambda: sequential(rk.LSTM(U, stateful=True, name="kept"), batch_size=2), {}),
    "stream": (deep, {"mode": "stream"}),
    "greedy": (language_model, {"mode": "generate", "strategy": "greedy", "end": END}),
    "sample": (language_model, {"mode": "generate", "strategy": "sample", "end": END}),
    "beam": (language_model, {"mode": "generate", "strategy": "beam", "end": END}),
    "int8": (wide, {"quantize": "int8"}),
    "float16": (wide, {"quantize": "float16"}),
    "encoder": (translator, {"part": "encoder"}),
    "step": (translator, {"part": "step"}),
    "translation": (translator, {"part": "generate"}),
}


class Row(NamedTuple):
    """A model, what is done to its file, and what the refusal must say: the layer at fault where there is one."""

    model: str
    broken: s.Break
    says: str


TABLE = {
    "two outputs swapped": Row("tagger", s.swap_outputs("left", "right"), "its output '(left|right)'"),
    "gates of an LSTM swapped": Row("tagger", s.swap_gates("LSTM", 4, 0, 2), "layer 'reader'"),
    "gates of a GRU swapped": Row("tagger", s.swap_gates("GRU", 3, 0, 1), "layer 'memory'"),
    "kernel of an LSTM zeroed": Row("tagger", s.weight("LSTM", 1, s.zero), "layer 'reader'"),
    "kernel of an LSTM": Row("tagger", s.weight("LSTM", 1), "layer 'reader'"),
    "recurrent kernel of an LSTM": Row("tagger", s.weight("LSTM", 2), "layer 'reader'"),
    "bias of an LSTM": Row("tagger", s.weight("LSTM", 3), "layer 'reader'"),
    "kernel of a GRU": Row("tagger", s.weight("GRU", 1), "layer 'memory'"),
    "recurrent kernel of a GRU": Row("tagger", s.weight("GRU", 2), "layer 'memory'"),
    "recurrent kernel of a GRU zeroed": Row("tagger", s.weight("GRU", 2, s.zero), "layer 'memory'"),
    "bias of a GRU": Row("tagger", s.weight("GRU", 3), "layer 'memory'"),
    "a row of the embedding": Row(
        "tagger", s.constants_of_shape(V, 3, function=lambda x: x + (np.arange(V) == 7)[:, None]), "layer 'embedding'"
    ),
    "kernel of a dense layer": Row("tagger", s.constants_of_shape(U, 3), "layer '(left|right)_head'"),
    "bias of a dense layer": Row("tagger", s.constants_of_shape(3), "layer '(left|right)_head'"),
    "mask dropped": Row(
        "tagger", s.into_layer("reader/", ("Not", "NotEqual", "Greater"), "Or", True), "layer 'reader'"
    ),
    "everything masked": Row(
        "tagger", s.into_layer("reader/", ("Not", "NotEqual", "Greater"), "And", False), "layer 'reader'"
    ),
    "length off by one": Row("tagger", s.behind_node("ReduceSum", "reader/", "Sub", np.int64(1)), "'reader"),
    "NaN in one column": Row("tagger", s.apply("Add", "left", NAN), "'left' is nan where Keras has"),
    "infinity in one column": Row(
        "tagger", s.apply("Div", "left", np.array([1, 0, 1], "f4")), "'left' is -?inf where Keras has"
    ),
    "a column scaled a little": Row("tagger", s.apply("Mul", "left", np.array([1, 1, 1.001], "f4")), "'left' differs"),
    "an output of zeros": Row("tagger", s.apply("Mul", "right", np.float32(0)), "'right' differs"),
    "an output negated": Row("tagger", s.apply("Neg", "right"), "'right' differs"),
    "steps of an output shifted": Row("tagger", s.shift("right", 1), "'right' differs"),
    "rows of an output shifted": Row("tagger", s.shift("right", 0), "'right' differs"),
    "columns of an output shifted": Row("tagger", s.shift("right", 2), "'right' differs"),
    "whole numbers off by one": Row(
        "tagger", s.apply("Add", "flags", np.int64(1)), "'flags' differs in .* whole numbers"
    ),
    "an output left out": Row("tagger", s.without_output("right"), "'right' is not there"),
    "an output of another shape": Row(
        "tagger", s.apply("Unsqueeze", "left", np.array([0])), r"'left' has the shape \[1, "
    ),
    "float16 where float32 was said": Row("tagger", s.in_half_precision, "layer 'embedding'"),
    "kernel of an RNN": Row("rnn", s.weight("RNN", 1), "layer 'plain'"),
    "recurrent kernel of an RNN": Row("rnn", s.weight("RNN", 2), "layer 'plain'"),
    "bias of an RNN": Row("rnn", s.weight("RNN", 3), "layer 'plain'"),
    "activation of an RNN": Row("rnn", s.attribute("RNN", "activations", ["Softsign"]), "layer 'plain'"),
    "a peephole": Row("peephole", s.weight("LSTM", 7), "layer 'peephole'"),
    "peepholes zeroed": Row("peephole", s.weight("LSTM", 7, s.zero), "layer 'peephole'"),
    "a learned initial state": Row("peephole", s.weight("LSTM", 5), "layer 'peephole'"),
    "learned initial states swapped": Row("peephole", s.swap_inputs("LSTM", 5, 6), "layer 'peephole'"),
    "a weight of a Scan": Row("scan", s.constants_of_shape(U, 4 * U), "layer 'scanned'"),
    "states of a Scan swapped": Row("scan", s.swap_in_body("Scan", 0, 1), "layer 'scanned'"),
    "a weight of a linear cell": Row("linear", s.constants_of_shape(3, 2 * U), "layer 'linear'"),
    "factor and summand of a linear cell swapped": Row("linear", s.swap_inputs("Scan", 1, 2), "layer 'linear'"),
    "the product of a linear cell": Row("linear", s.inside_loops(s.other_operator("Mul", "Add")), "layer 'linear'"),
    "a weight of a convolution": Row("windows", s.weight("Mul", 0, within="windows"), "layer 'windows'"),
    "a window that forgets": Row("windows", s.copy_of("state_0", "next_state_0"), "steps"),
    "a weight of a matrix memory": Row("windows", s.constants_of_shape(3, 4 * U + 4), "layer 'matrix'"),
    "exponents of a matrix memory": Row(
        "windows", s.inside_loops(s.other_operator("Exp", "Sigmoid")), "layer 'matrix'"
    ),
    "memory and normaliser of a matrix swapped": Row("windows", s.swap_outputs("matrix", "next_state_2"), "."),
    "initial states swapped": Row("starts", s.swap_inputs("LSTM", 5, 6), "layer 'started'"),
    "resets dropped": Row("resets", s.behind_node("Unsqueeze", "restarted/", "And", False), "layer 'restarted'"),
    "resets one step late": Row("resets", s.shift_input("reset", 1), "layer 'restarted'"),
    "the state to go back to": Row("resets", s.constants_of_shape(U), "layer 'restarted'"),
    "a direction of a bidirectional layer": Row("both ways", s.weight("GRU", 2, within="backward"), "both/backward"),
    "directions swapped": Row("both ways", s.swap_operands("Concat"), "layer 'both'"),
    "next states swapped": Row("stateful", s.swap_outputs("next_state_0", "next_state_1"), "'next_state_"),
    "next state is the one before": Row("stateful", s.copy_of("state_0", "next_state_0"), "'next_state_0'"),
    "states of a stream swapped": Row("stream", s.swap_outputs("next_state_1", "next_state_2"), "stream|steps"),
    "a stream that forgets": Row("stream", s.copy_of("state_3", "next_state_3"), "steps"),
    "a stream that starts elsewhere": Row("stream", s.start_of_stream, "steps"),
    "convolution of a stream": Row("stream", s.weight("Conv", 1), "layer 'convolution'"),
    "recurrent kernel of a stream": Row("stream", s.weight("LSTM", 2), "layer 'reader'"),
    "NaN in a stream": Row("stream", s.apply("Add", "head", np.array([0, np.nan], "f4")), "'head' is nan"),
    "tokens negated": Row("greedy", s.apply("Neg", "generated"), "generates other tokens"),
    "lengths off by one": Row("greedy", s.apply("Add", "lengths", np.int64(1)), "generates other tokens"),
    "scores scaled a little": Row("greedy", s.apply("Mul", "scores", np.float32(1.01)), "scores the same tokens"),
    "NaN in a score": Row("greedy", s.apply("Add", "scores", np.float32(np.nan)), "scores"),
    "the memory of a generator": Row("greedy", s.weight("GRU", 2), "layer 'memory'"),
    "the embedding of a generator": Row("greedy", s.constants_of_shape(V, 5), "layer 'embedding'|other tokens"),
    "the last layer of a generator": Row("sample", s.constants_of_shape(6, V), "layer 'scores'"),
    "tokens of a sample one step on": Row("sample", s.shift("generated", 1), "generates other tokens"),
    "scores of a sample negated": Row("sample", s.apply("Neg", "scores"), "scores"),
    "hypotheses of a beam in another order": Row("beam", s.shift("generated", 1), "generates other tokens"),
    "scores of a beam in another order": Row("beam", s.shift("scores", 1), "scores"),
    "lengths of a beam": Row("beam", s.apply("Add", "lengths", np.int64(1)), "generates other tokens"),
    "the memory of a beam": Row("beam", s.weight("GRU", 1), "layer 'memory'"),
    "an encoder's recurrent kernel": Row("encoder", s.weight("LSTM", 2), "layer '.*forward_lstm.*'"),
    "an encoder's values": Row("encoder", s.apply("Mul", "values", np.float32(1.001)), "'values' differs"),
    "a decoder that keeps its state": Row("step", s.copy_of("state_0", "next_state_0"), "'next_state_0' differs"),
    "attention of a step lost": Row("step", s.apply("Mul", "attention", np.float32(0)), "'attention' differs"),
    "embedding of a decoder": Row(
        "step", s.constants_of_shape(9, 3, function=lambda x: x + 0.1), "layer '.*embedding'"
    ),
    "attention of a translation lost": Row(
        "translation", s.apply("Mul", "attention", np.float32(0)), "attention differs"
    ),
    "attention of a translation shifted": Row("translation", s.shift("attention", 3), "attention differs"),
    "attention left out": Row("translation", s.without_output("attention"), "attention is not there"),
    "tokens of a translation negated": Row("translation", s.apply("Neg", "generated"), "generates other tokens"),
    "scores of a translation": Row("translation", s.apply("Mul", "scores", np.float32(1.001)), "scores the same"),
    "the encoder of a translation": Row("translation", s.weight("LSTM", 2), "layer '.*forward_lstm.*'"),
    "weights of int8 zeroed": Row("int8", s.weight("DynamicQuantizeLSTM", 1, s.zero), "With int8 weights the output"),
    "scale of int8 weights": Row(
        "int8", s.weight("DynamicQuantizeLSTM", 8, lambda x: 2 * x), "With int8 weights the output"
    ),
    "output of int8 weights negated": Row("int8", s.apply("Neg", "head"), "With int8 weights the output 'head'"),
    "NaN with int8 weights": Row("int8", s.apply("Add", "head", NAN), "With int8 weights the output 'head' is nan"),
    "weights of float16": Row("float16", s.weight("LSTM", 2, lambda x: 1.2 * x), "With float16 weights the output"),
    "output of float16 weights shifted": Row("float16", s.shift("head", 1), "With float16 weights the output 'head'"),
}


@functools.cache
def prepared(name: str):
    """(export, report) of a model whose export has passed: what is read, traced and run by Keras is there."""
    build, arguments = MODELS[name]
    drafts, arguments = Drafts(), dict(arguments)
    part = arguments.pop("part", None)
    settings = Settings(**({"strategy": None} if part else {}), **arguments)
    if part:
        model, drafts = translator()
        export = lambda: road.along(bundle_files.FILES[part](model, settings, drafts))  # noqa: E731
    else:
        model = randomised(build(), spread=0.5)
        export = lambda: road.export(model, settings, drafts)  # noqa: E731
    _, report = export()
    return export, report


STUDIES = {
    *("kernel of an LSTM zeroed", "bias of an LSTM", "kernel of a GRU", "recurrent kernel of a GRU zeroed"),
    *("bias of a GRU", "bias of a dense layer", "everything masked", "an output of zeros", "an output negated"),
    *("rows of an output shifted", "columns of an output shifted", "kernel of an RNN", "bias of an RNN"),
    *("infinity in one column", "peepholes zeroed", "scores of a sample negated", "lengths of a beam"),
    *("scores of a beam in another order", "an encoder's values", "attention of a translation shifted"),
    *("scores of a translation", "attention left out", "directions swapped", "recurrent kernel of a stream"),
    *("kernel of an LSTM", "recurrent kernel of a GRU", "steps of an output shifted", "recurrent kernel of an RNN"),
    *("scores scaled a little", "tokens of a translation negated", "the embedding of a generator", "NaN in a stream"),
    *("learned initial states swapped", "a weight of a convolution", "float16 where float32 was said"),
    *("kernel of a dense layer", "output of float16 weights shifted", "NaN with int8 weights", "resets one step late"),
}
"""Rows that do to a file nearly what another row does."""


@studied("name", TABLE, [name for name in TABLE if name not in STUDIES])
def test_a_broken_file_is_refused(name, monkeypatch):
    row, serialized = TABLE[name], road.serialized
    export, _ = prepared(row.model)

    def sabotaged(model):
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        row.broken(copy)
        return serialized(copy)

    monkeypatch.setattr(road, "serialized", sabotaged)
    with pytest.raises(ExportError, match=row.says):
        export()


SAVED = {
    "other weights than the model's": "It begins in '.*memory.*kernel'",
    "outputs under each other's names": "'sequence' the output '(left|right)' differs",
    "states under each other's names": "'stream' the output",
    "a NaN in one output": "'sequence' the output 'left' is nan",
    "another loop than the layer's": "It begins in the layer 'reader'",
}


def two_heads():
    x = keras.Input((None, 3), name="x")
    y = rk.GRU(U, return_sequences=True, name="memory")(rk.GRU(U, return_sequences=True, name="reader")(x))
    return keras.Model(x, {"left": L.Dense(2, name="left_head")(y), "right": L.Dense(2, name="right_head")(y)})


def renamed(function, a, b):
    """Outputs or states under each other's names."""

    def named(*arguments):
        outputs = function(*arguments)
        return {**outputs, **({a: outputs[b], b: outputs[a]} if a in outputs else {})}

    return named


@studied("name", SAVED, ["states under each other's names"])
def test_a_broken_saved_model_is_refused(name, monkeypatch, tmp_path):
    model, write, outputs = randomised(two_heads(), spread=0.5), saved_model.write, saved_model.named_outputs

    def stale(folder, model, calls):
        kernel = model.get_layer("memory").cell.kernel
        before = kernel.numpy()
        kernel.assign(before + 0.1)
        write(folder, model, calls)
        kernel.assign(before)

    def with_nan(*arguments):
        return {n: y * np.nan if n == "left" else y for n, y in outputs(*arguments).items()}

    def other_loop(self, layer, name, original, x, state, mask, training):
        last, every, after = original(layer, x, state, mask, training=training)
        return last, every * (1.01 if name == "reader" else 1.0), after

    changes = {
        "other weights than the model's": (saved_model, "write", stale),
        "outputs under each other's names": (saved_model, "named_outputs", renamed(outputs, "left", "right")),
        "states under each other's names": (saved_model, "named_outputs", renamed(outputs, *NEXT)),
        "a NaN in one output": (saved_model, "named_outputs", with_nan),
        "another loop than the layer's": (saved_model.Plain, "run_recurrence", other_loop),
    }
    monkeypatch.setattr(*changes[name])
    with pytest.raises(ExportError, match=SAVED[name]):
        rk.export_saved_model(model, tmp_path / "model")
    assert not list(tmp_path.iterdir())


NEXT = ("next_state_0", "next_state_1")


def test_weights_that_change_between_the_trace_and_the_check_are_noticed():
    model, drafts, settings = randomised(wide(), spread=0.5), Drafts(shared=True), Settings()
    road.export(model, settings, drafts)
    for key in [key for key in drafts.kept if key[1:2] in (("trial",), ("verified",))]:
        del drafts.kept[key]
    kernel = model.get_layer("head").kernel
    kernel.assign(kernel + 0.01)
    with pytest.raises(ExportError, match="The graph is not exact: its output 'head' differs"):
        road.export(model, settings, drafts)


def test_every_mode_and_every_lowering_has_a_row():
    """A new one needs a row, and a model that is lowered to it."""
    rows = {TABLE[name].model for name in TABLE}
    settings = [MODELS[name][1] for name in rows]
    assert set(FILE_MODES) == {arguments.get("mode", "sequence") for arguments in settings}
    assert set(QUANTIZATIONS) <= {arguments.get("quantize") for arguments in settings}
    assert set(bundle_files.MODES) <= {arguments.get("part") for arguments in settings}
    assert {"greedy", "sample", "beam"} <= {arguments.get("strategy") for arguments in settings}
    lowerings = {lowering for name in rows for row in prepared(name)[1].rows for lowering in row.lowering.split(", ")}
    assert set(operators.TABLE) <= lowerings
    quick = TABLE.keys() - STUDIES
    assert TABLE.keys() > STUDIES and {TABLE[name].model for name in quick} == rows
    assert len(quick) >= 40
