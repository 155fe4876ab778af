"""Every case of the table: exact, without a Loop, lowered as it should be."""

import pytest

from tests.export.table import CASES


@pytest.mark.parametrize("name", CASES)
def test_exports_exactly(name, exported, op_types):
    _, path, report = exported(name)
    assert report.error <= 1e-5
    assert [row.lowering for row in report.rows] == CASES[name].lowerings
    assert all(row.error is None or row.error <= 1e-5 for row in report.rows)
    if "as traced" not in CASES[name].lowerings:
        assert "Loop" not in op_types(path)
