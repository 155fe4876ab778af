"""Every cell has a file of golden values of its own."""

import inspect
import pathlib
import re

import keras_rnnkit as rk


def test_every_public_cell_has_a_file():
    abstract = {rk.cells.Cell, rk.cells.GatedCell, rk.cells.LinearCell, rk.cells.WrapperCell}
    public = {cls for cls in vars(rk.cells).values() if inspect.isclass(cls) and issubclass(cls, rk.cells.Cell)}
    files = {path.stem for path in pathlib.Path(__file__).parent.glob("test_*.py")}
    for cls in public - abstract:
        name = cls.__name__.removesuffix("Cell")
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().replace("layer_norm", "layernorm")
        assert f"test_{words.replace('batch_norm', 'batchnorm')}" in files, cls


def test_every_cell_states_its_equation_its_paper_and_an_example():
    abstract = {rk.cells.Cell, rk.cells.GatedCell, rk.cells.LinearCell, rk.cells.WrapperCell}
    public = {cls for cls in vars(rk.cells).values() if inspect.isclass(cls) and issubclass(cls, rk.cells.Cell)}
    for cls in public - abstract:
        doc = inspect.getdoc(cls)
        assert re.search(r"^ {4}.* = ", doc, re.M), cls
        assert all(word in doc for word in ("Paper", "Shapes", ">>>")), cls
