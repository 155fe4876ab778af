"""The whole loop of a `Seq2Seq` as one file: from a source to tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import onnx
from onnx import ModelProto

from keras_rnnkit.decoding import Beam, Strategy
from keras_rnnkit.decoding.loop import widened
from keras_rnnkit.export.checking.file_check import FileCheck, Verified
from keras_rnnkit.export.drafts import Drafts
from keras_rnnkit.export.generating.encoder_decoder.parts import EncoderFile, EncoderModel, PartFile, StepFile
from keras_rnnkit.export.generating.encoder_decoder.translation_check import SourceTrial, TranslationCheck
from keras_rnnkit.export.generating.generation import Decoding, Surroundings, decoding
from keras_rnnkit.export.generating.token_loop import TokenLoop
from keras_rnnkit.export.graph import Graph
from keras_rnnkit.export.settings import Settings
from keras_rnnkit.export.writing.emitter import Emitter
from keras_rnnkit.export.writing.finish import axes
from keras_rnnkit.export.writing.inlining import Inlined
from keras_rnnkit.export.writing.quantization import quantized
from keras_rnnkit.ops import onnx as ops
from keras_rnnkit.ops.onnx import Value


class TranslationFile(PartFile):
    """The file from a source to tokens, the token loop written around the graphs of encoder and step."""

    mode = "generate"

    def __init__(self, encoder: EncoderModel, settings: Settings, drafts: Drafts):
        super().__init__(encoder, encoder, settings, drafts)
        self.whole = encoder.whole
        self.reading, self.step = EncoderFile(encoder, settings, drafts), StepFile(encoder, settings, drafts)

    def trace(self):
        return self.reading.trace()

    def graph(self) -> Graph:
        return self.drafts.keep((self.mode, "graph", self.settings.prefer), self.around)

    def around(self) -> Graph:
        """The exact loop, with the rows of the encoder."""
        writer, model = self.loop(self.reading.graph().model, self.step.graph().model)
        self.drafts.keep((self.mode, "inner"), lambda: writer.inner)
        return replace(self.reading.graph(), model=model, retrace=False)

    def loop(self, encoder: ModelProto, step: ModelProto) -> tuple[SourceWriter, ModelProto]:
        writer = SourceWriter(encoder, step, self.decoding(), self.whole.begin, self.settings.opset)
        return writer, writer.model(encoder, writer.write(), tokens="source")

    def decoding(self) -> Decoding:
        strategy = Beam(5) if self.settings.strategy is None else self.settings.strategy
        return decoding(strategy, self.whole.end, probabilities=False, forbidden=self.settings.forbidden)

    def written(self) -> ModelProto:
        kind = self.settings.quantize
        if not kind:
            return self.graph().model
        return self.loop(quantized(self.reading.graph(), kind), quantized(self.step.graph(), kind))[1]

    def verified(self, content: bytes) -> Verified:
        """The encoder and the first step, then the tokens: weights in fewer bits may choose others than Keras."""
        if not self.settings.verify:
            return Verified()
        tolerance, trial = self.settings.tolerance, self.trial()
        verified = FileCheck(content, self.graph(), trial, tolerance, "encoder_0/")()
        error, notes = TranslationCheck(content, cast(SourceTrial, trial), self.whole, self.decoding(), tolerance)()
        return replace(verified, error=max(verified.error or 0.0, error), notes=[*verified.notes, *notes])

    def trial_on(self, sources, model_call) -> SourceTrial:
        self.graph()
        return SourceTrial(self.whole, model_call, sources, self.drafts.kept[self.mode, "inner"])

    def check_16_bits(self, content, dtypes):
        """The files of encoder and step are compared; tokens may be others in 16 bits."""


class SourceWriter(Surroundings):
    """Writes the loop of a model that reads a source first.

    inner: the tensors of the encoder and of the first step, by the names of their outputs.
    """

    def __init__(self, encoder: ModelProto, step: ModelProto, how: Decoding, begin: int, opset: int):
        super().__init__(how, opset, set())
        self.begin, self.source = begin, encoder.graph.input[0]
        self.encoder = Inlined(encoder, self.root, "encoder")
        self.step = Inlined(step, self.root, "step")
        self.inputs_of_step = [value.name for value in step.graph.input]
        self.inner: dict[str, str] = {}

    def write(self) -> list[tuple[Value, list[Any]]]:
        dims = axes(self.source)
        kind = onnx.helper.tensor_dtype_to_np_dtype(self.source.type.tensor_type.elem_type)
        source = self.input("source", [n if isinstance(n, int) else None for n in dims], kind, dims)
        strategy, noise, limit = self.settings()
        read = self.encoder.call(self.root, {"source": source})
        names = [name for name in read if name.startswith("state_")]
        states, memory = (
            [read[name] for name in sorted(names, key=number)],
            {n: read[n] for n in read if n not in names},
        )
        token = ops.cast(ops.zeros_like(states[0][:, 0]), np.zeros(0, np.int32)) + np.int32(self.begin)
        logits, states, attention = self.call(self.root, token, states, memory)
        self.inner |= {name: value.name for name, value in read.items()}
        values = [*states, *memory.values(), *([] if attention is None else [attention])]
        logits, values = widened(ops, strategy, logits, values)
        rest = dict(zip(memory, values[len(states) :], strict=False))

        def step(graph: Emitter, token: Value, states: list[Value]):
            return self.call(graph, ops.cast(token, np.zeros(0, np.int32)), states, rest)

        loop = TokenLoop(self.root, strategy, self.how.end, noise, limit)
        carry, *kept = loop.run(step, logits, values[: len(states)], None if attention is None else values[-1])
        return self.outputs(strategy, carry, *kept)

    def outputs(self, strategy: Strategy, carry: Any, tokens: Value, attention: Value | None):
        rows, scores, lengths = strategy.ranked(ops, carry)
        shape = ["batch"] if strategy.rows == 1 else ["batch", strategy.rows]
        outputs = {"generated": (tokens, [*shape, "time"]), "scores": (scores, shape), "lengths": (lengths, shape)}
        if attention is not None:
            outputs["attention"] = (attention, [*shape, "time", "source_time"])
        ordered = {
            name: (ops.take(x, rows, axis=0) if rows is not None and name in ("generated", "attention") else x, dims)
            for name, (x, dims) in outputs.items()
        }
        return [(self.named(x, name), dims) for name, (x, dims) in ordered.items()]

    def call(self, graph: Emitter, token: Value, states: list[Value], memory: dict[str, Value]):
        """(logits, states, attention or None) of one step."""
        feeds = {"token": token, **memory} | {f"state_{i}": state for i, state in enumerate(states)}
        results = self.step.call(graph, {name: feeds[name] for name in self.inputs_of_step})
        self.inner = self.inner or {name: value.name for name, value in results.items()}
        return results["logits"], [results[f"next_state_{i}"] for i, _ in enumerate(states)], results.get("attention")


def number(name: str) -> int:
    """
    >>> number("state_10")
    10
    """
    return int(name.rsplit("_", 1)[1])
