"""The norms of gradients in the logs, and how often clipping changes a gradient.

An embedding's gradient on TensorFlow is a list of rows with the token of each, and a token that occurs twice in a batch
has two rows. Keras' optimizers take the norm of these rows as they are, and Adam and others square each of them,
although the gradient of that token is their sum. An optimizer of `watched` adds up the rows of each token first.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import keras
from keras import ops

from keras_rnnkit import keras_internals
from keras_rnnkit.training.optimizers import applied, extend

COUNTERS = ("steps", "norm", "largest", "clipped")


class Watching(keras_internals.BeforeClipping):
    """The methods that `watched` adds to the class of an optimizer.

    They count the steps and the clipped ones, and keep the sum and the maximum of the norms.
    """

    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    watched: dict[str, keras.Variable]
    lists_counters = False

    def build(self, variables):
        super().build(variables)  # type: ignore[misc]
        self.add_counters()

    def add_counters(self):
        if hasattr(self, "watched"):
            return
        # Every replica sees the same sums if the optimizer is `synchronized`, so the first one speaks for all.
        kinds = {"shape": (), "initializer": "zeros", "trainable": False, "aggregation": "only_first_replica"}
        counters = {n: keras.Variable(name=f"watched_{n}", dtype="float32", **kinds) for n in COUNTERS}
        # An ordinary assignment would add them to what is saved, and files would no longer fit Keras' own optimizer.
        object.__setattr__(self, "watched", counters)
        # JAX keeps what a step changes only if the optimizer lists it.
        self.lists_counters = keras.backend.backend() == "jax"

    @property
    def variables(self):
        variables = super().variables  # type: ignore[misc]
        return [*variables, *self.watched.values()] if self.lists_counters else variables

    def save_own_variables(self, store):
        with self.unlisted():
            super().save_own_variables(store)  # type: ignore[misc]

    def load_own_variables(self, store):
        with self.unlisted():
            super().load_own_variables(store)  # type: ignore[misc]

    @contextmanager
    def unlisted(self):
        """Inside, `variables` has no counters, as in a file."""
        listed, self.lists_counters = self.lists_counters, False
        try:
            yield
        finally:
            self.lists_counters = listed

    def before_clipping(self, gradients):
        gradients = [merged(gradient) for gradient in super().before_clipping(gradients)]
        squares = [sum_of_squares(gradient) for gradient in gradients if gradient is not None]
        norm, watched = ops.sqrt(sum(squares)), self.watched
        watched["steps"].assign_add(1.0)
        watched["norm"].assign_add(norm)
        watched["largest"].assign(ops.maximum(watched["largest"].value, norm))
        watched["clipped"].assign_add(ops.cast(self.will_clip(norm, squares, gradients), "float32"))
        return gradients

    def will_clip(self, norm, squares, gradients):
        """Whether Keras' clipping changes these gradients."""
        if self.clipnorm:
            return ops.sqrt(ops.max(ops.stack(squares))) > self.clipnorm
        if self.global_clipnorm:
            return norm > self.global_clipnorm
        if self.clipvalue:
            largest = [ops.max(ops.abs(values_of(gradient))) for gradient in gradients if gradient is not None]
            return ops.max(ops.stack([ops.cast(value, "float32") for value in largest])) > self.clipvalue
        return False


def values_of(gradient) -> Any:
    """The numbers of a gradient: all of them, or the rows that are listed."""
    return getattr(gradient, "values", gradient)


def sum_of_squares(gradient) -> Any:
    """||g||^2 in float32; listed rows must be merged."""
    return ops.sum(ops.square(ops.cast(values_of(gradient), "float32")))


def merged(gradient) -> Any:
    """A gradient in which no row is listed twice: rows with the same index are added up.

    >>> import tensorflow as tf
    >>> gradient = tf.IndexedSlices(tf.constant([[1.0], [2.0], [3.0]]), tf.constant([5, 0, 5]), tf.constant([9, 1]))
    >>> merged(gradient).indices.numpy().tolist(), merged(gradient).values.numpy().tolist()
    ([5, 0], [[4.0], [2.0]])
    """
    if keras.backend.backend() != "tensorflow":
        return gradient
    import tensorflow as tf

    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    indices, places = tf.unique(gradient.indices)
    rows = tf.math.unsorted_segment_sum(gradient.values, places, tf.size(indices))
    return tf.IndexedSlices(rows, indices, gradient.dense_shape)


def watched(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The same optimizer, which counts its steps, how many were clipped, and the norms of gradients for `GradientLog`.

    Clipping itself is Keras' own: `global_clipnorm` (g <- c g / ||g|| over all gradients), `clipnorm` and `clipvalue`.
    Rows of the same token in an embedding's gradient are added up first.

    A `.keras` file has the optimizer without the counters. Call `watched(model.optimizer)` again after loading.

    Arguments:
        optimizer: any Keras optimizer, built or not.

    >>> optimizer = watched(keras.optimizers.SGD(1.0, global_clipnorm=0.5))
    >>> weight = keras.Variable([0.0, 0.0])
    >>> optimizer.apply([ops.convert_to_tensor([3.0, 4.0])], [weight])
    >>> [round(float(n), 3) for n in weight.numpy()], {name: float(v) for name, v in optimizer.watched.items()}
    ([-0.3, -0.4], {'steps': 1.0, 'norm': 5.0, 'largest': 5.0, 'clipped': 1.0})
    """
    inner = extend(optimizer, Watching)
    if inner.built:
        inner.add_counters()
    return optimizer


def counters_of(optimizer) -> dict[str, keras.Variable]:
    """The counters of an optimizer of `watched`, by name; empty for others, and before it is built."""
    return getattr(applied(optimizer), "watched", {})


class GradientLog(keras.callbacks.Callback):
    """Adds to the logs of each epoch `gradient_norm`, `largest_gradient_norm` and `clip_ratio`.

    These are the mean and the largest norm of the whole gradient before clipping, and the fraction of steps in which
    clipping changed it. The optimizer must be one of `watched`.

    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(watched(keras.optimizers.SGD(global_clipnorm=1.0)), "mse")
    >>> history = model.fit(ops.ones((4, 1)), ops.ones((4, 1)), callbacks=[GradientLog()], verbose=0).history
    >>> sorted(history)
    ['clip_ratio', 'gradient_norm', 'largest_gradient_norm', 'loss']
    """

    def on_train_begin(self, logs=None):
        inner = applied(self.model.optimizer)
        if not isinstance(inner, Watching):
            raise ValueError(
                "GradientLog reads what rk.training.watched(optimizer) counts. Received: an optimizer "
                f"{type(inner).__name__} that is not watched."
            )

    def on_epoch_begin(self, epoch, logs=None):
        for counter in counters_of(self.model.optimizer).values():
            counter.assign(0.0)

    def on_epoch_end(self, epoch, logs=None):
        counters = counters_of(self.model.optimizer)
        counts = {name: float(ops.convert_to_numpy(ops.copy(counter.value))) for name, counter in counters.items()}
        if counts and counts["steps"] and logs is not None:
            logs["gradient_norm"] = counts["norm"] / counts["steps"]
            logs["largest_gradient_norm"] = counts["largest"]
            logs["clip_ratio"] = counts["clipped"] / counts["steps"]
