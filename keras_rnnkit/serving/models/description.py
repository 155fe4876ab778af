"""What a model can do, for the page that shows it: its kind, its layers, and an example to begin with."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np

from keras_rnnkit.runtime import Bundle, Graph
from keras_rnnkit.runtime.graph import DTYPES
from keras_rnnkit.serving.models.datatypes import NAMES
from keras_rnnkit.serving.models.intervals import series_outputs
from keras_rnnkit.text import TextError, Vocabulary
from keras_rnnkit.text.vocabulary import END, RESERVED, UNKNOWN

BEGINNINGS = ("The ", "Once upon a time", "to be", "the", "a")
"""Prompts that a model of text may know; the first that its vocabulary can spell is the example."""
SENTENCES = ("samedi 21 novembre 2026", "21/11/2026", "Guten Morgen", "good morning", "hello", "a")
"""The same for sources of translations."""


def description(bundle: Bundle) -> dict[str, Any]:
    """The fields of `/v2/models` that the protocol's metadata lack."""
    vocabulary, sources, graphs = bundle.vocabulary, bundle.manifest.get("translation"), bundle.manifest["graphs"]
    stream = stream_of(bundle)
    return {
        "kind": kind_of(bundle),
        "interval": interval_of(bundle),
        "sequences": "sequence" in graphs,
        "streams": stream is not None,
        "tokens": len(vocabulary) if vocabulary is not None else None,
        "unit": vocabulary.unit.name if vocabulary is not None else None,
        "states": states_of(stream) if stream is not None else [],
        "source": {"kind": sources["source"], "shape": sources["source_shape"][1:]} if sources else None,
        "example": example_of(bundle),
        "labels": bundle.labels,
        "layers": layers_of(graphs),
        "size": sum(graph["size"] for graph in graphs.values()),
    }


def end_of_text(bundle: Bundle) -> int | None:
    """The token that ends a generation, if one does: a model of lines may go on after the end of one."""
    if bundle.vocabulary is None or stream_of(bundle) is None:
        return None
    alone = "generate" not in bundle.manifest["graphs"]
    ends = alone or bundle.graph("generate").facts.get("end") is not None
    return bundle.vocabulary.number(END) if ends else None


def stream_of(bundle: Bundle) -> Graph | None:
    return bundle.step if "stream" in bundle.manifest["graphs"] else None


def kind_of(bundle: Bundle) -> str:
    """Which view of the page shows the model: "text", "translation", "captions", "series" or "tensors"."""
    if bundle.manifest.get("translation"):
        return kind_of_translator(bundle)
    stream = stream_of(bundle)
    if bundle.vocabulary is not None and stream is not None:
        return "text"
    return "series" if stream is not None and continues_itself(stream) else "tensors"


def interval_of(bundle: Bundle) -> float | None:
    """The level of the intervals that forecasts of a series have, if they have any."""
    stream = stream_of(bundle)
    return series_outputs(stream.outputs).level if stream is not None and kind_of(bundle) == "series" else None


def kind_of_translator(bundle: Bundle) -> str:
    sources = bundle.sources
    if sources.facts["source"] == "image":
        return "captions"
    return "translation" if sources.vocabulary is not None else "tensors"


def continues_itself(graph: Graph) -> bool:
    """Whether a model goes from a step of a series to the next one, so that it can be run on its own output."""
    if len(graph.inputs) != 1 or not graph.kinds[graph.inputs[0]].startswith("float"):
        return False
    if len(graph.outputs) != 1 and series_outputs(graph.outputs).level is None:
        return False
    results = {value.name: value.shape for value in graph.session.get_outputs()}
    shape = graph.shapes[graph.inputs[0]]
    return len(shape) == 3 and isinstance(shape[-1], int) and {results[n][-1] for n in graph.outputs} == {shape[-1]}


def states_of(graph: Graph) -> list[dict[str, Any]]:
    """The states with the layer that carries each and their letter in its equation: h, and c of an LSTM."""
    rows: list[dict[str, Any]] = []
    for layer, states in groupby(graph.states, key=lambda state: state.get("layer")):
        group = list(states)
        letters = "hc" if len(group) == 2 else "h" if len(group) == 1 else ""
        for number, state in enumerate(group):
            letter = letters[number] if letters else f"state {number}"
            size = int(np.prod(state["shape"]))
            rows.append({"name": state["input"], "size": size, "layer": layer or state["input"], "letter": letter})
    return rows


def layers_of(graphs: dict[str, Any]) -> list[dict[str, str]]:
    """The recurrent layers of a model, each once, with the operator that runs it."""
    layers = {layer["layer"]: layer["lowering"] for graph in graphs.values() for layer in graph["layers"]}
    return [{"layer": name, "operator": operator} for name, operator in layers.items()]


def example_of(bundle: Bundle) -> str | None:
    """A text that the model can read, or None where it reads no text."""
    if bundle.manifest.get("translation"):
        vocabulary = bundle.sources.vocabulary
        limit = bundle.sources.facts["limit"]
        return readable(vocabulary, SENTENCES, limit) if vocabulary is not None else None
    return readable(bundle.vocabulary, BEGINNINGS) if bundle.vocabulary is not None else None


def readable(vocabulary: Vocabulary, texts: tuple[str, ...], limit: int | None = None) -> str:
    """The first text whose tokens are all in the vocabulary, or a few frequent tokens.

    >>> readable(Vocabulary.of("to be or not"), ("The ", "to be")), readable(Vocabulary.of("xyz"), ("to be",))
    ('to be', 'xyz')
    """
    unknown = vocabulary.number(UNKNOWN)
    for text in texts:
        try:
            numbers = vocabulary.encode(text)
        except TextError:
            continue
        if unknown not in numbers and (limit is None or len(numbers) <= limit):
            return text
    frequent = [token for token in vocabulary.tokens if token not in RESERVED]
    return vocabulary.unit.join(frequent[:3])


def tensors_of(bundle: Bundle) -> dict[str, Any]:
    """The inputs and outputs of the graph that a request of plain tensors runs, as the protocol describes them."""
    graphs = bundle.manifest["graphs"]
    graph = bundle.graph(next((mode for mode in ("sequence", "stream", "generate") if mode in graphs), "sequence"))
    results = {value.name: value for value in graph.session.get_outputs()}
    return {
        "inputs": [
            {"name": name, "datatype": NAMES[graph.kinds[name]], "shape": open_shape(graph.shapes[name])}
            for name in graph.inputs
            if graph.shapes[name] or not bundle.manifest.get("translation")  # numbers of the loop have their defaults
        ],
        "outputs": [
            {"name": n, "datatype": NAMES[DTYPES[results[n].type]], "shape": open_shape(results[n].shape)}
            for n in graph.outputs
        ],
    }


def open_shape(shape: list[Any]) -> list[int]:
    """-1 for what is free.

    >>> open_shape(["batch", "time", 3])
    [-1, -1, 3]
    """
    return [size if isinstance(size, int) else -1 for size in shape]
