"""Values that a caller passes, as the arrays that a graph takes; InputError for what does not fit."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_rnnkit.runtime.errors import InputError


def as_kind(name: str, value: Any, kind: str) -> np.ndarray:
    """The value as an array of the dtype `kind`, if no number changes by it."""
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:
        raise InputError(f"The input {name!r} must be an array of {kind}. Received: {error}.") from error
    wanted = np.dtype(kind)
    if array.dtype == wanted:
        return array
    numbers = array.dtype.kind in "iufb" and (wanted.kind == "b") == (array.dtype.kind == "b")
    if not numbers or (wanted.kind in "iu" and array.dtype.kind == "f"):
        raise InputError(f"The input {name!r} must be an array of {kind}. Received: one of {array.dtype}.")
    with np.errstate(over="ignore"):
        cast = array.astype(wanted, copy=False)
    lost = cast != array if wanted.kind in "iu" else np.isinf(cast) & np.isfinite(array) if wanted.kind == "f" else None
    if lost is not None and np.any(lost):
        raise InputError(
            f"The input {name!r} must be an array of {kind}. Received: {array[lost].flat[0]}, which {kind} cannot hold."
        )
    return cast


def check_shape(name: str, array: np.ndarray, shape: Sequence[Any]) -> None:
    """InputError unless the array has that shape: numbers, and texts for axes of any length but 0."""
    fits = array.ndim == len(shape) and all(
        length == wanted for length, wanted in zip(array.shape, shape, strict=True) if isinstance(wanted, int)
    )
    if not fits or 0 in array.shape:
        axes = ", ".join("any" if wanted is None else str(wanted) for wanted in shape)
        raise InputError(
            f"The input {name!r} must have the shape [{axes}], none of it empty. Received: {list(array.shape)}."
        )


def check_tokens(name: str, array: np.ndarray, count: int) -> None:
    """InputError unless all tokens are among the `count` that the model knows."""
    least, largest = int(array.min()), int(array.max())
    if least < 0 or largest >= count:
        raise InputError(f"The tokens of the input {name!r} must be 0 to {count - 1}. Received: {least} to {largest}.")


def check_axes(arrays: Mapping[str, np.ndarray], shapes: Mapping[str, Sequence[Any]]) -> None:
    """InputError unless axes of one name are equally long in all inputs, the rows of the batch above all."""
    lengths: dict[tuple[bool, str], dict[str, int]] = {}
    for name, array in arrays.items():
        for place, axis in enumerate(shapes[name]):
            if isinstance(axis, str):
                lengths.setdefault((place == 0, axis), {})[name] = array.shape[place]
    for (rows, axis), by_input in lengths.items():
        if len(set(by_input.values())) > 1:
            what = "have the same number of rows" if rows else f"be equally long in the axis {axis!r}"
            raise InputError(f"All inputs must {what}. Received: {by_input}.")


def whole_number(name: str, value: Any, least: int) -> int:
    """A setting that is a whole number, as an int.

    >>> whole_number("steps", np.int64(3), least=1)
    3
    """
    try:
        number = None if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        number = None
    if number is None or not least <= number < 2**63:
        raise InputError(f"{name} must be a whole number, {least} or more. Received: {name}={value!r}.")
    return number
