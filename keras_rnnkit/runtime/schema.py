"""Checks of values that were read from JSON; each raises SchemaError with the place and the value."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any, str], None]
"""check(value, place): `place` names the value in the document, such as "graphs.stream.file"."""


class SchemaError(ValueError):
    """A value that is not what the schema asks for."""


def require(condition: bool, place: str, expected: str, value: Any) -> None:
    if not condition:
        raise SchemaError(f"{place} must be {expected}. Received: {reprlib.repr(value)}")


def anything(value: Any, place: str) -> None:
    """Accepts every value: nothing of ours reads it."""


def text(value: Any, place: str) -> None:
    """A string without lone surrogates, which JSON can hold and nothing can print."""
    printable = isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)
    require(printable, place, "a text", value)


def number(value: Any, place: str) -> None:
    real = isinstance(value, int | float) and not isinstance(value, bool)
    require(real and abs(value) < 1e300 and math.isfinite(value), place, "a finite number", value)


def integer(least: int = 0) -> Check:
    """A whole number from `least` up that fits into 63 bits."""

    def check(value: Any, place: str) -> None:
        whole = isinstance(value, int) and not isinstance(value, bool)
        require(whole and least <= value < 2**63, place, f"a whole number, {least} or more", value)

    return check


def one_of(*choices: str) -> Check:
    def check(value: Any, place: str) -> None:
        require(isinstance(value, str) and value in choices, place, f"one of {', '.join(choices)}", value)

    return check


def sha256(value: Any, place: str) -> None:
    digits = isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")
    require(digits, place, "a sha256 of 64 hexadecimal digits", value)


def optional(check: Check) -> Check:
    """The value, or null."""
    return lambda value, place: None if value is None else check(value, place)


def list_of(check: Check, length: int | None = None) -> Check:
    def check_all(value: Any, place: str) -> None:
        size = "" if length is None else f" of {length}"
        require(isinstance(value, list) and length in (None, len(value)), place, f"a list{size}", value)
        for number, item in enumerate(value):
            check(item, f"{place}[{number}]")

    return check_all


def dict_of(check: Check, key: Check = text) -> Check:
    """An object with any keys that `key` accepts, and values that `check` accepts."""

    def check_all(value: Any, place: str) -> None:
        require(isinstance(value, dict), place, "an object", value)
        for name, item in value.items():
            key(name, f"a key of {place}")
            check(item, f"{place}.{reprlib.repr(name)[1:-1]}")

    return check_all


def record(required: Mapping[str, Check], others: Mapping[str, Check] | None = None) -> Check:
    """An object with these keys; `others` may be missing, and keys that are not named here are ignored."""

    def check_all(value: Any, place: str) -> None:
        require(isinstance(value, dict), place, "an object", value)
        for name, check in required.items():
            require(name in value, place, f"an object with the key {name!r}", value)
            check(value[name], f"{place}.{name}")
        for name, check in (others or {}).items():
            if name in value:
                check(value[name], f"{place}.{name}")

    return check_all
