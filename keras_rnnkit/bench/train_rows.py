"""The rows of `rnnkit bench train`: for each, the same training step by every contender."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np

import keras_rnnkit as rk
from keras_rnnkit.bench import train_others
from keras_rnnkit.bench.settings import TrainBench
from keras_rnnkit.bench.train_steps import Gradients, Step, default_dtype, fit_step, gradient_step, with_graph_loop
from keras_rnnkit.kernels import loop_choice

L = keras.layers


class Shape(NamedTuple):
    batch: int
    steps: int
    features: int
    units: int

    def __str__(self) -> str:
        return f"B={self.batch} T={self.steps} F={self.features} U={self.units}"


SHAPES = [
    Shape(32, 100, 256, 256),
    Shape(64, 100, 128, 256),
    Shape(20, 20, 200, 200),
    Shape(1, 100, 256, 256),
    Shape(50, 50, 128, 128),
]
CELL_SHAPES = [SHAPES[0], SHAPES[3], SHAPES[4]]
LONG = Shape(64, 1024, 64, 256)
LONG_NAME = "long LSTM"
QUICK = Shape(4, 18, 6, 8)


class LeakyCell(rk.cells.GatedCell):
    """A cell such as a user writes: h_t = (1 - f) h_{t-1} + f tanh(W x_t + U h_{t-1} + b), with a gate f."""

    gate_count = 2

    def gates(self, ops, w, z, r, state):
        f, candidate = ops.split(z + r, 2)
        f = ops.sigmoid(f)
        h = (1.0 - f) * state[0] + f * ops.activation(self.activation, candidate)
        return h, [h]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    contenders: for each name a function that makes a `Step`, whose gradients are in the order of Keras' weights;
        "stock" is what the others are compared with.
    reference: the gradients that "stock" has in float64.
    flops: floating-point operations of the products in a step; 0 where they are not counted.
    per: what a time is divided by, the number of training steps in one run.
    """

    name: str
    contenders: dict[str, Callable[[], Step]]
    reference: Callable[[], Gradients]
    flops: float = 0.0
    per: int = 1


class LayerRows:
    """Rows of layers that return all their outputs."""

    def __init__(self, settings: TrainBench):
        self.settings = settings

    def row(self, name: str, shape: Shape, stock, ours, gates: int, masked: bool = False) -> Row:
        """stock, ours: functions that make the layer for a number of units."""
        data, settings = Data(shape, masked), self.settings

        def step(make, dtype=settings.dtype) -> Step:
            with default_dtype(dtype):
                layer = make(shape.units)
                layer.build((None, None, shape.features))
                layer.set_weights(data.weights_like(layer))
                return gradient_step(layer, data.x, data.upstream, data.mask, settings.jit)

        def reference() -> Gradients:
            with default_dtype("float64"):
                return step(stock, "float64").gradients()

        contenders = {"stock": lambda: step(stock), "ours": lambda: step(ours)}
        if settings.dtype != "float32":
            contenders["ours, float32"] = lambda: step(ours, "float32")
        if settings.loops and shape.steps >= loop_choice.SHORTEST_COMPILED:
            contenders["ours, graph loop"] = lambda: with_graph_loop(step, ours)
        if settings.others and not masked and settings.dtype == "float32":
            contenders |= train_others.contenders(name, data)
        if name == LONG_NAME:
            contenders["ours, checkpoint"] = lambda: step(checkpointed)
        width = gates * shape.units
        products = 2 * shape.batch * shape.steps * width * (2 * (shape.features + shape.units) + shape.units)
        return Row(f"{name} {shape}", contenders, reference, products)


class Data:
    """Inputs, the gradient of the outputs, a mask and weights: the same for every contender."""

    def __init__(self, shape: Shape, masked: bool):
        rng = np.random.default_rng(0)
        self.shape = shape
        self.x = rng.normal(size=shape[:3]).astype("float32")
        self.upstream = rng.normal(size=(shape.batch, shape.steps, shape.units)).astype("float32")
        lengths = np.linspace(1, shape.steps, shape.batch).round()  # half of the longest on average
        self.mask = np.arange(shape.steps) < rng.permutation(lengths)[:, None] if masked else None

    def weights_like(self, layer) -> list[np.ndarray]:
        """Random weights of the shapes of the layer's, the same for layers alike; gains are about one."""
        rng, scale = np.random.default_rng(1), 1.0 / np.sqrt(self.shape.units)
        noise = [scale * rng.normal(size=w.shape).astype("float32") for w in layer.weights]
        return [n + ("gain" in w.path) for n, w in zip(noise, layer.weights, strict=True)]


def rows(settings: TrainBench) -> list[Row]:
    """All rows; `quick` takes one tiny shape for each layer."""
    shapes, cell_shapes = ([QUICK], [QUICK]) if settings.quick else (SHAPES, CELL_SHAPES)
    make, table = LayerRows(settings).row, []
    layers = {"LSTM": (L.LSTM, rk.LSTM, 4), "GRU": (L.GRU, rk.GRU, 3), "VanillaRNN": (L.SimpleRNN, rk.VanillaRNN, 1)}
    for name, (stock, ours, gates) in layers.items():
        table += [make(name, shape, returning(stock), returning(ours), gates) for shape in shapes]
    for name, (cell, gates) in cells().items():
        table += [make(name, s, in_layer(L.RNN, cell), in_layer(rk.Recurrent, cell), gates) for s in cell_shapes]
    for name in ("LSTM", "GRU"):
        stock, ours, gates = layers[name]
        table.append(make(f"masked {name}", shapes[0], returning(stock), returning(ours), gates, masked=True))
    if settings.memory:
        table.append(make(LONG_NAME, QUICK if settings.quick else LONG, returning(L.LSTM), returning(rk.LSTM), 4))
    plain = settings.dtype == "float32" and not settings.jit
    return [*table, fit_row(settings.quick)] if plain else table


def cells() -> dict[str, tuple[Any, int]]:
    return {
        "LayerNorm-LSTM": (rk.cells.LayerNormLSTMCell, 4),
        "peephole LSTM": (rk.cells.PeepholeLSTMCell, 4),
        "a user's cell": (LeakyCell, 2),
    }


def returning(layer) -> Callable[[int], Any]:
    return lambda units: layer(units, return_sequences=True)


def checkpointed(units: int):
    return rk.LSTM(units, return_sequences=True, memory="checkpoint")


def in_layer(host, cell) -> Callable[[int], Any]:
    return lambda units: host(cell(units), return_sequences=True)


def fit_row(quick: bool) -> Row:
    """`model.fit` of a language model with two layers."""
    units, batch, steps, tokens, count = (8, 4, 18, 11, 2) if quick else (128, 50, 50, 96, 20)

    def make(layer) -> Step:
        return fit_step(layer, units, batch, steps, tokens, count)

    def reference() -> Gradients:
        with default_dtype("float64"):
            return make(L.LSTM).gradients()

    contenders = {"stock": lambda: make(L.LSTM), "ours": lambda: make(rk.LSTM)}
    return Row(f"fit, two LSTM({units}) B={batch} T={steps} V={tokens}", contenders, reference, per=count)
