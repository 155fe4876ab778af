"""Small bundles, and a real server over three of them on a port of this machine."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keras_rnnkit import runtime
from keras_rnnkit.serving import Settings
from keras_rnnkit.serving.http.application import application
from keras_rnnkit.serving.server import DrainingServer, configured, listening
from tests.sharing import made_once

TEXT = "to be or not to be, that is the question"


@pytest.fixture(scope="session")
def bundles(tmp_path_factory) -> Path:
    """The bundles "series", "writer" and "whole". Tests that change one take `copied`."""
    return made_once(tmp_path_factory, "bundles", export_bundles)[0]


@pytest.fixture(scope="session")
def view_bundles(tmp_path_factory) -> Path:
    """A bundle for each kind of view of the playground; see tests/serving/page/bundles.py."""
    from tests.serving.page.bundles import export_all

    return made_once(tmp_path_factory, "view_bundles", export_all)[0]


def export_bundles(folder: Path) -> None:
    import keras

    import keras_rnnkit as rk

    random = np.random.default_rng(0)
    vocabulary = rk.text.Vocabulary.of(TEXT)
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    y = keras.layers.Embedding(len(vocabulary), 4)(tokens)
    y = keras.layers.Dense(len(vocabulary), name="logits")(rk.LSTM(8, return_sequences=True)(y))
    x = keras.Input((None, 3), name="x")
    models = {
        "series": (keras.Model(x, keras.layers.Dense(3, name="y")(rk.GRU(8, return_sequences=True)(x))), None),
        "writer": (keras.Model(tokens, y), vocabulary),
    }
    z = keras.Input((None, 3), name="x")
    whole = keras.Model(z, keras.layers.Dense(2, name="y")(rk.Bidirectional(rk.GRU(4))(keras.layers.Masking()(z))))
    for model in (*(model for model, _ in models.values()), whole):
        for weight in model.weights:
            weight.assign(random.normal(size=weight.shape) * 0.6)
    for name, (model, known) in models.items():
        modes = ["sequence", "stream", *(["generate"] if known else [])]
        rk.export_bundle(model, folder / name, modes=modes, vocabulary=known, saved_model=False, verify=False)
    rk.export_bundle(whole, folder / "whole", modes=["sequence"], saved_model=False, verify=False)


@pytest.fixture(scope="session")
def settings(bundles) -> Settings:
    return Settings(folder=bundles, reload=0, access_log=False)


@contextlib.contextmanager
def running(settings: Settings):
    """The address of a server in a thread of its own."""
    settings = replace(settings, port=0)
    listener = listening(settings)
    app = application(settings)
    server = DrainingServer(configured(settings, app), app, settings, listener)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}", app.server
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="session")
def server(settings):
    with running(settings) as (address, state):
        yield address, state


@pytest.fixture(scope="session")
def address(server) -> str:
    return server[0]


@pytest.fixture
def http(address):
    import httpx

    with httpx.Client(base_url=f"http://{address}", timeout=20) as client:
        yield client


@pytest.fixture
def loaded(bundles):
    """A bundle by its name, run in this process."""
    return lambda name: runtime.load(bundles / name)


@pytest.fixture
def copied(bundles, tmp_path):
    """A copy of the bundles to do harm to."""
    return Path(shutil.copytree(bundles, tmp_path / "copy"))
