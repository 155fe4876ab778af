"""The layer that runs a cell over a sequence."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops, tree

from keras_rnnkit import kernels
from keras_rnnkit.cells.adopt import adopt
from keras_rnnkit.cells.base import Cell
from keras_rnnkit.layers import checks


class Steps(NamedTuple):
    """The two masks of a call. Keras passes a mask to `inner_loop` unchanged, so this object carries both."""

    mask: Any
    reset: Any


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class Recurrent(keras.layers.RNN):
    """Runs a cell over a sequence: `keras.layers.RNN`, on the fastest kernel that can run the layer.

    Arguments, besides those of `keras.layers.RNN` (return_sequences, return_state, go_backwards, stateful, unroll,
    zero_output_for_mask):
        cell: a cell of `keras_rnnkit.cells`, any Keras cell, or a list of cells to stack in one loop.
        kernel: "auto" (the fastest that can run the layer), "cudnn", "parallel", "hoisted" or "scan";
            `rk.explain(model)` says which one runs.
        learn_initial_state: start from trained states instead of zeros.
        memory: "keep" stores what the backward pass of training needs of every step. "checkpoint" stores the states
            of about sqrt(T) steps and computes the others again: far less memory, and somewhat more time.

    Call arguments, besides those of `keras.layers.RNN` (sequences [B, T, D], initial_state, mask, training):
        reset_mask: booleans [B, T]; where true, the row's states are set to their initial values before that step:
            to zeros, or to the learned states.
        condition: the fixed vector [B, V] of a `ConditionedCell`.

    >>> import numpy as np, keras_rnnkit as rk
    >>> layer = rk.Recurrent(rk.cells.PeepholeLSTMCell(8), return_sequences=True, learn_initial_state=True)
    >>> x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    >>> layer(x, reset_mask=np.array([[0, 0, 1, 0, 0], [0, 0, 0, 0, 0]], bool)).shape
    TensorShape([2, 5, 8])
    """

    def __init__(self, cell, kernel="auto", learn_initial_state=False, memory="keep", **kwargs):
        checks.cells(self, cell)
        keras.layers.RNN.__init__(self, cell, **kwargs)
        self._kernel = kernels.check_name(kernel)
        self.learn_initial_state = learn_initial_state
        self.memory = kernels.check_memory(memory)
        self.supports_masking = True
        self.learned_states: Any = None
        object.__setattr__(self, "_adopted", (None, None))
        if learn_initial_state and self.stateful:
            raise ValueError(
                f"{type(self).__name__}: stateful=True carries states from batch to batch as plain values, so no "
                "gradient reaches the start and learn_initial_state=True would learn nothing. Use one of them."
            )

    # ------------------------------------------------------------------ kernels

    @property
    def kernel(self) -> str:
        return self._kernel

    @kernel.setter
    def kernel(self, kernel: str):
        previous, self._kernel = self._kernel, kernels.check_name(kernel)
        try:
            self.runs_on()
        except ValueError:
            self._kernel = previous
            raise

    @property
    def supports_jit(self) -> bool:
        """Whether XLA can compile the layer, which it cannot where cuDNN runs. Keras asks before it chooses XLA."""
        if keras.backend.backend() != "tensorflow" or self._kernel not in ("auto", "cudnn"):
            return self._supports_jit
        return self._supports_jit and kernels.refusals(self, kernels.CallFlags())["cudnn"] is not None

    @supports_jit.setter
    def supports_jit(self, value: bool):
        self._supports_jit = value

    @property
    def equation(self):
        """The cell as one of `keras_rnnkit.cells`, in three parts; None for a user's cell without these parts."""
        if isinstance(self.cell, Cell) or not getattr(self.cell, "built", False):
            return adopt(self.cell)
        if self._adopted[0] is not self.cell:  # untracked by Keras: the variables are those of self.cell
            object.__setattr__(self, "_adopted", (self.cell, adopt(self.cell)))
        return self._adopted[1]

    def __dir__(self):
        """The attributes, without `equation`: Keras would save the variables of the cell a second time."""
        return [name for name in super().__dir__() if name not in ("equation", "_adopted")]

    def runs_on(self, masked: bool = False, resets: bool = False) -> str:
        """The name of the kernel that runs this layer; an error if the layer names one that cannot run it."""
        return kernels.choose(self, kernels.CallFlags(masked=masked, resets=resets))

    def inner_loop(self, sequences, initial_state, mask, training=False):
        mask, reset = mask if isinstance(mask, Steps) else (mask, None)
        initial_state = initial_state if isinstance(initial_state, list | tuple) else [initial_state]
        kernel = self.runs_on(masked=mask is not None, resets=reset is not None)
        return kernels.TABLE[kernel].run(self, sequences, initial_state, mask, reset, training)

    # ------------------------------------------------------------------ Keras' surface

    def build(self, sequences_shape, initial_state_shape=None):
        checks.sequences(self, sequences_shape)
        self._features = sequences_shape[-1]
        if self.learn_initial_state:
            self.learned_states = [
                self.add_weight(name=f"initial_state_{i}", shape=(size,), initializer="zeros")
                for i, size in enumerate(self._own_state_sizes())
            ]
        super().build(sequences_shape, initial_state_shape)

    def call(self, sequences, initial_state=None, mask=None, training=False, reset_mask=None, condition=None):
        mask = tree.flatten(mask)[0] if tree.is_nested(mask) else mask
        checks.sequences(self, sequences.shape)
        checks.numbers(self, sequences.dtype)
        checks.features(self, sequences.shape, self._features)
        if condition is not None:
            initial_state = self._conditioned(sequences, initial_state, condition)
        if initial_state is not None:
            checks.states(self, initial_state, sequences.shape[0])
            initial_state = one_for_each_row(initial_state, sequences)
        steps = Steps(self._flags("mask", mask, sequences), self._flags("reset_mask", reset_mask, sequences))
        return super().call(sequences, initial_state=initial_state, mask=steps, training=training)

    def _flags(self, name, flags, sequences):
        if flags is None:
            return None
        flags = ops.convert_to_tensor(flags)
        checks.flags(self, name, flags.shape, sequences.shape)
        return ops.cast(flags, "bool")

    def _conditioned(self, sequences, initial_state, condition):
        """The initial states with the condition as the last of them."""
        width = getattr(self.cell, "condition_size", None)
        if width is None:
            raise ValueError(
                f"Layer {self.name!r} received `condition`, but its cell {type(self.cell).__name__} has no place for "
                "one. Wrap the cell: rk.Recurrent(rk.cells.ConditionedCell(cell, condition_size))."
            )
        if initial_state is None:
            initial_state = self.states if self.stateful else self.get_initial_state(ops.shape(sequences)[0])
            initial_state = list(initial_state)[:-1]
        return [*initial_state, ops.convert_to_tensor(condition, dtype=self.cell.compute_dtype)]

    def get_initial_state(self, batch_size):
        if self.learned_states is None:
            return super().get_initial_state(batch_size)
        dtype = self.cell.compute_dtype
        rows = [ops.broadcast_to(ops.cast(v, dtype), (batch_size, v.shape[-1])) for v in self.learned_states]
        rows += [ops.zeros((batch_size, size), dtype=dtype) for size in tree.flatten(self.state_size)[len(rows) :]]
        return tree.pack_sequence_as(self.state_size, rows)

    def _own_state_sizes(self):
        """The widths of the states that have an initial value: all but a condition, which the caller passes."""
        sizes = tree.flatten(self.state_size)
        return sizes[:-1] if getattr(self.cell, "condition_size", None) else sizes

    def start_states(self, initial_state):
        """The states that a reset gives to a row: zeros, or the learned states. A condition stays as it is."""
        batch_size = ops.shape(tree.flatten(initial_state)[0])[0]
        start = list(self.get_initial_state(batch_size))
        return [*start[:-1], initial_state[-1]] if getattr(self.cell, "condition_size", None) else start

    def compute_mask(self, sequences, mask=None):
        mask = tree.flatten(mask)[0] if tree.is_nested(mask) else mask
        output_mask = mask if self.return_sequences else None
        return [output_mask, *(None for _ in self.state_size)] if self.return_state else output_mask

    def reset_state(self):
        """Set the carried states to zero. Keras' method fails for lists of cells, whose states are nested."""
        for state in tree.flatten(self.states) if self.states is not None else ():
            state.assign(ops.zeros_like(state))

    def get_config(self):
        return {
            **super().get_config(),
            "kernel": self.kernel,
            "learn_initial_state": self.learn_initial_state,
            "memory": self.memory,
        }


def one_for_each_row(initial_state, sequences):
    """The states with one row for each row of the sequences; a single row is the initial state of them all."""

    def broadcast(state):
        shape: Any = getattr(state, "shape", ())
        if len(shape) != 2 or shape[0] != 1 or sequences.shape[0] == 1:
            return state
        return ops.broadcast_to(state, (ops.shape(sequences)[0], shape[1]))

    return tree.map_structure(broadcast, initial_state)
