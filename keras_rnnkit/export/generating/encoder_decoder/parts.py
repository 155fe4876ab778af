"""The encoder of a `Seq2Seq` as a file, and one step of its decoder."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops as kops

from keras_rnnkit.export.checking.reference import Reference
from keras_rnnkit.export.checking.trials.probes import Probe
from keras_rnnkit.export.checking.trials.tokens import TokenTrials, affordable_rows, some_tokens
from keras_rnnkit.export.checking.trials.trial import SequenceTrial
from keras_rnnkit.export.drafts import Drafts
from keras_rnnkit.export.graph import traced
from keras_rnnkit.export.modes import Sequences
from keras_rnnkit.export.reading.input_values import Limits
from keras_rnnkit.export.reading.model_calls import SequenceCall
from keras_rnnkit.export.reading.signature import Signature, signature_of
from keras_rnnkit.export.settings import Settings
from keras_rnnkit.seq2seq import Memory, Seq2Seq

SOURCES = ((6, 6), (1, 1), (4, 5))
"""Rows and steps of the sources that are tried."""


class EncoderModel(keras.Model):
    """The encoder, and what is done once for a source: from a source to what the steps need, by name."""

    def __init__(self, model: Seq2Seq):
        super().__init__(name="encoder")
        self.supports_masking = True
        self.whole = model
        self.spec = source_spec(model)
        read = self(kops.ones(tuple(2 if n is None else n for n in self.spec.shape), dtype=self.spec.dtype))
        self.example = read
        self.sizes = [int(read[name].shape[-1]) for name in read if name.startswith("state_")]

    def call(self, source):
        memory, states = self.whole.reading(source)
        return {**memory.arrays, **{f"state_{i}": state for i, state in enumerate(states)}}


class StepModel(keras.Model):
    """One step of the decoder, from arrays by name to arrays by name."""

    def __init__(self, encoder: EncoderModel):
        super().__init__(name="step")
        self.supports_masking = True
        self.decoder, self.count = encoder.whole.decoder, len(encoder.sizes)
        self({**encoder.example, "token": kops.ones((2,), dtype="int32")})

    def call(self, inputs):
        memory = Memory(**{name: inputs[name] for name in Memory._fields if name in inputs})
        states = [inputs[f"state_{i}"] for i in range(self.count)]
        logits, states, attention = self.decoder.step(inputs["token"], states, memory)
        outputs = {"logits": logits, **{f"next_state_{i}": state for i, state in enumerate(states)}}
        return outputs | ({"attention": attention} if self.decoder.attention is not None else {})


class PartCall(SequenceCall):
    """A call of the encoder or the step. facts: what a runner must know of the states."""

    def __init__(self, model, signature: Signature, mode: str, sizes: list[int]):
        super().__init__(model, signature)
        self.mode = mode
        self.facts = [pair(i, size) for i, size in enumerate(sizes)]

    def axis_name(self, name: str, axis: int) -> str:
        return "batch" if axis == 0 else "source_time"


def pair(i: int, size: int) -> dict[str, Any]:
    """What a runner must know of a state; what it starts with comes from the encoder."""
    names = {"input": f"state_{i}", "output": f"next_state_{i}", "layer": "decoder"}
    return {**names, "shape": [size], "dtype": "float32", "start": 0}


class EncoderFile(Sequences):
    """The file from a source to what the steps need."""

    mode = "encoder"

    def __init__(self, encoder: EncoderModel, settings: Settings, drafts: Drafts):
        super().__init__(encoder, settings, drafts)
        self.encoder = encoder

    def traced(self):
        signature = signature_of(self.model, self.encoder.spec)
        return traced(PartCall(self.model, signature, self.mode, []), self.settings.opset)

    def made_up(self, model_call):
        reference = Reference(model_call)
        samples = [Probe([source], []) for source in sources(self.encoder.whole)]
        every_token = TokenTrials(reference).every_token(np.random.default_rng(1))
        samples += [] if every_token is None else [Probe(every_token, [])]
        return SequenceTrial(reference, samples)


class StepFile(Sequences):
    """The file of one step of the decoder."""

    mode = "step"

    def __init__(self, encoder: EncoderModel, settings: Settings, drafts: Drafts):
        super().__init__(StepModel(encoder), settings, drafts)
        self.encoder = encoder

    def traced(self):
        inputs = {
            name: keras.InputSpec(shape=free(self.encoder.whole, name, x.shape), dtype=x.dtype, name=name)
            for name, x in self.encoder.example.items()
        } | {"token": keras.InputSpec(shape=(None,), dtype="int32", name="token")}
        call = PartCall(self.model, signature_of(self.model, inputs), self.mode, self.encoder.sizes)
        return traced(call, self.settings.opset)

    def made_up(self, model_call):
        """What the encoder makes of sources, with states as they are at the beginning and as they may be later.

        The last sample is one row of the sample before it, with every token.
        """
        rng, limits, samples = np.random.default_rng(0), Limits(self.model), []
        limits.vocabulary = self.encoder.whole.decoder.vocabulary_size
        for i, source in enumerate(sources(self.encoder.whole)):
            arrays = {name: np.asarray(kops.convert_to_numpy(x)) for name, x in self.encoder(source).items()}
            if i:
                later = {n: 0.5 * rng.normal(size=x.shape) for n, x in arrays.items() if n.startswith("state_")}
                arrays |= {name: x.astype(arrays[name].dtype) for name, x in later.items()}
            arrays["token"] = limits.deal(rng, (len(source),)).astype("int32")
            samples.append(arrays)
        numbers = sum(x[0].size for x in samples[-1].values()) + limits.vocabulary
        rows = min(limits.vocabulary, affordable_rows(self.model, numbers, steps=1))
        every_token = {name: np.repeat(x[:1], rows, axis=0) for name, x in samples[-1].items()}
        samples.append(every_token | {"token": some_tokens(rng, limits.vocabulary, (rows,)).astype("int32")})
        inputs = [[arrays[spec.name] for spec in model_call.signature.inputs] for arrays in samples]
        return SequenceTrial(Reference(model_call), [Probe(x, []) for x in inputs])


def source_spec(model: Seq2Seq) -> keras.InputSpec:
    if getattr(model.encoder, "vocabulary_size", None) is not None:
        return keras.InputSpec(shape=(None, None), dtype="int32", name="source")
    shape = model.source_shape
    steps = (None,) if len(shape) == 3 else shape[1:2]
    return keras.InputSpec(shape=(None, *steps, *shape[2:]), dtype="float32", name="source")


def free(model: Seq2Seq, name: str, shape) -> tuple[int | None, ...]:
    """The shape of what is remembered of a source, its rows and steps free."""
    steps = {"values": 1, "valid": 1, "keys": getattr(model.decoder.attention, "steps_axis", None)}.get(name)
    return tuple(None if i in (0, steps) else n for i, n in enumerate(shape))


def sources(model: Seq2Seq) -> list[np.ndarray]:
    """Sources of several lengths and rows, some of them padded."""
    rng, spec, longest = np.random.default_rng(0), source_spec(model), model.limit or 6
    shapes = [(rows, min(steps, longest)) for rows, steps in SOURCES]
    if spec.dtype != "int32":
        return [
            rng.normal(size=[rows, *(steps if n is None else n for n in spec.shape[1:])]).astype("float32")
            for rows, steps in shapes
        ]
    limits = Limits(model)
    limits.vocabulary = model.encoder.vocabulary_size
    arrays = [limits.deal(rng, shape).astype("int32") for shape in shapes]
    for source in arrays:
        source[0, max(1, source.shape[1] // 2) :] = 0
    return arrays
