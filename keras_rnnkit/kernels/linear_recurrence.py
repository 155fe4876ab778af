"""s_t = a_t * s_{t-1} + b_t over whole sequences, with its gradient: the one line of a linear cell that needs a loop.

The gradient is a recurrence of the same kind from the last step to the first. How both are run is a matter of the
backend and the device:

- TensorFlow on a CPU: a loop, which XLA compiles in training. A step is one pass over a row of numbers.
- TensorFlow on a GPU: in about log2(T) passes over the whole sequence, in which spans of steps are joined to spans of
  twice their length (Hillis and Steele, 1986).
- JAX on a CPU: `jax.lax.scan`; elsewhere `jax.lax.associative_scan`.
"""

from __future__ import annotations

import importlib
from typing import Any

import keras

from keras_rnnkit.ops import keras as kops

ENGINES = {"tensorflow": "linear_tensorflow", "jax": "linear_jax"}


def engine() -> Any:
    """The module that runs the two recurrences on Keras' backend: `forward`, `backward` and `remark`."""
    return importlib.import_module(f"keras_rnnkit.kernels.{ENGINES[keras.backend.backend()]}")


class LinearRecurrence:
    """The recurrence of a cell. a, b: [T, B, S]; first: [B, S].

    times: the product `times(ops, a, s)` of the cell's numbers. is_complex: whether these are complex.
    training: whether a gradient will be asked for, and many batches of the same shape will follow.
    """

    def __init__(self, times, is_complex: bool, training: bool):
        self.times = lambda a, s: times(kops, a, s)
        self.is_complex, self.training = is_complex, training
        self.engine = engine()

    def solve(self, a, b, first):
        """The states after each step, [T, B, S]."""

        def run(a, b, first):
            s = self.engine.forward(self, a, b, first)

            def gradient(*d, upstream=None):
                return self.gradients(a, b, first, s, only_upstream(d, upstream))

            return s, gradient

        return keras.ops.custom_gradient(run)(a, b, first)

    def gradients(self, a, b, first, s, d):
        """The gradients of a, b and first, from those of the states. They have a gradient too, for second derivatives.

        g_t = d_t + conj(a_{t+1}) * g_{t+1} is what reaches the state of each step from all steps after it.
        """
        before = kops.concatenate([first[None], s[:-1]], axis=0)

        def run(a, b, first, d):
            g = self.engine.backward(self, self.conjugate(a), d)

            def gradient(*d_gradients, upstream=None):
                return self.second_gradients(a, before, g, *all_upstreams(d_gradients, upstream))

            return self.products(a, before, g), gradient

        return keras.ops.custom_gradient(run)(a, b, first, d)

    def second_gradients(self, a, before, g, d_a, d_b, d_first):
        """The gradients of a, b, first and d, from those of the gradients of a, b and first.

        They reach a in three ways: through g, through the states, and through the gradient of the first state.
        """
        of_g = self.times(before, d_a) + d_b
        of_g = kops.concatenate([of_g[:1] + self.times(a[:1], d_first[None]), of_g[1:]], axis=0)
        through_g, of_d = self.gradient_of_g(a, g, of_g)
        of_before = self.times(g, self.conjugate(d_a))
        of_s = kops.concatenate([of_before[1:], kops.zeros_like(d_first)[None]], axis=0)
        through_s, of_b, of_first = self.products(a, before, self.engine.backward(self, self.conjugate(a), of_s))
        through_first = self.times(g[:1], self.conjugate(d_first)[None])
        of_a = through_g + through_s
        of_a = kops.concatenate([of_a[:1] + through_first, of_a[1:]], axis=0)
        return of_a, of_b, of_first + of_before[0], of_d

    def products(self, a, before, g):
        """The gradients of a, b and first, from what reaches each state."""
        return self.times(self.conjugate(before), g), g, self.times(self.conjugate(a[0]), g[0])

    def gradient_of_g(self, a, g, u):
        """The gradients of a and d where those of g are u: a recurrence forward, since g is one backward."""
        v = self.engine.forward(self, a, u, kops.zeros_like(u[0]))
        d_a = self.times(self.conjugate(v[:-1]), g[1:])
        return kops.concatenate([kops.zeros_like(a[:1]), d_a], axis=0), v

    def conjugate(self, a):
        if not self.is_complex:
            return a
        real, imaginary = kops.split(a, 2)
        return kops.concatenate([real, -imaginary])


def only_upstream(d, upstream):
    """The gradient of a single result, as the backends pass it: by position, or by name."""
    return d[0] if upstream is None else upstream


def all_upstreams(d, upstream):
    """The gradients of all results, as the backends pass them: each by position, or all as one argument."""
    d = d if upstream is None else (upstream,)
    return d[0] if len(d) == 1 else d
