"""Tokens from a file's loop against tokens from Keras."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import keras
import numpy as np

from keras_rnnkit.decoding import Sampling, Strategy, generate
from keras_rnnkit.export.checking.comparison import NOISE_CAP, Arrays, Columns
from keras_rnnkit.export.checking.reference import DRAWS, Reference
from keras_rnnkit.export.checking.sessions import File
from keras_rnnkit.export.checking.trials.trial import Shift
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.generating.prompt_trial import NUMBERS, STEPS, PromptTrial
from keras_rnnkit.export.reading.signature import Spec
from keras_rnnkit.ops import keras as kops

UNLIKELY = -1e8
"""A beam's place without a hypothesis has a score below this."""


class Hypotheses(NamedTuple):
    """tokens [B, N], scores [B], lengths [B]; of a beam of K [B, K, N], [B, K], [B, K]."""

    tokens: np.ndarray
    scores: np.ndarray
    lengths: np.ndarray


class TokenCheck:
    """The check of one file that generates.

    how: the decoding. names: of the file's outputs for tokens, scores and lengths.
    """

    def __init__(self, content: bytes, trial: PromptTrial, how: Any, names: list[str], tolerance: float):
        self.file, self.trial, self.how, self.names, self.tolerance = File(content), trial, how, names, tolerance
        self.reference: Reference = trial.reference
        self.tokens = cast(Spec, self.reference.signature.tokens())
        numbers = (float(NUMBERS["temperature"]), int(NUMBERS["top_k"]), float(NUMBERS["top_p"]))
        drawing = Sampling(*numbers).forbidding(how.strategy.forbidden)
        self.strategy: Strategy = drawing if how.named == "sample" else how.strategy

    def __call__(self) -> tuple[float, list[str]]:
        """(the largest error of a score, notes); ExportError if a token, length or score is another one."""
        errors, notes = [], []
        for i in range(len(self.trial)):
            outputs = self.file.run(self.trial.feeds(i))
            actual = Hypotheses(*(outputs[name] for name in self.names))
            expected, logits = self.in_keras(i, actual, None)
            comparison = TokenComparison(self.tolerance, self.scale(logits, actual), partial(self.moved, i, actual))
            errors.append(comparison(expected, actual))
            notes += comparison.notes
        return max(errors), list(dict.fromkeys(notes))

    def moved(self, i: int, actual: Hypotheses) -> list[Hypotheses]:
        return [self.in_keras(i, actual, Shift(seed))[0] for seed in range(DRAWS)]

    def scale(self, logits: np.ndarray, actual: Hypotheses) -> float:
        """The range of a score: that of the logits, as often as there are tokens."""
        return float(np.ptp(logits)) * max(1, int(actual.lengths.max(initial=1)))

    # ------------------------------------------------------------------ Keras, called on the whole text every time

    def in_keras(self, i: int, actual: Hypotheses, shift: Shift | None) -> tuple[Hypotheses, np.ndarray]:
        """What Keras generates, and the logits that it had."""
        inputs, weights = self.trial.moved(i, shift)
        prompt = dict(zip([spec.name for spec in self.reference.signature.inputs], inputs, strict=True))
        text = Text(self, prompt, self.trial.lengths[i], weights)
        step = text.along(actual.tokens) if self.strategy.rows == 1 else text.anew
        first, states = step(None, [])
        noise = self.trial.feeds(i)["noise"]
        drawn = keras.ops.convert_to_tensor(noise) if self.strategy.needs_noise else None
        results = generate(kops, step, first, states, self.strategy, STEPS, drawn, self.how.end)
        return Hypotheses(*(keras.ops.convert_to_numpy(x) for x in results)), np.concatenate(text.seen)


