"""The road to cuDNN, without a GPU: the test for one is pretended, and the traced graph is looked at."""

import sys

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit import keras_internals
from keras_rnnkit.kernels import cudnn
from tests.covering import crossed

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="masks reach cuDNN on TensorFlow only")

LAYERS = {"LSTM": rk.LSTM, "GRU": rk.GRU}
every_layer = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
X = np.random.default_rng(3).normal(size=(3, 5, 4)).astype("float32")
RIGHT_PADDED = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]], bool)
OTHER_MASKS = {
    "left-padded": [[1, 1, 1, 1, 1], [0, 0, 1, 1, 1], [1, 0, 0, 0, 0]],
    "interior": [[1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [1, 0, 0, 0, 0]],
    "empty row": [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]],
}


@pytest.fixture
def gpu(monkeypatch):
    """Lets Keras and us believe that there is a GPU."""
    monkeypatch.setattr(cudnn, "has_gpu", lambda: True)
    keras_loops = sys.modules["keras.src.backend.tensorflow.rnn"]  # as an attribute, that name is a function in it
    monkeypatch.setattr(keras_loops, "_is_gpu_available", lambda: True)


@pytest.fixture
def fused(monkeypatch, gpu):
    """Plays cuDNN: Keras' functions replaced by a loop that leaves zeros at masked steps. Holds how often it ran."""
    calls = []

    def run(inputs, *states_and_mask, kernel, recurrent_kernel, bias, return_sequences, go_backwards, **_):
        *states, mask = states_and_mask
        stock = (keras.layers.LSTM if len(states) == 2 else keras.layers.GRU)(
            states[0].shape[-1],
            return_sequences=True,
            return_state=True,
            go_backwards=go_backwards,
            zero_output_for_mask=True,
            use_cudnn=False,
        )
        stock.build(inputs.shape)
        stock.set_weights([kernel, recurrent_kernel, bias])
        outputs, *states = stock(inputs, initial_state=list(states), mask=mask)
        calls.append(mask)
        return states[0], outputs if return_sequences else states[0][:, None], states

    monkeypatch.setattr(keras_internals, "fused_lstm", run)
    monkeypatch.setattr(keras_internals, "fused_gru", run)
    return calls


