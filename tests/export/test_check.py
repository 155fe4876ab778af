"""What the check of an export refuses, and what it must not refuse."""

import keras
import numpy as np
import pytest
from onnx import numpy_helper

import keras_rnnkit as rk
from keras_rnnkit.export import road
from keras_rnnkit.export.checking.comparison import compared
from keras_rnnkit.export.checking.reference import Reference
from keras_rnnkit.export.checking.sessions import session
from keras_rnnkit.export.checking.trials.tokens import TokenTrials
from keras_rnnkit.export.drafts import Drafts
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.reading.model_calls import SequenceCall
from keras_rnnkit.export.reading.signature import signature_of
from keras_rnnkit.export.settings import Settings
from tests.export.conftest import randomised
from tests.export.table import sequential

L = keras.layers


def runs(**outputs):
    return [{name: np.asarray(x, "float32") for name, x in outputs.items()}]


def test_each_column_has_a_scale_of_its_own(rng):
    large, small = 1e6 * rng.normal(size=(20, 1)), rng.normal(size=(20, 1))
    expected = runs(y=np.concatenate([large, small], axis=1))
    assert compared(expected, runs(y=np.concatenate([large, 0 * small], axis=1)), 1e-5).failure.name == "y"
    assert compared(expected, runs(y=np.concatenate([large * (1 + 1e-7), small], axis=1)), 1e-5).failure is None


def test_a_small_output_is_judged_by_its_own_range(rng):
    y = 1e-9 * rng.random((20, 5))
    assert compared(runs(y=y), runs(y=y.mean(0) + 0 * y), 1e-5).failure


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_equals_only_itself(value, rng):
    y = rng.normal(size=(4, 2))
    spoilt = np.where([[1, 0]] * 4, y, value)
    assert compared(runs(y=y), runs(y=spoilt), 1e-5).failure
    assert compared(runs(y=spoilt), runs(y=y), 1e-5).failure
    assert compared(runs(y=spoilt), runs(y=spoilt), 1e-5).failure is None


def test_the_noise_of_the_model_itself_is_allowed_for_and_no_more(rng):
    """Columns that cancel: rounding moves them by more than the tolerance."""
    y = 1e-3 * rng.normal(size=(50, 2))
    moved = lambda: [runs(y=y + 1e-7)]  # noqa: E731
    noisy = compared(runs(y=y), runs(y=y + 3e-7), 1e-5, moved)
    assert noisy.failure is None and noisy.noisy == ["y"] and noisy.error <= 1e-5
    assert compared(runs(y=y), runs(y=y + 1e-4), 1e-5, moved).failure
    assert compared(runs(y=y), runs(y=y + 3e-7), 1e-12, moved).failure


def test_the_model_runs_only_as_often_as_its_noise_is_needed(rng):
    y, draws = 1e-3 * rng.normal(size=(50, 2)), []

    def moved():
        for noise in (1e-8, 1e-7, 1e-7):
            draws.append(noise)
            yield runs(y=y + noise)

    for error, count in ((1e-9, 0), (1e-6, 2), (1e-5, 3), (1.0, 0)):
        draws.clear()
        assert bool(compared(runs(y=y), runs(y=y + error), 1e-5, moved).failure) == (error > 1e-6)
        assert len(draws) == count


def test_whole_numbers_differ_only_where_rounding_decides():
    expected, actual = [{"best": np.array([1, 2, 3])}], [{"best": np.array([1, 2, 0])}]
    assert compared(expected, actual, 1e-5).failure
    assert compared(expected, actual, 1e-5, lambda: [actual]).ties == ["best"]


@keras.saving.register_keras_serializable("tests")
class Centred(L.Layer):
    """Subtracts the mean of the batch, so that rows do not stand alone."""

    def call(self, x):
        return x - keras.ops.mean(x, axis=0, keepdims=True)


def test_the_reference_is_called_with_nothing_patched(tmp_path):
    """A layer inside TimeDistributed that mixes rows is exported as Keras computes it, and not folded."""
    x = keras.Input((None, 3), name="x")
    inner = keras.Input((3,))
    mixing = keras.Model(inner, inner - keras.ops.mean(inner, axis=0, keepdims=True))
    model = randomised(keras.Model(x, L.TimeDistributed(mixing)(L.LSTM(3, return_sequences=True)(x))))
    report = rk.export_onnx(model, tmp_path / "model.onnx")
    values = np.random.default_rng(0).normal(size=(4, 6, 3)).astype("float32")
    (actual,) = session((tmp_path / "model.onnx").read_bytes()).run(None, {"x": values})
    np.testing.assert_allclose(actual, model(values), atol=1e-5)
    assert report.error < 1e-5


