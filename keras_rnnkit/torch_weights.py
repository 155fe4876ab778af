"""Recurrent layers from PyTorch, and back: `from_torch` and `to_torch_state_dict`. PyTorch itself is not needed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_rnnkit.layers.bidirectional import Bidirectional
from keras_rnnkit.layers.facades import GRU, LSTM, VanillaRNN
from keras_rnnkit.layers.stack import Stack

NAME = re.compile(r"(weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)_l(\d+)(_reverse)?")
SUFFIXES = ("", "_reverse")


@dataclass(frozen=True)
class Kind:
    """One of PyTorch's recurrent modules beside ours.

    Arguments:
        gates: how many, each `hidden_size` rows of PyTorch's weights.
        order: the place in PyTorch's weights of each gate of ours, in our order.
        two_biases: whether ours keeps the bias of the recurrent product apart, as PyTorch always does.
    """

    make: Callable[..., Any]
    gates: int
    order: tuple[int, ...]
    two_biases: bool = False


KINDS = {
    # PyTorch's gates: i, f, g, o, as in Keras.
    "LSTM": Kind(LSTM, 4, (0, 1, 2, 3)),
    # PyTorch's: r, z, n; Keras': z, r, n. Both reset after the recurrent product, and so need both biases.
    "GRU": Kind(GRU, 3, (1, 0, 2), two_biases=True),
    "RNN": Kind(VanillaRNN, 1, (0,)),
}


def from_torch(
    module_or_state_dict: Any,
    *,
    prefix: str = "",
    nonlinearity: str | None = None,
    return_sequences: bool = True,
    return_state: bool = False,
    name: str | None = None,
) -> Any:
    """A built Keras layer that computes what a `torch.nn.RNN`, `LSTM` or `GRU` computes.

    Several layers become a `Stack`, directions a `Bidirectional`, `proj_size` a `projection`. The layer reads
    [B, T, D], whatever `batch_first` was. States have the order of Keras: layer by layer from the bottom, forward
    before backward, each with its h and c.

    Arguments:
        module_or_state_dict: the module, or its `state_dict()` with tensors or arrays, such as one read with
            `safetensors.numpy.load_file`.
        prefix: the module's name inside a larger state dict, such as "encoder.lstm.".
        nonlinearity: of an RNN, "tanh" or "relu"; a state dict does not tell it, and None takes tanh there.
        return_sequences, return_state, name: of the layer.

    >>> rng = np.random.default_rng(0)
    >>> shapes = {"weight_ih_l0": (16, 3), "weight_hh_l0": (16, 4), "bias_ih_l0": (16,), "bias_hh_l0": (16,)}
    >>> layer = from_torch({key: rng.normal(size=shape) for key, shape in shapes.items()})
    >>> type(layer).__name__, layer(np.zeros((2, 5, 3), "float32")).shape
    ('LSTM', TensorShape([2, 5, 4]))
    """
    weights = arrays_of(module_or_state_dict, prefix)
    dropout = float(getattr(module_or_state_dict, "dropout", 0.0))
    activation = nonlinearity or getattr(module_or_state_dict, "nonlinearity", "tanh")
    kind = KINDS[kind_of(weights)]
    options = {"activation": activation} if kind.make is VanillaRNN else {}
    count = 1 + max(int(NAME.fullmatch(key)[2]) for key in weights)  # type: ignore[index]
    sequences = [True] * (count - 1) + [return_sequences]
    options["return_state"] = return_state and count == 1  # a stack asks its layers for them itself
    layers = [layer_from(weights, kind, i, {**options, "return_sequences": flag}) for i, flag in enumerate(sequences)]
    features = weights["weight_ih_l0"].shape[1]
    if count == 1:
        layer = layers[0]
    else:
        layer = Stack(layers, dropout=dropout, return_sequences=return_sequences, return_state=return_state)
    if name is not None:
        layer.name = name
    layer.build((None, None, features))
    layer.built = True
    for number, single in enumerate(layers):
        for suffix, direction in zip(SUFFIXES, directions_of(single), strict=False):
            direction.cell.set_weights(cell_weights(weights, kind, number, suffix))
    return layer


def to_torch_state_dict(layer: Any, prefix: str = "") -> dict[str, np.ndarray]:
    """The weights of a recurrent layer as a `state_dict` of the PyTorch module that computes the same.

    Takes built LSTM, GRU and VanillaRNN layers, ours or Keras', in a `Bidirectional` and a `Stack`. Load it with
    `module.load_state_dict({key: torch.from_numpy(array) for key, array in state.items()})`; our one bias becomes
    `bias_ih`, and `bias_hh` zeros.
    """
    state: dict[str, np.ndarray] = {}
    for number, single in enumerate(layer.layers if isinstance(layer, Stack) else [layer]):
        for suffix, direction in zip(SUFFIXES, directions_of(single), strict=False):
            for key, array in torch_weights(direction):
                state[f"{prefix}{key}_l{number}{suffix}"] = array
    return state


# ---------------------------------------------------------------------- reading PyTorch's weights


def arrays_of(module_or_state_dict: Any, prefix: str) -> dict[str, np.ndarray]:
    """The weights as arrays, by their names inside the module."""
    state = module_or_state_dict
    if not isinstance(state, Mapping):
        if not hasattr(state, "state_dict"):
            raise TypeError(
                "from_torch takes a torch.nn.RNN, LSTM or GRU, or its state_dict(). Received: "
                f"{type(module_or_state_dict).__name__}."
            )
        state = state.state_dict()
    weights = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    strangers = sorted(key for key in weights if not NAME.fullmatch(key))
    if strangers or "weight_ih_l0" not in weights:
        names = ", ".join(list(state)[:6]) or "nothing"
        raise ValueError(
            "The state dict must hold the weights of one recurrent module, weight_ih_l0, weight_hh_l0, ... "
            f"Received: {names}. For a part of a larger model pass prefix=, such as prefix='encoder.lstm.'."
        )
    return {key: as_array(value) for key, value in weights.items()}


def as_array(value: Any) -> np.ndarray:
    """A tensor or an array as a NumPy array."""
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value, np.float32)


def kind_of(weights: Mapping[str, np.ndarray]) -> str:
    """Which module the weights belong to, by the number of gates that their shapes have room for."""
    rows, width = weights["weight_hh_l0"].shape
    hidden = weights["weight_hr_l0"].shape[1] if "weight_hr_l0" in weights else width
    names = {kind.gates: name for name, kind in KINDS.items()}
    if rows % hidden or rows // hidden not in names:
        raise ValueError(
            "weight_hh_l0 must have 1, 3 or 4 times as many rows as units, for RNN, GRU or LSTM. Received: shape "
            f"{list(weights['weight_hh_l0'].shape)}."
        )
    return names[rows // hidden]


def layer_from(weights, kind: Kind, number: int, options: dict[str, Any]) -> Any:
    """The layer with that number from the bottom, not built yet."""
    projection = weights.get(f"weight_hr_l{number}")
    units = weights[f"weight_hh_l{number}"].shape[0] // kind.gates
    if projection is not None:
        options = {**options, "projection": projection.shape[0]}
    layer = kind.make(units, use_bias=f"bias_ih_l{number}" in weights, **options)
    return Bidirectional(layer) if f"weight_ih_l{number}_reverse" in weights else layer


def directions_of(layer: Any) -> list[Any]:
    both = isinstance(layer, keras.layers.Bidirectional)
    return [layer.forward_layer, layer.backward_layer] if both else [layer]


def cell_weights(weights: Mapping[str, np.ndarray], kind: Kind, number: int, suffix: str) -> list[np.ndarray]:
    """The weights of a cell in the order in which it holds them: kernel, recurrent kernel, bias, projection."""

    def get(name: str) -> np.ndarray | None:
        return weights.get(f"{name}_l{number}{suffix}")

    kernels = [reordered(get(name), kind.order).T for name in ("weight_ih", "weight_hh")]  # type: ignore[arg-type]
    biases = [reordered(bias, kind.order) for bias in (get("bias_ih"), get("bias_hh")) if bias is not None]
    bias = [np.stack(biases) if kind.two_biases else np.sum(biases, axis=0)] if biases else []
    projection = get("weight_hr")
    return [*kernels, *bias, *([] if projection is None else [projection.T])]


def reordered(array: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """The gates of a weight [G*U, ...] in another order."""
    gates = np.split(array, len(order))
    return np.concatenate([gates[place] for place in order])


# ---------------------------------------------------------------------- writing PyTorch's weights


def torch_weights(layer: Any) -> Iterator[tuple[str, np.ndarray]]:
    """The weights of one direction by PyTorch's names, without the number of the layer."""
    kind = KINDS[kind_of_layer(layer)]
    cell = layer.cell
    back = tuple(int(place) for place in np.argsort(kind.order))
    arrays = {name: keras.ops.convert_to_numpy(getattr(cell, name)) for name in ("kernel", "recurrent_kernel")}
    yield "weight_ih", reordered(arrays["kernel"].T, back)
    yield "weight_hh", reordered(arrays["recurrent_kernel"].T, back)
    if cell.bias is not None:
        bias = keras.ops.convert_to_numpy(cell.bias)
        first, second = bias if kind.two_biases else (bias, np.zeros_like(bias))
        yield "bias_ih", reordered(first, back)
        yield "bias_hh", reordered(second, back)
    projection = getattr(cell, "projection_kernel", None)
    if projection is not None:
        yield "weight_hr", keras.ops.convert_to_numpy(projection).T


