"""A note in the files of converted models, for classes whose constructor makes stock layers when they are loaded."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

MARK = "converted_by_keras_rnnkit"


def mark_as_converted(copy) -> None:
    """Let the model's files tell that its recurrent layers were converted, by an empty file among its assets.

    Keras offers assets to every layer, and leaves unread what a layer does not ask for. Layers of Keras and ours need
    no mark: their configs hold the layers inside them.
    """
    if type(copy).__module__.partition(".")[0] in ("keras", "keras_rnnkit"):
        return
    save_own_assets = getattr(copy, "save_assets", None)

    def save_assets(folder):
        if save_own_assets is not None:
            save_own_assets(folder)
        Path(folder, MARK).touch()

    copy.save_assets = save_assets


def is_marked(path: str | os.PathLike) -> bool:
    """Whether the model in a `.keras` file or folder was converted when it was saved."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            return any(Path(name).name == MARK for name in file.namelist())
    return any(Path(path).rglob(MARK))
