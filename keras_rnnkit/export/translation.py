"""A `Seq2Seq` as graphs: its encoder, one step of its decoder, and the whole loop from a source to tokens."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import keras
import numpy as np
import onnx
import tensorflow as tf
from keras import ops as kops
from onnx import ModelProto

from keras_rnnkit.decoding import Beam, Sampling, Strategy, noise
from keras_rnnkit.decoding.loop import widened
from keras_rnnkit.export.emitter import Emitter
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.finish import axes, describe, every_node, set_dims
from keras_rnnkit.export.generated import NUMBERS, SCORE_TOLERANCE
from keras_rnnkit.export.generation import Decoding, Surroundings, decoding
from keras_rnnkit.export.inlining import Inlined
from keras_rnnkit.export.make import made, serialized
from keras_rnnkit.export.meetings import patched
from keras_rnnkit.export.precision import computing_in_float32
from keras_rnnkit.export.report import ExportReport
from keras_rnnkit.export.saved_model import Plain, SavedModelReport
from keras_rnnkit.export.settings import Settings
from keras_rnnkit.export.tensorflow_graph import quiet
from keras_rnnkit.export.token_loop import TokenLoop
from keras_rnnkit.export.verify import session
from keras_rnnkit.ops import onnx as ops
from keras_rnnkit.ops.onnx import Value
from keras_rnnkit.runtime import manifest as manifests
from keras_rnnkit.seq2seq import Memory, Seq2Seq

MODES = ("encoder", "step", "generate")
STEPS = 7
"""Tokens of the translations that are tried."""


class Reading(keras.Model):
    """The encoder, and what is done once for a source: from a source to what the steps need, by name."""

    def __init__(self, model: Seq2Seq):
        super().__init__(name="encoder")
        self.supports_masking = True
        self.whole = model

    def call(self, source):
        memory, states = self.whole.reading(source)
        return {**memory.known, **{f"state_{i}": state for i, state in enumerate(states)}}


class Writing(keras.Model):
    """One step of the decoder, from arrays by name to arrays by name."""

    def __init__(self, model: Seq2Seq, count: int):
        super().__init__(name="step")
        self.supports_masking = True
        self.decoder, self.count = model.decoder, count

    def call(self, given):
        memory = Memory(**{name: given[name] for name in Memory._fields if name in given})
        states = [given[f"state_{i}"] for i in range(self.count)]
        logits, states, looked = self.decoder.step(given["token"], states, memory)
        found = {"logits": logits, **{f"next_state_{i}": state for i, state in enumerate(states)}}
        return found | ({"attention": looked} if self.decoder.attention is not None else {})


@dataclass
class Parts:
    """The graphs of encoder and step, with the reports of both, and the sizes of the decoder's states."""

    encoder: ModelProto
    step: ModelProto
    reports: dict[str, ExportReport]
    states: list[int]


def parts_of(model: Seq2Seq, settings: Settings, tell: Callable[[str, str], None]) -> Parts:
    """Both graphs, verified."""
    spec = source_spec(model)
    reading = Reading(model)
    found = reading(kops.ones(tuple(2 if n is None else n for n in spec.shape), dtype=spec.dtype))
    sizes = [int(found[name].shape[-1]) for name in found if name.startswith("state_")]
    writing = Writing(model, len(sizes))
    given = {
        name: keras.InputSpec(shape=free(model, name, array.shape), dtype=array.dtype, name=name)
        for name, array in found.items()
    } | {"token": keras.InputSpec(shape=(None,), dtype="int32", name="token")}
    writing({**found, "token": kops.ones((2,), dtype="int32")})
    encoder, first = part(reading, replace(settings, inputs=spec), "encoder", [], tell)
    step, second = part(writing, replace(settings, inputs=given), "step", sizes, tell)
    return Parts(encoder, step, {"encoder": first, "step": second}, sizes)


