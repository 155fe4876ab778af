"""What waits for a run of a graph, and what becomes of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from keras_rnnkit.serving.errors import ServingError
from keras_rnnkit.serving.models.cost import QUICK, SHORT
from keras_rnnkit.serving.models.datatypes import all_finite
from keras_rnnkit.serving.models.sessions import Session

Arrays = dict[str, np.ndarray]
QUICK_PACE, SHORT_PACE, LONG_PACE = "quick", "short", "long"


@dataclass(eq=False, slots=True)
class RunRequest:
    """One run of a graph for somebody. feeds: as `Graph.checked` gives them, with the states unless there is a session.

    session: whose states the run begins with, and moves on if all goes well. They are read when the request runs,
    because the session's request before may still be running now; requests of a session run one after the other.
    """

    feeds: Arrays
    rows: int
    done: asyncio.Future
    deadline: float
    session: Session | None = None
    cost: float = 0.0
    arrived: float = field(default_factory=time.perf_counter)

    @property
    def kind(self) -> tuple:
        """What requests must have in common to run as one batch."""
        arrays = [(name, array.dtype.char, array.shape[1:]) for name, array in self.feeds.items()]
        return (self.session is None, *arrays)

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


@dataclass
class BatchResult:
    """What a run gave: its outputs, what each request gets of them, and the seconds that it took."""

    outputs: Arrays
    shares: list[Arrays | ServingError]
    seconds: float


def fed(batch: list[RunRequest]) -> Arrays:
    """The feeds of one run for all requests, with the states of their sessions."""
    first = batch[0]
    feeds = first.feeds if len(batch) == 1 else joined([request.feeds for request in batch])
    if first.session is None:
        return feeds
    return {**feeds, **first.session.pool.load(places_of(batch))}


def places_of(batch: list[RunRequest]) -> np.ndarray:
    places = [request.session.places for request in batch if request.session is not None]
    return places[0] if len(places) == 1 else np.concatenate(places)


def shares(batch: list[RunRequest], outputs: Arrays, names: list[str]) -> list[Arrays | ServingError]:
    """What each request gets: its rows of the outputs, or the error where one of them is not finite.

    names: of the outputs that are no states, which are all that requests with a session wait for.
    """
    error = not_finite(outputs)
    if len(batch) == 1:
        return [error or outputs]
    rows = [request.rows for request in batch]
    if error is None:
        return list(split({name: outputs[name] for name in names} if batch[0].session else outputs, rows))
    return [not_finite(share) or share for share in split(outputs, rows)]


def deliver(batch: list[RunRequest], result: BatchResult) -> None:
    """Hand the results to whom they belong. States move on only where all is finite and somebody still waits."""
    waiting = [(request, share) for request, share in zip(batch, result.shares, strict=True) if not request.done.done()]
    keep_states(batch, result.outputs, [request for request, share in waiting if not isinstance(share, ServingError)])
    for request, share in waiting:
        if isinstance(share, ServingError):
            request.done.set_exception(share)
        else:
            request.done.set_result(share)


def keep_states(batch: list[RunRequest], outputs: Arrays, delivered: list[RunRequest]) -> None:
    """Write back the states of the sessions that are still there, all at once."""
    kept = [request for request in delivered if request.session is not None and not request.session.gone]
    if not kept:
        return
    rows = None
    if len(kept) < len(batch):
        rows = np.repeat([request in kept for request in batch], [request.rows for request in batch])
    kept[0].session.pool.keep(places_of(kept), outputs, rows)  # type: ignore[union-attr]


def not_finite(outputs: Arrays) -> ServingError | None:
    """What the client is told where an output is NaN or infinite."""
    for name, array in outputs.items():
        if not all_finite(array):
            sentence = f"The model's {name!r} is NaN or infinite for this input. Its state is as it was before."
            return ServingError(422, "not_finite", sentence)
    return None


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

    >>> [share["y"].tolist() for share in split({"y": np.arange(3)}, [1, 2])]
    [[0], [1, 2]]
    """
    parts, start = [], 0
    for count in rows:
        parts.append({name: array[start : start + count] for name, array in arrays.items()})
        start += count
    return parts
