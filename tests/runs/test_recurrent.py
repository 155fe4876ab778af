"""`--cell`: every cell has a name, every name makes a layer, and every pipeline offers all of them."""

import dataclasses
import importlib
import pathlib
import typing

import keras
import pytest

import keras_rnnkit as rk
from keras_rnnkit.runs.recurrent import CELLS, FACADES, OTHERS, layer_of
from tests.cells.test_every_cell import CELLS as CLASSES

NOT_FOR_A_MODEL = {rk.cells.BatchNormCell, rk.cells.ConditionedCell, rk.cells.ZoneoutCell, rk.cells.ConvolutionCell}
"""Wrappers of other cells, and a convolution, which remembers three steps."""
PIPELINES = [path.stem for path in pathlib.Path(__file__).parents[2].glob("pipelines/[a-z]*.py")]


def test_every_cell_has_a_name():
    named = {type(layer_of(name, 4).cell) for name in FACADES} | {getattr(rk.cells, name) for name in OTHERS.values()}
    assert named == CLASSES - NOT_FOR_A_MODEL


@pytest.mark.parametrize("name", CELLS)
def test_every_name_is_a_layer_of_any_width(name):
    layer = layer_of(name, 4)
    assert keras.ops.shape(layer(keras.ops.ones((2, 3, 5)))) == (2, 3, 4)


def test_every_pipeline_offers_all_names():
    assert len(PIPELINES) >= 10
    for pipeline in PIPELINES:
        settings = importlib.import_module(f"pipelines.{pipeline}").Settings
        if "cell" in {field.name for field in dataclasses.fields(settings)}:
            _, text = typing.get_args(typing.get_type_hints(settings, include_extras=True)["cell"])
            assert text == f"One of {', '.join(CELLS)}.", pipeline
