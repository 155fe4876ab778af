"""Exports in several threads, beside threads that call, train and convert models: nobody sees another's patches."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.export.checking.reference import Reference
from keras_rnnkit.export.reading.hooks.layer_hooks import LayerHooks, hooked
from keras_rnnkit.export.reading.hooks.output_recorder import OutputRecorder
from keras_rnnkit.export.reading.hooks.patches import PatchedAttribute, PatchedMethod, patched
from keras_rnnkit.export.reading.model_calls import SequenceCall
from keras_rnnkit.export.reading.precision import computing_in_float32
from keras_rnnkit.export.reading.signature import signature_of
from keras_rnnkit.export.reading.streaming import forgetting, without_padding
from tests.covering import studied
from tests.export.conftest import randomised
from tests.export.table import sequential

L = keras.layers
METHODS = [
    (L.Layer, "__call__"),
    (L.RNN, "inner_loop"),
    (L.LSTM, "inner_loop"),
    (L.GRU, "inner_loop"),
    (rk.Recurrent, "inner_loop"),
    (L.RNN, "_maybe_config_dropout_masks"),
    (L.RNN, "_maybe_reset_dropout_masks"),
    (L.Bidirectional, "_can_attempt_fused_lstm"),
    (L.Bidirectional, "_can_attempt_fused_gru"),
    (L.TimeDistributed, "call"),
    (L.Conv1D, "call"),
]
ATTRIBUTES = [(L.Layer, "_dtype_policy"), (L.RNN, "stateful"), (L.Conv1D, "padding"), (rk.Seq2Seq, "_graphs")]


def methods_seen():
    return {(cls, name): getattr(cls, name) for cls, name in METHODS}


def class_entries():
    """What the classes themselves hold, whichever thread looks."""
    return {(cls, name): vars(cls).get(name) for cls, name in [*METHODS, *ATTRIBUTES]}


ORIGINALS, ENTRIES = methods_seen(), class_entries()


@pytest.fixture(autouse=True)
def keras_is_left_as_it_was():
    yield
    assert methods_seen() == ORIGINALS
    assert class_entries() == ENTRIES


class Window(L.Layer):
    """Lets another thread look whenever the exporting one calls this layer."""

    looks = []

    def call(self, x):
        for look in Window.looks:
            with ThreadPoolExecutor(1) as other:
                other.submit(look).result()
        return x


@pytest.fixture
def looking():
    """looking(look): `look()` runs in another thread in the middle of every call of an exported model."""
    Window.looks = looks = []
    yield looks.append
    Window.looks = []


def causal_model(units, window=True):
    return randomised(
        sequential(
            L.Conv1D(4, 3, padding="causal"),
            L.GRU(units, return_sequences=True, dropout=0.2, recurrent_dropout=0.1),
            *([Window()] if window else []),
            rk.LSTM(3, return_sequences=True),
            L.TimeDistributed(L.Dense(2)),
        )
    )


def contents(model):
    """What stands on each of the model's layers: identities, since tensors have no equality."""
    return {
        (layer.path, name): id(value)
        for layer in model._flatten_layers()
        for name, value in sorted(vars(layer).items())
    }


@studied("exporting, count", [(2, 1), (3, 3)], [(2, 1)])
def test_threads_export_streams_while_another_calls_models(exporting, count, tmp_path):
    models = [causal_model(units, window=False) for units in range(3, 3 + exporting)]
    x = np.random.default_rng(0).normal(size=(2, 9, 3)).astype("float32")
    expected = [np.asarray(model(x)) for model in models]
    done = threading.Event()

    def call_models():
        count = 0
        while not done.is_set() or not count:
            for model, y in zip(models, expected, strict=True):
                np.testing.assert_allclose(model(x), y, atol=1e-5)
                model(x, training=True)
            count += 1
            done.wait(0.02)  # so that the exports get most of the processor's time
        return count

    def export(number):
        return [rk.export_onnx(models[number], tmp_path / f"{number}_{i}.onnx", mode="stream") for i in range(count)]

    with ThreadPoolExecutor(exporting + 1) as threads:
        calls = threads.submit(call_models)
        try:
            reports = [report for each in threads.map(export, range(exporting)) for report in each]
        finally:
            done.set()
        assert calls.result() > 0
    assert len(reports) == exporting * count and all(
        report.error < 1e-5 and len(report.states) == 4 for report in reports
    )


PATCHED = {
    "causal": lambda: causal_model(4),
    "stateful": lambda: sequential(L.LSTM(3, stateful=True, return_sequences=True), Window(), batch_size=2),
    "of 16 bits": lambda: sequential(Window(), L.GRU(3, return_sequences=True, dtype="mixed_float16")),
}


@studied(
    "name, mode",
    itertools.product(PATCHED, ["sequence", "stream"]),
    [("causal", "stream"), ("stateful", "stream"), ("of 16 bits", "sequence")],
)
def test_another_thread_sees_an_untouched_keras_and_untouched_layers(name, mode, looking, tmp_path):
    model = PATCHED[name]()
    model(np.ones((2, 5, 3), "float32"))  # Keras notes on each layer that it has been called
    before, seen, patched_then = contents(model), [], []
    looking(lambda: seen.append((methods_seen() == ORIGINALS, contents(model))))
    looking(lambda: [layer.compute_dtype for layer in model.layers])
    looking(lambda: patched_then.append(class_entries() != ENTRIES))
    rk.export_onnx(model, tmp_path / "model.onnx", mode=mode)
    assert seen and all(look == (True, before) for look in seen)
    assert any(patched_then), "nobody looked while Keras was patched"


