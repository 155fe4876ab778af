"""Whether a model can be run chunk by chunk; if not, which layer looks where a stream has nothing yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import tree

from keras_rnnkit.export.errors import ExportError, first_lines
from keras_rnnkit.export.reading.hooks.layer_hooks import LayerHooks
from keras_rnnkit.export.reading.hooks.output_recorder import Call, OutputRecorder
from keras_rnnkit.export.reading.input_values import Limits
from keras_rnnkit.export.reading.model_calls import State
from keras_rnnkit.export.reading.names import layer_paths
from keras_rnnkit.export.reading.signature import Signature
from keras_rnnkit.export.reading.streaming import Carrier, StreamCall, run

ROWS, CHUNKS = 2, (5, 1, 3, 4)
TOLERANCE = 1e-4

REASONS: list[tuple[tuple[type, ...], str]] = [
    (
        (
            keras.layers.Attention,
            keras.layers.AdditiveAttention,
            keras.layers.MultiHeadAttention,
            keras.layers.GroupQueryAttention,
        ),
        "it attends over the whole input",
    ),
    (
        (keras.layers.GlobalAveragePooling1D, keras.layers.GlobalMaxPooling1D),
        "it pools over the whole input; a recurrent layer with return_sequences=False can take its place",
    ),
    ((keras.layers.Flatten,), "it lays all steps side by side"),
]


def stream_of(model, signature: Signature) -> StreamCall:
    """The model over a chunk; an error that names the layer if chunk by chunk would not be the whole."""
    signature = signature.of_chunks()
    inputs, carrier = sample(model, signature), Carrier()
    _, whole_calls = recorded_run(model, signature, inputs, carrier, "a sequence")
    if carrier.refusals:
        raise refused(carrier.refusals[0])
    states, calls_by_chunk = [start_rows(state) for state in carrier.states], []
    for chunk in chunks(signature, inputs):
        states, chunk_calls = recorded_run(model, signature, chunk, Carrier(states), "a chunk")
        calls_by_chunk.append(chunk_calls)
    for number, call in enumerate(whole_calls):
        same_call = [chunk_calls[number] for chunk_calls in calls_by_chunk]
        same_inputs = agree(call.read, [chunk_call.read for chunk_call in same_call])
        if same_inputs and not agree(call.wrote, [chunk_call.wrote for chunk_call in same_call]):
            raise refused(f"the layer {call.path!r} {reason(call.layer)}")
    return StreamCall(model, signature, carrier.states)


def refused(why: str) -> ExportError:
    return ExportError(f"The model cannot be streamed: {why}.")


def start_rows(state: State, rows: int = ROWS) -> np.ndarray:
    return np.repeat(state.start[None], rows, axis=0)


def sample(model, signature: Signature) -> list[np.ndarray]:
    rng, limits = np.random.default_rng(0), Limits(model)
    return [limits.array(rng, spec, ROWS, sum(CHUNKS)) for spec in signature.inputs]


def chunks(signature: Signature, inputs: list[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """The inputs chunk by chunk; those without steps are the same every time."""
    ends = np.cumsum(CHUNKS)
    for start, end in zip(ends - CHUNKS, ends, strict=True):
        yield [
            x[:, start:end] if len(spec.shape) > 1 and spec.shape[1] is None else x
            for spec, x in zip(signature.inputs, inputs, strict=True)
        ]


def recorded_run(model, signature: Signature, inputs, carrier: Carrier, kind: str):
    """The states after one run in Keras, and the calls of its layers in the order in which they ended, its own last."""
    recorder = OutputRecorder(layer_paths(model), inside_rows=False)
    try:
        with tf.device("/CPU:0"), recorder.recording():
            outputs, states = run(model, signature, inputs, carrier, LayerHooks({}))
    except Exception as error:
        sizes = ", ".join(str(list(x.shape)) for x in inputs)
        path, layer = recorder.failed[0] if recorder.failed else (model.name, model)
        if getattr(layer, "padding", "causal") != "causal":
            raise refused(f"the layer {path!r} {reason(layer)}") from error
        raise refused(f"the layer {path!r} cannot run on {kind} of {sizes}. {first_lines(error)}") from error
    recorder.calls.append(Call(model.name, model, list(inputs), tree.flatten(outputs)))
    return [np.asarray(state) for state in states], recorder.calls


def agree(whole: list[Any], chunks: list[list[Any]]) -> bool:
    """Whether the arrays of a whole sequence are those of its chunks."""
    return all(same(array, list(pieces)) for array, pieces in zip(whole, zip(*chunks, strict=True), strict=True))


def same(whole: Any, pieces: list[Any]) -> bool:
    return relative_error(np.asarray(whole), joined([np.asarray(piece) for piece in pieces])) <= TOLERANCE


def relative_error(expected: np.ndarray, actual: np.ndarray) -> float:
    """The largest difference, in proportion to the largest expected value if that is above 1."""
    if expected.shape != actual.shape:
        return float("inf")
    if not expected.size:
        return 0.0
    a, b = expected.astype(np.float64), actual.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if not np.all(same | (np.isfinite(a) & np.isfinite(b))):
        return float("inf")
    with np.errstate(invalid="ignore"):
        error = float(np.max(np.where(same, 0.0, np.abs(a - b))))
    return error / max(1.0, float(np.max(np.abs(a[np.isfinite(a)]), initial=0.0)))


def joined(pieces: list[np.ndarray]) -> np.ndarray:
    """Side by side along the steps, or the last where there are none."""
    steps = [piece.shape[1] if piece.ndim > 1 else None for piece in pieces]
    return np.concatenate(pieces, axis=1) if steps == list(CHUNKS) else pieces[-1]


def reason(layer) -> str:
    if isinstance(layer, keras.layers.RNN) and layer.go_backwards:
        return "reads the sequence from its end, which a stream has not reached"
    if hasattr(layer, "kernel_size"):
        return convolution_reason(layer)
    explanation = next((text for kinds, text in REASONS if isinstance(layer, kinds)), None)
    if explanation:
        return f"cannot run on a chunk: {explanation}"
    return (
        f"({type(layer).__name__}) gives other outputs for chunks than for the whole: it looks at other steps than its "
        "own, and has no state that could be carried"
    )


def convolution_reason(layer) -> str:
    if any(n != 1 for n in layer.strides):
        return f"skips steps (strides={layer.strides}), so what it gives depends on where a chunk begins"
    return (
        f"sees later steps (padding={layer.padding!r}); padding='causal' sees earlier ones only, which can be carried"
    )
