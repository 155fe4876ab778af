"""The server over a bundle whose recurrences read their gates from the input alone: whole sequences, and streams."""

import json

import httpx
import keras
import numpy as np
import pytest
from websockets.sync.client import connect

import keras_rnnkit as rk
from keras_rnnkit import runtime
from keras_rnnkit.serving import Settings
from tests.serving.conftest import running


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A bundle of a convolution, a minGRU and an mLSTM in a block each, with the states of all of them."""
    path = tmp_path_factory.mktemp("bundles")
    layers = [rk.blocks.MinRNN(units=4, expansion=1), rk.blocks.XLSTM(heads=2), keras.layers.Dense(2, name="y")]
    model = keras.Sequential([keras.Input((None, 3), name="x"), *[keras.layers.Dense(4), *layers]])
    rng = np.random.default_rng(0)
    for weight in model.trainable_variables:
        weight.assign(weight + 0.4 * rng.normal(size=weight.shape))
    rk.export_bundle(model, path / "blocks", modes=("sequence", "stream"), saved_model=False)
    return path


def test_a_bundle_of_blocks_is_served_whole_and_as_a_stream(folder, rng):
    x = rng.normal(size=(2, 9, 3)).astype("float32")
    expected = runtime.load(folder / "blocks").predict(x)
    with running(Settings(folder=folder, reload=0, access_log=False)) as (address, _):
        tensor = {"name": "x", "datatype": "FP32", "shape": list(x.shape), "data": x.ravel().tolist()}
        answer = httpx.post(f"http://{address}/v2/models/blocks/infer", json={"inputs": [tensor]}, timeout=20).json()
        whole = np.reshape(answer["outputs"][0]["data"], answer["outputs"][0]["shape"])
        np.testing.assert_allclose(whole, expected, atol=1e-5)
        with connect(f"ws://{address}/v2/models/blocks/stream?rows=2") as socket:
            json.loads(socket.recv())
            chunks = []
            for begin, end in ((0, 4), (4, 5), (5, 9)):
                socket.send(x[:, begin:end].tobytes())
                chunks.append(np.frombuffer(socket.recv(), "<f4").reshape(2, end - begin, 2))
    np.testing.assert_allclose(np.concatenate(chunks, axis=1), expected, atol=1e-5)
