"""The bytes of an ONNX file, run by onnxruntime."""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto

from keras_rnnkit.export.checking.comparison import Arrays
from keras_rnnkit.export.errors import ExportError, first_lines

OURS = "keras_rnnkit."
"""What the names of a file's facts about itself begin with."""


def session(model: ModelProto | bytes) -> onnxruntime.InferenceSession:
    """An onnxruntime session on one thread, without remarks."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    content = model if isinstance(model, bytes) else model.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


class File:
    """A file as it is to be written, run by the names of its inputs and outputs. facts: what it says of itself."""

    def __init__(self, content: bytes):
        self.content = content
        try:
            self.runner = session(content)
        except Exception as error:
            raise ExportError(f"onnxruntime does not load the graph: {first_lines(error)}") from error
        optional = self.runner.get_overridable_initializers()
        self.inputs = [value.name for value in [*self.runner.get_inputs(), *optional]]
        self.outputs = [value.name for value in self.runner.get_outputs()]
        properties = self.runner.get_modelmeta().custom_metadata_map
        own = {key.removeprefix(OURS): value for key, value in properties.items() if key.startswith(OURS)}
        self.facts = {name: json.loads(value) for name, value in own.items()}

    def run(self, feeds: Arrays) -> Arrays:
        """The outputs by name; what the graph does not take is left out of `feeds`."""
        try:
            values = self.runner.run(None, {name: feeds[name] for name in self.inputs if name in feeds})
        except Exception as error:
            size = ", ".join(str(list(x.shape)) for x in feeds.values())
            raise ExportError(f"onnxruntime does not run the graph on inputs {size}: {first_lines(error)}") from error
        return dict(zip(self.outputs, values, strict=True))

    def showing(self, names: Iterable[str] | None = None) -> File:
        """The same file with values from inside it as further outputs: those of `names`, or all."""
        model = onnx.load_model_from_string(self.content)
        written = [name for node in model.graph.node for name in node.output if name]
        outputs = {value.name for value in model.graph.output}
        wanted = set(written if names is None else names) - outputs
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in written if name in wanted)
        return File(model.SerializeToString())


def feeds_of(names: Iterable[str], arrays: Iterable[np.ndarray]) -> Arrays:
    return dict(zip(names, arrays, strict=True))
