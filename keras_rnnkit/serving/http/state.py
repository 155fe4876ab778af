"""What all requests share."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from keras_rnnkit.serving.errors import busy
from keras_rnnkit.serving.http.access import Access
from keras_rnnkit.serving.http.transcoder import Transcoder
from keras_rnnkit.serving.models.repository import Repository
from keras_rnnkit.serving.observability.metrics import Metrics
from keras_rnnkit.serving.settings import Settings

BODIES = 8
"""How many of the largest bodies the server holds at the same time, in bytes that all requests share."""


class ServerState:
    """The models, the counts, and whether the server is stopping: first `stopping`, and `over` when time is up."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.access = Access(settings)
        self.metrics = Metrics()
        self.repository = Repository(settings, self.metrics)
        self.stopping, self.over = asyncio.Event(), asyncio.Event()
        self.transcoder = Transcoder()
        self.generations = 0
        self.in_progress = 0
        self.body_bytes = 0

    @contextlib.contextmanager
    def generating(self) -> Iterator[None]:
        """A place among those who generate at the same time."""
        if self.generations >= self.settings.max_generations:
            raise busy("generations", f"{self.generations} generations are in progress. Try again in a second.")
        self.generations += 1
        try:
            yield
        finally:
            self.generations -= 1

    def hold(self, size: int) -> None:
        """Count bytes of bodies that are held; `release` gives them back."""
        if self.body_bytes + size > BODIES * self.settings.max_body:
            raise busy("memory", "The server holds as many bytes of requests as it can. Try again in a second.")
        self.body_bytes += size

    def release(self, size: int) -> None:
        self.body_bytes -= size
