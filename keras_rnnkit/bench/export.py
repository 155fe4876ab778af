"""Our ONNX files against those of `model.export(format="onnx")`, in one run of onnxruntime."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime

import keras_rnnkit as rk
from keras_rnnkit.bench.settings import ExportBench
from keras_rnnkit.export.checking.latency import stock_file
from keras_rnnkit.export.saving.files import write
from keras_rnnkit.export.tracing.tensorflow_graph import first_lines
from keras_rnnkit.export.writing.finish import every_node
from keras_rnnkit.timing import Times, machine, side_by_side

L = keras.layers


def bidirectional(make) -> Callable[[int], list[Any]]:
    return lambda units: [L.Bidirectional(make(units, return_sequences=True))]


MODELS: dict[str, Callable[[int], list[Any]]] = {
    "LSTM": lambda units: [L.LSTM(units, return_sequences=True)],
    "GRU": lambda units: [L.GRU(units, return_sequences=True)],
    "SimpleRNN": lambda units: [L.SimpleRNN(units, return_sequences=True)],
    "masked LSTM": lambda units: [L.Masking(), L.LSTM(units, return_sequences=True)],
    "masked GRU": lambda units: [L.Masking(), L.GRU(units, return_sequences=True)],
    "Bi(GRU)": bidirectional(L.GRU),
    "masked Bi(GRU)": lambda units: [L.Masking(), *bidirectional(L.GRU)(units)],
    "RNN([LSTM, LSTM])": lambda units: [L.RNN([L.LSTMCell(units), L.LSTMCell(units)], return_sequences=True)],
    "LayerNorm-LSTM": lambda units: [rk.Recurrent(rk.cells.LayerNormLSTMCell(units), return_sequences=True)],
    "peephole LSTM": lambda units: [rk.Recurrent(rk.cells.PeepholeLSTMCell(units), return_sequences=True)],
}


@dataclass(frozen=True)
class Row:
    """One model. stock, ours: times of a run; errors: largest differences from Keras; None where stock failed."""

    model: str
    stock: Times | None
    ours: Times
    stock_error: float | None
    our_error: float
    stock_nodes: int | None
    our_nodes: int
    seconds: float
    remark: str = ""

    @property
    def ratio(self) -> float | None:
        return self.stock.median / self.ours.median if self.stock else None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"ratio": self.ratio}


def run(settings: ExportBench, tell: Callable[[str], Any] = lambda stage: None) -> list[Row]:
    """Every model of the table, the last one a step of a stream against onnxruntime's own operators."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, make in chosen(settings).items():
            tell(name)
            rows.append(measured(name, make, settings, Path(folder)))
        if settings.only in STEP:
            tell(STEP)
            rows.append(step(settings, Path(folder)))
    if settings.json:
        known = {"machine": where(), "settings": asdict(settings) | {"json": None}, "rows": [r.to_dict() for r in rows]}
        write(settings.json, json.dumps(known, indent=2).encode())
    return rows


def chosen(settings: ExportBench) -> dict[str, Callable[[int], list[Any]]]:
    return {name: make for name, make in MODELS.items() if settings.only in name}


def where() -> str:
    return machine("onnxruntime", "tensorflow", "keras", "tf2onnx")


def randomised(model):
    """The model with random weights, so that no difference hides."""
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(size=tuple(weight.shape)) * 0.1)
    return model


def measured(name: str, make: Callable[[int], list[Any]], settings: ExportBench, folder: Path) -> Row:
    model = randomised(keras.Sequential([keras.Input((None, settings.features), name="x"), *make(settings.units)]))
    x = sample(settings)
    began = time.perf_counter()
    rk.export_onnx(model, folder / "ours.onnx")
    seconds = time.perf_counter() - began
    ours, expected = opened(folder / "ours.onnx", settings.threads), np.asarray(model(x))
    try:
        stock = exported_by_keras(model, folder / "stock.onnx", settings.threads)
        stock_error, nodes, remark = error(stock(x), expected), count(folder / "stock.onnx"), ""
    except Exception as problem:  # the stock path fails in a dozen ways; which one is a result too
        stock, stock_error, nodes, remark = None, None, None, f"stock: {first_lines(problem)[:80]}"
    runs = [lambda: ours(x), *([lambda: stock(x)] if stock else [])]
    mine, *theirs = side_by_side(*runs, repeats=settings.repeats)
    return Row(
        model=name,
        stock=theirs[0] if theirs else None,
        ours=mine,
        stock_error=stock_error,
        our_error=error(ours(x), expected),
        stock_nodes=nodes,
        our_nodes=count(folder / "ours.onnx"),
        seconds=seconds,
        remark=remark,
    )


