"""Each pipeline is run once with --smoke, for all tests that look at what a run leaves."""

import contextlib
import functools
from pathlib import Path
from typing import NamedTuple

import pytest

from keras_rnnkit.cli.training import load_pipeline
from tests.eager import eagerly
from tests.pipelines.keras_outputs import recorded
from tests.sharing import made_once

MORE = {
    "language_model": {"learning_rate": 0.02},
    "translation": {"saved_model": False},
    "captioning": {"test_count": 40, "units": 12, "beam": 3, "saved_model": False},
}
"""Settings by which the smoke run of a pipeline shows more than --smoke alone does, or leaves out the SavedModel, which
tests/export writes."""


EAGER = {"captioning", "drawing", "frames", "glimpses", "gradient_flow", "sentiment", "translation"}
"""Pipelines whose trainings take longest to trace; a study runs them in graphs, as users do."""


class FinishedRun(NamedTuple):
    """The folder of a run, its settings, and the metrics that it returned."""

    folder: Path
    settings: object
    metrics: dict


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory):
    """smoke_run(name): the finished run of a pipeline with --smoke, made once. Its folder is not to be changed."""

    @functools.cache
    def run(name: str) -> FinishedRun:
        pipeline = load_pipeline(name)

        def settings(folder):
            return pipeline.Settings(smoke=True, out=folder, **MORE.get(name, {}))

        def make(folder):
            with eagerly() if name in EAGER else contextlib.nullcontext(), recorded():
                return pipeline.run(settings(folder))

        folder, metrics = made_once(tmp_path_factory, name, make)
        return FinishedRun(folder, settings(folder), metrics)

    return run
