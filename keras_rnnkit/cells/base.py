"""The base classes of all cells: an equation in three parts, and a Keras layer around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from keras_rnnkit.cells.arguments import argument_names, keras_object, positive_integer, rate, serialized
from keras_rnnkit.cells.slopes import has_slope
from keras_rnnkit.keras_internals import DropoutRNNCell
from keras_rnnkit.ops import keras as kops


class Weights:
    """The arrays of a cell by attribute name, through `read`; `w.cell` are those of a wrapped cell.

    `read` turns a Keras variable into an array: a tensor when training, an ndarray for the NumPy reading, an
    initializer when exporting. What is not a variable (None for an absent bias, a number) comes back as it is.
    """

    def __init__(self, cell: Cell, read: Callable[[keras.Variable], Any]):
        self._cell = cell
        self._read = read

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._cell, name)
        if isinstance(value, keras.Variable):
            return self._read(value)
        if isinstance(value, Cell):
            return Weights(value, self._read)
        return value


class Cell(keras.layers.Layer, DropoutRNNCell):
    """One step of a recurrence, split so that every kernel can run it:

        z_t          = project(x_t)               independent of the state: one matrix product for a whole sequence
        r_t          = recur(h_{t-1})             the matrix product of the loop, on the first state
        y_t, state_t = gates(z_t, r_t, state_{t-1})   row by row: pointwise, normalisation, small products

    Each part is pure: it takes `ops` (a reading of the vocabulary in `keras_rnnkit.ops.protocol`) and `w` (the
    cell's weights by attribute name) and touches nothing else, so the same lines train, serve as the NumPy
    reference and export. A subclass writes the three parts, `build`, and its constructor; dropout, masks, kernels,
    `.keras` files and export then work without more code.

    Shapes: x_t [B, D], z_t and r_t [B, any width], states [B, size]. `project`, `recur` and `gates` must also accept
    a leading time axis, [T, B, ...].

    Arguments:
        units: width of the first state.
        dropout: share of the inputs dropped in training; one mask serves a whole sequence and all gates.
        recurrent_dropout: the same for h_{t-1} (Gal and Ghahramani 2016, one mask for all gates).
        seed: seed of the dropout masks.

    >>> class DecayCell(Cell):
    ...     '''h_t = a * h_{t-1} + (1 - a) * W x_t, with a learned rate a for each unit.'''
    ...
    ...     def build(self, input_shape):
    ...         self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
    ...         self.rate = self.add_weight(shape=(self.units,), name="rate")
    ...
    ...     def project(self, ops, w, x):
    ...         return ops.matmul(x, w.kernel)
    ...
    ...     def recur(self, ops, w, h):
    ...         return h
    ...
    ...     def gates(self, ops, w, z, r, state):
    ...         a = ops.sigmoid(w.rate)
    ...         h = a * r + (1.0 - a) * z
    ...         return h, [h]
    >>> import keras_rnnkit as rk
    >>> rk.Recurrent(DecayCell(3))(keras.ops.ones([2, 5, 4])).shape
    TensorShape([2, 3])
    """

    emits_state = True
    """Whether y_t is the first state. A cell whose output differs from its first state sets this to False."""

    condition_size: int | None = None
    """Width of the fixed vector that a conditioned cell keeps as its last state; None in all other cells."""

    adds_noise = False
    """Whether `inputs` adds noise in training, and then returns more than the array z."""

    needs_all_steps = False
    """Whether training takes statistics of all steps at once, which a loop over single steps cannot provide."""

    def __init__(self, units: int, dropout: float = 0.0, recurrent_dropout: float = 0.0, seed=None, **kwargs):
        kwargs.pop("implementation", None)  # one implementation serves both of Keras'
        super().__init__(**kwargs)
        self.units = positive_integer("units", units, self)
        self.dropout = rate("dropout", dropout, self)
        self.recurrent_dropout = rate("recurrent_dropout", recurrent_dropout, self)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.state_size: Any = self.units
        self.output_size = self.units

    # ------------------------------------------------------------------ the equation

    def project(self, ops, w, x):
        """z_t, from the input alone. x: [..., D]."""
        raise NotImplementedError(f"{type(self).__name__} must define project(self, ops, w, x)")

    def recur(self, ops, w, h):
        """r_t, from the first state alone. h: [..., units]."""
        raise NotImplementedError(f"{type(self).__name__} must define recur(self, ops, w, h)")

    def gates(self, ops, w, z, r, state):
        """y_t and the new states, row by row. state: a list of [..., size]."""
        raise NotImplementedError(f"{type(self).__name__} must define gates(self, ops, w, z, r, state)")

    def inputs(self, ops, w, x, state, training=False, mask=None):
        """All that the loop reads besides its state: z_t, and what a wrapper adds to it, such as noise.

        Kernels call this once for all steps before the loop; `call` calls it for each step.

        x: one step [B, D], or all steps [T, B, D]; state: the states before the first of these steps;
        mask: the valid steps [T, B], or None where all are valid.
        """
        return self.project(ops, w, x)

    # ------------------------------------------------------------------ the gradient, where it is written out

    def gates_saved(self, ops, w, z, r, state):
        """The results of `gates`, and a list of the arrays [..., size] that `gates_backward` reads."""
        raise NotImplementedError(f"{type(self).__name__} has no written-out gradient")

    def gates_backward(self, ops, w, saved, before, after, d_state):
        """The gradients of z, of r and of the states before the step, from those of the states after it.

        before, after: the states on both sides of the step. For a state that the step reads through `recur` alone
        the last list has None. A kernel uses this formula instead of the backend's automatic differentiation, for a
        class that defines `gates`, `gates_saved` and `gates_backward` in its own body.
        """
        raise NotImplementedError(f"{type(self).__name__} has no written-out gradient")

    def gates_weights_backward(self, ops, w, saved, before, d_z) -> dict[str, Any]:
        """The gradients of weights that `gates` itself multiplies by, by name, from all steps [T, B, ...] at once."""
        return {}

    @property
    def activations_have_slopes(self) -> bool:
        """Whether `gates_backward` holds for the activation functions of this cell."""
        return True

    # ------------------------------------------------------------------ noise, for loops that call the cell

    def draw_noise(self, shape, dtype) -> list[Any]:
        """The noise of training steps, arrays [*shape, size]; none for a cell that adds no noise.

        A loop draws it for all its steps before it begins, because JAX cannot draw inside a compiled loop.
        """
        return []

    def use_noise(self, noise: list[Any]) -> None:
        """Use this noise, one step of what `draw_noise` returned, in the next call with training=True."""

    # ------------------------------------------------------------------ as a Keras layer

    def weights_as(self, read: Callable[[keras.Variable], Any]) -> Weights:
        """The weights for one reading of the equation."""
        return Weights(self, read)

    def call(self, inputs, states, training=False):
        nested = isinstance(states, list | tuple)  # Keras' own cells take a single state with or without a list
        state = list(states) if nested else [states]
        check_state_count(self, state)
        w = self.weights_as(keras.ops.convert_to_tensor)
        x, h = inputs, state[0]
        if training:
            x = dropped(x, self.get_dropout_mask(x))
            h = dropped(h, self.get_recurrent_dropout_mask(h))
        z = self.inputs(kops, w, x, state, training=training)
        y, state = self.gates(kops, w, z, self.recur(kops, w, h), state)
        return y, list(state) if nested else state[0]

    def compute_output_shape(self, input_shape, *_):
        """The shapes of the output and of each state after a single step."""
        batch = next(iter(input_shape))
        return (batch, self.output_size), [(batch, size) for size in self.state_sizes]

    def add_matrix(self, name: str, shape, role: str | None = None, initializer=None) -> keras.Variable:
        """A weight with the initializer, regularizer and constraint of its role: kernel, recurrent or bias."""
        role = role or name
        initializer = initializer or getattr(self, f"{role}_initializer")
        if isinstance(initializer, keras.initializers.Orthogonal) and not has_qr(self.variable_dtype):
            initializer = computed_in_float32(initializer)
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=initializer,
            regularizer=getattr(self, f"{role}_regularizer"),
            constraint=getattr(self, f"{role}_constraint"),
        )

    @property
    def state_sizes(self) -> list[int]:
        """The widths of the states, always as a list."""
        return list(self.state_size) if isinstance(self.state_size, list | tuple) else [self.state_size]

    def get_initial_state(self, batch_size=None):
        return [keras.ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in self.state_sizes]

    def get_config(self):
        return {
            **super().get_config(),
            **{name: serialized(name, getattr(self, name)) for name in argument_names(type(self))},
        }


class GatedCell(Cell):
    """A cell of G gates with Keras' three weights: kernel [D, G*U], recurrent_kernel [U, G*U], bias [G*U].

    Arguments, besides those of `Cell`:
        activation: activation of the candidate (and of the output, where the equation has one there).
        use_bias: whether the gates have a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: initial values of the weights. Le, Jaitly and
            Hinton (2015) start a relu network from `recurrent_initializer="identity"`.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: penalties on the weights.
        kernel_constraint, recurrent_constraint, bias_constraint: projections of the weights after each update.
    """

    gate_count = 1

    read_before_the_loop = ("kernel",)
    """Weights that `project` alone reads. Layers that differ in these only can share compiled loops."""

    initializers_before_seed = True
    """Whether the initializers take their seeds before the dropout masks do, as in Keras' cell of the same kind.

    Each unseeded object takes the next number of one global generator, so only the same order gives the same weights
    as Keras after `keras.utils.set_random_seed`.
    """

    def __init__(
        self,
        units,
        activation="tanh",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        initializers = {
            "kernel_initializer": kernel_initializer,
            "recurrent_initializer": recurrent_initializer,
            "bias_initializer": bias_initializer,
        }
        if self.initializers_before_seed:
            initializers = {name: keras_object(name, value, self) for name, value in initializers.items()}
        super().__init__(units, **kwargs)
        self.use_bias = use_bias
        objects = {
            **initializers,
            "activation": activation,
            "kernel_regularizer": kernel_regularizer,
            "recurrent_regularizer": recurrent_regularizer,
            "bias_regularizer": bias_regularizer,
            "kernel_constraint": kernel_constraint,
            "recurrent_constraint": recurrent_constraint,
            "bias_constraint": bias_constraint,
        }
        for name, value in objects.items():
            setattr(self, name, keras_object(name, value, self))

    def build(self, input_shape):
        width = self.gate_count * self.units
        self.kernel = self.add_matrix("kernel", (input_shape[-1], width))
        self.recurrent_kernel = self.add_matrix("recurrent_kernel", (self.output_size, width), role="recurrent")
        self.bias = self.add_matrix("bias", self.bias_shape, initializer=self.initial_bias) if self.use_bias else None

    @property
    def bias_shape(self) -> tuple[int, ...]:
        return (self.gate_count * self.units,)

    @property
    def initial_bias(self):
        return self.bias_initializer

    def project(self, ops, w, x):
        z = ops.matmul(x, w.kernel)
        return z if w.bias is None else ops.add_bias(z, w.bias)

    def recur(self, ops, w, h):
        return ops.matmul(h, w.recurrent_kernel)

    @property
    def activations_have_slopes(self):
        return has_slope(self.activation) and has_slope(getattr(self, "recurrent_activation", self.activation))


def dropped(x, mask):
    """x times the dropout mask that Keras' `DropoutRNNCell` caches, which is None without dropout."""
    return x if mask is None else x * keras.ops.cast(mask, x.dtype)


def has_qr(dtype: str) -> bool:
    """Whether the backend has the QR decomposition that orthogonal matrices start from: few have it in 16 bits."""
    return dtype not in ("float16", "bfloat16") or (dtype, keras.backend.backend()) == ("float16", "tensorflow")


def computed_in_float32(initializer):
    """The initializer by way of float32."""
    return lambda shape, dtype=None: keras.ops.cast(initializer(shape, dtype="float32"), dtype)


def check_state_count(cell: Cell, state: list) -> None:
    if len(state) != len(cell.state_sizes):
        raise ValueError(
            f"{type(cell).__name__} has {len(cell.state_sizes)} state(s) of width {cell.state_sizes}. Received: "
            f"{len(state)} state(s). Pass all of them, as cell.get_initial_state(batch_size) returns them."
        )