def test_a_stream_is_longer_than_what_its_convolutions_see(tmp_path):
    model = sequential(
        L.ZeroPadding1D((32, 0)), L.Conv1D(4, 3, dilation_rate=16, name="far"), L.GRU(3, return_sequences=True)
    )
    with pytest.raises(ExportError, match="far|zero_padding"):
        rk.export_onnx(randomised(model), tmp_path / "model.onnx", mode="stream")


def test_whole_numbers_without_a_vocabulary_are_tried_beyond_one(tmp_path):
    tokens = keras.Input((None,), name="tokens", dtype="int32")
    y = L.GRU(4, return_sequences=True)(L.Lambda(lambda t: keras.ops.one_hot(t, 9), output_shape=(None, 9))(tokens))
    assert rk.export_onnx(randomised(keras.Model(tokens, y)), tmp_path / "model.onnx").error < 1e-5


def test_a_masked_pooling_inside_time_distributed(tmp_path):
    """Rows of nothing but padding pool to NaN in Keras and in the file alike."""
    masked = [L.Masking(), L.GRU(4, return_sequences=True), L.GlobalAveragePooling1D()]
    pooled = keras.Sequential([keras.Input((None, 3)), *masked])
    model = randomised(sequential(L.TimeDistributed(pooled), shape=(3, 5, 3)))
    assert rk.export_onnx(model, tmp_path / "model.onnx").error < 1e-5
    values = np.random.default_rng(0).normal(size=(2, 3, 5, 3)).astype("float32")
    values[0, 1] = 0
    (actual,) = session((tmp_path / "model.onnx").read_bytes()).run(None, {"x": values})
    np.testing.assert_allclose(actual, model(values), atol=1e-5)
    assert np.isnan(actual[0, 1]).all() and np.isfinite(actual[1]).all()


@pytest.mark.parametrize("layer, operator", [(L.GRU(4, name="reader"), "GRU"), (L.LSTM(4, name="reader"), "LSTM")])
def test_an_operator_that_hides_nan_is_refused_with_the_remedy(layer, operator, tmp_path):
    """onnxruntime's LSTM and GRU give numbers where they read NaN; a Scan gives NaN, as Keras does."""
    pooled = keras.Sequential([keras.Input((None, 3)), L.Masking(), L.GlobalAveragePooling1D()])
    model = randomised(sequential(L.TimeDistributed(pooled), layer, shape=(3, 5, 3)))
    with pytest.raises(ExportError, match=f"The layer 'reader' reads NaN, .*'s {operator} .*lowering='scan'"):
        rk.export_onnx(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
    assert rk.export_onnx(model, tmp_path / "model.onnx", lowering="scan").error < 1e-5


def tagged(vocabulary, *layers):
    return sequential(L.Embedding(vocabulary, 2, name="table"), *layers, shape=(None,), dtype="int32")


@pytest.mark.parametrize("mode, least", [("sequence", 3000), ("stream", 3000), ("generate", 500)])
def test_every_token_of_a_large_vocabulary_is_tried(mode, least):
    """All 3000 where each costs little; as many as there is room for where each has 3000 scores."""
    scores = L.Dense(3000 if mode == "generate" else 2)
    model = randomised(tagged(3000, L.GRU(2, return_sequences=True), scores))
    trial = road.MODES[mode](model, Settings(mode=mode), Drafts()).trial()
    tokens = np.unique(np.concatenate([trial.sequences_of(i)[0][0].ravel() for i in range(len(trial))]))
    assert {0, 2999} <= set(tokens) and len(tokens) >= least


def test_each_input_is_tried_on_its_own_vocabulary():
    words, tags = keras.Input((None,), name="words", dtype="int32"), keras.Input((None,), name="tags", dtype="int32")
    y = L.concatenate([L.Embedding(300, 2)(words), L.Embedding(7, 2)(tags)])
    model = randomised(keras.Model({"words": words, "tags": tags}, L.GRU(2)(y)))
    limits = TokenTrials(Reference(SequenceCall(model, signature_of(model)))).limits
    assert (limits.tokens_of("words"), limits.tokens_of("tags")) == (300, 7)


def test_one_wrong_row_of_a_table_is_noticed(monkeypatch, tmp_path):
    model = randomised(tagged(2000, L.LSTM(2)))

    def spoil(proto):
        table = next(x for x in proto.graph.initializer if list(x.dims) == [2000, 2])
        array = numpy_helper.to_array(table).copy()
        array[1234] += 1
        table.CopyFrom(numpy_helper.from_array(array, table.name))
        return proto.SerializeToString()

    monkeypatch.setattr(road, "serialized", spoil)
    with pytest.raises(ExportError, match="The graph is not exact"):
        rk.export_onnx(model, tmp_path / "model.onnx")
