"""`export_saved_model`: a SavedModel that plain TensorFlow and TF Serving load, without keras_rnnkit."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import tree

from keras_rnnkit import kernels
from keras_rnnkit.export import files
from keras_rnnkit.export.checking.comparison import difference
from keras_rnnkit.export.checking.probes import Probe, probes
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.onnx import require_tensorflow
from keras_rnnkit.export.reading.causality import stream_of
from keras_rnnkit.export.reading.layer_hooks import LayerHooks
from keras_rnnkit.export.reading.model_calls import ModelCall, SequenceCall, input_names, named_outputs
from keras_rnnkit.export.reading.precision import computing_in_float32
from keras_rnnkit.export.reading.signature import check, signature_of
from keras_rnnkit.export.tracing.tensorflow_graph import quiet
from keras_rnnkit.layers.traversal import recurrent_layers


class Plain(LayerHooks):
    """Runs every recurrence as a loop of TensorFlow's own operations, whatever kernel the device has for it."""

    def run_recurrence(self, layer, name, original, sequences, initial_state, mask, training):
        if not hasattr(layer, "equation"):
            return keras.layers.RNN.inner_loop(layer, sequences, initial_state, mask, training=training)
        mask, reset = mask if isinstance(mask, tuple) else (mask, None)
        flags = kernels.CallFlags(masked=mask is not None, resets=reset is not None)
        kernel = "scan" if kernels.TABLE["hoisted"].refusal(layer, flags) else "hoisted"
        return kernels.TABLE[kernel].run(layer, sequences, initial_state, mask, reset, training)


@dataclass(frozen=True)
class SavedModelReport:
    """signatures: their names; error: largest absolute difference of any output from Keras', None if not measured.

    refusal: why there is no signature for streams, None where there is one.
    """

    path: str
    signatures: list[str]
    error: float | None
    refusal: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        measured = "not verified" if self.error is None else f"error {self.error:.1e}"
        lines = [f"{self.path}: signatures {', '.join(self.signatures)}; {measured}"]
        return "\n".join([*lines, *([f"No stream. {self.refusal}"] if self.refusal else [])])


def export_saved_model(
    model: Any,
    path: str | os.PathLike,
    *,
    inputs: Any = None,
    input_names: list[str] | None = None,
    verify: bool = True,
    tolerance: float = 1e-5,
) -> SavedModelReport:
    """Writes a model as a SavedModel, and verifies it against Keras.

    Its signatures take arrays by name: "sequence" whole sequences, and where the model can stream, "stream" one chunk
    with states `state_0`, ... in and `next_state_0`, ... out. `tf.saved_model.load(path).serve(x)` takes what the
    model takes, as after `model.export(path)`; a stateful model has no `serve`, since its states are inputs.

    The graph has no kernel of the device it was written on. Arguments are those of `export_onnx`.

    >>> import tempfile, keras_rnnkit as rk
    >>> model = keras.Sequential([keras.Input((None, 3), name="x"), rk.GRU(4, name="reader")])
    >>> path = os.path.join(tempfile.mkdtemp(), "model")
    >>> rk.export_saved_model(model, path).signatures
    ['sequence', 'stream']
    >>> loaded = tf.saved_model.load(path)
    >>> loaded.serve(np.ones((2, 5, 3), "float32")).shape
    TensorShape([2, 4])
    """
    require_tensorflow()
    check(model)
    destination = files.checked_folder(path, "saved_model.pb")
    with computing_in_float32(model):
        model_calls, refusal = forms_of(model, inputs, input_names)
        with files.folder(destination) as folder:
            write(folder, model, model_calls)
            error = compare(folder, model_calls, tolerance) if verify else None
    return SavedModelReport(str(destination), [model_call.mode for model_call in model_calls], error, refusal)


def forms_of(model, inputs, input_names) -> tuple[list[ModelCall], str | None]:
    """What there is a signature for, and why not for streams."""
    signature = signature_of(model, inputs, input_names)
    whole: ModelCall = SequenceCall(model, signature)
    try:
        return [whole, stream_of(model, signature)], None
    except ExportError as error:
        return [whole], str(error)


def write(folder: Path, model, model_calls: list[ModelCall]) -> None:
    archive = keras.export.ExportArchive()
    archive.track(model)
    names = dict(recurrent_layers(model))
    with quiet():
        for model_call in model_calls:
            archive.add_endpoint(model_call.mode, by_name(model_call, names), input_signature=specs(model_call))
        if not model_calls[0].states:
            structure = as_model_takes(model_calls[0])
            archive.add_endpoint("serve", as_called(model_calls[0], names), input_signature=structure)
        archive.write_out(str(folder), verbose=False)


def plain(names: dict[str, Any]) -> Plain:
    return Plain({id(layer): path for path, layer in names.items()})


def by_name(model_call: ModelCall, names: dict[str, Any]):
    """The model_call as a function from arrays in the order of `specs` to outputs by name."""
    count = len(model_call.signature.inputs)

    def endpoint(*arrays):
        values, states = model_call.run(list(arrays[:count]), list(arrays[count:]), plain(names))
        return {name: tf.identity(value) for name, value in named_outputs(model_call, values, states).items()}

    return endpoint


def as_called(model_call: ModelCall, names: dict[str, Any]):
    def serve(*packed):
        arrays = tree.flatten(packed if model_call.signature.spread else packed[0])
        values = model_call.run(arrays, [], plain(names))[0]
        nested = isinstance(values, dict) and any(tree.is_nested(value) for value in values.values())
        return named_outputs(model_call, values, []) if nested else values  # a signature's outputs are a flat dict

    return serve


def specs(model_call: ModelCall) -> list[tf.TensorSpec]:
    kinds = [(spec.shape, spec.dtype) for spec in model_call.signature.inputs] + [
        (s.shape, s.dtype) for s in model_call.states
    ]
    return [
        tf.TensorSpec(shape, dtype, name) for (shape, dtype), name in zip(kinds, input_names(model_call), strict=True)
    ]


def as_model_takes(model_call: ModelCall) -> list[Any]:
    packed = model_call.signature.pack(
        [tf.TensorSpec(spec.shape, spec.dtype, spec.name) for spec in model_call.signature.inputs]
    )
    return list(packed) if model_call.signature.spread else [packed]


def compare(folder: Path, model_calls: list[ModelCall], tolerance: float) -> float:
    """The largest absolute error of all signatures; ExportError if one is more than the tolerance."""
    loaded = tf.saved_model.load(str(folder))
    tries = [(model_call, probe) for model_call in model_calls for probe in probes(model_call)]
    return max(
        difference_of(loaded.signatures[model_call.mode], model_call, probe, tolerance) for model_call, probe in tries
    )


def difference_of(signature, model_call: ModelCall, probe: Probe, tolerance: float) -> float:
    arrays = [*probe.inputs, *probe.states]
    with tf.device("/CPU:0"):
        expected = named_outputs(model_call, *model_call.run(probe.inputs, probe.states, LayerHooks({})))
        found = signature(**dict(zip(input_names(model_call), map(tf.constant, arrays), strict=True)))
    errors = [difference(np.asarray(value), np.asarray(found[name])) for name, value in expected.items()]
    worst = max(scaled for _, scaled in errors)
    if worst > tolerance:
        raise ExportError(
            f"The SavedModel is not exact: its signature {model_call.mode!r} differs from Keras by {worst:.3g} on "
            f"inputs {probe.size}, allowed are {tolerance:g}. No file was written; a larger tolerance= accepts it."
        )
    return max(error for error, _ in errors)
