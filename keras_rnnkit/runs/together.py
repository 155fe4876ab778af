"""A run on several devices or workers: all train, and the chief alone writes the folder, the report and the bundle.

Every worker runs the same command. Until all training has ended, each has the same models and reads the same data; then
the chief goes on alone, with models outside of the group: `Run.best_model` builds them.
"""

from __future__ import annotations

import os
from typing import Any

import keras_rnnkit as rk
from keras_rnnkit.cluster.supervisor import ATTEMPT
from keras_rnnkit.runs.folder import RunFolder
from keras_rnnkit.settings import SettingsError

ALONE = {
    "glimpses": "its model chooses at random where to look while it learns, and each device would choose differently",
    "gradient_flow": "it measures the gradients of many small networks between their trainings, on one device",
}
"""The pipelines that cannot be distributed, and why."""

WRITES = ("sample_every", "find_rate", "profile")
"""Settings by which one worker alone would run the model that all must run together."""


def group_of(settings: Any, pipeline: str) -> Any:
    """The devices and workers of a run. It waits for all workers, and refuses any that does not fit."""
    if settings.distribute != "workers" and (settings.workers is not None or settings.index is not None):
        raise SettingsError(
            f"--workers and --index go with --distribute workers. Received: --distribute {settings.distribute}."
        )
    if settings.distribute is None:
        return rk.training.distribute()
    check(settings, pipeline)
    facts = {"the pipeline": pipeline, **settings.of_checkpoint}
    return rk.training.distribute(settings.distribute, settings.workers, settings.index, facts)


def check(settings: Any, pipeline: str) -> None:
    """Refuse what cannot be distributed."""
    if pipeline in ALONE:
        raise SettingsError(f"{pipeline} cannot be distributed: {ALONE[pipeline]}. Leave out --distribute.")
    name = next((name for name in WRITES if getattr(settings, name, None)), None)
    if name is not None and settings.distribute != "mirrored":
        raise SettingsError(f"--{name.replace('_', '-')} is for one machine. Leave it out, or leave out --distribute.")
    if settings.evaluate is not None or settings.bundle is not None:
        raise SettingsError("--evaluate does not train, so --distribute cannot go with it.")


def prepare_for_ray(settings: Any, pipeline: str) -> int:
    """The number of workers of a run on Ray, whose folder is checked before they start."""
    from keras_rnnkit.runs.run import check_claim

    check(settings, pipeline)
    if not (settings.workers or "").isdigit() or int(settings.workers) < 1:
        raise SettingsError(f"On Ray --workers is a number, such as 4. Received: {settings.workers!r}.")
    if settings.overwrite:
        raise SettingsError(
            "--overwrite cannot go with --distribute ray, whose workers continue the run in the folder."
        )
    check_claim(RunFolder(settings.out), settings, pipeline)
    return int(settings.workers)


def resume_if_restarted(settings: Any) -> None:
    """Continue the run in the folder where a supervisor has started this process again."""
    if int(os.environ.get(ATTEMPT, "0")) and RunFolder(settings.out).record is not None:
        object.__setattr__(settings, "resume", True)
        object.__setattr__(settings, "overwrite", False)


def agree_on_claim(group: Any, refusal: str | None) -> None:
    """Tell all workers what the chief found in the folder; a refusal ends them all."""
    sentence = group.exchange(refusal, "looked at the folder of the run")[0]
    if sentence is not None:
        raise SettingsError(sentence)


def agree_on_run(
    group: Any, record: dict[str, Any], resumes: bool, facts: dict[str, Any]
) -> tuple[dict[str, Any], bool]:
    """The record of the chief, and whether it resumes, on all workers; other data is refused."""
    group.agree(
        {"the data": facts["description"], "the fingerprint of the data": facts["fingerprint"]}, "read the data"
    )
    chief = group.exchange({"record": record, "resumes": resumes}, "began the run")[0]
    return chief["record"], chief["resumes"]