def part(model, settings: Settings, mode: str, sizes: list[int], tell) -> tuple[ModelProto, ExportReport]:
    content, report = made(model, replace(settings, mode="sequence", progress=lambda stage: tell(mode, stage)))
    proto = onnx.load_model_from_string(content)
    for value in [*proto.graph.input, *proto.graph.output]:
        set_dims(value, [named_axis(value.name, i, n) for i, n in enumerate(axes(value))])
    describe(proto, mode=mode, states=[pair(i, size) for i, size in enumerate(sizes)])
    dims = {value.name: axes(value) for value in [*proto.graph.input, *proto.graph.output]}
    inputs, outputs = ({n: dims[n] for n in names} for names in (report.inputs, report.outputs))
    return proto, replace(report, mode=mode, inputs=inputs, outputs=outputs)


def pair(i: int, size: int) -> dict[str, Any]:
    """What a runner must know of a state; what it starts with comes from the encoder."""
    names = {"input": f"state_{i}", "output": f"next_state_{i}", "layer": "decoder"}
    return {**names, "shape": [size], "dtype": "float32", "start": 0}


def source_spec(model: Seq2Seq) -> keras.InputSpec:
    if getattr(model.encoder, "vocabulary_size", None) is not None:
        return keras.InputSpec(shape=(None, None), dtype="int32", name="source")
    shape = model.source_shape
    steps = (None,) if len(shape) == 3 else shape[1:2]
    return keras.InputSpec(shape=(None, *steps, *shape[2:]), dtype="float32", name="source")


def free(model: Seq2Seq, name: str, shape) -> tuple[int | None, ...]:
    """The shape of what is known of a source, its rows and steps free."""
    steps = {"values": 1, "valid": 1, "keys": getattr(model.decoder.attention, "steps_axis", None)}.get(name)
    return tuple(None if i in (0, steps) else n for i, n in enumerate(shape))


def named_axis(name: str, i: int, n: Any) -> Any:
    if isinstance(n, int):
        return n
    return "batch" if i == 0 else "source_time"


# ---------------------------------------------------------------------- the loop


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


