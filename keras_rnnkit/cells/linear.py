"""The base class of cells whose recurrence is linear in the state, so that training needs no loop over their gates."""

from __future__ import annotations

from keras_rnnkit.cells.input_weights import InputWeightsCell


class LinearCell(InputWeightsCell):
    """A recurrence without a product of the state:

        z_t      = project(x_t)                for all steps at once: an array for each gate
        a_t, b_t = coefficients(z_t)           for all steps at once
        s_t      = a_t * s_{t-1} + b_t         the only line that waits for the step before it
        y_t      = output(z_t, s_t)            for all steps at once

    A subclass defines `coefficients`, and where y_t is not s_t also `output` and `emits_state = False`. The kernel
    `parallel` then computes all but the third line over whole sequences, in training and on the way back. |a_t| must
    not be above one, or the state grows without bound.

    Shapes: x_t [B, D], s_t, a_t and b_t [B, S], y_t [B, U]. Weights and arguments are those of `InputWeightsCell`.

    >>> class DecayCell(LinearCell):
    ...     '''s_t = u * s_{t-1} + (1 - u) * W x_t, with a rate u for each unit that depends on the input.'''
    ...
    ...     gate_count = 2
    ...
    ...     def coefficients(self, ops, w, z):
    ...         z_u, x = z
    ...         u = ops.sigmoid(z_u)
    ...         return u, (1.0 - u) * x
    >>> import keras, keras_rnnkit as rk
    >>> layer = rk.Recurrent(DecayCell(3))
    >>> layer(keras.ops.ones([2, 5, 4])).shape, layer.runs_on()
    (TensorShape([2, 3]), 'parallel')
    """

    complex_state = False
    """Whether states and a_t hold complex numbers, as arrays of all real parts followed by all imaginary parts."""

    @property
    def is_linear(self) -> bool:
        """Whether a_t and b_t depend on the input alone; False in a cell whose gates were set to read the state."""
        return True

    def coefficients(self, ops, w, z):
        """a_t and b_t, from z_t alone. z: a list of the arrays [..., U] of the gates."""
        raise NotImplementedError(f"{type(self).__name__} must define coefficients(self, ops, w, z)")

    def output(self, ops, w, z, s):
        """y_t, from z_t, in the form that `coefficients` gets, and the state after the step."""
        return s

    def times(self, ops, a, s):
        """a * s, of real or of complex numbers."""
        if not self.complex_state:
            return a * s
        a_re, a_im = ops.split(a, 2)
        s_re, s_im = ops.split(s, 2)
        return ops.concatenate([a_re * s_re - a_im * s_im, a_re * s_im + a_im * s_re])

    def with_flags(self, ops, a, b, valid=None, reset=None, start=None):
        """The coefficients of steps that hand the state on unless they are valid, and start anew at a reset.

        valid, reset: booleans [T, B, 1]; start: the state [B, S] that a reset goes back to. Both are then a matter of
        the coefficients, and the recurrence need not know of them.
        """
        if valid is not None:
            a, b = ops.where(valid, a, self.identity_like(ops, a)), ops.where(valid, b, ops.zeros_like(b))
        if reset is not None:
            b = ops.where(reset, self.times(ops, a, ops.zeros_like(a) + start) + b, b)
            a = ops.where(reset, ops.zeros_like(a), a)
        return a, b

    def identity_like(self, ops, like):
        """The number 1, real or complex, in the shape of `like`."""
        if not self.complex_state:
            return ops.zeros_like(like) + 1.0
        real, imaginary = ops.split(ops.zeros_like(like), 2)
        return ops.concatenate([real + 1.0, imaginary])

    def recur(self, ops, w, h):
        return h

    def gates(self, ops, w, z, r, state):
        return self.linear_step(ops, w, self.split_gates(ops, z), r)

    def linear_step(self, ops, w, z, s):
        """y_t and the new states, from the arrays of the gates and the state before the step."""
        a, b = self.coefficients(ops, w, z)
        s = self.times(ops, a, s) + b
        return self.output(ops, w, z, s), [s]
