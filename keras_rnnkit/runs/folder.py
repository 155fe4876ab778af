"""The folder of a run: its record, its files, and whether a new run may begin there.

run.json        settings, versions, seed, and a fingerprint of the data
log.csv         a line for each epoch
samples.txt     what the model wrote while it trained
training.ckpt   what training needs to continue
best.npz        the weights with the lowest validation loss
report/         index.html, metrics.json and the pictures
bundle/         the exported model
evaluation/     the folder of --evaluate, and find_rate/ that of --find-rate: run.json and a report
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from keras_rnnkit.runs import lock
from keras_rnnkit.settings import SettingsError
from keras_rnnkit.text.files import replacing

FORMAT = 1
RECORD = "run.json"
TRAINED = ("training*.ckpt", "best*.npz")
"""Files that only training writes."""
FILES = (RECORD, "log*.csv", "samples*.txt", "vocabulary*.json", *TRAINED)
REPORT = ("index.html", "metrics.json", "*.csv", "*.png")
INNER = ("evaluation", "find_rate")
"""Folders in the folder of a run that have a record of their own."""


class RunFolder:
    """The folder of a run.

    Arguments:
        path: the folder; it need not exist.
    """

    def __init__(self, path: Path):
        self.path = path
        if path.exists() and not path.is_dir():
            raise SettingsError(f"--out must be a folder. Received: {path}, which is a file.")

    @property
    def record(self) -> dict[str, Any] | None:
        """The content of run.json, None where there is none."""
        file = self.path / RECORD
        if not file.exists():
            return None
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            content = None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise SettingsError(
                f"{file} is damaged or was written by another version of keras_rnnkit. Choose another --out, or "
                "replace the run with --overwrite."
            )
        return content

    @property
    def was_trained_in(self) -> bool:
        """Whether there are results of training that a new run would replace."""
        return any(next(self.path.glob(pattern), None) for pattern in TRAINED)

    def write_record(self, record: dict[str, Any]) -> None:
        """Write run.json."""
        self.path.mkdir(parents=True, exist_ok=True)
        with replacing(self.path / RECORD) as temporary:
            temporary.write_text(json.dumps(record, indent=2, ensure_ascii=False), encoding="utf-8")

    def clear(self) -> None:
        """Remove the files of a run, its report and its bundle. Other files in the folder stay."""
        remove(self.path, FILES)
        remove(self.path / "report", REPORT)
        bundles = [path for path in self.path.glob("bundle*") if path.is_dir()]
        for bundle in bundles:
            remove(bundle, files_of_bundle(bundle))
        for folder in (self.path / "report", *bundles):
            remove_empty(folder)
        for name in INNER:
            inner = RunFolder(self.path / name)
            if (inner.path / RECORD).exists():
                inner.clear()
                remove(inner.path, (lock.NAME,))  # that of this folder may be held, and stays
                remove_empty(inner.path)


def files_of_bundle(folder: Path) -> tuple[str, ...]:
    """The names of the files that an export has written; without its manifest they are not known, and stay."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        return (*manifest.get("files", {}), "manifest.json")
    except (OSError, ValueError, AttributeError):
        return ()


def remove(folder: Path, patterns: tuple[str, ...]) -> None:
    """Remove the files in a folder that match."""
    for pattern in patterns:
        for file in list(folder.glob(pattern)):
            file.unlink()


def remove_empty(folder: Path) -> None:
    """Remove a folder if there is no file in it, only empty folders."""
    inner = sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True)  # the deepest first
    for path in [*inner, *([folder] if folder.is_dir() else [])]:
        if not any(path.iterdir()):
            path.rmdir()
