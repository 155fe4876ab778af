"""The kinds of files of a model: what it is read as for each, and what the bytes of a file are tried on."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from onnx import ModelProto

from keras_rnnkit.export.checking.comparison import Arrays
from keras_rnnkit.export.checking.file_check import FileCheck, Verified, check_16_bits, check_rough
from keras_rnnkit.export.checking.sessions import File
from keras_rnnkit.export.checking.trials.calibration import batches
from keras_rnnkit.export.checking.trials.stream_trial import stream_trial
from keras_rnnkit.export.checking.trials.trial import Trial, sequence_trial, shapes_of
from keras_rnnkit.export.drafts import Drafts
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.graph import Graph, Trace, finished, lowered, traced
from keras_rnnkit.export.reading.causality import stream_of
from keras_rnnkit.export.reading.model_calls import ModelCall, SequenceCall
from keras_rnnkit.export.reading.signature import Signature, guesses_axes, signature_of
from keras_rnnkit.export.settings import Settings
from keras_rnnkit.export.writing.finish import Shapes, name_output_axes
from keras_rnnkit.export.writing.quantization import BOUNDS, quantized

ROWS_OF_CALIBRATION = 16
"""Rows of the user's data on which the exact graph is compared with Keras."""


class Sequences:
    """A file for whole sequences. What the files of a bundle share is kept in `drafts`."""

    mode = "sequence"

    def __init__(self, model: Any, settings: Settings, drafts: Drafts):
        self.model, self.settings, self.drafts = model, settings, drafts
        self.notes: list[str] = []

    # ------------------------------------------------------------------ read -> trace -> lower -> finish

    def graph(self) -> Graph:
        """The exact graph, finished."""
        return self.drafts.keep((self.mode, "graph", self.settings.prefer), self.lowered)

    def lowered(self) -> Graph:
        graph = lowered(self.trace(), self.settings.prefer, self.settings.batch, self.drafts.shared)
        if self.settings.verify:
            return finished(graph, self.trace(), self.trial().shapes())
        graph = finished(graph, self.trace())
        if not hasattr(graph.model_call, "axis_name"):
            name_output_axes(graph.model.graph, self.shapes_by_running(graph.model))
        return graph

    def trace(self) -> Trace:
        return self.drafts.keep((self.mode, "trace"), self.traced)

    def call(self) -> ModelCall:
        """The call of the model that is traced."""
        trace = self.drafts.kept.get((self.mode, "trace"))
        return trace.model_call if trace else self.drafts.keep((self.mode, "call"), self.read)

    def read(self) -> ModelCall:
        return SequenceCall(self.model, signature_of(self.model, self.settings.inputs, self.settings.input_names))

    def traced(self) -> Trace:
        """With free steps if the model can be traced so, otherwise as it was first called."""
        try:
            return traced(self.call(), self.settings.opset)
        except ExportError:
            if not guesses_axes(self.model, self.settings.inputs):
                raise
        signature = signature_of(self.model, input_names=self.settings.input_names, as_called=True)
        trace = traced(SequenceCall(self.model, signature), self.settings.opset)
        shapes = ", ".join(f"{spec.name} {list(spec.shape)}" for spec in signature.inputs)
        trace.notes.append(
            f"The model cannot be traced with a free number of steps; it takes {shapes}, as it was first called."
        )
        return trace

    def written(self) -> ModelProto:
        """The graph of the file, with weights in fewer bits if they were asked for."""
        return quantized(self.graph(), self.settings.quantize) if self.settings.quantize else self.graph().model

    # ------------------------------------------------------------------ check

    def check(self, content: bytes) -> tuple[Verified, float | None]:
        """Compare the bytes with Keras: (how the exact graph agrees, the error of weights in fewer bits)."""
        if not self.settings.quantize:
            return self.verified(content), None
        verified = self.verified(self.graph().model.SerializeToString())
        return verified, self.check_rough(content)

    def verified(self, content: bytes) -> Verified:
        """The same bytes are checked once, if they are those of several files."""
        if not self.settings.verify:
            return Verified()
        key = (self.mode, "verified", hashlib.sha256(content).hexdigest())
        return self.drafts.keep(key, FileCheck(content, self.graph(), self.trial(), self.settings.tolerance))

    def check_rough(self, content: bytes) -> float:
        kind, bound = self.settings.quantize or "", self.settings.max_error
        trial = self.rough_trial()
        return check_rough(trial.opened(content).run, trial, kind, BOUNDS[kind] if bound is None else bound)

    def check_16_bits(self, content: bytes, dtypes: set[str]) -> None:
        """Compare with the model as the user has it; nothing computes in float32 any more."""
        if self.settings.verify and not self.settings.quantize:
            check_16_bits(self.trial().opened(content).run, self.trial(), dtypes)

    # ------------------------------------------------------------------ what the bytes are tried on

    def trial(self) -> Trial:
        """Made-up inputs, and some of the user's own."""
        return self.drafts.keep((self.mode, "trial"), lambda: self.tried(self.made_up(self.call())))

    def made_up(self, model_call: ModelCall) -> Trial:
        return sequence_trial(model_call)

    def tried(self, trial: Trial) -> Trial:
        own = trial.with_data([[x[:ROWS_OF_CALIBRATION] for x in arrays] for arrays in self.calibration()[:1]])
        return trial.accepted().joined_with(own)

    def rough_trial(self) -> Trial:
        """The user's own data, if there is any."""
        if self.calibration():
            return self.made_up(self.call()).with_data(self.calibration()).of_users_data()
        return self.trial()

    def calibration(self) -> list[list[np.ndarray]]:
        """Flat inputs, batch by batch."""
        if self.settings.calibration is None:
            return []
        signature = self.signature_of_calibration()
        data = self.drafts.keep("calibration", lambda: batches(signature, self.settings.calibration))
        if not data:
            self.notes.append(
                "The data of calibration= has no batch with rows of finite numbers, so the error was measured on "
                "made-up inputs."
            )
        return data

    def signature_of_calibration(self) -> Signature:
        return self.call().signature

    def shapes_by_running(self, model: ModelProto) -> list[Shapes]:
        """The shapes of inputs and outputs where Keras is not run; onnxruntime must at least run the graph."""
        file, trial = File(model.SerializeToString()), self.made_up(self.call())
        shapes: list[Shapes] = []
        refusals: list[ExportError] = []

        def run(feeds: Arrays) -> Arrays:
            outputs = file.run(feeds)
            shapes.append((shapes_of(feeds), shapes_of(outputs)))
            return outputs

        for i in range(len(trial)):
            try:
                trial.chunks(i, run)
            except ExportError as error:
                refusals.append(error)
        if not shapes:
            raise refusals[0]
        return shapes


class Streams(Sequences):
    """A file for one chunk of any length."""

    mode = "stream"

    def read(self):
        return stream_of(self.model, signature_of(self.model, self.settings.inputs, self.settings.input_names))

    def traced(self):
        return traced(self.call(), self.settings.opset)

    def made_up(self, model_call):
        return stream_trial(model_call)
