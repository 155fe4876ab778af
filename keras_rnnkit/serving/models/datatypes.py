"""The datatypes of the Open Inference Protocol v2 and those of NumPy."""

from __future__ import annotations

import math
import sys

import numpy as np

DATATYPES = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}
NAMES = {dtype: name for name, dtype in DATATYPES.items()}
BY_DTYPE = {np.dtype(name): datatype for name, datatype in NAMES.items()}
"""As `NAMES`, by the dtype itself: to ask a dtype for its name takes microseconds."""
BY_NAME = {name: np.dtype(name) for name in NAMES}
SUMMED = (np.dtype("float32"), np.dtype("float64"))


def low_byte_first(array: np.ndarray) -> np.ndarray:
    """The array as the protocol sends its bytes, which is how most machines have them already."""
    return array if sys.byteorder == "little" else array.astype(array.dtype.newbyteorder("<"))


def all_finite(array: np.ndarray) -> bool:
    """Whether no number of an array is NaN or infinite.

    The sum of squares is finite only if all of them are, and takes a fifth of the time; where it overflows, each number
    is looked at.

    >>> [all_finite(np.array(numbers, "float32")) for numbers in ([1e30, 2.0], [1.0, np.nan], [np.inf])]
    [True, False, False]
    """
    if array.dtype in SUMMED:
        return math.isfinite(np.vdot(array, array)) or bool(np.isfinite(array).all())
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())
