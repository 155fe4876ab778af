"""What all requests share."""

from __future__ import annotations

import asyncio
import contextlib

from keras_rnnkit.serving.errors import busy
from keras_rnnkit.serving.models.repository import Repository
from keras_rnnkit.serving.observability.metrics import Metrics
from keras_rnnkit.serving.settings import Settings


class ServerState:
    """What requests share: the models, the counts, and whether the server is stopping."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.metrics = Metrics()
        self.repository = Repository(settings, self.metrics)
        self.stopping, self.over = asyncio.Event(), asyncio.Event()
        self.generations = 0
        self.under_way = 0

    @contextlib.contextmanager
    def generating(self):
        """A place among those who generate at the same time."""
        if self.generations >= self.settings.max_generations:
            raise busy("generations", f"{self.generations} generations are under way. Try again in a second.")
        self.generations += 1
        try:
            yield
        finally:
            self.generations -= 1
