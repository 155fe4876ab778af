"""The bytes of a file against Keras."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np

from keras_rnnkit.export.checking.comparison import Arrays, Comparison, Failure, Runs, compared, epsilon
from keras_rnnkit.export.checking.culprit import CLOSE, culprit
from keras_rnnkit.export.checking.layers import expected_layers, layer_tensors, reading_nan
from keras_rnnkit.export.checking.reference import DRAWS, has_users_code
from keras_rnnkit.export.checking.sessions import File
from keras_rnnkit.export.checking.trials.trial import Run, Shift, Trial
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.graph import Graph

NOISE_CAP_16_BITS = 0.5
"""The largest part of a column's range that is put down to computing in 16 bits."""


@dataclass
class Verified:
    """error: the largest in proportion to its column's scale, None if nothing was compared; layers: by recurrence."""

    error: float | None = None
    layers: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class FileCheck:
    """The check of one file. prefix: of the tensors of the graph, where it stands inside another one."""

    def __init__(self, content: bytes, graph: Graph, trial: Trial, tolerance: float, prefix: str = ""):
        self.content, self.graph, self.trial, self.tolerance = content, graph, trial, tolerance
        self.tensors = layer_tensors(graph, prefix)

    def __call__(self) -> Verified:
        """Compare all outputs by name, and those of recurrent layers; ExportError names the layer where they differ."""
        outputs = self.outputs()
        layers = self.layers() if self.tensors else Comparison()
        return Verified(outputs.error, layers.errors, notes_of(outputs))

    def outputs(self) -> Comparison:
        trial = self.trial
        actual = trial.computed(trial.opened(self.content).run, trial.expected())
        comparison = compared(trial.expected(), actual, self.tolerance, self.trial.moved_runs)
        self.accept(comparison, "its output")
        if has_users_code(self.graph.model_call.model):
            self.accept(self.in_a_graph(actual), "as Keras computes inside a tf.function, its output")
        return comparison

    def in_a_graph(self, actual: Runs) -> Comparison:
        """Code of the user's own may compute something else inside a `tf.function`, where `predict` calls it."""
        try:
            expected = [self.trial.keras_in_a_graph(i) for i in range(len(self.trial))]
        except Exception:  # a model that runs eagerly only
            return Comparison()
        return compared(expected, actual, self.tolerance, self.trial.moved_runs)

    def layers(self) -> Comparison:
        """The outputs of the recurrent layers on the first sample."""
        chunks = self.trial.chunks(0, File(self.content).showing(self.tensors.values()).run)
        names = {name: tensor for name, tensor in self.tensors.items() if tensor in chunks[0]}
        parts = [{name: chunk[tensor] for name, tensor in names.items()} for chunk in chunks]

        def in_keras(shift: Shift | None) -> Arrays:
            expected = expected_layers(self.graph, self.trial.calls(0, shift))
            return {name: x for name, x in expected.items() if name in names}

        expected = in_keras(None)
        actual = self.trial.joined(0, parts, expected)
        comparison = compared(
            [expected], [actual], self.tolerance, lambda: ([in_keras(Shift(seed))] for seed in range(DRAWS))
        )
        self.accept(comparison, "the output of its layer")
        return comparison

    def accept(self, comparison: Comparison, subject: str) -> None:
        if comparison.failure:
            raise self.refusal(comparison.failure, subject)

    def refusal(self, failure: Failure, subject: str) -> ExportError:
        i = failure.run
        calls = self.trial.calls(i)
        layer = culprit(
            self.content,
            self.graph,
            calls,
            lambda file: self.trial.chunks(i, file.run),
            max(CLOSE, self.tolerance),
        )
        layer += reading_nan(self.graph, calls)
        return ExportError(
            f"The graph is not exact: {subject} {failure.name!r} {failure.sentence} ({self.trial.size(i)}). {layer} No "
            "file was written; a larger tolerance= accepts the graph, another lowering= writes it in another way."
        )


def check_rough(run: Run, trial: Trial, kind: str, bound: float) -> float:
    """The largest error of a file with weights in fewer bits, in proportion to the widest range of a column.

    The rounding of weights is a matter of accuracy, which the columns of an output share, and not of right or wrong.
    """
    expected = trial.expected()
    comparison = compared(expected, trial.computed(run, expected), bound, shared_scale=True)
    if comparison.failure:
        raise ExportError(
            f"With {kind} weights the output {comparison.failure.name!r} {comparison.failure.sentence} "
            f"({trial.size(comparison.failure.run)}). No file was written. Pass calibration= with data as the model "
            "sees them if these are not, or a larger max_error=."
        )
    return comparison.error


def check_16_bits(run: Run, trial: Trial, dtypes: set[str]) -> None:
    """Compare with the model as the user has it, which computes in 16 bits, within the precision of those."""
    eps = max(epsilon(dtype) for dtype in dtypes)
    expected = [only_floats(run) for run in trial.shifted(None)]
    actual = trial.computed(run, expected)
    expected = [without_overflow(a, b) for a, b in zip(expected, actual, strict=True)]
    comparison = compared(expected, actual, 32 * eps, partial(trial.moved_runs, eps), NOISE_CAP_16_BITS)
    if comparison.failure:
        raise ExportError(
            f"The graph computes in float32 what the model computes in 16 bits, but the output "
            f"{comparison.failure.name!r} {comparison.failure.sentence}. No file was written."
        )


def only_floats(run: Arrays) -> Arrays:
    return {name: x for name, x in run.items() if x.dtype.kind not in "biu"}


def without_overflow(expected: Arrays, actual: Arrays) -> Arrays:
    """What Keras computes, and what the file computes where 16 bits are too few for the number."""
    return {
        name: np.where(np.isfinite(x.astype(np.float32)), x.astype(np.float32), actual[name])
        if name in actual and np.shape(actual[name]) == np.shape(x)
        else x
        for name, x in expected.items()
    }


def notes_of(comparison: Comparison) -> list[str]:
    notes = []
    if comparison.noisy:
        notes.append(
            f"Rounding alone moves {', '.join(map(repr, comparison.noisy))} by more than the tolerance; the error "
            "there is in proportion to the model's own rounding noise."
        )
    if comparison.ties:
        notes.append(
            f"Whole numbers of {', '.join(map(repr, comparison.ties))} differ where rounding decides between equals."
        )
    return notes
