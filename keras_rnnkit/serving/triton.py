"""A Triton model repository from a bundle: streams with Triton's sequence batcher, which keeps the states itself.

REPOSITORY/NAME/config.pbtxt             the step graph; a sequence id is a stream
REPOSITORY/NAME/1/model.onnx
REPOSITORY/NAME/initial_state/...        where states do not begin with zeros
REPOSITORY/NAME_whole/...                whole sequences, without states

The bundle of an encoder and a decoder becomes one model, its graph with the whole token loop.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnnkit import runtime
from keras_rnnkit.runtime import BundleError, Graph
from keras_rnnkit.runtime.graph import DTYPES
from keras_rnnkit.serving.settings import SettingsError, TritonSettings

MARK = "# Written by rnnkit triton, which replaces this folder when it is run again."
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
    """The folders that were written, each of them replaced whole; nothing is replaced that was not written here."""
    bundle = runtime.load(settings.bundle)
    name = checked_name(settings.name or bundle.manifest["name"])
    models = models_of(bundle, name)
    settings.repository.mkdir(parents=True, exist_ok=True)
    folders = [settings.repository / own for own, _, _ in models]
    for folder in folders:
        check_free(folder)
    for folder, (own, graph, mode) in zip(folders, models, strict=True):
        write_model(folder, own, graph, mode, settings)
    return folders


def models_of(bundle: runtime.Bundle, name: str) -> list[tuple[str, Graph, str]]:
    """(name, graph, mode) of each model of the repository."""
    modes = bundle.manifest["graphs"]
    if "stream" in modes:
        whole = [(f"{name}_whole", bundle.graph("sequence"), "sequence")] if "sequence" in modes else []
        return [(name, bundle.graph("stream"), "stream"), *whole]
    for mode in ("sequence", "generate"):
        if mode in modes:
            return [(name, bundle.graph(mode), mode)]
    raise BundleError(
        f"The bundle {str(bundle.folder)!r} has no graph that Triton could serve alone. It has {', '.join(modes)}; "
        "export it with a sequence, stream or generate graph."
    )


def checked_name(name: str) -> str:
    """A name that is one folder, inside the repository."""
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}", name):
        raise SettingsError(
            f"The name of a model must be letters, digits, '_', '-' and '.', and begin with none of the last two. "
            f"Received: {str(name)[:80]!r}. Choose another with --name."
        )
    return name


def check_free(folder: Path) -> None:
    """An error if something is there that was not written here."""
    if not folder.exists() and not folder.is_symlink():
        return
    config = folder / "config.pbtxt"
    ours = not folder.is_symlink() and config.is_file() and config.read_bytes().startswith(MARK.encode())
    strangers = [] if not ours else [path for path in files_of(folder) if not written_here(path)]
    if not ours or strangers:
        why = f"holds {strangers[0]}, which is not of it" if strangers else "was not written by rnnkit triton"
        raise SettingsError(
            f"{folder} exists, and {why}. Nothing was changed. Remove it yourself, or choose another --name or "
            "repository."
        )


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def written_here(path: str) -> bool:
    return path in ("config.pbtxt", "1/model.onnx") or bool(re.fullmatch(r"initial_state/[^/]+", path))


def write_model(folder: Path, name: str, graph: Graph, mode: str, settings: TritonSettings) -> None:
    """Write the folder beside its place, and put it there when it is complete."""
    fresh = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=settings.repository))
    fresh.chmod(0o755)  # temporary folders are for their owner alone; Triton may be somebody else
    (fresh / "1").mkdir()
    shutil.copyfile(graph.path, fresh / "1" / "model.onnx")
    states = graph.states if mode == "stream" else []
    for state in states:
        if not starts_with_zeros(state):
            (fresh / "initial_state").mkdir(exist_ok=True)
            start = np.full(state["shape"], state["start"], state["dtype"])
            (fresh / "initial_state" / state["input"]).write_bytes(start.tobytes())
    text = loop_config(name, graph) if mode == "generate" else config(name, graph, states, settings)
    (fresh / "config.pbtxt").write_text(f"{MARK}\n{text}", encoding="utf-8")
    if folder.exists():
        check_free(folder)
        shutil.rmtree(folder)
    fresh.rename(folder)


def loop_config(name: str, graph: Graph) -> str:
    """The text of config.pbtxt for a graph with the token loop. Triton makes no batches of it: it takes numbers beside
    its rows, such as how many tokens to write."""
    outputs = {value.name: value for value in graph.session.get_outputs()}
    lines = [
        f'name: "{name}"',
        'platform: "onnxruntime_onnx"',
        "max_batch_size: 0",
        *[f"input [{whole_tensor(n, graph.kinds[n], graph.shapes[n])}]" for n in graph.inputs],
        *[f"output [{whole_tensor(n, DTYPES[outputs[n].type], outputs[n].shape)}]" for n in graph.outputs],
        "instance_group [{ kind: KIND_AUTO }]",
    ]
    return "\n".join(lines) + "\n"


def whole_tensor(name: str, kind: str, shape: list[Any]) -> str:
    """A tensor with all its axes; Triton has no tensors without axes, so a number is sent as a list of one."""
    if not shape:
        return f'{{ name: "{name}", data_type: {KINDS[kind]}, dims: [1], reshape: {{ shape: [] }} }}'
    dims = ", ".join(str(size) if isinstance(size, int) else "-1" for size in shape)
    return f'{{ name: "{name}", data_type: {KINDS[kind]}, dims: [{dims}] }}'


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
