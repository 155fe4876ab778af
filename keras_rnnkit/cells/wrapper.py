"""The base class of cells that change another cell's equation without rewriting it."""

from __future__ import annotations

import keras

from keras_rnnkit.cells.base import Cell


class WrapperCell(Cell):
    """A cell with the equation, states, output and dropout of another cell. A subclass overrides what it changes.

    Wrappers nest: each calls `super()`, which calls the wrapped cell with the weights `w.cell`.

    Arguments:
        cell: the cell to wrap. Its units, dropout and precision are those of the wrapper.
    """

    def __init__(self, cell: Cell, **kwargs):
        if not isinstance(cell, Cell):
            raise ValueError(
                f"{type(self).__name__} wraps a cell of keras_rnnkit.cells. Received: {cell!r}. "
                "Write for example rk.cells.LSTMCell(64) instead of a layer or a Keras cell."
            )
        for name in ("dropout", "recurrent_dropout"):
            if name in kwargs:
                raise ValueError(
                    f"{type(self).__name__} has the dropout of the cell it wraps. Received: {name}={kwargs[name]!r}. "
                    f"Write {type(self).__name__}({type(cell).__name__}(..., {name}={kwargs[name]!r}))."
                )
        super().__init__(cell.units, **{"dtype": cell.dtype_policy, **kwargs})
        self.cell = cell
        self.dropout, self.recurrent_dropout = cell.dropout, cell.recurrent_dropout
        self.state_size, self.output_size = cell.state_size, cell.output_size
        self.emits_state, self.condition_size = cell.emits_state, cell.condition_size
        self.adds_noise, self.needs_all_steps = cell.adds_noise, cell.needs_all_steps

    def build(self, input_shape):
        if not self.cell.built:
            self.cell.build(input_shape)
            self.cell.built = True

    def project(self, ops, w, x):
        return self.cell.project(ops, w.cell, x)

    def recur(self, ops, w, h):
        return self.cell.recur(ops, w.cell, h)

    def gates(self, ops, w, z, r, state):
        return self.cell.gates(ops, w.cell, z, r, state)

    def inputs(self, ops, w, x, state, training=False, mask=None):
        return self.cell.inputs(ops, w.cell, x, state, training=training, mask=mask)

    def draw_noise(self, shape, dtype):
        return self.cell.draw_noise(shape, dtype)

    def use_noise(self, noise):
        self.cell.use_noise(noise)

    def get_dropout_mask(self, step_input):
        return self.cell.get_dropout_mask(step_input)

    def get_recurrent_dropout_mask(self, step_input):
        return self.cell.get_recurrent_dropout_mask(step_input)

    def reset_dropout_mask(self):
        self.cell.reset_dropout_mask()

    def reset_recurrent_dropout_mask(self):
        self.cell.reset_recurrent_dropout_mask()

    def get_config(self):
        config = super().get_config()
        for owned_by_inner in ("units", "dropout", "recurrent_dropout", "seed"):
            config.pop(owned_by_inner, None)
        return config

    def check_no_noise_inside(self):
        """For wrappers that change z: zoneout puts its noise beside z, so it must be around them."""
        if self.cell.adds_noise:
            name = type(self).__name__
            raise ValueError(
                f"{name} changes the projected input, so it must be inside the wrapper that adds noise. Received: "
                f"{name}({type(self.cell).__name__}(...)). Write ZoneoutCell({name}(cell)) instead, which is the same "
                "network."
            )

    @classmethod
    def from_config(cls, config, custom_objects=None):
        cell = keras.saving.deserialize_keras_object(config["cell"], custom_objects=custom_objects)
        return cls(**{**config, "cell": cell})
