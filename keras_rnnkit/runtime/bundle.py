"""A bundle: the folder that `keras_rnnkit.export_bundle` writes, ready to run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from keras_rnnkit.decoding import Generated, Sampling, Strategy
from keras_rnnkit.runtime import generation, prompts, translation
from keras_rnnkit.runtime.arrays import as_kind, whole_number
from keras_rnnkit.runtime.bundle_files import BundleFiles, open_bundle
from keras_rnnkit.runtime.errors import BundleError, InputError
from keras_rnnkit.runtime.graph import Graph
from keras_rnnkit.runtime.ragged import predict_by_length, ragged
from keras_rnnkit.runtime.stream import Stream
from keras_rnnkit.runtime.translation import Sources, batches
from keras_rnnkit.text import TextError, Vocabulary


def load(
    folder: str | os.PathLike,
    quantized: str | None = None,
    threads: int = 1,
    providers: list[str] | None = None,
) -> Bundle:
    """The bundle in a folder, after its manifest and the sha256 of every file were checked.

    Arguments:
        folder: where `keras_rnnkit.export_bundle` wrote it. Another export may replace the folder at any time: what
            was loaded stays as it was.
        quantized: "int8" or "float16" for the graphs with such weights, where the bundle has them.
        threads: of onnxruntime for each operator; one is best for small models.
        providers: of onnxruntime, best first.

    Raises BundleError, a ValueError, if anything is wrong with the folder.
    """
    return Bundle(open_bundle(folder), quantized, threads, providers)


class Bundle:
    """A model's graphs, opened when they are first used. `manifest` describes its files.

    Raises BundleError where it lacks what is asked for, and InputError for what the model cannot take; both are
    ValueErrors.
    """

    def __init__(
        self,
        files: BundleFiles,
        quantized: str | None = None,
        threads: int = 1,
        providers: list[str] | None = None,
    ):
        self._files = files
        self.folder, self.manifest = files.folder, files.manifest
        self.quantized = quantized
        self._graphs: dict[str, Graph] = {}
        self._settings: dict[str, Any] = {"threads": threads, "providers": providers}
        if quantized is not None and not any(quantized in graph["quantized"] for graph in self._modes.values()):
            raise BundleError(
                f"The bundle {str(self.folder)!r} has no {quantized} graphs. Export it with quantize={quantized!r}."
            )

    @property
    def _modes(self) -> dict[str, Any]:
        return self.manifest["graphs"]

    @property
    def sequence(self) -> Graph:
        """The graph over whole sequences."""
        return self.graph("sequence")

    @property
    def step(self) -> Graph:
        """The graph over one chunk of a stream."""
        return self.graph("stream")

    def graph(self, mode: str) -> Graph:
        """The graph of a mode, opened once."""
        if mode not in self._graphs:
            self._graphs[mode] = self._open(mode)
        return self._graphs[mode]

    def _open(self, mode: str) -> Graph:
        if mode not in self._modes:
            why = self.manifest["refused"].get(mode, f"Export it with modes=(..., {mode!r}).")
            raise BundleError(f"The bundle {str(self.folder)!r} has no graph for {mode!r}. {why}")
        facts = self._modes[mode]
        name = facts["quantized"].get(self.quantized, facts)["file"]
        graph = Graph(self.folder / name, **self._settings, content=self._files.read(name))
        self._files.release(name)
        return graph

    def predict(self, inputs: Any) -> Any:
        """The outputs for whole sequences.

        Sequences of different lengths are a list of arrays; those of one length run as one batch, so that each is what
        it is alone, whatever the model would make of padding. An output with steps is then a list of arrays too.
        A stateful model starts anew at every call; `stream` goes on where it stopped.

        Arguments:
            inputs: an array [batch, time, ...], or a list of arrays [time, ...]; a dict of these by the names of the
                inputs where the model has several.

        Returns an array, or a dict of arrays by name where the model has several outputs.
        """
        feeds = dict(inputs) if isinstance(inputs, Mapping) else self._single(inputs)
        if any(ragged(value) for value in feeds.values()):
            return predict_by_length(self.predict, feeds)
        arrays = {name: self.sequence.checked(name, value) for name, value in feeds.items()}
        rows = next((len(array) for array in arrays.values() if array.ndim), 1)
        results = self.sequence.run_arrays({**arrays, **self.sequence.start(rows)})
        outputs = {name: results[name] for name in self.sequence.outputs}
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
        """The vocabulary that turns text into tokens and back, where the bundle has it."""
        return self._vocabulary("vocabulary")

    @property
    def labels(self) -> list[str] | None:
        """The names of the labels in the order of their numbers, where the bundle was exported with them."""
        return self.manifest["labels"]

    def _vocabulary(self, key: str) -> Vocabulary | None:
        name = self.manifest[key]
        if name is None:
            return None
        try:
            return Vocabulary.parsed(self._files.read(name), str(self.folder / name))
        except (TextError, TypeError, RecursionError) as error:
            raise BundleError(f"The bundle {str(self.folder)!r} has no usable vocabulary: {error}") from error

    def text(self, tokens: Any) -> str:
        """The text that tokens stand for, by the bundle's vocabulary.

        Arguments:
            tokens: what `generate` or `tokens` gave, or ids. Of several rows or hypotheses, the first.
        """
        if self.vocabulary is None:
            raise InputError(f"The bundle {str(self.folder)!r} has no vocabulary. Export it with vocabulary=.")
        if isinstance(tokens, Generated):
            row, length = tokens.tokens, tokens.lengths
            while row.ndim > 1:
                row, length = row[0], length[0]
            tokens = row[: int(length)]
        ids = as_kind("tokens", np.ravel(tokens) if np.size(tokens) else np.zeros(0, np.int64), "int64")
        if np.any((ids < 0) | (ids >= len(self.vocabulary))):
            raise InputError(f"Tokens must be 0 to {len(self.vocabulary) - 1}. Received: {ids.tolist()}.")
        return self.vocabulary.decode(ids)

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
        allow_unknown: bool = False,
        **fixed: Any,
    ) -> Generated:
        """Tokens that follow a prompt: their ids, the sums of their log-probabilities, their lengths.

        Arguments:
            prompt: a text, where the bundle has a vocabulary, or token ids [time]. For several rows a list of these, of
                any lengths, or an array [batch, time]; each row goes on from the end of its own prompt.
            steps: the largest number of tokens of a row.
            strategy: of `keras_rnnkit.decoding`; None takes the one that was exported, in one run of its graph.
            seed: of the noise that sampling draws from; the same seed gives the same tokens as in Keras.
            temperature, top_k, top_p: of the exported strategy, where that is sampling.
            end: the token that ends a row, for a strategy passed here; the exported one has its own.
            allow_unknown: let a strategy passed here pick the token `<unk>`; as a rule it is left out. The exported one
                has that from its export.
            fixed: the other inputs of the model by name, with as many rows as there are prompts.

        Returns arrays: tokens [batch, N], scores [batch], lengths [batch]; for a beam of K with an axis of K after the
        batch, the best first.
        """
        tokens = prompts.tokens_of(prompt, self._prompt_vocabulary(prompt))
        options = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        if strategy is None:
            generation.refuse_allowing(self.graph("generate"), allow_unknown)
            return generation.by_graph(self.graph("generate"), tokens, steps, seed, options | {"end": end}, fixed)
        generation.refuse_options(strategy, options)
        strategy = generation.without_unknown(strategy, self.vocabulary, allow_unknown)
        return generation.by_steps(self.step, tokens, strategy, steps, seed, end, fixed)

    def _prompt_vocabulary(self, prompt: Any) -> Vocabulary | None:
        """The vocabulary, read only where a prompt can be a text."""
        return None if isinstance(prompt, np.ndarray) else self.vocabulary

    def tokens(
        self,
        prompt: Any,
        steps: int = 100,
        strategy: Strategy | None = None,
        seed: int = 0,
        end: int | None = None,
        allow_unknown: bool = False,
        **fixed: Any,
    ) -> Iterator[np.ndarray]:
        """The tokens [batch] of `generate`, one after the other as they come.

        Arguments:
            prompt, steps, seed, end, allow_unknown, fixed: as for `generate`.
            strategy: one that never takes a token back, so no beam; None is Sampling().
        """
        strategy = generation.without_unknown(strategy or Sampling(), self.vocabulary, allow_unknown)
        if strategy.rows > 1:
            raise InputError(f"{type(strategy).__name__} changes tokens it gave before. Use generate().")
        tokens = prompts.tokens_of(prompt, self._prompt_vocabulary(prompt))
        return generation.tokens_one_by_one(self.step, tokens, strategy, steps, seed, end, fixed)

    @cached_property
    def sources(self) -> Sources:
        """What the bundle of a `Seq2Seq` reads."""
        facts = self.manifest.get("translation")
        if facts is None:
            raise BundleError(f"The bundle {str(self.folder)!r} holds no encoder and decoder, so it cannot translate.")
        return Sources(facts, self._vocabulary("source_vocabulary"))

    def translate(
        self,
        source: Any,
        steps: int = 100,
        strategy: Strategy | None = None,
        seed: int = 0,
        best: int | None = None,
        batch: int = 64,
        allow_unknown: bool = False,
        **options: float | None,
    ) -> Any:
        """The `Translation` of a source, with text, score, tokens and attention; a list of them for several sources.

        Arguments:
            source: a text where the bundle has a vocabulary of sources, the ids of its tokens, features or an image; or
                a list of them, of any lengths.
            steps: the largest number of tokens of a target.
            strategy: of `keras_rnnkit.decoding`; None takes the one that was exported, in one run of its graph.
            seed: of the noise that sampling draws from; the same seed gives the same tokens as in Keras.
            best: that many translations of each source, in a list, the best first; a beam has as many as it is wide.
            batch: how many sources run side by side; those of similar lengths do.
            allow_unknown: as for `generate`.
            options: temperature, top_k and top_p, where sampling was exported.
        """
        if strategy is None:
            generation.refuse_allowing(self.graph("generate"), allow_unknown)
        else:
            generation.refuse_options(strategy, options)
            strategy = generation.without_unknown(strategy, self.vocabulary, allow_unknown)
        rows, single = self.sources.rows(source)
        size = whole_number("batch", batch, least=1)
        count = None if best is None else whole_number("best", best, least=1)
        results: list[Any] = [None] * len(rows)
        for places in batches(rows, size):
            of_batch = self._translated([rows[place] for place in places], steps, strategy, seed, options)
            for place, translations in zip(places, of_batch, strict=True):
                results[place] = translations[0] if count is None else translations[:count]
        return results[0] if single else results

    def _translated(self, rows, steps, strategy, seed, options):
        """For each source of one batch its translations, the best first."""
        array, facts = self.sources.batch(rows), self.sources.facts
        if strategy is None:
            aligned = translation.by_graph(self.graph("generate"), array, steps, seed, options)
        else:
            graphs = self.graph("encoder"), self.graph("step")
            aligned = translation.by_steps(*graphs, array, strategy, steps, seed, facts)
        lengths = [len(row) if facts["source"] == "tokens" else aligned.attention.shape[-1] for row in rows]
        return translation.in_words(aligned, lengths, facts["end"], self.vocabulary)

    def stream(self, rows: int = 1, **fixed: Any) -> Stream:
        """A stream over chunks, which carries the states from one to the next.

        Arguments:
            rows: how many streams run side by side; each row of a chunk belongs to one.
            fixed: inputs by name that stay the same for all chunks, with as many rows.
        """
        return Stream(self.step, rows, fixed)
