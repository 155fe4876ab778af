"""Layers on top of each other."""

from __future__ import annotations

import keras
from keras import ops, tree

from keras_rnnkit.cells.base import rate
from keras_rnnkit.layers import checks, configs, resets
from keras_rnnkit.layers.residual import Residual


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class Stack(keras.layers.Layer):
    """Recurrent layers on top of each other, as one layer: each reads the whole sequence of the one below.

        x_0 = x;  x_n = dropout(layer_n(x_{n-1}))
        residual:                  x_n = x_{n-1} + dropout(layer_n(x_{n-1}))     where the widths agree
        layer_norm:                layer_n reads LN(x_{n-1})

    Arguments:
        layers: a list of recurrent layers (ours, Keras', `Bidirectional`, `Residual`), or one of ours, which is
            then repeated `num_layers` times.
        num_layers: how many of the one layer; only with a single layer.
        dropout: rate of dropout between layers, not after the last; drawn anew for each step (Zaremba 2014).
        residual: add each layer's input to its output where they are equally wide.
        layer_norm: normalise what each layer reads.
        return_sequences: return the last layer's output of every step instead of its last; if left out, as the last
            layer says.
        return_state: return the states of all layers too; if left out, as the last layer says.
        go_backwards: read the sequence from its end; the output then begins with the last step.
        name, dtype, trainable: as in any Keras layer.

    Call arguments:
        sequences: [B, T, D].
        initial_state: the first states of all layers, from the bottom up.
        mask: booleans [B, T]; steps where it is false leave the states as they are.
        training: whether dropout is active.
        reset_mask: booleans [B, T]; where true, a row's states start anew before that step, in all layers.

    Returns the last layer's output, [B, T, U] or [B, U], and with return_state=True the states of all layers, from the
    bottom up.

    >>> import keras_rnnkit as rk
    >>> tokens = keras.ops.ones([4, 7], "int32")
    >>> x = keras.layers.Embedding(28, 8)(tokens)
    >>> y, h_1, h_2 = Stack(rk.GRU(16), num_layers=2, return_sequences=True, return_state=True)(x)
    >>> y.shape, h_1.shape, h_2.shape
    (TensorShape([4, 7, 16]), TensorShape([4, 16]), TensorShape([4, 16]))
    """

    def __init__(
        self,
        layers,
        num_layers=None,
        dropout=0.0,
        residual=False,
        layer_norm=False,
        return_sequences=None,
        return_state=None,
        go_backwards=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.layers = list_of_layers(layers, num_layers)
        self.dropout = rate("dropout", dropout, self)
        self.residual = residual
        self.layer_norm = layer_norm
        last = self.layers[-1]
        self.return_sequences = last.return_sequences if return_sequences is None else return_sequences
        self.return_state = last.return_state if return_state is None else return_state
        self.go_backwards = go_backwards
        self.stateful = any(layer.stateful for layer in self.layers)
        self.supports_masking = True
        self.input_spec = None
        for layer in self.layers:
            set_options(layer, return_sequences=True, return_state=True)
        if isinstance(last, Residual) and not self.return_sequences:
            raise ValueError(
                f"Stack {self.name!r} ends in the Residual {last.name!r}, which returns every step. Received: "
                "return_sequences=False. Leave it out and take the last step, or end the stack in another layer."
            )
        set_options(last, return_sequences=self.return_sequences)
        self.dropouts = [keras.layers.Dropout(self.dropout, dtype=self.dtype_policy) for _ in self.layers[1:]]
        self.norms = [keras.layers.LayerNormalization(dtype=self.dtype_policy) for _ in self.layers if layer_norm]

    def build(self, sequences_shape, initial_state_shape=None):
        checks.sequences(self, sequences_shape)
        shape = tuple(sequences_shape)
        for i, layer in enumerate(self.layers):
            if self.layer_norm:
                self.norms[i].build(shape)
            if not layer.built:
                self._build_layer(i, layer, shape)
            shape = tuple(layer.compute_output_shape(shape)[0])

    def _build_layer(self, i, layer, shape):
        try:
            layer.build(shape)
        except ValueError as error:
            raise ValueError(
                f"Stack {self.name!r}: layer {i} ({layer.name!r}) cannot read the output of layer {i - 1}, shape "
                f"{shape}: {error}"
            ) from error
        layer.built = True

    def call(self, sequences, initial_state=None, mask=None, training=False, reset_mask=None):
        x = ops.flip(sequences, axis=1) if self.go_backwards else sequences
        if self.go_backwards:
            mask, reset_mask = (None if flags is None else ops.flip(flags, axis=1) for flags in (mask, reset_mask))
        states = []
        for i, (layer, start) in enumerate(zip(self.layers, self._states_by_layer(initial_state), strict=True)):
            below = self.norms[i](x) if self.layer_norm else x
            flags = resets.arguments(self, layer, reset_mask) | ({} if mask is None else {"mask": mask})
            y, *state = layer(below, initial_state=start, training=training, **flags)
            y = self.dropouts[i](y, training=training) if i < len(self.dropouts) else y
            x = ops.add(x, y) if self.residual and y.shape == x.shape else y
            states += state
        return (x, *states) if self.return_state else x

    def _states_by_layer(self, initial_state):
        """The initial states as a list for each layer; None for each where there are none."""
        if initial_state is None:
            return [None] * len(self.layers)
        states, counts = list(initial_state), [state_count(layer) for layer in self.layers]
        if len(states) != sum(counts):
            raise ValueError(
                f"Stack {self.name!r} has {sum(counts)} states, {counts} from the bottom layer up. Received: "
                f"initial_state with {len(states)}. Pass them in the order in which return_state=True returns them."
            )
        rest = iter(states)
        return [[next(rest) for _ in range(count)] for count in counts]

    def compute_output_shape(self, sequences_shape, initial_state_shape=None):
        shape, states = tuple(sequences_shape), []
        for layer in self.layers:
            shape, *state = layer.compute_output_shape(shape)
            states += state
        return (shape, *states) if self.return_state else shape

    def compute_mask(self, sequences, mask=None):
        mask = tree.flatten(mask)[0] if tree.is_nested(mask) else mask
        output_mask = mask if self.return_sequences else None
        return [output_mask, *[None] * len(self.state_size)] if self.return_state else output_mask

    @property
    def state_size(self):
        return [size for layer in self.layers for size in tree.flatten(layer.state_size)]

    @property
    def states(self):
        """The carried states of a stateful stack, from the bottom up; None before it is built."""
        by_layer = [layer.states for layer in self.layers]
        return None if any(states is None for states in by_layer) else tree.flatten(by_layer)

    @property
    def zero_output_for_mask(self):
        return getattr(self.layers[-1], "zero_output_for_mask", False)

    @zero_output_for_mask.setter
    def zero_output_for_mask(self, value):
        self.layers[-1].zero_output_for_mask = value

    def reset_state(self):
        for layer in self.layers:
            layer.reset_state()

    reset_states = reset_state

    def get_config(self):
        return {
            **super().get_config(),
            "layers": [keras.saving.serialize_keras_object(layer) for layer in self.layers],
            "dropout": self.dropout,
            "residual": self.residual,
            "layer_norm": self.layer_norm,
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "go_backwards": self.go_backwards,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        layers = [keras.saving.deserialize_keras_object(c, custom_objects=custom_objects) for c in config["layers"]]
        return cls(**{**config, "layers": layers})


def list_of_layers(layers, num_layers) -> list:
    """The layers of a stack, from a list or from one layer and a number."""
    if isinstance(layers, list | tuple):
        if num_layers is not None and num_layers != len(layers):
            raise ValueError(
                f"Stack: num_layers repeats a single layer. Received: a list of {len(layers)} layers and "
                f"num_layers={num_layers}. Leave num_layers out, or pass one layer."
            )
        layers = list(layers)
    else:
        check_layer(layers)
        layers = [layers, *(copied(layers, i) for i in range(1, layer_count(num_layers)))]
    if not layers:
        raise ValueError("Stack needs at least one layer. Received: an empty list.")
    for layer in layers:
        check_layer(layer)
    return layers


def layer_count(num_layers) -> int:
    if num_layers is None:
        return 1
    if isinstance(num_layers, bool) or not hasattr(num_layers, "__index__") or num_layers < 1:
        raise ValueError(
            "Stack: num_layers says how often the layer is repeated and must be a positive integer. "
            f"Received: num_layers={num_layers!r}. Leave it out for a single layer."
        )
    return int(num_layers)


def check_layer(layer) -> None:
    missing = [name for name in ("return_sequences", "return_state", "stateful") if not hasattr(layer, name)]
    if missing or not isinstance(layer, keras.layers.Layer):
        raise ValueError(
            f"Stack takes recurrent layers such as rk.LSTM(64), rk.Recurrent(cell) or rk.Bidirectional(layer). "
            f"Received: {layer!r}. To stack cells in one loop, pass a list of them to rk.Recurrent."
        )


def copied(layer, i: int):
    return configs.new_like(layer, f"Stack repeats {layer.name!r} by its config, which", name=f"{layer.name}_{i + 1}")


def set_options(layer, **options) -> None:
    """Set what a recurrent layer returns, in `Bidirectional` for both directions, before the layer is first called."""
    for name, value in options.items():
        try:
            setattr(layer, name, value)
        except AttributeError:
            set_options(layer.layer, **{name: value})
    for direction in (getattr(layer, "forward_layer", None), getattr(layer, "backward_layer", None)):
        if direction is not None:
            set_options(direction, **options)
            direction.zero_output_for_mask = direction.return_sequences  # as Bidirectional's constructor has it


def state_count(layer) -> int:
    return len(tree.flatten(layer.state_size))