def sources(model: Seq2Seq) -> list[np.ndarray]:
    """Of several lengths and rows, one of them padded."""
    rng, spec = np.random.default_rng(0), source_spec(model)
    if spec.dtype != "int32":
        return [rng.normal(size=[b, *(n or 5 for n in spec.shape[1:])]).astype("float32") for b in (2, 1)]
    most, longest = model.encoder.vocabulary_size, min(model.limit or 6, 6)
    found = [rng.integers(1, most, size=(b, s)).astype("int32") for b, s in ((2, longest), (1, 1))]
    found[0][0, max(1, longest // 2) :] = 0
    return found


def feeds(proto: ModelProto, source: np.ndarray, strategy: Strategy, seed: int) -> dict[str, np.ndarray]:
    names = [value.name for value in proto.graph.input]
    values: dict[str, Any] = {"source": source, "steps": np.array(STEPS), "noise": noise(seed, len(source), STEPS)}
    for name, number in zip(("temperature", "top_k", "top_p"), NUMBERS, strict=True):
        values[name] = np.array(number, np.float32 if isinstance(number, float) else np.int64)
    return {name: values[name] for name in names}


# ---------------------------------------------------------------------- the files


def written(model: Seq2Seq, folder, settings: Settings, tell: Callable[[str, str], None]):
    """Writes the graphs into a folder: (reports by mode, reports of those with weights in fewer bits)."""
    check(model)
    reports: dict[str, ExportReport] = {}
    quantized: dict[str, ExportReport] = {}
    with exactly(model):
        for kind in (None, *([settings.quantize] if settings.quantize else [])):
            own = replace(settings, quantize=kind)
            parts = parts_of(model, own, tell)
            tell("generate", "writing the loop")
            content, report = loop_of(model, parts, own)
            contents = {"encoder": serialized(parts.encoder), "step": serialized(parts.step), "generate": content}
            for mode, one in {**parts.reports, "generate": replace(report, quantized=kind)}.items():
                name = manifests.quantized_file(mode, kind) if kind else manifests.FILES[mode]
                (folder / name).write_bytes(contents[mode])
                (quantized if kind else reports)[mode] = replace(one, path=name)
    return reports, quantized


@contextlib.contextmanager
def exactly(model: Seq2Seq) -> Iterator[None]:
    """Inside, all is computed in float32, by Keras' loop too, whose graphs were made before."""
    graphs = model._graphs
    with computing_in_float32(model):
        model._graphs = {}
        try:
            yield
        finally:
            model._graphs = graphs


def check(model: Seq2Seq) -> None:
    if not model.built:
        raise ExportError(
            f"The model {model.name!r} has not been called yet. Received: a model that is not built. Call it once, "
            "model((source, target))."
        )


def facts(model: Seq2Seq) -> dict[str, Any]:
    """What the manifest says of sources and targets."""
    spec = source_spec(model)
    return {
        "source": {2: "tokens", 3: "features", 4: "image"}[len(spec.shape)],
        "source_tokens": getattr(model.encoder, "vocabulary_size", None),
        "source_shape": list(spec.shape),
        "limit": model.limit,
        "begin": model.begin,
        "end": model.end,
        "tokens": model.decoder.vocabulary_size,
    }


def saved_model(model: Seq2Seq, folder, settings: Settings) -> SavedModelReport:
    """A SavedModel for plain TensorFlow: "encoder" and "step" by name, and "translate", greedy and whole."""
    spec = source_spec(model)
    reading = Reading(model)
    found = reading(kops.ones(tuple(2 if n is None else n for n in spec.shape), dtype=spec.dtype))
    writing = Writing(model, sum(name.startswith("state_") for name in found))
    writing({**found, "token": kops.ones((2,), dtype="int32")})
    given = tf.TensorSpec(spec.shape, spec.dtype, "source")
    arrays = {name: tf.TensorSpec(free(model, name, x.shape), x.dtype, name) for name, x in found.items()}
    arrays["token"] = tf.TensorSpec((None,), "int32", "token")
    endpoints = {
        "encoder": (reading.call, [given]),
        "step": (writing.call, [arrays]),
        "translate": (partial(greedily, model), [given, tf.TensorSpec((), "int32", "steps")]),
    }
    archive = keras.export.ExportArchive()
    archive.track(model)
    with quiet(), patched(Plain({})), exactly(model):
        for name, (function, signature) in endpoints.items():
            archive.add_endpoint(name, function, signature)
        archive.write_out(str(folder), verbose=False)
    with exactly(model):
        error = compared(model, folder) if settings.verify else None
    return SavedModelReport("saved_model", list(endpoints), error)


def compared(model: Seq2Seq, folder) -> float:
    """The largest error of a score of the SavedModel's translations; ExportError if it writes something else."""
    translate, errors = tf.saved_model.load(str(folder)).signatures["translate"], []
    for source in sources(model):
        expected = model.translate(source, steps=STEPS)
        found = translate(source=tf.constant(source), steps=tf.constant(STEPS))
        errors.append(float(np.max(np.abs(expected.scores - np.asarray(found["scores"])))))
        if errors[-1] > SCORE_TOLERANCE * max(1.0, float(np.max(np.abs(expected.scores)))):
            raise ExportError(
                f"The SavedModel writes other tokens than Keras: {expected.tokens.tolist()} in Keras, "
                f"{np.asarray(found['tokens']).tolist()} there. No file was written."
            )
    return max(errors)


def greedily(model: Seq2Seq, source, steps):
    """Tokens [B, N] and scores [B] by a loop of TensorFlow's own."""
    memory, states = model.reading(source)
    token = tf.fill([tf.shape(source)[0]], np.int32(model.begin))
    live, score = tf.ones_like(token, tf.bool), tf.zeros_like(token, tf.float32)
    tokens = tf.TensorArray(tf.int32, size=0, dynamic_size=True, element_shape=[None])

    def turn(t, token, live, score, tokens, *states):
        logits, states, _ = model.decoder.step(token, list(states), memory)
        best = tf.where(live, tf.argmax(logits, -1, output_type=tf.int32), model.end)
        gain = tf.gather(tf.nn.log_softmax(logits), best, batch_dims=1)
        score = score + tf.where(live, gain, 0.0)
        return t + 1, best, live & (best != model.end), score, tokens.write(t, best), *states

    def going_on(t, token, live, *_):
        return (t < steps) & tf.reduce_any(live)

    start = (tf.constant(0), token, live, score, tokens, *states)
    _, _, _, score, tokens, *_ = tf.while_loop(going_on, turn, start)
    return {"tokens": tf.transpose(tokens.stack()), "scores": score}
