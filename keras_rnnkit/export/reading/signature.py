"""The inputs and outputs of a model, with the names they have in its ONNX graph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import tree

from keras_rnnkit.export.errors import ExportError


class Spec(NamedTuple):
    """An array by name: its shape, None for a free axis, and dtype."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True)
class Signature:
    """inputs: flat, in the order of `structure`, which `call` packs them into."""

    inputs: list[Spec]
    structure: Any
    spread: bool

    def pack(self, arrays: list[Any]) -> Any:
        return tree.pack_sequence_as(self.structure, arrays)

    def of_chunks(self) -> Signature:
        """The same for any number of rows and steps."""
        inputs = [spec._replace(shape=freed((None, *spec.shape[1:]), spec.dtype)) for spec in self.inputs]
        return replace(self, inputs=inputs)

    def call(self, model, arrays: list[Any]):
        """The model's outputs for flat inputs."""
        packed = self.pack(arrays)
        return model(*packed, training=False) if self.spread else model(packed, training=False)

    def tokens(self) -> Spec | None:
        """The input of token ids [batch, time], if there is one and one only."""
        found = [s for s in self.inputs if s.shape == (None, None) and np.issubdtype(np.dtype(s.dtype), np.integer)]
        return found[0] if len(found) == 1 else None


def signature_of(model, inputs=None, input_names=None, as_called: bool = False) -> Signature:
    """The signature of a model; `inputs` (arrays, tensors or InputSpecs) where the model cannot tell it itself.

    as_called: of a subclassed model, take the shapes of its first call as they were, all but the batch.
    """
    spread = False
    if inputs is not None:
        structure, specs = from_example(inputs)
        spread = isinstance(inputs, tuple) and not hasattr(model, "_inputs_struct")
    elif isinstance(model, keras.Sequential):
        structure, specs = from_tensors(model.inputs[0] if len(model.inputs) == 1 else model.inputs)
    elif hasattr(model, "_inputs_struct"):
        structure, specs = from_tensors(model._inputs_struct)
    else:
        structure, specs = from_first_call(model, as_called)
    names = input_names or [spec.name for spec in specs]
    if len(names) != len(specs) or len(set(names)) != len(names):
        raise ExportError(
            f"input_names needs one name for each of the {len(specs)} inputs {[s.name for s in specs]}, all different. "
            f"Received: {list(names)}."
        )
    specs = [Spec(name, spec.shape, spec.dtype) for name, spec in zip(names, specs, strict=True)]
    return Signature(specs, structure, spread)


def guesses_axes(model, inputs) -> bool:
    """Whether it was a guess which axes of the inputs are free."""
    return inputs is None and not isinstance(model, keras.Sequential) and not hasattr(model, "_inputs_struct")


def check(model) -> None:
    if not isinstance(model, keras.Model):
        raise ExportError(
            f"export_onnx takes a Keras model. Received: {type(model).__name__}. A layer becomes a model with "
            "keras.Sequential([keras.Input((None, features)), layer]); a file is read by keras_rnnkit.load_model(path)."
        )
    if not model.built:
        raise ExportError(
            f"The model {model.name!r} has not been called yet, so the shapes of its weights are not known. Received: "
            "a model that is not built. Call it once, model(x), or start it with keras.Input(...)."
        )


def from_tensors(structure):
    """From the symbolic inputs of a Sequential or functional model."""
    keyed = isinstance(structure, dict)
    flat = tree.flatten(structure)
    keys = sorted(structure) if keyed and len(structure) == len(flat) else [tensor.name for tensor in flat]
    specs = [
        Spec(key, tuple(t.shape), keras.backend.standardize_dtype(t.dtype)) for key, t in zip(keys, flat, strict=True)
    ]
    return tree.map_structure(lambda _: 0, structure), specs


def from_example(inputs):
    """From arrays or InputSpecs: of arrays the batch is taken as free, and the steps of sequences and tokens."""
    keyed = isinstance(inputs, dict)
    flat = tree.flatten(inputs)
    specs = []
    for i, (given, key) in enumerate(zip(flat, sorted(inputs) if keyed else [None] * len(flat), strict=True)):
        dtype = keras.backend.standardize_dtype(given.dtype or "float32")
        name = key or getattr(given, "name", None) or f"input_{i}"
        exact = isinstance(given, keras.KerasTensor | keras.InputSpec)
        shape = tuple(given.shape) if exact else freed(tuple(given.shape), dtype)
        specs.append(Spec(name, shape, dtype))
    return tree.map_structure(lambda _: 0, inputs), specs


def from_first_call(model, as_called: bool):
    """From the shapes that a subclassed model was first called with: Keras keeps no more of it."""
    shapes = model._build_shapes_dict
    if not shapes or len(shapes) != 1:
        raise ExportError(
            f"The model {model.name!r} is subclassed and was built without being called, or takes several arguments. "
            "Pass inputs=: arrays as the model takes them (a tuple for several arguments), or keras.InputSpec."
        )
    (shapes,) = shapes.values()
    reads_tokens = any(isinstance(layer, keras.layers.Embedding) for layer in model._flatten_layers())

    def spec(path, shape):
        dtype = "int32" if reads_tokens and len(shape) == 2 else keras.config.floatx()
        free = (None, *shape[1:]) if as_called else freed(shape, dtype)
        return Spec("_".join(map(str, path)) or "input", free, dtype)

    return packed_specs(shapes, spec)


def packed_specs(shapes, spec):
    """(structure, flat specs) for nested shapes: in dicts by key, in lists by number."""
    if isinstance(shapes, dict):
        items = [((key,), tuple(shapes[key])) for key in sorted(shapes)]
        return dict.fromkeys(shapes, 0), [spec(path, shape) for path, shape in items]
    if shapes and isinstance(shapes[0], list | tuple):
        return [0] * len(shapes), [spec(("input", i), tuple(shape)) for i, shape in enumerate(shapes)]
    return 0, [spec((), tuple(shapes))]


def freed(shape: tuple, dtype: str) -> tuple:
    """The shape with a free batch, and free steps where the second axis is one of steps: [B, T, D], tokens [B, T]."""
    sequence = len(shape) in (3, 5) or (len(shape) == 2 and np.issubdtype(np.dtype(dtype), np.integer))
    return (None, None, *shape[2:]) if sequence else (None, *shape[1:])


def output_names(model, outputs, taken: set[str]) -> list[str]:
    """A name for each flat output: its key, its layer's name, or a number; none that is taken."""
    flat = tree.flatten(outputs)
    functional = getattr(model, "_functional", None) or model
    if isinstance(outputs, dict) and len(outputs) == len(flat):
        names = sorted(outputs)
    elif len(getattr(functional, "output_names", ())) == len(flat):
        names = list(functional.output_names)
    else:
        names = [f"output_{i}" for i in range(len(flat))] if len(flat) > 1 else ["output"]
    return distinct(names, taken)


def distinct(names: list[str], taken: set[str]) -> list[str]:
    chosen: list[str] = []
    for name in names:
        number, candidate = 0, name
        while candidate in taken or candidate in chosen:
            number += 1
            candidate = f"{name}_{number}"
        chosen.append(candidate)
    return chosen
