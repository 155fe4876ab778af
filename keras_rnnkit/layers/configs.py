"""Configs that Keras can write but not read back: Python lambdas, and classes that it does not know."""

from __future__ import annotations

import contextlib
import copy
import re
from collections.abc import Iterator


@contextlib.contextmanager
def explained(purpose: str) -> Iterator[None]:
    """Inside, an error of Keras about such a config becomes one sentence, which begins with `purpose`."""
    try:
        yield
    except (TypeError, ValueError) as error:
        reason = reason_unreadable(str(error))
        if reason is None:
            raise
        raise ValueError(f"{purpose} {reason}.") from error


def reason_unreadable(message: str) -> str | None:
    """A sentence about what the config holds and the remedy; None for an error about something else."""
    unknown = re.search(r"Could not locate (?:class|function) '([^']+)'", message)
    if unknown:
        return (
            f"holds {unknown[1]!r}, which Keras does not know: import the module that defines it, and register it "
            "there with @keras.saving.register_keras_serializable()"
        )
    if "{'value': " in message or "lambda" in message:
        return (
            "holds a Python lambda, which Keras cannot read back: use a named function that is registered with "
            "@keras.saving.register_keras_serializable()"
        )
    return None


def new_like(layer, purpose: str, **changes):
    """A new layer with the config of another, some of it changed."""
    with explained(purpose):
        return type(layer).from_config({**copy.deepcopy(layer.get_config()), **changes})
