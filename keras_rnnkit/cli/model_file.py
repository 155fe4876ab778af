"""A .keras file from the command line, with the modules it needs."""

from __future__ import annotations

import importlib
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

from keras_rnnkit.cli.refusals import USAGE, refuse


def check_file(file: Path) -> None:
    if not file.exists():
        refuse(f"There is no file {file}.", USAGE)
    if not zipfile.is_zipfile(file):
        refuse(f"{file} is not a .keras file. Save the model with model.save('name.keras').", USAGE)


def import_modules(names: list[str]) -> None:
    sys.path.insert(0, "")  # a module beside the model, as `python -m` finds it
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            refuse(f"--import {name}: there is no module {error.name!r} here or among the installed ones.", USAGE)


def load(file: Path) -> Any:
    """The model in a .keras file; a refusal where Keras cannot rebuild it."""
    import keras_rnnkit as rk

    try:
        return rk.load_model(file, compile=False)
    except Exception as error:  # Keras raises a dozen kinds, according to where the file disagrees
        refuse(f"{file} cannot be loaded: {why_not_loaded(str(error.__cause__ or error))}")


def why_not_loaded(message: str) -> str:
    """The sentence in Keras' message that helps; the configs it quotes go on for pages."""
    unknown = re.search(r"Could not locate (?:class|function) '(\w+)'", message)
    if unknown:
        return (
            f"it has {unknown[1]!r}, which is not Keras' or ours. Name the module that registers it with "
            "@keras.saving.register_keras_serializable(): --import your_module"
        )
    if "Python lambda" in message:
        return "it has a Lambda layer, which is code and could do anything. Make it a registered layer of your own."
    return message.strip().splitlines()[0]
