"""A Triton model repository from a bundle: streams with Triton's sequence batcher, which keeps the states itself.

REPOSITORY/NAME/config.pbtxt             the step graph; a sequence id is a stream
REPOSITORY/NAME/1/model.onnx
REPOSITORY/NAME/initial_state/...        where states do not begin with zeros
REPOSITORY/NAME_whole/...                whole sequences, without states
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnnkit import runtime
from keras_rnnkit.runtime import Graph
from keras_rnnkit.runtime.graph import DTYPES
from keras_rnnkit.serving.settings import TritonSettings

KINDS = {
    "bool": "TYPE_BOOL",
    "uint8": "TYPE_UINT8",
    "int8": "TYPE_INT8",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "float16": "TYPE_FP16",
    "float32": "TYPE_FP32",
    "float64": "TYPE_FP64",
}


def write(settings: TritonSettings) -> list[Path]:
    """The folders that were written, each of them replaced whole."""
    bundle = runtime.load(settings.bundle)
    name = settings.name or bundle.manifest["name"]
    graphs = [(mode, bundle.graph(mode)) for mode in ("stream", "sequence") if mode in bundle.manifest["graphs"]]
    streams = any(mode == "stream" for mode, _ in graphs)
    settings.repository.mkdir(parents=True, exist_ok=True)
    folders = []
    for mode, graph in graphs:
        own = f"{name}_whole" if mode == "sequence" and streams else name
        folders.append(write_model(own, graph, mode, settings))
    return folders


def write_model(name: str, graph: Graph, mode: str, settings: TritonSettings) -> Path:
    folder, part = settings.repository / name, settings.repository / f".{name}.part"
    shutil.rmtree(part, ignore_errors=True)
    (part / "1").mkdir(parents=True)
    shutil.copyfile(graph.path, part / "1" / "model.onnx")
    states = graph.states if mode == "stream" else []
    for state in states:
        if not starts_with_zeros(state):
            (part / "initial_state").mkdir(exist_ok=True)
            start = np.full(state["shape"], state["start"], state["dtype"])
            (part / "initial_state" / state["input"]).write_bytes(start.tobytes())
    (part / "config.pbtxt").write_text(config(name, graph, states, settings), encoding="utf-8")
    if folder.exists():
        shutil.rmtree(folder)
    part.rename(folder)
    return folder


def config(name: str, graph: Graph, states: list[dict[str, Any]], settings: TritonSettings) -> str:
    """The text of config.pbtxt; Triton adds the batch axis itself."""
    outputs = {value.name: value for value in graph.session.get_outputs()}
    carried = {state["input"] for state in graph.states}
    inputs = [tensor(n, graph.kinds[n], graph.shapes[n]) for n in graph.shapes if n not in carried or not states]
    results = [tensor(n, DTYPES[outputs[n].type], outputs[n].shape) for n in graph.outputs]
    lines = [
        f'name: "{name}"',
        'platform: "onnxruntime_onnx"',
        f"max_batch_size: {settings.max_batch}",
        *[f"input [{each}]" for each in inputs],
        *[f"output [{each}]" for each in results],
        "dynamic_batching { }" if not states else sequences(states, settings),
        "instance_group [{ kind: KIND_AUTO }]",
    ]
    return "\n".join(lines) + "\n"


def sequences(states: list[dict[str, Any]], settings: TritonSettings) -> str:
    """The sequence batcher; states in the order of their names, as Triton pairs them."""
    known = "\n".join(f"  state [{state_of(state)}]" for state in sorted(states, key=lambda state: state["input"]))
    return (
        "sequence_batching {\n"
        f"  max_sequence_idle_microseconds: {int(settings.idle * 1e6)}\n"
        f"  oldest {{ max_candidate_sequences: {16 * settings.max_batch} }}\n"
        f"{known}\n}}"
    )


def state_of(state: dict[str, Any]) -> str:
    kind, dims = KINDS[np.dtype(state["dtype"]).name], ", ".join(map(str, state["shape"]))
    begins = "zero_data: true" if starts_with_zeros(state) else f'data_file: "{state["input"]}"'
    return (
        f'{{ input_name: "{state["input"]}", output_name: "{state["output"]}", data_type: {kind}, dims: [{dims}], '
        f'initial_state: {{ name: "{state["input"]}", data_type: {kind}, dims: [{dims}], {begins} }} }}'
    )


def tensor(name: str, kind: str, shape: list[Any]) -> str:
    dims = ", ".join(str(size) if isinstance(size, int) else "-1" for size in shape[1:])
    return f'{{ name: "{name}", data_type: {KINDS[kind]}, dims: [{dims}] }}'


def starts_with_zeros(state: dict[str, Any]) -> bool:
    return not np.any(np.asarray(state["start"]))
