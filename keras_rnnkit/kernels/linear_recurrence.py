"""s_t = a_t * s_{t-1} + b_t over whole sequences, with its gradient: the one line of a linear cell that needs a loop.

The gradient is a recurrence of the same kind from the last step to the first. Both are written here once, each as the
gradient of the other. How they are run is a matter of the backend and the device:

- TensorFlow on a CPU: a loop, which XLA compiles in training. A step is one pass over a row of numbers.
- TensorFlow on a GPU: in about log2(T) passes over the whole sequence, in which spans of steps are joined to spans of
  twice their length (Hillis and Steele, 1986).
- JAX on a CPU: `jax.lax.scan`; elsewhere `jax.lax.associative_scan`.
"""

from __future__ import annotations

import importlib

import keras

from keras_rnnkit.ops import keras as kops

ENGINES = {"tensorflow": "linear_tensorflow", "jax": "linear_jax"}


class LinearRecurrence:
    """The recurrence of a cell. a, b: [T, B, S]; first: [B, S].

    times: the product `times(ops, a, s)` of the cell's numbers. is_complex: whether these are complex.
    training: whether a gradient will be asked for, and many batches of the same shape will follow.
    """

    def __init__(self, times, is_complex: bool, training: bool):
        self.times = lambda a, s: times(kops, a, s)
        self.is_complex, self.training = is_complex, training
        self.engine = importlib.import_module(f"keras_rnnkit.kernels.{ENGINES[keras.backend.backend()]}")

    def solve(self, a, b, first):
        """The states after each step, [T, B, S]."""

        def run(a, b, first):
            s = self.engine.forward(self, a, b, first)

            def gradient(*arguments, upstream=None):
                g = self.solve_back(a, arguments[0] if upstream is None else upstream)
                before = kops.concatenate([first[None], s[:-1]], axis=0)
                return self.times(self.conjugate(before), g), g, self.times(self.conjugate(a[0]), g[0])

            return s, gradient

        return keras.ops.custom_gradient(run)(a, b, first)

    def solve_back(self, a, d):
        """g_t = d_t + conj(a_{t+1}) * g_{t+1}: what reaches the state of each step from all steps after it."""

        def run(a, d):
            g = self.engine.backward(self, self.conjugate(a), d)

            def gradient(*arguments, upstream=None):
                u = arguments[0] if upstream is None else upstream
                v = self.solve(a, u, kops.zeros_like(u[0]))
                d_a = self.times(self.conjugate(v[:-1]), g[1:])
                return kops.concatenate([kops.zeros_like(a[:1]), d_a], axis=0), v

            return g, gradient

        return keras.ops.custom_gradient(run)(a, d)

    def conjugate(self, a):
        if not self.is_complex:
            return a
        real, imaginary = kops.split(a, 2)
        return kops.concatenate([real, -imaginary])