def sample(settings: ExportBench) -> np.ndarray:
    """Series whose last third is masked where a model masks zeros."""
    x = np.random.default_rng(0).normal(size=(settings.batch, settings.steps, settings.features)).astype(np.float32)
    x[:, settings.steps - settings.steps // 3 :] = 0
    return x


def exported_by_keras(model, path: Path, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    path.unlink(missing_ok=True)
    stock_file(model, path)
    return opened(path, threads)


def opened(path: Path, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.max(np.abs(found - expected)))


def count(path: Path) -> int:
    return sum(1 for _ in every_node(onnx.load(path).graph))


# ---------------------------------------------------------------------- a step of a stream

STEP = "step of 2 x LSTM(128)"


def step(settings: ExportBench, folder: Path) -> Row:
    """One step of a stream of two LSTMs of 128 against two bare LSTM operators with their states."""
    model = keras.Sequential([keras.Input((None, settings.features), name="x")])
    for _ in range(2):
        model.add(L.LSTM(128, return_sequences=True))
    randomised(model)
    began = time.perf_counter()
    rk.export_onnx(model, folder / "step.onnx", mode="stream")
    seconds = time.perf_counter() - began
    (folder / "bare.onnx").write_bytes(bare_pair(model, settings.features).SerializeToString())
    x = np.random.default_rng(0).normal(size=(settings.batch, 1, settings.features)).astype(np.float32)
    ours, bare = (stepping(folder / name, x, settings) for name in ("step.onnx", "bare.onnx"))
    theirs, mine = side_by_side(bare, ours, repeats=40 * settings.repeats)
    expected = np.asarray(model(x))
    return Row(
        STEP,
        theirs,
        mine,
        stock_error=error(bare().reshape(expected.shape), expected),
        our_error=error(ours(), expected),
        stock_nodes=count(folder / "bare.onnx"),
        our_nodes=count(folder / "step.onnx"),
        seconds=seconds,
        remark=f"{mine.median / theirs.median:.3f} times the time of two bare LSTM operators",
    )


def stepping(path: Path, x: np.ndarray, settings: ExportBench) -> Callable[[], np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = settings.threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    layouts = {"x": x if path.name == "step.onnx" else x.transpose(1, 0, 2)}
    feeds = {
        value.name: np.ascontiguousarray(layouts["x"])
        if value.name == "x"
        else np.zeros([settings.batch if n == "batch" else n for n in value.shape], np.float32)
        for value in session.get_inputs()
    }
    return lambda: session.run(None, feeds)[0]


def bare_pair(model, features: int) -> onnx.ModelProto:
    """What onnxruntime itself takes for a step: nothing but two LSTM operators and one reshape between them."""
    from keras_rnnkit.export.lowering.operators.native import stacked, stacked_bias

    helper, numbers = onnx.helper, onnx.numpy_helper
    nodes, constants, source = [], [numbers.from_array(np.array([1, -1, 128]), "flat")], "x"
    states = [f"{kind}{i}" for i in range(2) for kind in "hc"]
    for i, layer in enumerate(model.layers):
        kernel, recurrent, bias = layer.get_weights()
        gates = [0, 3, 1, 2]
        weights = {"W": stacked(kernel, gates), "R": stacked(recurrent, gates), "B": stacked_bias(bias, None, gates)}
        constants += [numbers.from_array(np.ascontiguousarray(value), f"{name}{i}") for name, value in weights.items()]
        inputs = [source, f"W{i}", f"R{i}", f"B{i}", "", f"h{i}", f"c{i}"]
        nodes.append(helper.make_node("LSTM", inputs, [f"Y{i}", f"h{i}_after", f"c{i}_after"], hidden_size=128))
        nodes.append(helper.make_node("Reshape", [f"Y{i}", "flat"], [f"y{i}"]))
        source = f"y{i}"
    kind = onnx.TensorProto.FLOAT
    given = [helper.make_tensor_value_info("x", kind, [1, "batch", features])]
    given += [helper.make_tensor_value_info(name, kind, [1, "batch", 128]) for name in states]
    after = [helper.make_tensor_value_info(source, kind, [1, "batch", 128])]
    after += [helper.make_tensor_value_info(f"{name}_after", kind, [1, "batch", 128]) for name in states]
    graph = helper.make_graph(nodes, "pair", given, after, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


# ---------------------------------------------------------------------- the table


def lines(rows: list[Row], settings: ExportBench) -> Iterator[str]:
    """The table as text."""
    cells = [("model", "stock", "ours", "ratio", "error stock / ours", "nodes", "export", "")]
    for row in rows:
        stock_error = "-" if row.stock_error is None else f"{row.stock_error:.0e}"
        cells.append(
            (
                row.model,
                str(row.stock or "failed"),
                str(row.ours),
                "-" if row.ratio is None else f"{row.ratio:.2f}x",
                f"{stock_error} / {row.our_error:.0e}",
                f"{row.stock_nodes or '-'} / {row.our_nodes}",
                f"{row.seconds:.1f} s",
                row.remark,
            )
        )
    widths = [max(len(texts[i]) for texts in cells) for i in range(len(cells[0]))]
    for number, texts in enumerate(cells):
        yield "  ".join(text.ljust(width) for text, width in zip(texts, widths, strict=True)).rstrip()
        if not number:
            yield "-" * (sum(widths) + 2 * len(widths))
    yield (
        f"batch {settings.batch}, {settings.steps} steps, {settings.features} features, {settings.units} units, "
        f"{settings.threads} thread(s); medians of {settings.repeats} runs in turns (10th to 90th of a hundred)"
    )
    yield f"{where()}; load {os.getloadavg()[0]:.1f}"
