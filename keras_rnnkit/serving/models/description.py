"""What a model can do, for the page that shows it: its kind, its layers, and an example to begin with."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_rnnkit.runtime import Graph
from keras_rnnkit.serving.models.intervals import series_outputs
from keras_rnnkit.text import TextError, Vocabulary
from keras_rnnkit.text.vocabulary import RESERVED, UNKNOWN

if TYPE_CHECKING:
    from keras_rnnkit.serving.models.served_model import ServedModel

BEGINNINGS = ("The ", "Once upon a time", "to be", "the", "a")
"""Prompts that a model of text may know; the first that its vocabulary can spell is the example."""
SENTENCES = ("samedi 21 novembre 2026", "21/11/2026", "Guten Morgen", "good morning", "hello", "a")
"""The same for sources of translations."""


def description(model: ServedModel) -> dict[str, Any]:
    """The fields of `/v2/models` that the protocol's metadata lack."""
    vocabulary, sources = model.vocabulary, model.bundle.manifest.get("translation")
    graphs = model.bundle.manifest["graphs"]
    return {
        "kind": kind_of(model),
        "interval": interval_of(model),
        "sequences": model.sequence is not None,
        "streams": model.step is not None,
        "tokens": len(vocabulary) if vocabulary is not None else None,
        "unit": vocabulary.unit.name if vocabulary is not None else None,
        "states": states_of(model.step.graph) if model.step is not None else [],
        "source": {"kind": sources["source"], "shape": sources["source_shape"][1:]} if sources else None,
        "example": example_of(model),
        "layers": layers_of(graphs),
        "size": sum(graph["size"] for graph in graphs.values()),
    }


def kind_of(model: ServedModel) -> str:
    """Which view of the page shows the model: "text", "translation", "captions", "series" or "tensors"."""
    if model.translator is not None:
        return kind_of_translator(model)
    if model.vocabulary is not None and model.step is not None:
        return "text"
    return "series" if model.step is not None and continues_itself(model.step.graph) else "tensors"


def interval_of(model: ServedModel) -> float | None:
    """The level of the intervals that forecasts of a series have, if they have any."""
    return series_outputs(model.graph.outputs).level if kind_of(model) == "series" else None


def kind_of_translator(model: ServedModel) -> str:
    sources = model.bundle.sources
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


def example_of(model: ServedModel) -> str | None:
    """A text that the model can read, or None where it reads no text."""
    if model.translator is not None:
        vocabulary = model.bundle.sources.vocabulary
        limit = model.bundle.sources.facts["limit"]
        return readable(vocabulary, SENTENCES, limit) if vocabulary is not None else None
    return readable(model.vocabulary, BEGINNINGS) if model.vocabulary is not None else None


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
