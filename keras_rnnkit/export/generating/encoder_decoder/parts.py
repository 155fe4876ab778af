"""The encoder of a `Seq2Seq` as a file, and one step of its decoder."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops as kops

from keras_rnnkit import keras_internals
from keras_rnnkit.export.checking.reference import Reference
from keras_rnnkit.export.checking.trials.probes import Probe
from keras_rnnkit.export.checking.trials.tokens import TokenTrials, affordable_rows, some_tokens
from keras_rnnkit.export.checking.trials.trial import SequenceTrial, Trial
from keras_rnnkit.export.drafts import Drafts
from keras_rnnkit.export.graph import traced
from keras_rnnkit.export.modes import ROWS_OF_CALIBRATION, Sequences
from keras_rnnkit.export.reading.input_values import Limits
from keras_rnnkit.export.reading.model_calls import ModelCall, SequenceCall
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


class PartFile(Sequences):
    """A file of a `Seq2Seq`. It is tried on made-up sources, and on those of `calibration=`."""

    def __init__(self, model: Any, encoder: EncoderModel, settings: Settings, drafts: Drafts):
        super().__init__(model, settings, drafts)
        self.encoder = encoder

    def trial_on(self, sources: list[np.ndarray], model_call: ModelCall) -> Trial:
        """A trial of what the file computes of these sources."""
        raise NotImplementedError

    def made_up(self, model_call):
        return self.trial_on(sources(self.encoder.whole), model_call)

    def tried_sources(self) -> list[np.ndarray]:
        """Made-up sources, and some of the user's own."""
        own = [source[:ROWS_OF_CALIBRATION] for source in self.own_sources()[:1]]
        return [*sources(self.encoder.whole), *own]

    def trial(self):
        return self.drafts.keep(
            (self.mode, "trial"), lambda: self.trial_on(self.tried_sources(), self.call()).accepted()
        )

    def rough_trial(self):
        """The user's own sources, if there are any."""
        own = self.own_sources()
        return self.trial_on(own, self.call()) if own else self.trial()

    def own_sources(self) -> list[np.ndarray]:
        """The sources of `calibration=`, batch by batch."""
        return [source for (source,) in self.calibration()]

    def signature_of_calibration(self):
        return signature_of(self.encoder, self.encoder.spec)


class EncoderFile(PartFile):
    """The file from a source to what the steps need."""

    mode = "encoder"

    def __init__(self, encoder: EncoderModel, settings: Settings, drafts: Drafts):
        super().__init__(encoder, encoder, settings, drafts)

    def traced(self):
        signature = signature_of(self.model, self.encoder.spec)
        return traced(PartCall(self.model, signature, self.mode, []), self.settings.opset)

    def trial_on(self, sources, model_call):
        reference = Reference(model_call)
        samples = [Probe([source], []) for source in sources]
        every_token = TokenTrials(reference).every_token(np.random.default_rng(1))
        samples += [] if every_token is None else [Probe(every_token, [])]
        return SequenceTrial(reference, samples)


class StepFile(PartFile):
    """The file of one step of the decoder."""

    mode = "step"

    def __init__(self, encoder: EncoderModel, settings: Settings, drafts: Drafts):
        super().__init__(StepModel(encoder), encoder, settings, drafts)

    def traced(self):
        inputs = {
            name: keras.InputSpec(shape=free(self.encoder.whole, name, x.shape), dtype=x.dtype, name=name)
            for name, x in self.encoder.example.items()
        } | {"token": keras.InputSpec(shape=(None,), dtype="int32", name="token")}
        call = PartCall(self.model, signature_of(self.model, inputs), self.mode, self.encoder.sizes)
        return traced(call, self.settings.opset)

    def trial_on(self, sources, model_call):
        """What the encoder makes of the sources, with states as they are at the beginning and as they may be later.

        The last sample is one row of the sample before it, with every token.
        """
        rng, limits, samples = np.random.default_rng(0), Limits(self.model), []
        limits.vocabulary = self.encoder.whole.decoder.vocabulary_size
        for i, source in enumerate(sources):
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
        scale, offset = rescaling_of(model)
        filled = [(rows, *(steps if n is None else n for n in spec.shape[1:])) for rows, steps in shapes]
        return [((rng.normal(size=shape) - offset) / scale).astype("float32") for shape in filled]
    limits = Limits(model)
    limits.vocabulary = model.encoder.vocabulary_size
    arrays = [limits.deal(rng, shape).astype("int32") for shape in shapes]
    for source in arrays:
        source[0, max(1, source.shape[1] // 2) :] = 0
    return arrays


def rescaling_of(model: Seq2Seq) -> tuple[Any, Any]:
    """Scale and offset of the encoder's first `Rescaling`, such as that of pixels from 0 to 255; without one 1 and 0.

    To such an encoder, inputs around 0 would all look the same: its outputs would hardly vary, and rounding errors
    would be large in proportion to their range.
    """
    layers = keras_internals.flatten_layers(model.encoder)
    first = next((layer for layer in layers if isinstance(layer, keras.layers.Rescaling)), None)
    return (1.0, 0.0) if first is None else (np.asarray(first.scale), np.asarray(first.offset))
