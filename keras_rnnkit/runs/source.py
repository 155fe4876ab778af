"""The run that another run begins with or judges."""

from __future__ import annotations

from pathlib import Path

from keras_rnnkit.runs.folder import RunFolder
from keras_rnnkit.settings import SettingsError


class Source:
    """The run from which another one continues: its best weights and its vocabularies, read at once.

    Arguments:
        folder: the folder of that run.
        run: its name in its files.
    """

    def __init__(self, folder: Path, run: str):
        from keras_rnnkit.runs.best import read_best
        from keras_rnnkit.text import Vocabulary

        self.folder = folder
        paths = [path for path in folder.glob("best*.npz") if "." not in path.stem]  # other workers have the same
        self.weights = {path.stem.removeprefix("best"): read_best(path, run) for path in paths}
        self.vocabularies = {path.stem: Vocabulary.load(path) for path in folder.glob("vocabulary*.json")}


class BundleSource:
    """A bundle that is judged alone: it has a vocabulary, and no weights for Keras.

    Arguments:
        folder: the folder of the bundle.
    """

    def __init__(self, folder: Path):
        from keras_rnnkit.text import Vocabulary

        self.folder = folder
        self.weights: dict[str, list] = {}
        self.vocabularies = {path.stem: Vocabulary.load(path) for path in folder.glob("vocabulary*.json")}


def source_of(path: Path | None, pipeline: str, option: str = "continue-from") -> Source | None:
    """The run to continue from or to judge, None where a run begins with random weights."""
    if path is None:
        return None
    folder = RunFolder(path)
    record = folder.record if path.is_dir() else None
    if record is None or not folder.was_trained_in:
        raise SettingsError(f"--{option} must be the folder of a run that was trained. Received: {path}.")
    if record["pipeline"] != pipeline:
        raise SettingsError(f"{path} holds a run of {record['pipeline']}, and this is {pipeline}. Give a run of it.")
    return Source(path, record["run"])
