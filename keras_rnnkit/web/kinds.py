"""Kinds of models that only a page without a server has views for: a local model can follow a pen or a camera."""

from __future__ import annotations

from math import isqrt
from typing import Any

from keras_rnnkit.runtime import Bundle


def local_kind(bundle: Bundle, kind: str) -> dict[str, Any]:
    """The fields of a model's description that say which view shows it.

    kind: what the server says. "glimpses", "drawing", "frames" and "reading" are models of plain tensors to it.
    """
    if kind == "tensors":
        for local_view in (glimpses, drawing, frames, reading):
            fields = local_view(bundle)
            if fields is not None:
                return fields
    return {"kind": kind}


def glimpses(bundle: Bundle) -> dict[str, Any] | None:
    """A model that reads patches of an image at the places it asks for."""
    if "stream" not in bundle.manifest["graphs"]:
        return None
    shapes, sizes = bundle.step.shapes, output_sizes(bundle.step)
    if set(bundle.step.inputs) != {"patches", "places"} or set(sizes) != {"label", "next"}:
        return None
    size = isqrt(shapes["patches"][-1]) * isqrt(sizes["next"])
    return {"kind": "glimpses", "image": {"size": size, "labels": sizes["label"]}}


def drawing(bundle: Bundle) -> dict[str, Any] | None:
    """A model that draws an image of a label pixel by pixel.

    Its first layer reaches back to the pixel above and to the left, so its first state says how wide an image is.
    """
    graphs = bundle.manifest["graphs"]
    if not {"stream", "generate"} <= set(graphs) or set(bundle.step.inputs) != {"pixels", "label"}:
        return None
    memory, levels = bundle.step.states[0]["shape"], bundle.step.token_counts.get("pixels")
    if len(memory) != 2 or levels is None:
        return None
    labels = bundle.step.shapes["label"][-1]
    return {"kind": "drawing", "image": {"size": memory[0] - 1, "labels": labels, "levels": levels - 1}}


def frames(bundle: Bundle) -> dict[str, Any] | None:
    """A model that says something about every frame of a clip."""
    if "stream" not in bundle.manifest["graphs"] or len(bundle.step.inputs) != 1 or len(bundle.step.outputs) != 1:
        return None
    shape = bundle.step.shapes[bundle.step.inputs[0]]
    if len(shape) != 5 or shape[-1] not in (1, 3) or not all(isinstance(size, int) for size in shape[2:4]):
        return None
    return {"kind": "frames", "image": {"shape": shape[2:]}}


def reading(bundle: Bundle) -> dict[str, Any] | None:
    """A model that reads a text and answers with numbers."""
    graphs = bundle.manifest["graphs"]
    if bundle.vocabulary is None or "sequence" not in graphs or "stream" in graphs:
        return None
    graph = bundle.graph("sequence")
    return {"kind": "reading"} if len(graph.inputs) == 1 and "int" in graph.kinds[graph.inputs[0]] else None


def output_sizes(graph: Any) -> dict[str, int]:
    results = {value.name: value.shape for value in graph.session.get_outputs()}
    return {name: results[name][-1] for name in graph.outputs}
