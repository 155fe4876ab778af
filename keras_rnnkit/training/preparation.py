"""Whether a model that is about to train has been prepared for the devices and workers that share its batches.

Without `Group.prepare`, every worker would train a model of its own on all of the data, or would take the whole batch
for its rows of it, and nobody would notice.
"""

from __future__ import annotations

import weakref
from typing import Any

from keras_rnnkit.cluster import ClusterError

OPEN_GROUPS: weakref.WeakSet[Any] = weakref.WeakSet()
"""The groups of this process that have not been closed."""


class Prepared:
    """The base of the class of a model that `Group.prepare` has changed."""

    group: Any
    name: str


def check_prepared(model: Any, doing: str) -> None:
    """Refuse a model of several workers, or of a group's devices, that was not prepared.

    Arguments:
        model: the model.
        doing: what is about to happen to it, as in "rk.training.fit".
    """
    if isinstance(model, Prepared):
        return
    strategy = getattr(model, "distribute_strategy", None)
    if strategy is not None and any(strategy is group.strategy for group in OPEN_GROUPS):
        raise ClusterError(
            f"{doing} needs a prepared model, and {model.name!r} is not. Call group.prepare(model) after compile."
        )
    group = next((group for group in OPEN_GROUPS if group.workers > 1), None)
    if group is not None:
        raise ClusterError(
            f"{doing} would use {model.name!r} on each of the {group.workers} workers alone, because it is no model of "
            "their group. Build and compile it inside group.scope(), then call group.prepare(model). To train it in "
            "this process alone, call group.close() first."
        )
    if joins_workers(strategy):
        raise ClusterError(
            f"{doing} trains {model.name!r} on several workers only in a group. Make the strategy by "
            'group = rk.training.distribute("workers"), build the model inside group.scope(), and call '
            "group.prepare(model)."
        )


def check_own_file(model: Any, doing: str, remedy: str) -> None:
    """Refuse one checkpoint for all workers, whose carried states and random seeds differ."""
    if isinstance(model, Prepared) and model.group.workers > 1:
        raise ClusterError(f"{doing} would use the same file on all workers of {model.name!r}. Call {remedy} instead.")


def joins_workers(strategy: Any) -> bool:
    """Whether a strategy of `tf.distribute` joins several processes."""
    resolver = getattr(strategy, "cluster_resolver", None)
    return resolver is not None and len(resolver.cluster_spec().as_dict().get("worker", ())) > 1
