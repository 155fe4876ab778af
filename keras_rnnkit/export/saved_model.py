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

from keras_rnnkit import keras_internals, kernels
from keras_rnnkit.export.checking.comparison import Arrays, compared
from keras_rnnkit.export.checking.culprit import CLOSE, close, largest, numbered
from keras_rnnkit.export.checking.file_check import check_16_bits
from keras_rnnkit.export.checking.reference import arrays, by_name
from keras_rnnkit.export.checking.trials.trial import Run
from keras_rnnkit.export.drafts import Drafts
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.modes import Sequences, Streams
from keras_rnnkit.export.onnx import require_tensorflow
from keras_rnnkit.export.reading.hooks.layer_hooks import LayerHooks
from keras_rnnkit.export.reading.hooks.output_recorder import OutputRecorder
from keras_rnnkit.export.reading.model_calls import ModelCall, SequenceCall, input_names, named_outputs
from keras_rnnkit.export.reading.names import layer_paths
from keras_rnnkit.export.reading.precision import LOW, computing_in_float32
from keras_rnnkit.export.reading.signature import check
from keras_rnnkit.export.saving import files
from keras_rnnkit.export.settings import Settings
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
    """signatures: their names.

    error: largest error of any output, in proportion like that of an `ExportReport`; None if it was not measured.
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
    settings = Settings(inputs=inputs, input_names=input_names, verify=verify, tolerance=tolerance)
    return saved(model, path, settings, Drafts())


def saved(model: Any, path: str | os.PathLike, settings: Settings, drafts: Drafts) -> SavedModelReport:
    """model -> read -> write -> load again -> check what was loaded -> give the folder its name."""
    check(model)
    destination = files.checked_folder(path, "saved_model.pb")
    signatures, refusal = signatures_of(model, settings, drafts)
    dtypes = {layer.compute_dtype for layer in keras_internals.flatten_layers(model)} & set(LOW)
    error = None
    with files.folder(destination) as folder:
        with computing_in_float32(model):
            write(folder, model, [file.call() for file in signatures])
            if settings.verify:
                loaded = tf.saved_model.load(str(folder))
                error = max(check_loaded(loaded, file, settings.tolerance) for file in signatures)
        if dtypes and settings.verify:
            check_in_16_bits(folder, signatures, dtypes)
    return SavedModelReport(str(destination), [file.mode for file in signatures], error, refusal)


def check_in_16_bits(folder: Path, signatures: list[Sequences], dtypes: set[str]) -> None:
    loaded = tf.saved_model.load(str(folder))
    for file in signatures:
        check_16_bits(by_signature(loaded.signatures[file.mode]), file.trial(), dtypes)


def signatures_of(model, settings: Settings, drafts: Drafts) -> tuple[list[Sequences], str | None]:
    """What there is a signature for, and why not for streams."""
    whole, stream = Sequences(model, settings, drafts), Streams(model, settings, drafts)
    with computing_in_float32(model):
        whole.call()
        try:
            stream.call()
        except ExportError as error:
            return [whole], str(error)
    return [whole, stream], None


def write(folder: Path, model, model_calls: list[ModelCall]) -> None:
    archive = keras.export.ExportArchive()
    archive.track(model)
    names = dict(recurrent_layers(model))
    with quiet():
        for model_call in model_calls:
            archive.add_endpoint(model_call.mode, named_endpoint(model_call, names), input_signature=specs(model_call))
        if not model_calls[0].states:
            structure = as_model_takes(model_calls[0])
            archive.add_endpoint("serve", as_called(model_calls[0], names), input_signature=structure)
        archive.write_out(str(folder), verbose=False)


def plain(names: dict[str, Any]) -> Plain:
    return Plain({id(layer): path for path, layer in names.items()})


def named_endpoint(model_call: ModelCall, names: dict[str, Any]):
    """The model_call as a function from arrays in the order of `specs` to outputs by name."""
    count = len(model_call.signature.inputs)

    def endpoint(*tensors):
        values, states = model_call.run(list(tensors[:count]), list(tensors[count:]), plain(names))
        return {name: tf.identity(value) for name, value in named_outputs(model_call, values, states).items()}

    return endpoint


def as_called(model_call: ModelCall, names: dict[str, Any]):
    def serve(*packed):
        tensors = tree.flatten(packed if model_call.signature.spread else packed[0])
        values = model_call.run(tensors, [], plain(names))[0]
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


def check_loaded(loaded: Any, file: Sequences, tolerance: float) -> float:
    """The largest error of a signature of a loaded SavedModel; ExportError if it is more than the tolerance."""
    trial = file.trial()
    runs = {file.mode: by_signature(loaded.signatures[file.mode])}
    if file.mode == Sequences.mode and hasattr(loaded, "serve"):
        runs["serve"] = by_serving(loaded.serve, file.call())

    comparisons = {
        name: compared(trial.expected(), trial.computed(run, trial.expected()), tolerance, trial.moved_runs)
        for name, run in runs.items()
    }
    for name, comparison in comparisons.items():
        if comparison.failure:
            raise ExportError(
                f"The SavedModel is not exact: of its signature {name!r} the output {comparison.failure.name!r} "
                f"{comparison.failure.sentence} ({trial.size(comparison.failure.run)}). "
                f"{layer_of_saved(file, loaded)} No file was written; a larger tolerance= accepts it."
            )
    return max(comparison.error for comparison in comparisons.values())


def by_signature(signature) -> Run:
    def run(feeds: Arrays) -> Arrays:
        with tf.device("/CPU:0"):
            return arrays(signature(**{name: tf.constant(x) for name, x in feeds.items()}))

    return run


def by_serving(serve, model_call: ModelCall) -> Run:
    signature = model_call.signature

    def run(feeds: Arrays) -> Arrays:
        packed = signature.pack([tf.constant(feeds[spec.name]) for spec in signature.inputs])
        return arrays(by_name(model_call, serve(*packed) if signature.spread else serve(packed), []))

    return run


def layer_of_saved(file: Sequences, loaded) -> str:
    """The layer that a difference begins in: one with other weights, or one that the loop for SavedModels changes."""
    saved = [v.numpy() for v in loaded.variables]
    for variable in file.model.variables:
        if not any(np.array_equal(variable.numpy(), value) for value in saved):
            return f"It begins in {variable.path!r}, whose value in the SavedModel is another one."
    return loop_at_fault(file) or "Every layer agrees, so it arises outside of them."


def loop_at_fault(file: Sequences) -> str | None:
    """The first layer that computes something else when recurrences run as loops of TensorFlow's operations."""
    trial, recorder = file.trial(), OutputRecorder(layer_paths(file.model))
    call = SequenceCall(file.model, file.call().signature)
    with recorder.recording():
        call.run(*trial.sequences_of(0), plain(dict(recurrent_layers(file.model))))
    expected, other = numbered(trial.calls(0)), numbered(recorder.calls)
    for key, array in expected.items():
        if key in other and not close(array, other[key], CLOSE):
            return f"It begins in the layer {key[0]!r}, whose output differs by {largest(array, other[key]):.3g}."
    return None
