"""The settings of an earlier run, for one that judges it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from keras_rnnkit.runs.folder import RECORD, RunFolder
from keras_rnnkit.settings import SettingsError

MANIFEST = "manifest.json"
"""The file by which a bundle is recognised."""


def is_lone_bundle(path: Path) -> bool:
    """Whether a path is a bundle that is not inside the folder of its run, such as a copy of it."""
    return (path / MANIFEST).exists() and not (path / RECORD).exists() and not (path.parent / RECORD).exists()


def run_folder_of(path: Path) -> Path:
    """The folder of a run: the one that was named, or the one that the bundle with that name is in."""
    if is_lone_bundle(path):
        raise SettingsError(
            f"{path} is a bundle outside of the folder of its run. This pipeline judges the weights of Keras too, "
            "which are in best.npz of that folder. Give the folder that the run wrote with --evaluate."
        )
    if (path / MANIFEST).exists() and not (path / RECORD).exists():
        return path.parent
    if RunFolder(path).record is None:
        raise SettingsError(f"--evaluate must be the folder of a run, or the bundle in it. Received: {path}.")
    return path


def adopted(settings: Any, folder: Path, own: tuple[str, ...]) -> dict[str, Any]:
    """The settings of the run in a folder, for those that were left at their defaults.

    Arguments:
        settings: the settings of the run that judges.
        folder: the folder of the run that is judged.
        own: names of settings that are not taken over.
    """
    record = RunFolder(folder).record
    before = {} if record is None else record["settings"]
    hints = get_type_hints(type(settings))
    left_out = [f.name for f in fields(settings) if f.name not in own and getattr(settings, f.name) == f.default]
    return {name: converted(before[name], hints[name]) for name in left_out if name in before}


def converted(value: Any, hint: Any) -> Any:
    """A value of JSON as a setting of that type.

    >>> converted("a/b", Path | None), converted("a", str), converted(None, Path | None)
    (PosixPath('a/b'), 'a', None)
    """
    kinds = (hint, *getattr(hint, "__args__", ()))
    return Path(value) if isinstance(value, str) and Path in kinds else value
