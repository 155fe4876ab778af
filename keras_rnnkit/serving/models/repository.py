"""The folder of bundles, and the models that are served from it."""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path
from typing import Any

from keras_rnnkit.runtime.manifest import NAME
from keras_rnnkit.serving.errors import unavailable, unknown
from keras_rnnkit.serving.models.bundle_folders import bundle_folders
from keras_rnnkit.serving.models.served_model import VERSION, ServedModel
from keras_rnnkit.serving.models.workers import Workers
from keras_rnnkit.serving.observability.metrics import Metrics
from keras_rnnkit.serving.settings import Settings

log = logging.getLogger("keras_rnnkit.serving")


class Repository:
    """Every bundle in a folder, by its name; one that cannot be served says why, the others go on.

    models: what is served. refused: why a bundle is not, also where its predecessor still serves.
    """

    def __init__(self, settings: Settings, metrics: Metrics):
        self.settings, self.metrics = settings, metrics
        self.workers = Workers(settings.workers)
        self.models: dict[str, ServedModel] = {}
        self.refused: dict[str, str] = {}
        self.seen: dict[str, tuple] = {}
        self.names: list[str] | None = None
        self.left_out: list[str] = []

    def folders(self) -> dict[str, Path]:
        """The bundles by name. What changed in the folder since the last look is said in the log."""
        bundles, left_out = bundle_folders(self.settings.folder)
        for sentence in left_out:
            if sentence not in self.left_out:
                log.warning(sentence)
        if list(bundles) != self.names:
            log.info("bundles in %s: %s", self.settings.folder, ", ".join(bundles) or "none")
        self.names, self.left_out = list(bundles), left_out
        return bundles

    async def refresh(self) -> None:
        """Load what is new or has changed, forget what is gone. A model goes on until its successor is loaded."""
        folders = await asyncio.to_thread(self.folders)
        for name in [*self.models, *self.refused]:
            if name not in folders:
                self.forget(name)
        for name, folder in folders.items():
            try:
                mark = await asyncio.to_thread(fingerprint, folder)
            except OSError:  # it is being replaced: next time
                continue
            if self.seen.get(name) != mark:
                self.seen[name] = mark
                await self.load(name, folder)

    def forget(self, name: str) -> None:
        model = self.models.pop(name, None)
        if model is not None:
            model.retired = f"The model {name!r} is no longer served."
            log.info("model %s is no longer served", name)
        self.refused.pop(name, None)
        self.seen.pop(name, None)

    async def load(self, name: str, folder: Path) -> None:
        """Load a bundle on a thread, and put it in its place on the event loop, between two requests."""
        arguments = (name, folder, self.settings, self.workers, self.metrics)
        try:
            model = await asyncio.to_thread(ServedModel, *arguments)
        except Exception as error:  # one bundle, whatever is wrong with it, must not stop the others
            self.refused[name] = without_paths(str(error) or type(error).__name__)
            kept = "; the one that was loaded before is still served" if name in self.models else ""
            log.error("model %s is refused: %s%s", name, error, kept)
            return
        self.refused.pop(name, None)
        predecessor = self.models.get(name)
        self.models[name] = model
        if predecessor is not None:
            predecessor.retired = f"The model {name!r} was replaced by a newer one, whose states are others."
            if model.sessions is not None and predecessor.sessions is not None:
                model.sessions.succeed(predecessor.sessions)
        log.info("model %s is served from %s", name, folder)

    async def watch(self) -> None:
        """Look at the folder again and again; nothing in progress waits for a model to load."""
        while True:
            await asyncio.sleep(self.settings.reload)
            try:
                await self.refresh()
            except Exception:
                log.exception("the folder %s could not be read", self.settings.folder)

    def find(self, name: str, version: str | None = None) -> ServedModel:
        """A model by its name, which is compared with those that are known and is no path."""
        model = self.models.get(name)
        if model is None:
            if name in self.refused:
                raise unavailable(f"The model {name!r} cannot be served: {self.refused[name]}", 30.0)
            names = ", ".join(map(repr, sorted(self.models))) or "none"
            raise unknown(f"There is no model {name[:80]!r}. There are: {names}.")
        if version not in (None, "", VERSION):
            raise unknown(f"The model {name!r} has the version {VERSION!r} only. Received: {str(version)[:40]!r}.")
        return model

    def index(self) -> list[dict[str, Any]]:
        """As the protocol's repository extension has it."""
        return [
            {"name": name, "version": VERSION, **self.state_of(name)} for name in sorted({*self.models, *self.refused})
        ]

    def state_of(self, name: str) -> dict[str, str]:
        why = self.refused.get(name, "")
        if name in self.models:
            return {
                "state": "READY",
                "reason": why and f"A newer bundle is refused, and the one before it serves. {why}",
            }
        return {"state": "UNAVAILABLE", "reason": why}

    def close(self) -> None:
        self.workers.close()


def fingerprint(folder: Path) -> tuple:
    """Something that changes with the bundle: its manifest, and the size and time of each of its files."""
    stat = (folder / NAME).stat()
    files = sorted((p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in folder.iterdir() if p.is_file())
    return (stat.st_ino, stat.st_mtime_ns, tuple(files))


def without_paths(sentence: str) -> str:
    """A sentence for clients: of a path on this machine its last name stays.

    >>> without_paths("The bundle '/home/ann/exported/words' lacks its file 'step.onnx'.")
    "The bundle 'words' lacks its file 'step.onnx'."
    """
    return re.sub(r"(?:[A-Za-z]:)?[/\\](?:[^/\\\s'\":,]+[/\\])+", "", sentence)
