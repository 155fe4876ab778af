"""The inputs and outputs of a model, with the names they have in its ONNX graph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import tree

from keras_rnnkit import keras_internals
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.reading.names import distinct_name
from keras_rnnkit.layers.traversal import inner_layers


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
        tokens = [s for s in self.inputs if s.shape == (None, None) and np.issubdtype(np.dtype(s.dtype), np.integer)]
        return tokens[0] if len(tokens) == 1 else None


def signature_of(model, inputs=None, input_names=None, as_called: bool = False) -> Signature:
    """The signature of a model; `inputs` (arrays, tensors or InputSpecs) where the model cannot tell it itself.

    as_called: of a subclassed model, take the shapes of its first call as they were, all but the batch.
    """
    spread = False
    if inputs is not None:
        structure, specs = from_example(inputs)
        spread = isinstance(inputs, tuple) and not keras_internals.is_functional(model)
    elif isinstance(model, keras.Sequential):
        structure, specs = from_tensors(model.inputs[0] if len(model.inputs) == 1 else model.inputs)
    elif keras_internals.is_functional(model):
        structure, specs = from_tensors(keras_internals.input_structure(model))
    else:
        structure, specs = from_first_call(model, as_called)
    names = input_names or [spec.name for spec in specs]
    if len(names) != len(specs) or len(set(names)) != len(names):
        raise ExportError(
            f"input_names needs one name for each of the {len(specs)} inputs {[s.name for s in specs]}, all different. "
            f"Received: {list(names)}."
        )
    specs = [Spec(name, spec.shape, spec.dtype) for name, spec in zip(names, specs, strict=True)]
    check_numbers(model, specs)
    return Signature(specs, structure, spread)


def check_numbers(model, specs: list[Spec]) -> None:
    strings = [spec.name for spec in specs if spec.dtype == "string"]
    if not strings:
        return
    kinds = (keras.layers.StringLookup, keras.layers.TextVectorization)
    lookups = [path for path, layer in inner_layers(model) if isinstance(layer, kinds)]
    layer = f"The layer {lookups[0]!r}" if lookups else "What reads them"
    raise ExportError(
        f"The input {strings[0]!r} is of strings, and an exported file takes numbers. {layer} belongs before the "
        "model: apply it to the text, and let the model's input be the token ids, keras.Input((None,), dtype='int32')."
    )


def guesses_axes(model, inputs) -> bool:
    """Whether it was a guess which axes of the inputs are free."""
    return inputs is None and not isinstance(model, keras.Sequential) and not keras_internals.is_functional(model)


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
    flat = tree.flatten(structure)
    keys = keyed_names(structure, [tensor.name for tensor in flat])
    specs = [
        Spec(key, tuple(t.shape), keras.backend.standardize_dtype(t.dtype)) for key, t in zip(keys, flat, strict=True)
    ]
    return tree.map_structure(lambda _: 0, structure), specs


def from_example(inputs):
    """From arrays or InputSpecs: of arrays the batch is taken as free, and the steps of sequences and tokens."""
    flat = tree.flatten(inputs)
    for example in flat:
        check_example(example)
    names = keyed_names(inputs, [getattr(each, "name", None) or f"input_{i}" for i, each in enumerate(flat)])
    specs = []
    for name, example in zip(names, flat, strict=True):
        dtype = keras.backend.standardize_dtype(example.dtype or "float32")
        exact = isinstance(example, keras.KerasTensor | keras.InputSpec)
        shape = tuple(example.shape) if exact else freed(tuple(example.shape), dtype)
        specs.append(Spec(name, shape, dtype))
    return tree.map_structure(lambda _: 0, inputs), specs


def check_example(example) -> None:
    if not hasattr(example, "shape") or not hasattr(example, "dtype"):
        raise ExportError(
            f"inputs= takes arrays, tensors or keras.InputSpec, in a tuple, list or dict as the model takes them. "
            f"Received: a {type(example).__name__}. Lists of numbers become an array with np.array(...)."
        )


def keyed_names(structure, otherwise: list[str]) -> list[str]:
    """A name for each flat element of a dict: the keys and numbers that lead to it. For others, `otherwise`.

    The order is that of `tree.flatten`: keys are sorted, but an OrderedDict keeps its own order.

    >>> keyed_names({"b": 0, "a": [0, {"c": 0}]}, ["x", "y", "z"])
    ['a_0', 'a_1_c', 'b']
    """
    if not isinstance(structure, dict):
        return otherwise
    names = ["_".join(map(str, path)) for path, _ in tree.flatten_with_path(structure)]
    return names if len(names) == len(otherwise) else otherwise


def from_first_call(model, as_called: bool):
    """From the shapes that a subclassed model was first called with: Keras keeps no more of it."""
    shapes = keras_internals.build_shapes_dict(model)
    if not shapes or len(shapes) != 1:
        raise ExportError(
            f"The model {model.name!r} is subclassed and was built without being called, or takes several arguments. "
            "Pass inputs=: arrays as the model takes them (a tuple for several arguments), or keras.InputSpec."
        )
    (shapes,) = shapes.values()
    reads_tokens = any(isinstance(layer, keras.layers.Embedding) for layer in keras_internals.flatten_layers(model))

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
    """The shape with a free batch, and free steps where the second axis is one of steps: [B, T, D], or [B, T] of
    tokens or of the flags of a mask."""
    sequence = len(shape) in (3, 5) or (len(shape) == 2 and np.dtype(dtype).kind in "iub")
    return (None, None, *shape[2:]) if sequence else (None, *shape[1:])


def output_names(model, outputs, taken: set[str]) -> list[str]:
    """A name for each flat output: its key, its layer's name, or a number; none that is taken."""
    count = len(tree.flatten(outputs))
    functional = keras_internals.functional_of(model)
    if len(getattr(functional, "output_names", ())) == count:
        names = list(functional.output_names)
    else:
        names = [f"output_{i}" for i in range(count)] if count > 1 else ["output"]
    return distinct(keyed_names(outputs, names), taken)


def distinct(names: list[str], taken: set[str]) -> list[str]:
    """The names, those that are taken or come twice with a number behind them that makes a new name.

    >>> distinct(["y", "y", "y_1"], {"x"})
    ['y', 'y_2', 'y_1']
    """
    chosen: list[str] = []
    for name in names:
        used = {*taken, *chosen}
        chosen.append(name if name not in used else distinct_name(name, {*used, *names}))
    return chosen