class Text:
    """Logits from Keras for prompts and the tokens after them, the model called on all of them.

    lengths: of the prompt of each row. seen: all logits so far.
    """

    def __init__(self, check: TokenCheck, prompt: Arrays, lengths: np.ndarray | None, weights):
        self.check, self.fixed, self.weights = check, prompt, weights
        self.prompt = prompt[check.tokens.name]
        self.lengths = np.full(len(self.prompt), self.prompt.shape[1]) if lengths is None else lengths
        self.seen: list[np.ndarray] = []

    def along(self, tokens: np.ndarray) -> Callable:
        """A step that is told beforehand which tokens will be chosen: where others are, they are not the same text."""
        every = self.every_step(tokens)
        position = iter([*range(tokens.shape[1]), *[tokens.shape[1] - 1] * STEPS])

        def step(token, states):
            return keras.ops.convert_to_tensor(every[:, next(position)]), []

        return step

    def every_step(self, tokens: np.ndarray) -> np.ndarray:
        """Logits [B, N, V] before each of the tokens."""
        steps: list[Any] = [None] * len(tokens)
        for length in np.unique(self.lengths):
            rows = np.flatnonzero(self.lengths == length)
            text = np.concatenate([self.prompt[rows, :length], tokens[rows, :-1].astype(self.prompt.dtype)], axis=1)
            for row, logits in zip(rows, self.logits_after(text, length, rows), strict=True):
                steps[row] = logits
        return np.stack(steps)

    def logits_after(self, text: np.ndarray, length: int, rows: np.ndarray) -> np.ndarray:
        """Logits from the step `length` on; a model that shows its last step only is called once for each."""
        y = self.logits(text, rows)
        if y.ndim == 3:
            return y[:, length - 1 :]
        return np.stack([self.logits(text[:, :n], rows) for n in range(length, text.shape[1] + 1)], axis=1)

    def anew(self, token, states):
        """A step whose states are the text so far and its lengths."""
        if token is None:
            text, lengths = np.pad(self.prompt, ((0, 0), (0, STEPS))), self.lengths.astype("int64")
        else:
            text, lengths = (keras.ops.convert_to_numpy(state).copy() for state in states)
            text[np.arange(len(text)), lengths] = keras.ops.convert_to_numpy(token)
            lengths = lengths + 1
        logits: list[Any] = [None] * len(text)
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            y = self.logits(text[rows, :length], rows * len(self.prompt) // len(text))
            for row, last in zip(rows, y[:, -1] if y.ndim == 3 else y, strict=True):
                logits[row] = last
        return keras.ops.convert_to_tensor(np.stack(logits)), [keras.ops.convert_to_tensor(x) for x in (text, lengths)]

    def logits(self, text: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """What the model computes of a text; rows: those of the prompts that it goes on from."""
        reference = self.check.reference
        inputs = {name: x[rows] for name, x in self.fixed.items()} | {self.check.tokens.name: text}
        (y,) = reference.whole([inputs[s.name] for s in reference.signature.inputs], self.weights).values()
        y = np.log(np.maximum(y, 1e-30)) if self.check.how.probabilities else y
        self.seen.append(y.reshape(-1, y.shape[-1]))
        return y


class TokenComparison:
    """Compares tokens, lengths and scores. scale: the range of a score; moved: Keras' own with weights moved a little.

    notes: where tokens may differ, because rounding decides between equally likely ones.
    """

    def __init__(self, tolerance: float, scale: float, moved: Callable[[], list[Hypotheses]]):
        self.tolerance, self.scale, self.moved = tolerance, scale, moved
        self.notes: list[str] = []

    def __call__(self, expected: Hypotheses, actual: Hypotheses) -> float:
        """The largest error of a score in proportion to its scale; ExportError if anything is another one."""
        if not same_tokens(expected, actual):
            expected = self.equally_likely(expected, actual)
        return self.scores(expected, actual)

    def equally_likely(self, expected: Hypotheses, actual: Hypotheses) -> Hypotheses:
        """Keras' own choice of these tokens when its weights are moved by one unit in the last place."""
        for other in self.moved():
            if same_tokens(other, actual):
                self.notes.append(
                    "Rounding decides between equally likely tokens, and the graph chose another one than Keras."
                )
                return other
        raise ExportError(difference_of("generates other tokens than Keras", expected, actual))

    def scores(self, expected: Hypotheses, actual: Hypotheses) -> float:
        likely = expected.scores > UNLIKELY
        if expected.scores.shape != actual.scores.shape or np.any(likely != (actual.scores > UNLIKELY)):
            raise ExportError(difference_of("scores other hypotheses than Keras", expected, actual))
        columns = Columns([expected.scores[likely][:, None]], [actual.scores[likely][:, None]])
        columns.range = np.array([self.scale])
        scale = columns.range
        if columns.mismatch() or not columns.within(self.tolerance * scale):
            noise = [[x.scores[likely][:, None]] for x in self.moved() if same_tokens(x, actual)]
            scale = columns.allowed(self.tolerance, columns.noise(noise), NOISE_CAP) / self.tolerance
        error = columns.in_proportion(scale)
        if columns.mismatch() or error > self.tolerance:
            raise ExportError(difference_of("scores the same tokens otherwise than Keras", expected, actual))
        return error


def same_tokens(a: Hypotheses, b: Hypotheses) -> bool:
    return np.array_equal(a.tokens, b.tokens) and np.array_equal(a.lengths, b.lengths)


def difference_of(difference: str, expected: Hypotheses, actual: Hypotheses) -> str:
    in_keras, in_graph = (
        f"{x.tokens.tolist()} with scores {x.scores.round(4).tolist()} and lengths {x.lengths.tolist()}"
        for x in (expected, actual)
    )
    return f"The graph {difference}: Keras gives {in_keras}, the graph {in_graph}. No file was written."


def gives_probabilities(reference: Reference, prompts: list[Arrays]) -> bool:
    """Whether the model gives probabilities; ExportError if it does not map tokens to scores of the next one."""
    inputs, tokens = reference.signature.inputs, reference.signature.tokens()
    if tokens is None:
        kinds = ", ".join(f"{spec.name!r} {spec.dtype}{list(spec.shape)}" for spec in inputs)
        raise refused(f"it takes {kinds}, and not one input of tokens, integers [batch, time]")
    timed = [spec.name for spec in inputs if spec is not tokens and len(spec.shape) > 1 and spec.shape[1] is None]
    if timed:
        raise refused(f"its input {timed[0]!r} has steps too, which do not exist for tokens that are still to come")
    outputs = list(reference.whole([prompts[0][spec.name] for spec in inputs]).values())
    if len(outputs) != 1 or outputs[0].ndim not in (2, 3):
        shapes = ", ".join(str(list(y.shape)) for y in outputs)
        raise refused(f"its outputs are {shapes}, not scores [batch, time, tokens] or [batch, tokens]")
    y = outputs[0].astype("float64")
    return bool(np.all(y >= 0) and np.allclose(y.sum(-1), 1, atol=1e-3))


def refused(why: str) -> ExportError:
    return ExportError(f"The model cannot generate: {why}.")
