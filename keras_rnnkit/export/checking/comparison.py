"""The rule by which what a file computes is compared with what Keras computes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
"""Outputs by name."""
Runs = list[Arrays]
"""The outputs of each probe."""
NOISE_FACTOR = 32
"""How many times its own rounding noise an output may be off, where the strict rule fails."""
NOISE_CAP = 1e-2
"""The largest part of a column's range that is put down to rounding noise."""
STRICTEST = 1e-5
"""With a smaller tolerance than this one, less is put down to rounding noise in proportion."""


@dataclass(frozen=True)
class Failure:
    """An output that differs by more than is allowed. run: the number of the probe; sentence: how it differs."""

    name: str
    run: int
    sentence: str


@dataclass
class Comparison:
    """errors: by name, the largest error of a column in proportion to its scale; at most the tolerance if all is well.

    noisy: the outputs whose scale is wider than their range, because rounding alone moves them further than the
    tolerance. ties: outputs of whole numbers that differ where rounding decides between equals.
    """

    errors: dict[str, float] = field(default_factory=dict)
    failure: Failure | None = None
    noisy: list[str] = field(default_factory=list)
    ties: list[str] = field(default_factory=list)

    @property
    def error(self) -> float:
        return max(self.errors.values(), default=0.0)


def compared(
    expected: Runs,
    actual: Runs,
    tolerance: float,
    moved: Callable[[], Iterable[Runs]] | None = None,
    cap: float = NOISE_CAP,
    shared_scale: bool = False,
) -> Comparison:
    """Compare outputs by name, each column of the last axis by a scale of its own, which is its range over all probes.

        strict:  |actual - expected| <= tolerance * range
        else:    |actual - expected| <= tolerance * range + 32 * noise,  at most cap * range

    moved: runs Keras again, several times, with weights and inputs moved by one unit in the last place; the noise of a
    column is the largest change. Only as many runs are made as it takes, none where the strict rule holds or the
    error is larger than any noise allows. NaN and infinities are equal to
    themselves in the same place and to nothing else; whole numbers and truth values must be equal.

    shared_scale: the scale of every column is the widest range of the output's columns.
    """
    comparison, moved_runs = Comparison(), MovedRuns(moved, cap)
    for name in expected[0] if expected else ():
        columns = Columns([run[name] for run in expected], [run.get(name) for run in actual])
        if shared_scale:
            columns.range = np.full_like(columns.range, np.max(columns.range, initial=0.0))
        sentence = columns.mismatch()
        if sentence is None:
            sentence = compared_column(name, columns, tolerance, moved_runs, comparison)
        if sentence and comparison.failure is None:
            comparison.failure = Failure(name, columns.worst_run, sentence)
    return comparison


class MovedRuns:
    """The runs with moved weights and inputs, each made when it is first asked for."""

    def __init__(self, moved: Callable[[], Iterable[Runs]] | None, cap: float):
        self.moved, self.cap = moved, cap
        self.runs: list[Runs] = []
        self.rest: Iterator[Runs] | None = None

    def __iter__(self) -> Iterator[Runs]:
        yield from self.runs
        if self.rest is None:
            self.rest = iter(self.moved() if self.moved else ())
        for run in self.rest:
            self.runs.append(run)
            yield run


def compared_column(
    name: str, columns: Columns, tolerance: float, moved_runs: MovedRuns, comparison: Comparison
) -> str | None:
    """Judge one output and note its error; a sentence if it differs by more than is allowed."""
    if columns.exact:
        return compared_whole_numbers(name, columns, moved_runs, comparison)
    scale = columns.range
    if not columns.within(tolerance * scale):
        allowed = allowed_for_noise(name, columns, tolerance, moved_runs)
        scale = allowed / tolerance if tolerance else allowed
        comparison.noisy.append(name)
    comparison.errors[name] = columns.in_proportion(scale)
    if comparison.errors[name] <= tolerance:
        return None
    comparison.noisy.remove(name)
    return columns.sentence(tolerance)


def allowed_for_noise(name: str, columns: Columns, tolerance: float, moved_runs: MovedRuns) -> np.ndarray:
    """The largest error of each column that its noise explains, of as few runs as explain the errors that there are."""
    noise = columns.noise([])
    allowed = columns.allowed(tolerance, noise, moved_runs.cap)
    if columns.within(allowed) or not columns.within(columns.most(tolerance, moved_runs.cap)):
        return allowed
    for runs in moved_runs:
        noise = np.maximum(noise, columns.noise([[run[name] for run in runs]]))
        allowed = columns.allowed(tolerance, noise, moved_runs.cap)
        if columns.within(allowed):
            break
    return allowed


def compared_whole_numbers(name: str, columns: Columns, moved_runs: MovedRuns, comparison: Comparison) -> str | None:
    differing = columns.expected != columns.actual
    comparison.errors[name] = 0.0
    if not differing.any():
        return None
    for runs in moved_runs:
        differing &= Columns([run[name] for run in runs], []).expected == columns.expected
    if not differing.any():
        comparison.ties.append(name)
        return None
    columns.error = differing.astype(float)
    comparison.errors[name] = float("inf")
    return f"differs in {int(differing.sum())} of its {differing.size} whole numbers"


