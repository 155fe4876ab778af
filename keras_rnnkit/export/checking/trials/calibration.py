"""The user's own data, in whatever form it comes, as batches of arrays that a model takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
from keras import tree

from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.reading.signature import Signature, Spec

BATCHES = 16
"""Of data that comes batch by batch, so many are read."""


def batches(signature: Signature, data: Any) -> list[list[np.ndarray]]:
    """Batches of flat inputs, of those that have rows and are finite; none if there are no such.

    data: arrays as the model takes them, or a list, generator or tf.data.Dataset of such batches; pairs of inputs and
    targets lose their targets.
    """
    read = (batch(signature, element) for element in islice(elements(signature, data), BATCHES))
    return [arrays for arrays in read if usable(arrays)]


def elements(signature: Signature, data: Any) -> Iterator[Any]:
    """The batches of data, which is one itself if it has the form of the model's inputs."""
    iterates = isinstance(data, list | tuple) or (isinstance(data, Iterable) and not is_array(data))
    if isinstance(data, dict) or not iterates:
        return iter([data])
    if isinstance(data, list | tuple) and not is_list_of_batches(signature, data):
        return iter([data])
    return iter(data)


def is_list_of_batches(signature: Signature, data: list | tuple) -> bool:
    """Not one batch of as many inputs, nor nested numbers."""
    if fits(signature.inputs, arrays_of(signature, data)):
        return False
    return len(data) > 0 and all(isinstance(element, dict | list | tuple) or is_array(element) for element in data)


def batch(signature: Signature, element: Any) -> list[np.ndarray]:
    arrays = arrays_of(signature, element)
    if not fits(signature.inputs, arrays) and isinstance(element, list | tuple) and element:
        without_targets = arrays_of(signature, element[0])
        arrays = without_targets if fits(signature.inputs, without_targets) else arrays
    if not fits(signature.inputs, arrays):
        expected = ", ".join(f"{spec.name} {list(spec.shape)}" for spec in signature.inputs)
        received = ", ".join(str(list(x.shape)) for x in arrays)
        raise ExportError(
            f"calibration= takes arrays as the model takes them: {expected}. Received: {received}. A list, a "
            "generator or a tf.data.Dataset of such batches is right too."
        )
    return [x.astype(spec.dtype) for x, spec in zip(arrays, signature.inputs, strict=True)]


def arrays_of(signature: Signature, element: Any) -> list[np.ndarray]:
    """The arrays of a batch in the order of the inputs; those in a dict by name."""
    if isinstance(element, dict) and {spec.name for spec in signature.inputs} <= set(element):
        return [as_array(element[spec.name]) for spec in signature.inputs]
    return [as_array(x) for x in tree.flatten(element) if is_array(x)] or [as_array(element)]


def as_array(x: Any) -> np.ndarray:
    return np.asarray(x)


def is_array(x: Any) -> bool:
    return hasattr(x, "shape") and hasattr(x, "dtype")


def fits(specs: list[Spec], arrays: list[np.ndarray]) -> bool:
    return len(arrays) == len(specs) and all(
        x.ndim == len(s.shape) and all(n in (None, m) for n, m in zip(s.shape, x.shape, strict=True))
        for x, s in zip(arrays, specs, strict=True)
    )


def usable(arrays: list[np.ndarray]) -> bool:
    return all(x.size and (x.dtype.kind != "f" or np.all(np.isfinite(x))) for x in arrays)
