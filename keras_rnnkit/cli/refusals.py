"""How a command ends when it cannot go on: one sentence, and the exit code that fits."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

REFUSED, USAGE = 1, 2


def refuse(sentence: str, code: int = REFUSED) -> NoReturn:
    """Ends the command with one sentence instead of a traceback."""
    typer.echo(sentence, err=True)
    raise typer.Exit(code)


def need(extra: str, *packages: str) -> None:
    """Imports the packages of an extra, or refuses."""
    try:
        with silenced_stderr():
            for package in packages:
                importlib.import_module(package)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if not any(
            package == missing or package.startswith(f"{missing}.") for package in ("keras", "tensorflow", *packages)
        ):
            raise
        refuse(f"This command needs {error.name}, which is not installed: pip install 'keras-rnnkit[{extra}]'")


@contextmanager
def silenced_stderr() -> Iterator[None]:
    """TensorFlow reports the GPUs it does not find before any setting can stop it, from C++."""
    visible = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(visible, 2)
        os.close(visible)