class Columns:
    """The values of one output over all probes, [N, C]: a column for each place of the last axis.

    An output whose last axis has another length at another probe is one column.
    """

    def __init__(self, expected: list[np.ndarray], actual: list[Any]):
        self.shapes = [np.shape(x) for x in expected]
        self.actual_shapes = [None if x is None else np.shape(x) for x in actual]
        widths = {shape[-1] if shape else 1 for shape in self.shapes}
        self.width = widths.pop() if len(widths) == 1 else 1
        self.exact = expected[0].dtype.kind in "biu"
        self.eps = epsilon(expected[0].dtype)
        self.expected = self.side_by_side(expected)
        self.runs = np.repeat(np.arange(len(expected)), [np.size(x) // max(self.width, 1) for x in expected])
        same = self.actual_shapes == self.shapes
        self.actual = self.side_by_side(actual) if same and actual else self.expected
        self.finite = np.isfinite(self.expected)
        self.error = np.where(self.finite & np.isfinite(self.actual), distance(self.expected, self.actual), 0.0)
        self.range = np.zeros(max(self.width, 1)) if self.exact else spread(self.expected, self.finite)

    def side_by_side(self, arrays: list[Any]) -> np.ndarray:
        kind = np.float64 if not self.exact else np.int64
        return np.concatenate([np.asarray(x).astype(kind).reshape(-1, max(self.width, 1)) for x in arrays])

    def mismatch(self) -> str | None:
        """What keeps the values from being compared at all."""
        if None in self.actual_shapes:
            return "is not there"
        if self.actual_shapes != self.shapes:
            self.error = np.zeros_like(self.expected)
            pairs = zip(self.shapes, self.actual_shapes, strict=True)
            in_keras, in_file = next((list(a), list(b or ())) for a, b in pairs if a != b)
            return f"has the shape {in_file}, in Keras {in_keras}"
        same = (self.expected == self.actual) | (np.isnan(self.expected) & np.isnan(self.actual))
        wrong = ~same & ~(self.finite & np.isfinite(self.actual))
        if not wrong.any():
            return None
        self.error = wrong.astype(float)
        row, column = np.argwhere(wrong)[0]
        return f"is {self.actual[row, column]:.3g} where Keras has {self.expected[row, column]:.3g}"

    @property
    def worst_run(self) -> int:
        """The number of the probe with the largest error."""
        return int(self.runs[int(np.argmax(self.error.max(axis=1)))]) if self.error.size else 0

    def within(self, allowed: np.ndarray) -> bool:
        return bool(np.all(self.error <= allowed))

    def noise(self, moved: list[list[np.ndarray]]) -> np.ndarray:
        """The largest change of each column, at least one unit in the last place of its largest value."""
        last_place = self.eps * np.max(np.abs(self.expected), axis=0, initial=0.0, where=self.finite)
        changes = [distance(self.expected, self.side_by_side(arrays)) for arrays in moved]
        return np.max([last_place, *(np.max(c, axis=0, initial=0.0, where=self.finite) for c in changes)], axis=0)

    def allowed(self, tolerance: float, noise: np.ndarray, cap: float) -> np.ndarray:
        explained = factor_of_noise(tolerance) * np.nan_to_num(noise, posinf=0.0)
        return np.minimum(tolerance * self.range + explained, self.most(tolerance, cap))

    def most(self, tolerance: float, cap: float) -> np.ndarray:
        """The largest error of each column that is accepted, however large the noise of Keras is."""
        last_place = self.eps * np.max(np.abs(self.expected), axis=0, initial=0.0, where=self.finite)
        return np.maximum(max(cap, tolerance) * self.range, factor_of_noise(tolerance) / 8 * last_place)

    def in_proportion(self, scale: np.ndarray) -> float:
        """The largest error in proportion to its column's scale."""
        if not self.error.size:
            return 0.0
        worst = self.error.max(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(np.max(np.where(worst == 0, 0.0, worst / scale)))

    def sentence(self, tolerance: float) -> str:
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(self.error == 0, 0.0, self.error / self.range)
        row, column = np.unravel_index(int(np.argmax(share)), share.shape)
        where = f" in its column {column}" if self.width > 1 else ""
        return (
            f"differs from Keras' by {self.error[row, column]:.3g}{where}, {share[row, column]:.3g} of the range of "
            f"{self.range[column]:.3g} that its values have; allowed are {tolerance:g}"
        )


def factor_of_noise(tolerance: float) -> float:
    return NOISE_FACTOR * min(1.0, tolerance / STRICTEST)


def epsilon(dtype) -> float:
    """One unit in the last place of 1."""
    if dtype == np.float64:
        return float(np.finfo(np.float64).eps)
    return {"float16": 2.0**-10, "bfloat16": 2.0**-7}.get(str(dtype), 2.0**-23)


def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.abs(a - b)


def spread(values: np.ndarray, finite: np.ndarray) -> np.ndarray:
    """The largest value of each column less the smallest, of those that are finite."""
    if not len(values):
        return np.zeros(values.shape[1])
    largest = np.max(values, axis=0, initial=-np.inf, where=finite)
    smallest = np.min(values, axis=0, initial=np.inf, where=finite)
    return np.where(finite.any(axis=0), largest - smallest, 0.0)
