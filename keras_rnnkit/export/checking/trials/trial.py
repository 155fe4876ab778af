"""What a file and Keras are both run on, and how to run either."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from keras_rnnkit.export.checking.comparison import Arrays, Runs
from keras_rnnkit.export.checking.reference import DRAWS, Reference
from keras_rnnkit.export.checking.sessions import File
from keras_rnnkit.export.checking.trials.probes import Probe, probes, state_of
from keras_rnnkit.export.checking.trials.tokens import TokenTrials
from keras_rnnkit.export.errors import ExportError, first_lines
from keras_rnnkit.export.reading.hooks.output_recorder import Call
from keras_rnnkit.export.reading.model_calls import ModelCall, input_names
from keras_rnnkit.export.writing.finish import Shapes

Run = Callable[[Arrays], Arrays]
"""Outputs by name from inputs by name: a file in onnxruntime, a signature of a SavedModel. The `run` of a `File`
comes with the facts that the file states about itself.
"""


def facts_of(run: Run) -> dict[str, Any]:
    return getattr(getattr(run, "__self__", None), "facts", {})


class Shift(NamedTuple):
    """Weights and inputs are moved by `eps` in proportion, or by one unit in the last place, at random from `seed`."""

    seed: int
    eps: float | None = None


class Trial:
    """Samples, and what Keras computes on them. inner: tensors inside the file that are outputs of the model."""

    inner: dict[str, str] = {}

    def __init__(self, reference: Reference):
        self.reference = reference
        self._expected: Runs | None = None
        self._moved: dict[Shift, Runs] = {}

    def opened(self, content: bytes) -> File:
        """The file, with the tensors inside it that are compared."""
        return File(content).showing(self.inner.values()) if self.inner else File(content)

    def __len__(self) -> int:
        raise NotImplementedError

    def size(self, i: int) -> str:
        """The sizes of a sample, for an error."""
        raise NotImplementedError

    def keras(self, i: int, shift: Shift | None = None) -> Arrays:
        """What Keras computes on a sample, by the names of the outputs."""
        raise NotImplementedError

    def chunks(self, i: int, run: Run) -> list[Arrays]:
        """What is computed of a sample, one chunk after the other; of a file for whole sequences it is one."""
        raise NotImplementedError

    def joined(self, i: int, chunks: list[Arrays], like: Arrays) -> Arrays:
        """The outputs of all chunks as those of the whole."""
        return {name: value for name, value in chunks[0].items() if name in like}

    def calls(self, i: int, shift: Shift | None = None) -> list[Call]:
        """The calls of Keras' layers on a sample."""
        raise NotImplementedError

    def sequences_of(self, i: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Inputs and states with which Keras is called on a sample."""
        raise NotImplementedError

    def keras_in_a_graph(self, i: int) -> Arrays:
        """What Keras computes inside a `tf.function`."""
        raise NotImplementedError

    def shapes(self) -> list[Shapes]:
        """The shapes of inputs and outputs of the whole, by name."""
        raise NotImplementedError

    def with_data(self, data: list[list[np.ndarray]]) -> Trial:
        """A trial of the same kind on other inputs."""
        raise NotImplementedError

    def expected(self) -> Runs:
        if self._expected is None:
            self._expected = self.shifted(None)
        return self._expected

    def of_users_data(self) -> Trial:
        """With what Keras computes on data that may be long: in a graph, if the model can be traced."""
        try:
            self._expected = [self.keras_in_a_graph(i) for i in range(len(self))]
        except Exception:  # a model that runs eagerly only, or data it does not take
            self._expected = self.expected_or_refusal()
        return self

    def expected_or_refusal(self) -> Runs:
        try:
            return self.shifted(None)
        except Exception as error:
            sizes = "; ".join(self.size(i) for i in range(len(self)))
            raise ExportError(
                f"Keras does not run the model on the data of calibration= ({sizes}). {first_lines(error)}"
            ) from error

    def accepted(self) -> Trial:
        """Without the samples that Keras refuses."""
        return self

    def joined_with(self, other: Trial) -> Trial:
        """The samples of both."""
        return self

    def shifted(self, shift: Shift | None) -> Runs:
        return [self.keras(i, shift) for i in range(len(self))]

    def moved_runs(self, eps: float | None = None) -> Iterator[Runs]:
        """What Keras computes on all samples with weights and inputs moved at random, one draw after the other."""
        for shift in (Shift(seed, eps) for seed in range(DRAWS)):
            if shift not in self._moved:
                self._moved[shift] = self.shifted(shift)
            yield self._moved[shift]

    def computed(self, run: Run, like: Runs) -> Runs:
        """What is computed of all samples."""
        return [self.joined(i, self.chunks(i, run), like[i]) for i in range(len(self))]


class SequenceTrial(Trial):
    """Whole sequences, one run for each."""

    def __init__(self, reference: Reference, samples: list[Probe]):
        super().__init__(reference)
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def size(self, i):
        return f"inputs {self.samples[i].size}"

    def keras(self, i, shift=None):
        return self.reference.outputs(*self.moved(i, shift))

    def moved(self, i: int, shift: Shift | None):
        probe = self.samples[i]
        if shift is None:
            return probe.inputs, probe.states, ()
        return self.reference.moved(probe.inputs, probe.states, *shift)

    def sequences_of(self, i):
        return self.samples[i].inputs, self.samples[i].states

    def chunks(self, i, run):
        return [run(self.feeds(i))]

    def feeds(self, i: int) -> Arrays:
        probe = self.samples[i]
        return dict(zip(input_names(self.reference.model_call), [*probe.inputs, *probe.states], strict=True))

    def calls(self, i, shift=None):
        return self.reference.layers(*self.moved(i, shift))

    def keras_in_a_graph(self, i):
        return self.reference.in_a_graph(self.samples[i].inputs, self.samples[i].states)

    def shapes(self):
        runs = zip(range(len(self)), self.expected(), strict=True)
        return [(shapes_of(self.feeds(i)), shapes_of(outputs)) for i, outputs in runs]

    def with_data(self, data):
        states = self.reference.model_call.states
        starts = [[np.repeat(s.start[None], len(arrays[0]), axis=0) for s in states] for arrays in data]
        samples = [Probe(arrays, states) for arrays, states in zip(data, starts, strict=True)]
        return SequenceTrial(self.reference, samples)

    def joined_with(self, other):
        if not len(other):
            return self
        trial = SequenceTrial(self.reference, [*self.samples, *other.samples])
        trial._expected = [*self.expected(), *other.expected_or_refusal()]
        return trial

    def accepted(self):
        """Without the sizes that Keras refuses, such as a convolution wider than a step."""
        kept, refusals, expected = [], [], []
        for i, probe in enumerate(self.samples):
            try:
                expected.append(self.keras(i))
                kept.append(probe)
            except Exception as error:
                refusals.append(f"{type(error).__name__}: {first_lines(error)}")
        if not kept:
            raise ExportError(
                f"Keras runs the model on none of the inputs made up to verify it. The first error: {refusals[0]}"
            )
        trial = SequenceTrial(self.reference, kept)
        trial._expected = expected
        return trial


def shapes_of(arrays: Arrays) -> dict[str, tuple[int, ...]]:
    return {name: np.shape(x) for name, x in arrays.items()}


def sequence_trial(model_call: ModelCall) -> SequenceTrial:
    """Made-up inputs of several sizes, and one in which every token occurs."""
    reference = Reference(model_call)
    tokens = TokenTrials(reference)
    samples = probes(model_call, tokens.limits)
    rng = np.random.default_rng(len(samples))
    inputs = tokens.every_token(rng)
    if inputs is not None:
        samples.append(Probe(inputs, [state_of(rng, state, len(inputs[0])) for state in model_call.states]))
    return SequenceTrial(reference, samples)
