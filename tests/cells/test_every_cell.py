"""Every cell has a file of golden values of its own."""

import inspect
import pathlib
import re

import keras

import keras_rnnkit as rk

ABSTRACT = {rk.cells.Cell, rk.cells.GatedCell, rk.cells.InputWeightsCell, rk.cells.LinearCell, rk.cells.WrapperCell}
CELLS = {cls for cls in vars(rk.cells).values() if inspect.isclass(cls) and issubclass(cls, rk.cells.Cell)} - ABSTRACT


def test_every_public_cell_has_a_file():
    files = {path.stem for path in pathlib.Path(__file__).parent.glob("test_*.py")}
    for cls in CELLS:
        name = cls.__name__.removesuffix("Cell")
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().replace("layer_norm", "layernorm")
        assert f"test_{words.replace('batch_norm', 'batchnorm')}" in files, cls


def test_keras_finds_every_cell_of_a_file():
    for cls in CELLS:
        assert keras.saving.get_registered_object(f"keras_rnnkit>{cls.__name__}") is cls


def test_every_cell_states_its_equation_its_paper_and_an_example():
    for cls in CELLS:
        doc = inspect.getdoc(cls)
        assert re.search(r"^ {4}.* = ", doc, re.M), cls
        assert all(word in doc for word in ("Paper", "Shapes", ">>>")), cls


def test_a_cell_called_alone_drops_in_training_only():
    cell = rk.cells.GRUCell(4, dropout=0.5, recurrent_dropout=0.5, seed=1)
    x, state = keras.ops.ones((8, 3)), [keras.ops.ones((8, 4))]
    still, trained = (keras.ops.convert_to_numpy(cell(x, state, training=t)[0]) for t in (False, True))
    assert (still == still[0]).all() and (trained != trained[0]).any()
