"""What waits for a run of a graph, and what becomes of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_rnnkit.serving.errors import ServingError
from keras_rnnkit.serving.models.cost import QUICK, SHORT
from keras_rnnkit.serving.models.datatypes import all_finite

Arrays = dict[str, np.ndarray]
QUICK_PACE, SHORT_PACE, LONG_PACE = "quick", "short", "long"


@dataclass(eq=False)
class RunRequest:
    """One run of a graph for somebody: `feeds` as `Graph.checked` gives them, and where states come from and go to.

    load: gives the states when the request runs, as a session's last one may still be running before; keep: is given
    the states after it, only if all went well. order: requests of the same order run one after the other.
    """

    feeds: Arrays
    rows: int
    done: asyncio.Future
    deadline: float
    load: Callable[[], Arrays] | None = None
    keep: Callable[[Arrays], None] | None = None
    order: Any = None
    cost: float = 0.0
    arrived: float = field(default_factory=time.perf_counter)

    @property
    def kind(self) -> tuple:
        return tuple((name, a.dtype.char, a.shape[1:]) for name, a in self.feeds.items())

    @property
    def pace(self) -> str:
        return QUICK_PACE if self.cost < QUICK else SHORT_PACE if self.cost < SHORT else LONG_PACE


@dataclass
class Batch:
    """Requests that run together, all of one kind."""

    requests: list[RunRequest]
    rows: int
    most_rows: int
    kind: tuple


def deliver(request: RunRequest, result: Arrays | BaseException) -> None:
    """Hand the result to whom it belongs; states move on only if it is a result, and somebody still waits for it."""
    if request.done.done():
        return
    if isinstance(result, BaseException):
        request.done.set_exception(result)
        return
    if request.keep:
        request.keep(result)
    request.done.set_result(result)


def finite_or_error(outputs: Arrays) -> Arrays | ServingError:
    """The outputs, or what the client is told where one of them is not finite."""
    for name, array in outputs.items():
        if not all_finite(array):
            sentence = f"The model's {name!r} is NaN or infinite for this input. Its state is as it was before."
            return ServingError(422, "not_finite", sentence)
    return outputs


def expire(request: RunRequest) -> None:
    """Answer a request whose time is over; what its run gives later is dropped."""
    if not request.done.done():
        request.done.set_exception(late())


def late() -> ServingError:
    return ServingError(504, "deadline", "The request took longer than its deadline; no state has changed.", 1.0)


def joined(feeds: list[Arrays]) -> Arrays:
    return {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}


def split(arrays: Mapping[str, np.ndarray], rows: list[int]) -> list[Arrays]:
    """The rows of each request.

    >>> [part["y"].tolist() for part in split({"y": np.arange(3)}, [1, 2])]
    [[0], [1, 2]]
    """
    cuts = np.cumsum(rows)[:-1].tolist()
    parts = {name: np.split(array, cuts) for name, array in arrays.items()}
    return [{name: parts[name][i] for name in parts} for i in range(len(rows))]
