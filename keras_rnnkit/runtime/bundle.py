"""A bundle: the folder that `keras_rnnkit.export_bundle` writes, ready to run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnnkit.decoding import Generated, Sampling, Strategy
from keras_rnnkit.runtime import generation, translation
from keras_rnnkit.runtime import manifest as manifests
from keras_rnnkit.runtime.errors import BundleError, InputError
from keras_rnnkit.runtime.graph import Graph
from keras_rnnkit.runtime.ragged import by_length, ragged
from keras_rnnkit.runtime.stream import Stream
from keras_rnnkit.runtime.translation import Sources, batches
from keras_rnnkit.text import Vocabulary


def load(
    folder: str | Path,
    quantized: str | None = None,
    threads: int = 1,
    providers: list[str] | None = None,
) -> Bundle:
    """The bundle in a folder, after its manifest and the sha256 of every file were checked.

    Arguments:
        quantized: "int8" or "float16" for the graphs with such weights, where the bundle has them.
        threads, providers: of onnxruntime, as `Graph` takes them.
    """
    folder = Path(folder)
    manifest = manifests.read(folder)
    manifests.check_files(folder, manifest)
    return Bundle(folder, manifest, quantized, threads, providers)


class Bundle:
    """A model's graphs, opened when they are first used. `manifest`: what the folder says of itself."""

    def __init__(self, folder: Path, manifest: dict[str, Any], quantized: str | None, threads: int, providers):
        self.folder = folder
        self.manifest = manifest
        self.quantized = quantized
        self._graphs: dict[str, Graph] = {}
        self._settings = {"threads": threads, "providers": providers}
        if quantized is not None and not any(quantized in graph["quantized"] for graph in manifest["graphs"].values()):
            raise BundleError(
                f"The bundle {str(folder)!r} has no {quantized} graphs. Export it with quantize={quantized!r}."
            )

    @property
    def sequence(self) -> Graph:
        return self.graph("sequence")

    @property
    def step(self) -> Graph:
        return self.graph("stream")

    def graph(self, mode: str) -> Graph:
        """The graph of a mode, opened once."""
        if mode not in self._graphs:
            self._graphs[mode] = self._opened(mode)
        return self._graphs[mode]

    def _opened(self, mode: str) -> Graph:
        graphs = self.manifest["graphs"]
        if mode not in graphs:
            why = self.manifest.get("refused", {}).get(mode, f"Export it with modes=(..., {mode!r}).")
            raise BundleError(f"The bundle {str(self.folder)!r} has no graph for {mode!r}. {why}")
        known = graphs[mode]
        file = known["quantized"].get(self.quantized, known)["file"] if self.quantized else known["file"]
        return Graph(self.folder / file, **self._settings)

    def predict(self, inputs: Any) -> Any:
        """The outputs for whole sequences: an array, or a dict of arrays by name where the model has several.

        Sequences of different lengths are a list of arrays; those of one length run as one batch, so that each is what
        it is alone, whatever the model would make of padding. An output with steps is then a list of arrays too.
        A stateful model starts anew at every call; `stream` goes on where it stopped.
        """
        feeds = dict(inputs) if isinstance(inputs, Mapping) else self._single(inputs)
        if any(ragged(value) for value in feeds.values()):
            return by_length(self.predict, feeds)
        rows = next((len(self.sequence.checked(name, value)) for name, value in feeds.items()), 1)
        found = self.sequence.run({**feeds, **self.sequence.start(rows)})
        outputs = {name: found[name] for name in self.sequence.outputs}
        return outputs if len(outputs) > 1 else next(iter(outputs.values()))

    def _single(self, inputs: Any) -> dict[str, Any]:
        names = self.sequence.inputs
        if len(names) != 1:
            raise InputError(
                f"The model has the inputs {', '.join(map(repr, names))}. Pass a dict of arrays by these names."
            )
        return {names[0]: inputs}

    @cached_property
    def vocabulary(self) -> Vocabulary | None:
        """What turns text into tokens and back, where the bundle has it."""
        name = self.manifest.get("vocabulary")
        return Vocabulary.load(self.folder / name) if name else None

    def _prompt(self, prompt: Any) -> np.ndarray:
        """The tokens [batch, time] of a prompt."""
        if not isinstance(prompt, str):
            return np.atleast_2d(np.asarray(prompt))
        if self.vocabulary is None:
            raise InputError(
                f"The bundle {str(self.folder)!r} has no vocabulary, so a prompt is the numbers of its tokens. Export "
                "it with vocabulary=, or pass numbers."
            )
        return self.vocabulary.encode(prompt)[None]

    def text(self, tokens: Any) -> str:
        """What tokens say, of `generate` or of `tokens`, by the bundle's vocabulary; of several rows the first."""
        if self.vocabulary is None:
            raise InputError(f"The bundle {str(self.folder)!r} has no vocabulary. Export it with vocabulary=.")
        if isinstance(tokens, Generated):
            row, length = tokens.tokens, tokens.lengths
            while row.ndim > 1:
                row, length = row[0], length[0]
            tokens = row[: int(length)]
        return self.vocabulary.decode(np.ravel(tokens))

    def generate(
        self,
        prompt: Any,
        steps: int = 100,
        strategy: Strategy | None = None,
        seed: int = 0,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        end: int | None = None,
        **fixed: Any,
    ) -> Generated:
        """Tokens that go on from a prompt: their ids, the sums of their log-probabilities, their lengths.

        Arguments:
            prompt: a text, where the bundle has a vocabulary; or token ids [time], or [batch, time] for several of
                one length.
            steps: how many tokens at most.
            strategy: of `keras_rnnkit.decoding`; None takes the one that was exported, in one run of its graph.
            seed: of the noise that sampling draws from; the same seed gives the same tokens as in Keras.
            temperature, top_k, top_p: of sampling, where that was exported.
            end: the token that ends a row, for a strategy of your own; the exported one has its end.
            fixed: other inputs of the model.
        """
        prompt = self._prompt(prompt)
        if strategy is None:
            numbers = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
            return generation.by_graph(self.graph("generate"), prompt, steps, seed, numbers, fixed)
        return generation.by_steps(self.step, prompt, strategy, steps, seed, end, fixed)

    def tokens(
        self, prompt: Any, steps: int = 100, strategy: Strategy | None = None, seed: int = 0, end=None, **fixed: Any
    ) -> Iterator[np.ndarray]:
        """The tokens [batch] one after the other as they come, for a strategy that never takes one back."""
        prompt, strategy = self._prompt(prompt), strategy or Sampling()
        if strategy.rows > 1:
            raise InputError(f"{type(strategy).__name__} changes tokens it gave before. Use generate().")
        return generation.one_by_one(self.step, prompt, strategy, steps, seed, end, fixed)

    @cached_property
    def sources(self) -> Sources:
        """What the bundle of a `Seq2Seq` reads."""
        facts = self.manifest.get("translation")
        if facts is None:
            raise BundleError(f"The bundle {str(self.folder)!r} holds no encoder and decoder, so it cannot translate.")
        name = self.manifest.get("source_vocabulary")
        return Sources(facts, Vocabulary.load(self.folder / name) if name else None)

    def translate(
        self,
        source: Any,
        steps: int = 100,
        strategy: Strategy | None = None,
        seed: int = 0,
        best: int | None = None,
        batch: int = 64,
        **numbers: float | None,
    ) -> Any:
        """Targets of sources: a `Translation` with text, score, tokens and attention; a list of them for several.

        Arguments:
            source: a text where the bundle has a vocabulary of sources, the numbers of its tokens, features or an
                image; or a list of them, of any lengths.
            steps: how many tokens a target has at most.
            strategy: of `keras_rnnkit.decoding`; None takes the one that was exported, in one run of its graph.
            seed: of the noise that sampling draws from; the same seed gives the same tokens as in Keras.
            best: of a beam, that many translations for each source, in a list, the best first.
            batch: how many sources run side by side; those about as long do.
            numbers: temperature, top_k and top_p, where sampling was exported.
        """
        rows, single = self.sources.rows(source)
        found: list[Any] = [None] * len(rows)
        for places in batches(rows, batch):
            these = [rows[place] for place in places]
            texts = self._translated(these, steps, strategy, seed, numbers)
            for place, translations in zip(places, texts, strict=True):
                found[place] = translations[0] if best is None else translations[:best]
        return found[0] if single else found

    def _translated(self, rows, steps, strategy, seed, numbers):
        array, facts = self.sources.batch(rows), self.sources.facts
        if strategy is None:
            found = translation.by_graph(self.graph("generate"), array, steps, seed, numbers)
        else:
            parts = self.graph("encoder"), self.graph("step")
            found = translation.by_steps(*parts, array, strategy, steps, seed, facts)
        lengths = [len(row) if facts["source"] == "tokens" else found.attention.shape[-1] for row in rows]
        return translation.in_words(found, lengths, facts["end"], self.vocabulary)

    def stream(self, rows: int = 1, **fixed: Any) -> Stream:
        """A stream of `rows` rows; `fixed`: inputs that stay the same for all chunks."""
        return Stream(self.step, rows, fixed)
