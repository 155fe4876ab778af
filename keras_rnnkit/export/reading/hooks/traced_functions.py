"""A user's `tf.function` inside a model, run as part of what calls it.

TensorFlow keeps the graph of a `tf.function` for its next calls. One that was traced before an export would hide its
layers from the hooks, and one that is traced during an export would leave our placeholders in the user's model.
"""

from __future__ import annotations

import functools
import threading
from typing import Any

import tensorflow as tf

FUNCTION: type = type(tf.function(lambda: None))

OURS_OR_TENSORFLOWS = ("tensorflow.", "keras_rnnkit.kernels.")
"""Modules whose functions call no layers, and some of which only run as a graph."""


def call_inline(original, function, *args, **kwargs):
    """What stands in for the call of a `tf.function`: its Python function, eagerly or in the graph at hand.

    There AutoGraph turns `if` and `while` on tensors into operations, as it does in a `tf.function`.
    """
    python = function.python_function
    if f"{getattr(python, '__module__', '')}.".startswith(OURS_OR_TENSORFLOWS):
        return original(function, *args, **kwargs)
    if tf.executing_eagerly() or not getattr(function, "_autograph", True):
        return python(*args, **kwargs)
    with enabled():  # also for one that was traced before: it asks for the status when it is called
        convert = tf.__internal__.autograph.tf_convert
        return convert(python, enabled(), convert_by_default=True, user_requested=True)(*args, **kwargs)


@functools.cache
def enabled() -> Any:
    """AutoGraph's status inside a `tf.function`, which can only be asked there; in a thread that traces nothing yet."""
    statuses: list[Any] = []

    def ask():
        statuses.append(tf.__internal__.autograph.control_status_ctx())

    asking = threading.Thread(target=lambda: tf.function(ask).get_concrete_function())
    asking.start()
    asking.join()
    return statuses[0]
