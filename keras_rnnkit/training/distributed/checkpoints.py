"""Checkpoints of a group: a file for each worker, and the newest place in the training that all workers have.

The workers train in step, so when one of them dies, the others have written at most one file more than it has. Each
worker therefore keeps its last two files, and after a failure all go back to the newest place that each of them has.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_rnnkit.cluster import ClusterError
from keras_rnnkit.training.checkpoint import Checkpoint, restore

if TYPE_CHECKING:
    from keras_rnnkit.training.distributed.group import Group

Place = tuple[int, int]
"""The epoch and the batch in it where training continues."""


class WorkerCheckpoint(Checkpoint):
    """The `Checkpoint` of one worker, which keeps the file that was there before, too."""

    def check_own_file(self) -> None:
        """No other worker has this file."""

    def save(self, epoch: int, batch: int) -> None:
        keep_previous(self.path)
        super().save(epoch, batch)


def path_of_worker(path: str | Path, index: int) -> Path:
    """The file of a worker; the chief has the path itself.

    >>> path_of_worker("run/training.ckpt", 0).name, path_of_worker("run/training.ckpt", 2).name
    ('training.ckpt', 'training.worker2.ckpt')
    """
    path = Path(path)
    return path.with_name(f"{path.stem}.worker{index}{path.suffix}") if index else path


def previous_of(path: Path) -> Path:
    """Where the file before the newest one is kept."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def keep_previous(path: Path) -> None:
    """Give the newest file the second name. At every moment, each name has a complete file or none."""
    if not path.exists():
        return
    temporary = path.with_name(f".{path.name}.link")
    temporary.unlink(missing_ok=True)
    try:
        os.link(path, temporary)
    except OSError:  # a file system without links
        shutil.copyfile(path, temporary)
    temporary.replace(previous_of(path))


def places_of(path: Path) -> list[Place]:
    """The places of the files of a worker, the newest first. Damaged files do not count."""
    places = []
    for file in (path, previous_of(path)):
        with contextlib.suppress(OSError, ValueError, KeyError, zipfile.BadZipFile), zipfile.ZipFile(file) as archive:
            description = json.loads(archive.read("training.json"))
            places.append((int(description["epoch"]), int(description["batch"])))
    return places


def common_place(everyone: list[list[Place]]) -> Place | None:
    """The newest place that all workers have; None where training must start at its beginning.

    >>> common_place([[(1, 4), (1, 2)], [(1, 2), (1, 0)]]), common_place([[(0, 2)], []])
    ((1, 2), None)
    """
    common = set.intersection(*(set(places) for places in everyone))
    if common:
        return max(common)
    if all(len(set(places)) < 2 for places in everyone):
        return None  # some had written their first file, and others were about to
    words = "; ".join(
        f"worker {index} has {' and '.join(f'epoch {e + 1}, batch {b + 1}' for e, b in places) or 'no checkpoint'}"
        for index, places in enumerate(everyone)
    )
    raise ClusterError(
        f"The workers have no place in common from which training could continue: {words}. Put the files of the same "
        "run back on each machine, or start again with --overwrite."
    )


def resume_together(group: Group, model: Any, path: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """Put the model of every worker back to the newest place that all have; None where there is none yet."""
    everyone = group.exchange(places_of(path), "compared their checkpoints")
    place = common_place([[(epoch, batch) for epoch, batch in places] for places in everyone])
    if place is None:
        return None
    if places_of(path)[0] != place:  # the newest file is ahead of another worker, and all repeat the steps since
        previous_of(path).replace(path)
    return restore(model, path, settings)
