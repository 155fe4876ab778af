"""Checks of settings, before any data is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from keras_rnnkit.settings import SettingsError

Limit = tuple[str, Callable[[Any], bool]]
"""What a number must be, in words, and whether a number is that."""

COUNT: Limit = ("1 or more", lambda value: value >= 1)
FRACTION: Limit = ("a fraction from 0 to below 1", lambda value: 0 <= value < 1)
POSITIVE: Limit = ("above 0", lambda value: value > 0)
NOT_NEGATIVE: Limit = ("0 or more", lambda value: value >= 0)
BETWEEN: Limit = ("between 0 and 1", lambda value: 0 < value < 1)


def check_numbers(settings: Any, names: Iterable[str], limit: Limit) -> None:
    """Refuse a setting that is outside of its limit; None is not checked, nor are names that the settings lack."""
    words, holds = limit
    for name in names:
        value = getattr(settings, name, None)
        if value is not None and not (math.isfinite(value) and holds(value)):
            raise SettingsError(f"{name} must be {words}. Received: {name}={value}.")


def check_choices(settings: Any) -> None:
    """Refuse a setting that is none of the words its type allows. The command line checks them too, Python does not."""
    hints = get_type_hints(type(settings), include_extras=True)
    for field in fields(settings):
        choices, value = words_of(hints[field.name]), getattr(settings, field.name)
        if choices and value is not None and value not in choices:
            raise SettingsError(f"Received: {field.name}={value!r}. Expected one of {', '.join(choices)}.")


def words_of(hint: Any) -> tuple[str, ...]:
    """The words that a type allows.

    >>> words_of(Annotated[Literal["a", "b"] | None, "a text"])
    ('a', 'b')
    """
    if get_origin(hint) is Literal:
        return get_args(hint)
    inner = get_args(hint)[:1] if get_origin(hint) is Annotated else get_args(hint)
    return tuple(word for argument in inner for word in words_of(argument))
