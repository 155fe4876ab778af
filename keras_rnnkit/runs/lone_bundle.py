"""A bundle that --evaluate judges without the folder of its run: it must be of this pipeline, and fit the settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras_rnnkit as rk
from keras_rnnkit.settings import SettingsError


def opened(path: Path, inputs: Sequence[str], pipeline: str) -> Any:
    """The bundle; one whose inputs have other names is of another pipeline, and is refused."""
    from keras_rnnkit.runtime.errors import BundleError

    try:
        bundle = rk.runtime.load(path)
    except BundleError as error:
        raise SettingsError(str(error)) from None
    if set(bundle.sequence.inputs) != set(inputs):
        raise SettingsError(
            f"{path} is no bundle of {pipeline} with these settings: it has the inputs "
            f"{', '.join(bundle.sequence.inputs)}, and {', '.join(inputs)} are expected."
        )
    return bundle


@contextmanager
def fitting_options(path: Path, options: str) -> Iterator[None]:
    """What is done inside must suit the bundle; where its graph refuses an input, the error names options.

    Arguments:
        path: the bundle.
        options: those that decide about the shapes of inputs.
    """
    from keras_rnnkit.runtime.errors import InputError

    try:
        yield
    except InputError as error:
        raise SettingsError(
            f"{path} does not fit these settings: {error} A bundle without its run must be given the options of that "
            f"run; look at {options}."
        ) from None


def check_label_count(path: Path, count: int, labels: Sequence[str], options: str) -> None:
    """Refuse a bundle with another number of labels than the data."""
    if count != len(labels):
        raise SettingsError(
            f"{path} gives probabilities of {count} labels, and the data has {len(labels)}: "
            f"{', '.join(map(repr, labels[:10]))}. Give the data that it was trained on with {options}."
        )
