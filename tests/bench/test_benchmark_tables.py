"""docs/benchmarks/tables.py and cell_tables.py: the tables of the pages come from the result files."""

import json
import runpy
from dataclasses import asdict
from pathlib import Path

import pytest

from keras_rnnkit.bench.train import Measured, Result
from keras_rnnkit.timing import Times

ROOT = Path(__file__).parents[2]
PAGE = "before\n<!-- table t.json -->\nold\n<!-- end -->\nafter <!-- table missing.json -->\nkept\n<!-- end -->\n"


@pytest.fixture
def tables():
    return runpy.run_path(str(ROOT / "docs/benchmarks/tables.py"))["tables"]


def test_a_table_replaces_what_stands_in_its_place(tables, tmp_path):
    times = {"stock": Times(4.0, 3.0, 5.0), "ours": Times(2.0, 1.5, 2.5), "torch": Times(3.0, 3.0, 3.0)}
    rows = [
        Measured("row", times, {"stock": 1e-6, "ours": 2e-6}, {"ours": 2.0}, 0.5),
        Measured("wrong", {}, {}, {}, None, "wrong: gradients differ"),
    ]
    result = Result("a machine", 0.1, 2e11, False, 12, rows, {"ours": [1.0, 3.0, 2.0]}, {})
    (tmp_path / "t.json").write_text(json.dumps(asdict(result)))
    page = tables(PAGE, tmp_path)
    assert "| row | 4 (3 to 5) | 2 (1.5 to 2.5) | **2.00** | 1.50 | 1e-06 | 2e-06 | 50% |" in page
    assert "a machine. Medians of 12 turns" in page and "200 GF/s" in page
    assert "Not timed: wrong: gradients differ" in page and "ours: 2.00 s (1.00 to 3.00)" in page
    assert page.startswith("before\n") and "old" not in page and "\nkept\n" in page
    assert tables(page, tmp_path) == page


def test_the_page_has_places_for_the_result_files(tables, tmp_path):
    text = (ROOT / "docs/benchmarks/README.md").read_text(encoding="utf-8")
    assert text.count("<!-- table ") == text.count("<!-- end -->") == 5
    assert tables(text, tmp_path) == text


def test_the_tables_of_cells_are_those_of_the_result_files():
    """A page whose numbers are not those of the files beside it fails here; `cell_tables.py` writes them."""
    written = runpy.run_path(str(ROOT / "docs/benchmarks/cell_tables.py"))["tables"]
    text = (ROOT / "docs/cells.md").read_text(encoding="utf-8")
    assert text.count("<!-- table ") == text.count("<!-- end -->") == 5
    assert written(text) == text
    assert written(text.replace("525,312", "525,313")) == text
