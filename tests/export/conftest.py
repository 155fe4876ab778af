"""Models with random weights, exported once however many tests look at them."""

import functools
import itertools

import numpy as np
import onnx
import pytest

import keras_rnnkit as rk
from tests.export.table import CASES


def randomised(model, spread=0.4, seed=3):
    """The model with weights that are random and all different: a swap of two gates cannot hide."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "seed" in weight.path:
            continue
        values = rng.normal(size=tuple(weight.shape)) * spread
        weight.assign(np.abs(values) + 0.3 if "variance" in weight.path else values)
    return model


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("exported")


@pytest.fixture(scope="session")
def exported(folder):
    """exported(name, **arguments) -> (model, path, report) of a case of the table."""
    numbers = itertools.count()

    @functools.cache
    def export(name, **arguments):
        case = CASES[name]
        model = randomised(case.build(), case.spread)
        path = folder / f"{next(numbers)}.onnx"
        return model, path, rk.export_onnx(model, path, **{**case.arguments, **arguments})

    return export


@pytest.fixture
def op_types():
    """op_types(path) -> the operators of a file, those of inner graphs included."""

    def collect(graph):
        for node in graph.node:
            yield node.op_type
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.GRAPH:
                    yield from collect(attribute.g)

    return lambda path: list(collect(onnx.load(path).graph))
