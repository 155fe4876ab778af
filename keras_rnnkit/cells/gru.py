"""The gated recurrent unit, in both published forms."""

from __future__ import annotations

import keras

from keras_rnnkit.cells.arguments import keras_object
from keras_rnnkit.cells.base import GatedCell
from keras_rnnkit.cells.slopes import slope


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class GRUCell(GatedCell):
    """The gated recurrent unit.

        u = sigmoid(W_u x_t + U_u h_{t-1} + b_u)                    update gate
        s = sigmoid(W_s x_t + U_s h_{t-1} + b_s)                    reset gate
        k = tanh(W_k x_t + b_k + s * (U_k h_{t-1} + b'_k))          candidate, reset_after=True
        k = tanh(W_k x_t + b_k + U_k (s * h_{t-1}))                 candidate, reset_after=False
        h_t = u * h_{t-1} + (1 - u) * k

    Papers: K. Cho, 2014; its first version resets after the product, the published one before it. The letters
    u, s, k stand for Cho's z, r and h~, because z and r are the two products of a split cell here.

    Shapes: x_t [B, D], h_t [B, U]. Weights as in Keras, gates in the order u, s, k: kernel [D, 3U],
    recurrent_kernel [U, 3U], bias [3U], or [2, 3U] with reset_after (input row, recurrent row).

    Arguments, besides those of `GatedCell`:
        recurrent_activation: activation of the two gates.
        reset_after: reset after the recurrent product (cuDNN's form, one product a step) or before it (two products).

    >>> cell = GRUCell(5)
    >>> y, (h,) = cell(keras.ops.ones([3, 4]), cell.get_initial_state(3))
    >>> h.shape
    TensorShape([3, 5])
    """

    gate_count = 3

    def __init__(self, units, activation="tanh", recurrent_activation="sigmoid", *, reset_after=True, **kwargs):
        super().__init__(units, activation, **kwargs)
        self.recurrent_activation = keras_object("recurrent_activation", recurrent_activation, self)
        self.reset_after = reset_after

    @property
    def bias_shape(self):
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def project(self, ops, w, x):
        z = ops.matmul(x, w.kernel)
        if w.bias is None:
            return z
        return ops.add_bias(z, w.bias[0] if self.reset_after else w.bias)

    def recur(self, ops, w, h):
        if not self.reset_after:
            # The candidate's product waits for the reset gate, so `gates` computes it and gets h unchanged as r_k.
            return ops.concatenate([ops.matmul(h, w.recurrent_kernel[:, : 2 * self.units]), h])
        r = ops.matmul(h, w.recurrent_kernel)
        return r if w.bias is None else r + w.bias[1]

    def gates(self, ops, w, z, r, state):
        h, state, _ = self.gates_saved(ops, w, z, r, state)
        return h, state

    def gates_saved(self, ops, w, z, r, state):
        (h,) = state
        z_u, z_s, z_k = ops.split(z, 3)
        r_u, r_s, r_k = ops.split(r, 3)
        u = ops.activation(self.recurrent_activation, z_u + r_u)
        s = ops.activation(self.recurrent_activation, z_s + r_s)
        product = s * r_k if self.reset_after else ops.matmul(s * r_k, w.recurrent_kernel[:, 2 * self.units :])
        k = ops.activation(self.activation, z_k + product)
        h = u * h + (1.0 - u) * k
        return h, [h], [u, s, k, r_k]

    def gates_backward(self, ops, w, saved, before, after, d_state):
        (u, s, k, r_k), (h_before,), (dh,) = saved, before, d_state
        du = dh * (h_before - k) * slope(ops, self.recurrent_activation, u)
        dk = dh * (1.0 - u) * slope(ops, self.activation, k)
        d = dk if self.reset_after else ops.matmul(dk, ops.transpose(w.recurrent_kernel[:, 2 * self.units :], 1, 0))
        ds = d * r_k * slope(ops, self.recurrent_activation, s)
        return ops.concatenate([du, ds, dk]), ops.concatenate([du, ds, d * s]), [dh * u]

    def gates_weights_backward(self, ops, w, saved, before, d_z):
        if self.reset_after:
            return {}
        (_, s, _, r_k), units = saved, self.units
        rows, dk = ops.reshape(s * r_k, (-1, units)), ops.reshape(d_z[..., 2 * units :], (-1, units))
        d_candidate = ops.matmul(ops.transpose(rows, 1, 0), dk)
        d_gates = ops.zeros_like(w.recurrent_kernel[:, : 2 * units])  # theirs comes by way of `recur`
        return {"recurrent_kernel": ops.concatenate([d_gates, d_candidate])}
