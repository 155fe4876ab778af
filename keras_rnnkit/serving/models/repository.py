"""The folder of bundles, and the models that are served from it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from keras_rnnkit.runtime import BundleError
from keras_rnnkit.runtime.manifest import NAME
from keras_rnnkit.serving.errors import unavailable, unknown
from keras_rnnkit.serving.models.served_model import VERSION, ServedModel
from keras_rnnkit.serving.observability.metrics import Metrics
from keras_rnnkit.serving.settings import Settings
from keras_rnnkit.text import TextError

log = logging.getLogger("keras_rnnkit.serving")


class Repository:
    """Every bundle in a folder, by the name of its own folder; one that cannot be served says why, the others go on.

    A folder that is a bundle itself, or whose folders hold bundles (`exported/words/bundle`), is taken as well.
    """

    def __init__(self, settings: Settings, metrics: Metrics):
        self.settings, self.metrics = settings, metrics
        self.executor = ThreadPoolExecutor(settings.workers, thread_name_prefix="graph")
        self.models: dict[str, ServedModel] = {}
        self.refused: dict[str, str] = {}
        self.seen: dict[str, tuple] = {}

    def folders(self) -> dict[str, Path]:
        """The bundles by name."""
        root = self.settings.folder
        if (root / NAME).is_file():
            return {root.resolve().name: root}
        found = {}
        for path in sorted(root.iterdir()) if root.is_dir() else []:
            if path.name.startswith(".") or not path.is_dir():
                continue
            if (path / NAME).is_file():
                found[path.name] = path
            elif (path / "bundle" / NAME).is_file():
                found[path.name] = path / "bundle"
        return found

    def refresh(self) -> None:
        """Load what is new or has changed, forget what is gone. A model goes on until its successor is loaded."""
        folders = self.folders()
        for name in [*self.models, *self.refused]:
            if name not in folders:
                self.models.pop(name, None)
                self.refused.pop(name, None)
                self.seen.pop(name, None)
        for name, folder in folders.items():
            with contextlib.suppress(OSError):  # it is being replaced: next time
                print_of = fingerprint(folder)
                if self.seen.get(name) != print_of:
                    self.seen[name] = print_of
                    self.load(name, folder)

    def load(self, name: str, folder: Path) -> None:
        try:
            model = ServedModel(name, folder, self.settings, self.executor, self.metrics)
        except (BundleError, TextError, OSError) as error:
            self.refused[name] = str(error)
            kept = "; the one that was loaded before is still served" if name in self.models else ""
            log.error("model %s is refused: %s%s", name, error, kept)
            return
        self.models[name] = model
        self.refused.pop(name, None)
        log.info("model %s is served from %s", name, folder)

    async def watch(self) -> None:
        """Look at the folder again and again, on another thread: nothing under way waits for a model to load."""
        while True:
            await asyncio.sleep(self.settings.reload)
            try:
                await asyncio.to_thread(self.refresh)
            except Exception:
                log.exception("the folder %s could not be read", self.settings.folder)

    def find(self, name: str, version: str | None = None) -> ServedModel:
        """A model by its name, which is compared with those that are known and is no path."""
        model = self.models.get(name)
        if model is None:
            if name in self.refused:
                raise unavailable(f"The model {name!r} cannot be served: {self.refused[name]}", 30.0)
            known = ", ".join(map(repr, sorted(self.models))) or "none"
            raise unknown(f"There is no model {name[:80]!r}. There are: {known}.")
        if version not in (None, "", VERSION):
            raise unknown(f"The model {name!r} has the version {VERSION!r} only. Received: {str(version)[:40]!r}.")
        return model

    def index(self) -> list[dict[str, Any]]:
        """As the protocol's repository extension has it."""
        ready = [{"name": name, "version": VERSION, "state": "READY", "reason": ""} for name in sorted(self.models)]
        return ready + [
            {"name": name, "version": VERSION, "state": "UNAVAILABLE", "reason": why}
            for name, why in sorted(self.refused.items())
            if name not in self.models
        ]

    def close(self) -> None:
        self.executor.shutdown(wait=False, cancel_futures=True)


def fingerprint(folder: Path) -> tuple:
    """Something that changes with the bundle: its manifest, and the size and time of each of its files."""
    stat = (folder / NAME).stat()
    files = sorted((p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in folder.iterdir() if p.is_file())
    return (stat.st_ino, stat.st_mtime_ns, tuple(files))
