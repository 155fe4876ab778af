"""Translations from a file's loop against translations from Keras."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops as kops

from keras_rnnkit.decoding import Sampling, Strategy
from keras_rnnkit.export.checking.comparison import compared
from keras_rnnkit.export.checking.reference import DRAWS, Reference
from keras_rnnkit.export.checking.sessions import File
from keras_rnnkit.export.checking.trials.probes import Probe
from keras_rnnkit.export.checking.trials.trial import SequenceTrial, Shift
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.generating.generation_check import Hypotheses, TokenComparison
from keras_rnnkit.export.generating.prompt_trial import NUMBERS, STEPS
from keras_rnnkit.export.reading.hooks.patches import PatchedAttribute, patched
from keras_rnnkit.export.reading.model_calls import ModelCall
from keras_rnnkit.seq2seq import Memory, Seq2Seq


class SourceReference(Reference):
    """A `Seq2Seq` on a source: what its encoder returns, and its first step, by name."""

    def __init__(self, model: Seq2Seq, model_call: ModelCall):
        super().__init__(model_call)
        self.model: Any = model

    def _call(self, inputs, states, weights, states_too):
        with keras.StatelessScope(state_mapping=list(weights)) if weights else contextlib.nullcontext():
            memory, states = self.model.reading(kops.convert_to_tensor(inputs[0]))
            token = kops.full((len(inputs[0]),), self.model.begin, dtype="int32")
            logits, after, attention = self.model.decoder.step(token, states, memory)
        outputs = {**memory.arrays, **{f"state_{i}": state for i, state in enumerate(states)}, "logits": logits}
        outputs |= {f"next_state_{i}": state for i, state in enumerate(after)}
        return outputs | ({"attention": attention} if self.model.decoder.attention is not None else {})


class SourceTrial(SequenceTrial):
    """Sources; what is compared is what the encoder and the first step compute.

    inner: the tensors of these in the file, by name.
    """

    def __init__(self, model: Seq2Seq, model_call: ModelCall, sources: list[np.ndarray], inner: dict[str, str]):
        super().__init__(SourceReference(model, model_call), [Probe([source], []) for source in sources])
        self.whole, self.inner = model, inner

    def feeds(self, i):
        (source,) = self.samples[i].inputs
        drawn = np.random.default_rng(i).random((len(source), STEPS), dtype=np.float32)
        return {**NUMBERS, "noise": drawn, "steps": np.array(STEPS), "source": source}

    def joined(self, i, chunks, like):
        names = {**{name: name for name in chunks[0]}, **self.inner}
        return {name: chunks[0][names[name]] for name in like if names.get(name) in chunks[0]}

    def accepted(self):
        return self


class TranslationCheck:
    """The check of one file that translates, against `Seq2Seq.translate`."""

    def __init__(self, content: bytes, trial: SourceTrial, model: Seq2Seq, how: Any, tolerance: float):
        self.file, self.trial, self.model, self.tolerance = File(content), trial, model, tolerance
        numbers = (float(NUMBERS["temperature"]), int(NUMBERS["top_k"]), float(NUMBERS["top_p"]))
        drawing = Sampling(*numbers).forbidding(how.strategy.forbidden)
        self.strategy: Strategy = drawing if how.named == "sample" else how.strategy

    def __call__(self) -> tuple[float, list[str]]:
        """(the largest error, notes); ExportError if a token, length, score or attention is another one."""
        errors, notes = [0.0], []
        with called_eagerly(self.model), tf.device("/CPU:0"):
            for i in range(len(self.trial)):
                outputs = self.file.run(self.trial.feeds(i))
                expected = self.translated(i)
                actual = Hypotheses(outputs["generated"], outputs["scores"], outputs["lengths"])
                comparison = TokenComparison(self.tolerance, self.scale(i, actual), partial(self.moved, i))
                errors.append(comparison(Hypotheses(*expected[:3]), actual))
                notes += comparison.notes
                if self.model.decoder.attention is not None and not comparison.notes:
                    errors.append(self.attention(i, expected.attention, outputs))
        return max(errors), list(dict.fromkeys(notes))

    def translated(self, i: int):
        return self.model.translate(self.trial.samples[i].inputs[0], self.strategy, STEPS, seed=i)

    def moved(self, i: int) -> list[Any]:
        """Translations with weights moved by one unit in the last place."""
        results = []
        for seed in range(DRAWS):
            _, _, weights = self.trial.moved(i, Shift(seed))
            with keras.StatelessScope(state_mapping=weights):
                results.append(Hypotheses(*self.translated(i)[:3]))
        return results

    def scale(self, i: int, actual: Hypotheses) -> float:
        """The range of a score: that of the logits, as often as there are tokens."""
        return float(np.ptp(self.trial.expected()[i]["logits"])) * max(1, int(actual.lengths.max(initial=1)))

    def attention(self, i: int, expected: np.ndarray, outputs: dict[str, np.ndarray]) -> float:
        actual = {"attention": outputs["attention"]} if "attention" in outputs else {}

        def moved():
            runs = []
            for seed in range(DRAWS):
                _, _, weights = self.trial.moved(i, Shift(seed))
                with keras.StatelessScope(state_mapping=weights):
                    runs.append([{"attention": self.translated(i).attention}])
            return runs

        comparison = compared([{"attention": expected}], [actual], self.tolerance, moved)
        if comparison.failure:
            raise ExportError(f"The graph's attention {comparison.failure.sentence}. No file was written.")
        return comparison.error


@contextlib.contextmanager
def called_eagerly(model: Seq2Seq) -> Iterator[None]:
    """Inside, and in this thread, the model's own loop calls its encoder and its step without the graphs it keeps.

    Those graphs compute in the precision and, under a StatelessScope, with the weights of the time they were traced.
    """

    def step(tokens, states, memory):
        return model.decoder.step(tokens, states, Memory(**memory))

    eager = {"reading": model.reading, "step": step}

    def graphs(each, value):
        return eager if each is model else value

    with patched(lambda: iter([PatchedAttribute(Seq2Seq, "_graphs", graphs)])):
        yield
