"""Every case of the table: exact, without a Loop, lowered as it should be."""

import pytest

from tests.export.table import CASES

MERGES = ("bidirectional-sum", "bidirectional-mul", "bidirectional-ave", "bidirectional-None")
"""What is done with two directions does not depend on the layer, so that of most is a study."""


def marks_of(name):
    return [pytest.mark.study] if name.endswith(MERGES) and not name.startswith("lstm-bi") else []


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks_of(name)) for name in CASES])
def test_exports_exactly(name, exported, op_types):
    _, path, report = exported(name)
    assert report.error <= 1e-5
    assert [row.lowering for row in report.rows] == CASES[name].lowerings
    assert all(row.error is None or row.error <= 1e-5 for row in report.rows)
    if "as traced" not in CASES[name].lowerings:
        assert "Loop" not in op_types(path)
