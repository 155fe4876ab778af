"""What the files of one bundle share: a model is read, traced and run by Keras once for all of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any


class Drafts:
    """Results by name, each computed when it is first asked for.

    shared: whether several files are written from one trace.

    >>> drafts = Drafts()
    >>> drafts.keep("answer", lambda: 42), drafts.keep("answer", lambda: 1 / 0)
    (42, 42)
    """

    def __init__(self, shared: bool = False) -> None:
        self.shared = shared
        self.kept: dict[Hashable, Any] = {}

    def keep(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        if key not in self.kept:
            self.kept[key] = compute()
        return self.kept[key]
