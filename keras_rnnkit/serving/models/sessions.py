"""The states of many streams side by side, and who may still use them."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np

from keras_rnnkit.runtime.graph import Graph
from keras_rnnkit.serving.errors import malformed

Arrays = dict[str, np.ndarray]
FIRST = 64


class Pool:
    """States in one array each [capacity, ...], a place for each row of each session; grows as it is needed."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.arrays = graph.start(FIRST)
        self.free = list(range(FIRST - 1, -1, -1))

    def taken(self, rows: int) -> np.ndarray:
        """Places [rows], with the states that streams begin with."""
        while len(self.free) < rows:
            size = len(next(iter(self.arrays.values()), np.zeros(FIRST)))
            more = self.graph.start(size)
            self.arrays = {name: np.concatenate([array, more[name]]) for name, array in self.arrays.items()}
            self.free += range(2 * size - 1, size - 1, -1) if self.arrays else range(size)
        places = np.array([self.free.pop() for _ in range(rows)])
        self.reset(places)
        return places

    def reset(self, places: np.ndarray) -> None:
        for name, start in self.graph.start(len(places)).items():
            self.arrays[name][places] = start

    def load(self, places: np.ndarray) -> Arrays:
        """The states at some places; of a single one without a copy, which is good until the next `keep`."""
        if len(places) == 1:
            place = int(places[0])
            return {name: array[place : place + 1] for name, array in self.arrays.items()}
        return {name: array[places] for name, array in self.arrays.items()}

    def keep(self, places: np.ndarray, outputs: Arrays, rows: np.ndarray | None = None) -> None:
        """Take the states after a run. rows: which of the run's rows the places are for; by default all of them."""
        for state in self.graph.states:
            new = outputs[state["output"]]
            self.arrays[state["input"]][places] = new if rows is None else new[rows]

    def given_back(self, places: np.ndarray) -> None:
        self.free += places.tolist()


@dataclass(eq=False)
class Session:
    """One stream: its places in the pool, when it was last used, and how many of its requests are under way."""

    pool: Pool
    places: np.ndarray
    used: float
    under_way: int = 0
    gone: bool = False

    @property
    def rows(self) -> int:
        return len(self.places)


class Sessions:
    """The sessions of a model by their names, least recently used first.

    Arguments:
        dropped: is told why, "expired" or "evicted", when one is dropped that nobody ended.
    """

    def __init__(self, graph: Graph, most: int, ttl: float, dropped: Callable[[str], None] = lambda why: None):
        self.pool, self.most, self.ttl, self.dropped = Pool(graph), most, ttl, dropped
        self.ended: frozenset[Hashable] = frozenset()
        self.by_name: OrderedDict[Hashable, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self.by_name)

    def begin(self, name: Hashable, rows: int) -> Session:
        """A session that starts anew, whether there was one of that name or not."""
        self.end(name)
        self.sweep()
        while len(self.by_name) >= self.most:
            oldest = next((n for n, s in self.by_name.items() if not s.under_way), next(iter(self.by_name)))
            self.end(oldest)
            self.dropped("evicted")
        session = Session(self.pool, self.pool.taken(rows), time.monotonic())
        self.by_name[name] = session
        return session

    def get(self, name: Hashable, rows: int) -> Session:
        """A session that was begun before."""
        self.sweep()
        session = self.by_name.get(name)
        if session is None:
            raise malformed(self.why_not(name))
        if session.rows != rows:
            raise malformed(f"The sequence {str(name)[:80]!r} began with {session.rows} rows. Received: {rows}.")
        self.by_name.move_to_end(name)
        session.used = time.monotonic()
        return session

    def why_not(self, name: Hashable) -> str:
        if name in self.ended:
            return (
                f"The sequence {str(name)[:80]!r} has ended, because its model was replaced by a newer one, whose "
                "states are others. Begin it anew with sequence_start."
            )
        return (
            f"There is no sequence {str(name)[:80]!r}. Begin it with sequence_start; one that was not used for "
            f"{self.ttl:g} s, or for longest when there were {self.most}, has been dropped."
        )

    def succeed(self, predecessor: Sessions) -> None:
        """Remember which sessions ended when this model took the place of another."""
        earlier = predecessor.ended if len(predecessor.ended) < self.most else frozenset()
        self.ended = earlier | frozenset(predecessor.by_name)

    def end(self, name: Hashable) -> None:
        """Forget a session; its places are free once nothing of it is under way."""
        session = self.by_name.pop(name, None)
        if session is not None:
            session.gone = True
            self.release(session)

    def release(self, session: Session) -> None:
        if session.gone and not session.under_way and len(session.places):
            self.pool.given_back(session.places)
            session.places = session.places[:0]

    def sweep(self) -> None:
        """Drop what was not used for too long."""
        limit = time.monotonic() - self.ttl
        while self.by_name:
            name, session = next(iter(self.by_name.items()))
            if session.used > limit or session.under_way:
                return
            self.end(name)
            self.dropped("expired")
