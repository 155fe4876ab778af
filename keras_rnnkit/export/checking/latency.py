"""The time of a run, ours beside that of Keras' own export."""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path

import numpy as np

from keras_rnnkit.export.checking.sessions import session
from keras_rnnkit.export.errors import first_lines
from keras_rnnkit.export.reading.input_values import Limits
from keras_rnnkit.export.reading.model_calls import ModelCall
from keras_rnnkit.export.tracing.tensorflow_graph import quiet
from keras_rnnkit.timing import Times, side_by_side

ROWS, STEPS = 1, 100


def stock_file(model, path: Path) -> None:
    """What `model.export(path, format="onnx")` writes, without its remarks."""
    with quiet(), contextlib.redirect_stdout(io.StringIO()):
        model.export(str(path), format="onnx", verbose=False)


def beside_stock(model_call: ModelCall, content: bytes) -> tuple[Times, Times | None, str]:
    """(ours, stock, why there is none) on one thread, for one row of a hundred steps, where those are free."""
    rng, limits = np.random.default_rng(0), Limits(model_call.model)
    inputs = [limits.array(rng, spec, ROWS, STEPS) for spec in model_call.signature.inputs]
    ours = session(content)
    feeds = dict(zip([spec.name for spec in model_call.signature.inputs], inputs, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        try:
            stock_file(model_call.model, Path(folder) / "stock.onnx")
            stock = session((Path(folder) / "stock.onnx").read_bytes())
            theirs = dict(zip([value.name for value in stock.get_inputs()], inputs, strict=True))
            stock.run(None, theirs)
        except Exception as error:  # Keras' export fails in many ways; its first lines say how
            return side_by_side(lambda: ours.run(None, feeds))[0], None, first_lines(error)
        mine, other = side_by_side(lambda: ours.run(None, feeds), lambda: stock.run(None, theirs))
        return mine, other, ""