@pytest.mark.parametrize(
    "dropout, patched_methods", [(0.0, set()), (0.2, {"_maybe_config_dropout_masks", "_maybe_reset_dropout_masks"})]
)
def test_the_reference_is_called_with_nothing_patched(dropout, patched_methods):
    """But for the dropout masks that Keras keeps on cells, which a thread that trains the model uses meanwhile."""
    model = randomised(sequential(L.GRU(3, return_sequences=True, recurrent_dropout=dropout), Window()))
    call = SequenceCall(model, signature_of(model))
    seen, x = [], np.ones((2, 5, 3), "float32")
    seeds = [variable.numpy() for variable in model.variables if "seed" in variable.path]

    def look():
        entries = class_entries()
        seen.append({name for cls, name in entries if entries[cls, name] != ENTRIES[cls, name]})

    Window.looks = [look]
    try:
        with computing_in_float32(model):
            Reference(call).outputs([x])
    finally:
        Window.looks = []
    assert seen == [patched_methods]
    assert not any(getattr(layer, "_dropout_mask", None) is not None for layer in model._flatten_layers())
    after = [variable.numpy() for variable in model.variables if "seed" in variable.path]
    np.testing.assert_array_equal(seeds, after)  # no mask was drawn


def test_another_thread_computes_what_it_would_without_the_export(looking, tmp_path):
    model = sequential(
        L.GRU(3, return_sequences=True, dtype="mixed_float16"), Window(), L.Conv1D(2, 2, padding="causal")
    )
    same = keras.models.clone_model(randomised(model))
    same.set_weights(model.get_weights())
    x = np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")
    expected, dtype = np.asarray(model(x)), model.layers[0](x).dtype
    training = randomised(sequential(L.LSTM(3, dropout=0.5, recurrent_dropout=0.2), L.Dense(1)))
    convertible = sequential(L.LSTM(3))
    training.compile("adam", "mse", run_eagerly=True)
    seen = []

    def look():
        assert model.layers[0](x).dtype == dtype
        looks, Window.looks = Window.looks, []
        try:
            seen.append(np.asarray(model(x)))
            training.train_on_batch(x, np.zeros((2, 1)))
            rk.convert(convertible)(x)
        finally:
            Window.looks = looks

    looking(look)
    rk.export_onnx(model, tmp_path / "model.onnx", mode="stream")
    assert seen and all(np.array_equal(y, expected) for y in seen)


def test_an_exception_in_the_middle_leaves_nothing_behind(looking, tmp_path):
    model = causal_model(4)

    def fail():
        raise RuntimeError("in the middle")

    looking(fail)
    for mode in ("sequence", "stream"):
        with pytest.raises(Exception, match="in the middle"):
            rk.export_onnx(model, tmp_path / "model.onnx", mode=mode)
        assert methods_seen() == ORIGINALS and class_entries() == ENTRIES
    Window.looks.clear()
    rk.export_onnx(model, tmp_path / "model.onnx", mode="stream", verify=False)


def test_contexts_nest_and_are_undone_one_by_one():
    conv = L.Conv1D(2, 3, padding="causal", dtype="mixed_bfloat16")
    rnn = L.SimpleRNN(2, stateful=True)
    model = keras.Sequential([keras.Input((4, 2), batch_size=1), conv, rnn])
    recorder = OutputRecorder({id(conv): "conv"})
    with hooked(LayerHooks({})), hooked(LayerHooks({})), computing_in_float32(model), recorder.recording():
        with without_padding(conv), without_padding(conv), forgetting(model), forgetting(model):
            assert (conv.padding, rnn.stateful, conv.compute_dtype) == ("valid", False, "float32")
        assert (conv.padding, rnn.stateful, conv.compute_dtype) == ("causal", True, "float32")
        conv(np.ones((1, 4, 2), "float32"))
    assert [call.path for call in recorder.calls] == ["conv"]
    assert (conv.padding, rnn.stateful, conv.compute_dtype) == ("causal", True, "bfloat16")
    assert vars(conv)["padding"] == "causal" and vars(rnn)["stateful"] is True


def test_a_write_in_another_thread_reaches_the_layer():
    rnn = L.SimpleRNN(2)
    with patched(lambda: iter([PatchedAttribute(L.RNN, "stateful", lambda layer, value: "here")])):
        with ThreadPoolExecutor(1) as other:
            other.submit(setattr, rnn, "stateful", True).result()
            assert other.submit(lambda: rnn.stateful).result() is True
        assert rnn.stateful == "here"
    assert rnn.stateful is True


def test_a_patch_that_cannot_be_made_undoes_those_before_it():
    def patches():
        yield PatchedMethod(L.RNN, "inner_loop", lambda *_, **__: None)
        yield PatchedMethod(L.RNN, "no_such_method", lambda *_, **__: None)

    with pytest.raises(AttributeError, match="no_such_method"), patched(patches):
        pass
