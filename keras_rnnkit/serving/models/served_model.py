"""A bundle as the server sees it: its graphs with their batchers, its sessions, what it says of itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnnkit import runtime
from keras_rnnkit.runtime import BundleError, Graph
from keras_rnnkit.serving.errors import malformed, too_large
from keras_rnnkit.serving.models.batcher import Arrays, Batcher
from keras_rnnkit.serving.models.cost import Cost, cost_of
from keras_rnnkit.serving.models.datatypes import BY_NAME
from keras_rnnkit.serving.models.description import description, end_of_text, tensors_of
from keras_rnnkit.serving.models.sessions import Sessions
from keras_rnnkit.serving.models.translator import cost_of_translator, translation_steps
from keras_rnnkit.serving.models.workers import Workers
from keras_rnnkit.serving.observability.metrics import Metrics
from keras_rnnkit.serving.settings import Settings

VERSION = "1"
PLATFORM = "onnxruntime_onnx"
LARGE = 2**20
"""Bytes of arrays that are looked at on a thread: a millisecond on the event loop."""


class ServedModel:
    """One model. It answers whole sequences, streams and generations, for those of them that the bundle has graphs."""

    def __init__(self, name: str, folder: Path, settings: Settings, workers: Workers, metrics: Metrics):
        self.name, self.settings, self.metrics, self.workers = name, settings, metrics, workers
        providers = settings.providers.split(",") if settings.providers else None
        self.bundle = opened(folder, settings, providers)
        modes = self.bundle.manifest["graphs"]
        self.sequence = self.batcher("sequence") if "sequence" in modes else None
        self.step = self.batcher("stream") if "stream" in modes else None
        self.translator = self.translator_of("generate") if self.bundle.manifest.get("translation") else None
        self.sessions = None
        if self.step is not None:
            self.sessions = Sessions(
                self.step.graph, settings.max_sessions, settings.session_ttl, partial(metrics.dropped, self.name)
            )
        self.vocabulary = self.bundle.vocabulary
        self.labels = self.vocabulary.tokens if self.vocabulary is not None else None
        self.end = end_of_text(self.bundle)
        self.retired: str | None = None  # why no new request comes here, once that is so
        self.metadata = self.described()
        self.details = self.detailed()

    def batcher(self, mode: str, cost: Cost | None = None, steps: Callable[[Arrays], int] | None = None) -> Batcher:
        s, graph = self.settings, self.bundle.graph(mode)
        seen = partial(self.metrics.ran, self.name, mode)
        cost = cost or cost_of(graph)
        return Batcher(graph, self.workers, cost, s.max_batch, s.max_queue, s.batching, seen, steps)

    def translator_of(self, mode: str) -> Batcher:
        graph = self.bundle.graph(mode)
        return self.batcher(mode, cost_of_translator(graph), translation_steps(graph))

    @property
    def graph(self) -> Graph:
        """The graph that `infer` speaks of: that of whole sequences, or of a step where there is no other."""
        batcher = self.sequence or self.step or self.translator
        if batcher is None:
            raise malformed(f"The model {self.name!r} has no graph for sequences or streams.")
        return batcher.graph

    # ------------------------------------------------------------------ answers

    async def whole(self, inputs: Arrays, timeout: float) -> Arrays:
        """The outputs for whole sequences."""
        if self.sequence is None:
            raise malformed(f"The model {self.name!r} only streams: send sequence_id and sequence_start.")
        graph = self.sequence.graph
        feeds, rows = await self.prepared(graph, inputs) if large(inputs) else self.checked(graph, inputs)
        results = await self.sequence.run({**feeds, **graph.start(rows)}, rows, timeout)
        return {name: results[name] for name in graph.outputs}

    async def next(self, name: Hashable, inputs: Arrays, start: bool, end: bool, timeout: float) -> Arrays:
        """The outputs for the next chunk of a stream; its state moves on only if all goes well."""
        if self.step is None or self.sessions is None:
            raise malformed(f"The model {self.name!r} has no step graph, so it cannot stream. Export it with streams.")
        graph, sessions = self.step.graph, self.sessions
        feeds, rows = await self.prepared(graph, inputs) if large(inputs) else self.checked(graph, inputs)
        session = sessions.begin(name, rows) if start else sessions.get(name, rows)
        session.under_way += 1
        try:
            results = await self.step.run(feeds, rows, timeout, session)
        except BaseException:
            if start and sessions.by_name.get(name) is session:
                sessions.end(name)  # it never began
            raise
        finally:
            session.under_way -= 1
            sessions.release(session)
        if end and sessions.by_name.get(name) is session:
            sessions.end(name)
        return {name: results[name] for name in graph.outputs}

    async def prepared(self, graph: Graph, inputs: Arrays) -> tuple[Arrays, int]:
        """`checked` on a thread, for inputs with much to look at."""
        return await asyncio.to_thread(self.checked, graph, inputs)

    def checked(self, graph: Graph, inputs: Mapping[str, Any]) -> tuple[Arrays, int]:
        """The inputs as the graph takes them, none of them too large, all of as many rows."""
        for name in graph.inputs:
            if name not in inputs:
                raise malformed(f"The input {name!r} is missing. The model takes {', '.join(map(repr, graph.inputs))}.")
        for name in inputs:
            if name not in graph.inputs:
                raise malformed(f"There is no input {name[:80]!r}. The model has {', '.join(map(repr, graph.inputs))}.")
        for name, array in inputs.items():
            limits = (self.settings.max_rows, self.settings.max_steps)
            for size, limit, axis, wanted in zip(
                array.shape, limits, ("rows", "steps"), graph.shapes[name], strict=False
            ):
                if size > limit and not isinstance(wanted, int):
                    raise too_large(f"The input {name!r} has {size} {axis}; this server takes {limit} at most.")
        check_range(graph, inputs)
        feeds = {name: graph.checked(name, array) for name, array in inputs.items()}
        self.check_tokens(feeds)
        rows = {len(array) for array in feeds.values()}
        if len(rows) != 1:
            raise malformed(f"All inputs must have the same number of rows. Received: {sorted(rows)}.")
        return feeds, rows.pop()

    def check_tokens(self, feeds: Arrays) -> None:
        """Numbers of tokens that the vocabulary does not have."""
        if self.vocabulary is None:
            return
        for name, array in feeds.items():
            if array.dtype.kind in "iu" and (array.min() < 0 or array.max() >= len(self.vocabulary)):
                raise malformed(
                    f"The input {name!r} must hold numbers of tokens, 0 to {len(self.vocabulary) - 1}. Received: "
                    f"{int(array.min())} to {int(array.max())}."
                )

    # ------------------------------------------------------------------ what it says of itself

    def described(self) -> dict[str, Any]:
        """The model's metadata, as the protocol has them."""
        return {"name": self.name, "versions": [VERSION], "platform": PLATFORM, **tensors_of(self.bundle)}

    def detailed(self) -> dict[str, Any]:
        """The metadata, and what the page shows besides."""
        return {**self.metadata, **description(self.bundle)}


def large(inputs: Arrays) -> bool:
    return sum([array.nbytes for array in inputs.values()]) > LARGE


def check_range(graph: Graph, inputs: Mapping[str, Any]) -> None:
    """An error for numbers that are finite as they came, and not as the graph takes them."""
    for name, array in inputs.items():
        kind = BY_NAME[graph.kinds[name]] if name in graph.kinds else array.dtype
        if array.dtype != kind and array.dtype.kind == kind.kind == "f" and array.itemsize > kind.itemsize:
            largest = max(float(array.max(initial=0)), -float(array.min(initial=0)))
            if largest > float(np.finfo(kind).max):
                raise malformed(f"The input {name!r} holds {largest:.3g}, which {kind.name} cannot hold.")


def opened(folder: Path, settings: Settings, providers: list[str] | None) -> runtime.Bundle:
    """The bundle; with exact weights where it has none of the kind asked for."""
    try:
        return runtime.load(folder, settings.quantized, settings.threads, providers)
    except BundleError:
        if settings.quantized is None:
            raise
        return runtime.load(folder, None, settings.threads, providers)