def graph_of(layer, masked):
    """The text of the traced graph and of all functions in it."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((None, None, 4)), tf.TensorSpec((None, None), tf.bool)])
    def run(x, mask):
        return layer(x, mask=mask if masked else None, training=True)

    return str(run.get_concrete_function().graph.as_graph_def())


@every_layer
@pytest.mark.parametrize("masked", [False, True])
def test_auto_takes_cudnn_where_there_is_a_gpu(make, masked, gpu):
    graph = graph_of(make(6, return_sequences=True), masked)
    assert "CudnnRNNV3" in graph
    assert ("While" in graph) == masked  # the loop, for masks that cuDNN cannot take, chosen inside the graph


@pytest.mark.parametrize(
    "make, arguments",
    [(rk.LSTM, {"use_cudnn": False}), (rk.GRU, {"kernel": "hoisted"}), (rk.LSTM, {"recurrent_dropout": 0.1})],
    ids=str,
)
def test_other_layers_hold_no_operation_of_cudnn(make, arguments, gpu):
    assert "CudnnRNNV3" not in graph_of(make(6, **arguments), True)


@every_layer
def test_without_a_gpu_no_graph_holds_cudnn(make):
    assert "CudnnRNNV3" not in graph_of(make(6), True)


def test_a_converted_embedding_model_keeps_cudnn(gpu):
    """Keras runs the mask of `mask_zero=True` on cuDNN; so must what it is converted to."""
    inputs = [keras.Input((None,)), keras.layers.Embedding(5, 4, mask_zero=True), keras.layers.LSTM(6)]
    model = rk.convert(keras.Sequential(inputs))
    import tensorflow as tf

    call = tf.function(lambda x: model(x), input_signature=[tf.TensorSpec((None, None))])
    assert "CudnnRNNV3" in str(call.get_concrete_function().graph.as_graph_def())
    assert not model.layers[-1].supports_jit


@crossed("make, zero_output, go_backwards, return_sequences", LAYERS.values(), *[[False, True]] * 3)
def test_padded_outputs_are_those_of_the_other_kernels(make, zero_output, go_backwards, return_sequences, fused):
    layer = make(
        6,
        zero_output_for_mask=zero_output,
        go_backwards=go_backwards,
        return_sequences=return_sequences,
        return_state=True,
    )
    for mask in (None, RIGHT_PADDED):
        layer.kernel = "auto"
        received = layer(X, mask=mask)
        layer.kernel = "hoisted"
        for ours, loop in zip(received, layer(X, mask=mask), strict=True):
            np.testing.assert_allclose(ours, loop, atol=1e-6)
    assert len(fused) == 2


@every_layer
@pytest.mark.parametrize("mask", OTHER_MASKS.values(), ids=OTHER_MASKS)
def test_other_masks_run_in_the_loop(make, mask, fused):
    layer, mask = make(6, return_sequences=True), np.array(mask, bool)
    received = layer(X, mask=mask)
    assert not fused
    layer.kernel = "hoisted"
    np.testing.assert_allclose(received, layer(X, mask=mask), atol=1e-6)


@every_layer
def test_dropout_falls_on_what_cudnn_reads(make, fused):
    layer = make(6, dropout=0.5, seed=4)
    outputs = []
    for kernel in ("auto", "hoisted"):
        layer.kernel = kernel
        layer.cell.seed_generator.state.assign(keras.random.SeedGenerator(4).state)
        outputs.append(layer(X, mask=RIGHT_PADDED, training=True))
    assert len(fused) == 1
    np.testing.assert_allclose(*outputs, atol=1e-6)


@every_layer
@pytest.mark.parametrize("mask", [None, RIGHT_PADDED], ids=["unmasked", "masked"])
def test_a_device_without_cudnn_runs_hoisted_and_not_keras_loop(make, mask, gpu, monkeypatch):
    def no_cudnn(*_, **__):
        raise NotImplementedError

    monkeypatch.setattr(keras_internals, "fused_lstm", no_cudnn)
    monkeypatch.setattr(keras_internals, "fused_gru", no_cudnn)
    monkeypatch.setattr(keras_internals, "rnn_loop", no_cudnn)
    layer = make(6)
    received = layer(X, mask=mask)
    layer.kernel = "hoisted"
    np.testing.assert_allclose(received, layer(X, mask=mask), atol=1e-6)


def masked_model(layer):
    return keras.Sequential([keras.Input((None, 4)), keras.layers.Masking(), layer])


def test_explain_says_what_is_decided_at_run_time(gpu):
    (row,) = rk.explain(masked_model(rk.LSTM(6)), print_fn=None)
    assert row.kernel == "cudnn" and "right-padded" in row.reason and "others run on hoisted" in row.reason
    (row,) = rk.explain(rk.LSTM(6), print_fn=None)
    assert (row.kernel, row.reason) == ("cudnn", "the fastest there is")


def test_explain_describes_a_layer_that_cannot_run_here():
    (row,) = rk.explain(
        masked_model(rk.Bidirectional(rk.GRU(6, kernel="scan"))).layers[-1].forward_layer, print_fn=None
    )
    assert row.kernel == "scan"
    (row,) = rk.explain(rk.LSTM(6, kernel="cudnn"), print_fn=None)
    assert row.kernel == "cudnn" and "cannot run here: there is no GPU" in row.reason


@every_layer
def test_xla_is_refused_only_where_cudnn_runs(make, gpu):
    assert not make(6).supports_jit
    layer = make(6, kernel="hoisted")
    assert layer.supports_jit
    layer.kernel = "auto"
    assert not layer.supports_jit
    assert make(6, use_cudnn=False).supports_jit
    assert make(6, recurrent_dropout=0.1).supports_jit


def test_xla_is_not_refused_without_a_gpu():
    assert rk.LSTM(6).supports_jit and rk.LSTM(6, use_cudnn=True).supports_jit


@every_layer
def test_use_cudnn_true_saves_a_layer_that_runs_without_a_gpu(make):
    layer = make(6, use_cudnn=True)
    assert layer.kernel == "cudnn"
    with pytest.raises(ValueError, match="there is no GPU"):
        layer(X)
    loaded = make.from_config(layer.get_config())
    assert loaded.kernel == "auto" and loaded(X).shape == (3, 6)
    named = make(6, kernel="cudnn")
    assert named.get_config()["kernel"] == "cudnn"
