"""The whole loop of a `Seq2Seq` as one graph: from a source to tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto

from keras_rnnkit.decoding import Beam, Sampling, Strategy, noise
from keras_rnnkit.decoding.loop import widened
from keras_rnnkit.export.checking.comparison import session
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.generating.encoder_decoder_parts import STEPS, Parts, sources
from keras_rnnkit.export.generating.generation import Decoding, Surroundings, decoding
from keras_rnnkit.export.generating.generation_check import NUMBERS, SCORE_TOLERANCE
from keras_rnnkit.export.generating.token_loop import TokenLoop
from keras_rnnkit.export.report import ExportReport
from keras_rnnkit.export.road import serialized
from keras_rnnkit.export.settings import Settings
from keras_rnnkit.export.writing.emitter import Emitter
from keras_rnnkit.export.writing.finish import axes, every_node
from keras_rnnkit.export.writing.inlining import Inlined
from keras_rnnkit.ops import onnx as ops
from keras_rnnkit.ops.onnx import Value
from keras_rnnkit.seq2seq import Seq2Seq


class SourceWriter(Surroundings):
    """Writes the loop of a model that reads a source first."""

    def __init__(self, parts: Parts, how: Decoding, begin: int, opset: int):
        super().__init__(how, opset, set())
        self.parts, self.begin = parts, begin
        self.encoder = Inlined(parts.encoder, self.root, "encoder")
        self.step = Inlined(parts.step, self.root, "step")
        self.kinds = {value.name: value for value in parts.step.graph.input}
        self.attends = any(value.name == "attention" for value in parts.step.graph.output)

    def write(self) -> list[tuple[Value, list[Any]]]:
        (given,) = self.parts.encoder.graph.input
        dims = axes(given)
        kind = onnx.helper.tensor_dtype_to_np_dtype(given.type.tensor_type.elem_type)
        source = self.input("source", [n if isinstance(n, int) else None for n in dims], kind, dims)
        strategy, noise, limit = self.settings()
        read = self.encoder.call(self.root, {"source": source})
        names = [f"state_{i}" for i in range(len(self.parts.states))]
        states, memory = [read[name] for name in names], {n: v for n, v in read.items() if n not in names}
        token = ops.cast(ops.zeros_like(states[0][:, 0]), np.zeros(0, np.int32)) + np.int32(self.begin)
        logits, states, looked = self.call(self.root, token, states, memory)
        seen = [*states, *memory.values(), *([] if looked is None else [looked])]
        logits, seen = widened(ops, strategy, logits, seen)
        rest = dict(zip(memory, seen[len(states) :], strict=False))

        def step(graph: Emitter, token: Value, states: list[Value]):
            return self.call(graph, ops.cast(token, np.zeros(0, np.int32)), states, rest)

        loop = TokenLoop(self.root, strategy, self.how.end, noise, limit)
        carry, *kept = loop.run(step, logits, seen[: len(states)], None if looked is None else seen[-1])
        return self.outputs(strategy, carry, *kept)

    def outputs(self, strategy: Strategy, carry: Any, tokens: Value, attention: Value | None):
        rows, scores, lengths = strategy.ranked(ops, carry)
        shape = ["batch"] if strategy.rows == 1 else ["batch", strategy.rows]
        found = {"generated": (tokens, [*shape, "time"]), "scores": (scores, shape), "lengths": (lengths, shape)}
        if attention is not None:
            found["attention"] = (attention, [*shape, "time", "source_time"])
        ordered = {
            name: (ops.take(x, rows, axis=0) if rows is not None and name in ("generated", "attention") else x, dims)
            for name, (x, dims) in found.items()
        }
        return [(self.named(x, name), dims) for name, (x, dims) in ordered.items()]

    def call(self, graph: Emitter, token: Value, states: list[Value], memory: dict[str, Value]):
        """(logits, states, where it looked or None) of one step."""
        feeds = {"token": token, **memory} | {f"state_{i}": state for i, state in enumerate(states)}
        found = self.step.call(graph, {name: feeds[name] for name in self.kinds})
        return found["logits"], [found[f"next_state_{i}"] for i, _ in enumerate(states)], found.get("attention")


def loop_of(model: Seq2Seq, parts: Parts, settings: Settings) -> tuple[bytes, ExportReport]:
    """The graph from sources to tokens, verified against Keras' own loop."""
    strategy = Beam(5) if settings.strategy is None else settings.strategy
    how = decoding(strategy, model.end, probabilities=False)
    writer = SourceWriter(parts, how, model.begin, settings.opset)
    proto = writer.model(parts.encoder, writer.write(), tokens="source")
    error = None
    if settings.verify and not settings.quantize:
        error = verified(model, proto, how)
    content = serialized(proto)
    report = replace(
        parts.reports["step"],
        rows=[],
        mode="generate",
        error=error,
        size=len(content),
        nodes=sum(1 for _ in every_node(proto.graph)),
        inputs={value.name: axes(value) for value in proto.graph.input},
        outputs={value.name: axes(value) for value in proto.graph.output},
        notes=[],
    )
    return content, report


def verified(model: Seq2Seq, proto: ModelProto, how: Decoding) -> float:
    """The largest error of a score; ExportError if the graph writes other tokens than Keras."""
    runner, errors = session(proto), []
    for seed, source in enumerate(sources(model)):
        strategy = Sampling(*NUMBERS) if how.named == "sample" else how.strategy
        expected = model.translate(source, strategy, STEPS, seed)
        found = runner.run(None, feeds(proto, source, strategy, seed))
        error = float(np.max(np.abs(expected.scores - found[1])))
        if error > SCORE_TOLERANCE * max(1.0, float(np.max(np.abs(expected.scores)))):
            raise ExportError(
                f"The graph writes other tokens than Keras: {expected.tokens.tolist()} in Keras with scores "
                f"{expected.scores.round(4).tolist()}, {found[0].tolist()} in the graph with "
                f"{found[1].round(4).tolist()}. No file was written."
            )
        errors.append(error)
    return max(errors)


def feeds(proto: ModelProto, source: np.ndarray, strategy: Strategy, seed: int) -> dict[str, np.ndarray]:
    names = [value.name for value in proto.graph.input]
    values: dict[str, Any] = {"source": source, "steps": np.array(STEPS), "noise": noise(seed, len(source), STEPS)}
    for name, number in zip(("temperature", "top_k", "top_p"), NUMBERS, strict=True):
        values[name] = np.array(number, np.float32 if isinstance(number, float) else np.int64)
    return {name: values[name] for name in names}
