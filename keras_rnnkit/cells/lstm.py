"""Long short-term memory, and its variant with projection."""

from __future__ import annotations

import keras

from keras_rnnkit.cells.arguments import another, keras_object, positive_integer
from keras_rnnkit.cells.base import GatedCell
from keras_rnnkit.cells.slopes import slope


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class LSTMCell(GatedCell):
    """Long short-term memory.

        i = sigmoid(W_i x_t + U_i h_{t-1} + b_i)
        f = sigmoid(W_f x_t + U_f h_{t-1} + b_f)
        g =    tanh(W_g x_t + U_g h_{t-1} + b_g)
        o = sigmoid(W_o x_t + U_o h_{t-1} + b_o)
        c_t = f * c_{t-1} + i * g
        h_t = o * tanh(c_t)            with projection: h_t = P (o * tanh(c_t))

    Papers: S. Hochreiter and J. Schmidhuber, 1997; forget gate F. Gers, 2000; its bias started at one,
    R. Jozefowicz, 2015; projection H. Sak, 2014.

    Shapes: x_t [B, D], h_t [B, U] ([B, P] with projection), c_t [B, U]. Weights as in Keras, gates in the order
    i, f, g, o: kernel [D, 4U], recurrent_kernel [U, 4U], bias [4U]; projection_kernel [U, P].

    Arguments, besides those of `GatedCell`:
        recurrent_activation: activation of the three gates.
        unit_forget_bias: start b_f at one, so that the cell keeps its memory before it has learned to.
        projection: width P of h_t, where the output is to be narrower than the memory.

    >>> cell = LSTMCell(5, projection=2)
    >>> y, (h, c) = cell(keras.ops.ones([3, 4]), cell.get_initial_state(3))
    >>> h.shape, c.shape
    (TensorShape([3, 2]), TensorShape([3, 5]))
    """

    gate_count = 4
    forget_gate = 1
    """Position of the forget gate among the gates."""

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        *,
        unit_forget_bias=True,
        projection=None,
        **kwargs,
    ):
        super().__init__(units, activation, **kwargs)
        self.recurrent_activation = keras_object("recurrent_activation", recurrent_activation, self)
        self.unit_forget_bias = unit_forget_bias
        self.projection = None if projection is None else checked_projection(self, projection)
        self.output_size = self.projection or self.units
        self.state_size = [self.output_size, self.units]

    def build(self, input_shape):
        super().build(input_shape)
        self.projection_kernel = None
        if self.projection:
            self.projection_kernel = self.add_matrix(
                "projection_kernel",
                (self.units, self.projection),
                role="kernel",
                initializer=another(self.kernel_initializer),
            )

    @property
    def initial_bias(self):
        if not self.unit_forget_bias:
            return self.bias_initializer

        def forget_bias_one(shape, dtype=None):
            # The same three pieces as in Keras: an initializer gives the same numbers at every call, so another
            # division would start other gates alike.
            pieces = (
                (self.bias_initializer, self.forget_gate),
                (keras.ops.ones, 1),
                (self.bias_initializer, self.gate_count - self.forget_gate - 1),
            )
            return keras.ops.concatenate([start((n * self.units,), dtype=dtype) for start, n in pieces if n])

        return forget_bias_one

    def gates(self, ops, w, z, r, state):
        h, state, _ = self.gates_saved(ops, w, z, r, state)
        return h, state

    def gates_saved(self, ops, w, z, r, state):
        _, c = state
        i, f, g, o = ops.split(z + r, 4)
        i, f, o = (ops.activation(self.recurrent_activation, gate) for gate in (i, f, o))
        g = ops.activation(self.activation, g)
        c = f * c + i * g
        h = self.output(ops, w, o, c)
        return h, [h, c], [i, f, g, o]

    def gates_backward(self, ops, w, saved, before, after, d_state):
        (i, f, g, o), (_, c_before), (_, c), (dh, dc) = saved, before, after, d_state
        m = ops.activation(self.activation, c)
        di, df, do = (slope(ops, self.recurrent_activation, gate) for gate in (i, f, o))
        dc = dc + dh * o * slope(ops, self.activation, m)
        d = ops.concatenate([dc * g * di, dc * c_before * df, dc * i * slope(ops, self.activation, g), dh * m * do])
        return d, d, [None, dc * f]

    @property
    def activations_have_slopes(self):
        return super().activations_have_slopes and not self.projection  # the formula has no projection

    def output(self, ops, w, o, memory):
        """h_t, from the output gate and the memory."""
        h = o * ops.activation(self.activation, memory)
        return h if w.projection_kernel is None else ops.matmul(h, w.projection_kernel)


def checked_projection(cell: LSTMCell, projection) -> int:
    width = positive_integer("projection", projection, cell)
    if width > cell.units:
        raise ValueError(
            f"{type(cell).__name__}: `projection` makes the output narrower than the memory and must be at most "
            f"units={cell.units}. Received: projection={projection}. Make units larger, or leave projection out."
        )
    return width
