"""The best weights of a run in a file, with the name of the run, so that no other run can take them for its own."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnnkit.runs.errors import RunError
from keras_rnnkit.text.files import replacing

RUN = "run"


def save_best(weights: list[np.ndarray], path: Path, run: str) -> None:
    """Write weights.

    Arguments:
        weights: the weights of the model, in its order.
        path: the file.
        run: the name of the run.
    """
    arrays = {f"weight_{number:05d}": weight for number, weight in enumerate(weights)}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **{RUN: np.array(run)}, **arrays)  # type: ignore[arg-type]


def read_best(path: Path, run: str) -> list[np.ndarray]:
    """The weights in a file; those of another run are refused."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            owner = str(archive[RUN]) if RUN in archive.files else None
            weights = [archive[name] for name in sorted(archive.files) if name != RUN]
    except FileNotFoundError:
        raise RunError(
            f"There are no best weights {path}: no epoch of this run ended with a validation loss that is a number."
        ) from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"The best weights {path} are damaged ({error}). Train again with --overwrite.") from error
    if owner != run:
        raise RunError(
            f"The best weights {path} are of another run, {owner or 'which has no name'}; this is {run}. Nothing is "
            "reported from them. Train again in another folder, or with --overwrite."
        )
    return weights


def load_best(model: Any, path: Path, run: str) -> None:
    """Give a model the weights in a file."""
    set_weights(model, read_best(path, run), path)


def set_weights(model: Any, weights: list[np.ndarray], path: Path) -> None:
    """Give a model weights that fit; others are refused in a sentence."""
    expected, shapes = [tuple(w.shape) for w in model.weights], [w.shape for w in weights]
    if expected != shapes:
        pairs = zip(expected, shapes, strict=False)
        number = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(expected), len(shapes)))
        raise RunError(
            f"The weights in {path} are of another model: it has {len(shapes)} arrays of weights and this one "
            f"{len(expected)}, and they differ from number {number} on. Use the settings of that run for cell, layers, "
            "units and embedding."
        )
    model.set_weights(weights)