def kind_of_layer(layer: Any) -> str:
    """The module of PyTorch that computes what a layer computes; an error where there is none."""
    kinds = ((keras.layers.LSTM, "LSTM"), (keras.layers.GRU, "GRU"), (keras.layers.SimpleRNN, "RNN"))
    name = next((name for family, name in kinds if isinstance(layer, family)), None)
    if name is None:
        raise ValueError(f"PyTorch has no module for {type(layer).__name__}. It has LSTM, GRU and RNN.")
    if not layer.built:
        raise ValueError(f"The layer {layer.name!r} must be built before it has weights. Call it once.")
    expected = {"LSTM": ("tanh", "sigmoid"), "GRU": ("tanh", "sigmoid"), "RNN": ("tanh", None)}[name]
    actual = [keras.activations.serialize(f) if f else None for f in activations_of(layer)]
    if name == "RNN" and actual[0] == "relu":
        actual[0] = "tanh"  # PyTorch's RNN has both
    if tuple(actual) != expected or (name == "GRU" and not layer.reset_after):
        raise ValueError(
            f"PyTorch's {name} has the activations {expected} and, for GRU, reset_after=True. The layer {layer.name!r} "
            f"has {tuple(actual)}{'' if name != 'GRU' else f' and reset_after={layer.reset_after}'}."
        )
    return name


def activations_of(layer: Any) -> list[Any]:
    return [layer.activation, getattr(layer, "recurrent_activation", None)]
