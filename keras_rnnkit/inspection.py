"""What a bundle or an ONNX file is, in lines to read; onnxruntime is all it takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_rnnkit.runtime import Graph
from keras_rnnkit.runtime.bundle_files import open_bundle


def lines(path: Path) -> Iterator[str]:
    """The lines for a bundle's folder, whose files are checked, or for an ONNX file."""
    return of_bundle(path) if path.is_dir() else of_file(path)


def of_bundle(folder: Path) -> Iterator[str]:
    manifest = open_bundle(folder).manifest
    total = in_bytes(sum(known["size"] for known in manifest["files"].values()))
    yield f"{manifest['name']}: written {manifest['created']}, {len(manifest['files'])} files, {total}"
    yield "every file is the one that was written (sha256)"
    for mode, graph in manifest["graphs"].items():
        yield ""
        size = in_bytes(graph["size"])
        yield f"{mode}: {graph['file']}, {size}, {graph['nodes']} nodes, opset {graph['opset']}, {error_of(graph)}"
        yield from ends("takes", graph["inputs"])
        yield from ends("gives", graph["outputs"])
        yield from layers(graph["layers"])
        for kind, known in graph["quantized"].items():
            size = in_bytes(manifest["files"][known["file"]]["size"])
            yield f"  {kind}: {known['file']}, {size}, error {known['error']:.1e}"
        yield from (f"  {note}" for note in graph["notes"])
    if manifest["saved_model"]:
        saved = manifest["saved_model"]
        yield ""
        yield f"saved_model: signatures {', '.join(saved['signatures'])}; {error_of(saved)}"
    for mode, why in manifest["refused"].items():
        yield ""
        yield f"no {mode}: {why}"
    yield ""
    yield "written with " + ", ".join(f"{name} {version}" for name, version in manifest["versions"].items())


def of_file(path: Path) -> Iterator[str]:
    graph = Graph(path)
    writer = graph.session.get_modelmeta().producer_name
    yield f"{path.name}: {graph.mode}, {in_bytes(path.stat().st_size)}, written by {writer or 'nobody who says so'}"
    yield from operators(path)
    yield from ends("takes", {name: graph.shapes[name] for name in graph.shapes}, graph.kinds)
    yield from ends("may take", {v.name: list(v.shape) for v in graph.session.get_overridable_initializers()})
    yield from ends("gives", {value.name: list(value.shape) for value in graph.session.get_outputs()})
    for state in graph.states:
        start = "zeros" if state["start"] == 0 else "values of its own"
        yield f"  {state['input']} becomes {state['output']}: layer {state['layer']}, begins with {start}"


def operators(path: Path) -> Iterator[str]:
    """How often each operator occurs, where the onnx package is there to read them."""
    try:
        import onnx
    except ModuleNotFoundError:
        return
    model = onnx.load(path, load_external_data=False)
    counts = Counter(node.op_type for node in every_node(model.graph))
    versions = ", ".join(f"{o.domain or 'opset'} {o.version}" for o in model.opset_import)
    yield f"  {versions}: " + ", ".join(f"{n} {name}" for name, n in counts.most_common())


def every_node(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from every_node(inner)


def ends(verb: str, shapes: dict[str, list[Any]], kinds: dict[str, str] | None = None) -> Iterator[str]:
    """One line for each input or output."""
    width = max(map(len, shapes), default=0)
    for name, shape in shapes.items():
        yield f"  {verb} {name.ljust(width)}  {(kinds or {}).get(name, '')}[{', '.join(map(str, shape))}]"


def layers(rows: list[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield f"  layer {row['layer']}: {row['lowering']}, {row['nodes']} nodes; {row['reason']}"


def error_of(known: dict[str, Any]) -> str:
    return "not verified" if known["error"] is None else f"error {known['error']:.1e}"


def in_bytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
