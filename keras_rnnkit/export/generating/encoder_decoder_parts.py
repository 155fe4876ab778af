"""The encoder of a `Seq2Seq` as a graph, and one step of its decoder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import onnx
from keras import ops as kops
from onnx import ModelProto

from keras_rnnkit.export.reading.patches import PatchedAttribute, patched
from keras_rnnkit.export.reading.precision import computing_in_float32
from keras_rnnkit.export.report import ExportReport
from keras_rnnkit.export.road import made
from keras_rnnkit.export.settings import Settings
from keras_rnnkit.export.writing.finish import axes, describe, set_dims
from keras_rnnkit.seq2seq import Memory, Seq2Seq

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
        return {**memory.arrays, **{f"state_{i}": state for i, state in enumerate(states)}}


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


def sources(model: Seq2Seq) -> list[np.ndarray]:
    """Of several lengths and rows, one of them padded."""
    rng, spec = np.random.default_rng(0), source_spec(model)
    if spec.dtype != "int32":
        return [rng.normal(size=[b, *(n or 5 for n in spec.shape[1:])]).astype("float32") for b in (2, 1)]
    most, longest = model.encoder.vocabulary_size, min(model.limit or 6, 6)
    found = [rng.integers(1, most, size=(b, s)).astype("int32") for b, s in ((2, longest), (1, 1))]
    found[0][0, max(1, longest // 2) :] = 0
    return found


@contextlib.contextmanager
def exactly(model: Seq2Seq) -> Iterator[None]:
    """Inside, this thread computes everything in float32, also in `translate`, whose graphs were traced before."""
    graphs: dict[str, Any] = {}

    def own_graphs(each, value):
        return graphs if each is model else value

    with computing_in_float32(model), patched(lambda: iter([PatchedAttribute(Seq2Seq, "_graphs", own_graphs)])):
        yield
