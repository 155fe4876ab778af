"""A stream's file, chunk by chunk, beside Keras on the whole."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from keras_rnnkit.export.checking.comparison import Arrays
from keras_rnnkit.export.checking.reference import Reference
from keras_rnnkit.export.checking.trials.reach import receptive_field
from keras_rnnkit.export.checking.trials.tokens import TokenTrials
from keras_rnnkit.export.checking.trials.trial import Shift, Trial, facts_of, shapes_of
from keras_rnnkit.export.reading.model_calls import ModelCall, state_names
from keras_rnnkit.export.reading.signature import Spec


class Sequence(NamedTuple):
    """A whole sequence, and the lengths of the chunks that it is cut into."""

    inputs: list[np.ndarray]
    lengths: list[int]


class StreamTrial(Trial):
    """Sequences that a file is given chunk by chunk, the states handed on, and Keras as a whole."""

    def __init__(self, reference: Reference, sequences: list[Sequence]):
        super().__init__(reference)
        self.sequences = sequences

    def __len__(self):
        return len(self.sequences)

    def size(self, i):
        return f"chunks of {', '.join(map(str, self.sequences[i].lengths))} steps"

    def keras(self, i, shift=None):
        inputs, weights = self.moved(i, shift)
        return self.reference.whole(inputs, weights)

    def moved(self, i: int, shift: Shift | None):
        if shift is None:
            return self.sequences[i].inputs, ()
        inputs, _, weights = self.reference.moved(self.sequences[i].inputs, [], *shift)
        return inputs, weights

    def sequences_of(self, i):
        return self.sequences[i].inputs, self.reference.begin()

    def chunks(self, i, run):
        """The states begin, and are handed on, as the file says of itself."""
        pairs, outputs = facts_of(run).get("states"), []
        states = self.start(i) if pairs is None else start_of(pairs, len(self.sequences[i].inputs[0]))
        names = state_names(self.reference.model_call) if pairs is None else [(s["input"], s["output"]) for s in pairs]
        for chunk in self.cut(i):
            values = run({**chunk, **states})
            states = {before: values[after] for before, after in names}
            outputs.append(values)
        return outputs

    def start(self, i: int) -> Arrays:
        """The states by name with which the rows of a sequence begin."""
        model_call, rows = self.reference.model_call, len(self.sequences[i].inputs[0])
        pairs = zip(state_names(model_call), model_call.states, strict=True)
        return {name: np.repeat(state.start[None], rows, axis=0) for (name, _), state in pairs}

    def cut(self, i: int) -> Iterator[Arrays]:
        """The inputs of each chunk by name; those without steps are the same for every chunk."""
        inputs, lengths = self.sequences[i]
        for end, length in zip(accumulate(lengths), lengths, strict=True):
            yield {
                spec.name: x[:, end - length : end] if has_steps(spec) else x
                for spec, x in zip(self.reference.signature.inputs, inputs, strict=True)
            }

    def joined(self, i, chunks, like):
        """Side by side along the steps, or the last where there are none."""
        whole, lengths = {}, self.sequences[i].lengths
        for name in set(chunks[0]) & set(like):
            values, shape = [chunk[name] for chunk in chunks], np.shape(like[name])
            steps = [x.shape[1] if x.ndim > 1 else None for x in values]
            timed = steps == lengths and len(shape) == values[0].ndim and shape[1] == sum(lengths)
            whole[name] = np.concatenate(values, axis=1) if timed else values[-1]
        return whole

    def calls(self, i, shift=None):
        inputs, weights = self.moved(i, shift)
        return self.reference.layers(inputs, self.reference.begin(), weights)

    def keras_in_a_graph(self, i):
        return self.reference.in_a_graph(self.sequences[i].inputs, self.reference.begin())

    def shapes(self):
        shapes = []
        for i, expected in enumerate(self.expected()):
            inputs = dict(zip([s.name for s in self.reference.signature.inputs], self.sequences[i].inputs, strict=True))
            names = [after for _, after in state_names(self.reference.model_call)]
            after = dict(zip(names, self.start(i).values(), strict=True))
            shapes.append((shapes_of(inputs | self.start(i)), shapes_of(expected | after)))
        return shapes

    def with_data(self, data):
        timed = [has_steps(spec) for spec in self.reference.signature.inputs]
        steps = [max((x.shape[1] for x, t in zip(arrays, timed, strict=True) if t), default=1) for arrays in data]
        sequences = [Sequence(arrays, halves(n)) for arrays, n in zip(data, steps, strict=True)]
        return StreamTrial(self.reference, sequences)

    def joined_with(self, other):
        return StreamTrial(self.reference, [*self.sequences, *other.sequences])


def has_steps(spec: Spec) -> bool:
    return len(spec.shape) > 1 and spec.shape[1] is None


def start_of(states: list[dict[str, Any]], rows: int) -> Arrays:
    """The first states of rows by name, from what a file says of its states."""
    return {s["input"]: np.broadcast_to(np.array(s["start"], s["dtype"]), (rows, *s["shape"])).copy() for s in states}


def halves(steps: int) -> list[int]:
    return [steps // 2, steps - steps // 2] if steps > 1 else [steps]


def stream_trial(model_call: ModelCall) -> StreamTrial:
    """Sequences of several rows and of one, in chunks of uneven lengths and in single steps; and every token.

    The first is longer than what the model's convolutions look back at.
    """
    reference = Reference(model_call)
    rng, tokens, reach = np.random.default_rng(0), TokenTrials(reference), receptive_field(model_call.model)
    longer = [reach // 2 + 1, 2, reach - reach // 2 + 2] if reach else [3]
    batch, sequences = reference.batch, []
    for rows, lengths in ((batch or 5, [4, 1, *longer]), (batch or 1, [1, 1, 1])):
        inputs = [tokens.limits.array(rng, spec, rows, sum(lengths)) for spec in reference.signature.inputs]
        sequences.append(Sequence(inputs, lengths))
    every_token = tokens.every_token(rng)
    if every_token is not None:
        steps = [x.shape[1] for spec, x in zip(reference.signature.inputs, every_token, strict=True) if has_steps(spec)]
        sequences.append(Sequence(every_token, halves(max(steps, default=1))))
    return StreamTrial(reference, sequences)
