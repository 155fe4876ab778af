"""Files of columns: comma-separated values, tab-separated values, and JSON lines. Errors name the line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_rnnkit.text import TextError
from keras_rnnkit.text.files import read_text

FORM = (
    "Give a .csv or .tsv file whose first line has the names of the columns, or a .jsonl file with an object per line."
)


@dataclass(frozen=True)
class Table:
    """The chosen columns of a file, as text.

    path: the file, for errors. lines: for each row the number of its line. columns: by name, the cells of the rows.
    """

    path: str
    lines: list[int]
    columns: dict[str, list[str]]

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.lines)

    def place(self, row: int, column: str) -> str:
        """The row and column of a cell, for errors."""
        return f"Line {self.lines[row]} of {self.path!r}, column {column!r}"


def read_table(path: str | Path, columns: Sequence[str]) -> Table:
    """Read columns of a file of comma-separated or tab-separated values, or of JSON lines.

    Cells may be quoted, and a quoted cell may have several lines. Semicolons separate the cells where the first line
    has semicolons and no comma. Lines without any content are skipped.

    Arguments:
        path: a file; ".tsv" and ".jsonl" are told by their names, everything else is comma-separated values.
        columns: names of the columns to read.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "rain.csv"
    >>> _ = path.write_text("day,rain,note\\n1,0.5,\\n2,7,wet\\n")
    >>> read_table(path, ["rain"]).columns
    {'rain': ['0.5', '7']}
    """
    name, text = str(path), read_text(path, FORM)
    rows = json_rows(text, name) if Path(path).suffix.lower() in (".jsonl", ".ndjson") else csv_rows(text, name)
    lines, cells_by_column = [], {column: [] for column in columns}  # type: ignore[var-annotated]
    for line, row in rows:
        lines.append(line)
        for column in columns:
            if column not in row:
                raise TextError(missing_column(name, line, column, list(row)))
            cells_by_column[column].append(row[column])
    if not lines:
        raise TextError(f"{name!r} has no row. {FORM}")
    return Table(name, lines, cells_by_column)


def missing_column(path: str, line: int, column: str, columns: list[str]) -> str:
    """A sentence about a column that is not there."""
    names = ", ".join(map(repr, columns[:20])) + (f" and {len(columns) - 20} more" if len(columns) > 20 else "")
    return f"{path!r} has no column {column!r} (line {line}). Its columns are {names}."


def csv_rows(text: str, path: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The number of the line, and the cells by column, of each row of comma-separated values."""
    first = text.split("\n", 1)[0]
    delimiter = "\t" if path.lower().endswith(".tsv") else ";" if ";" in first and "," not in first else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if header is None:
                    header = checked_header(cells, path)
                elif len(cells) != len(header):
                    raise TextError(
                        f"Line {line} of {path!r} has {len(cells)} cells, and line 1 has {len(header)} columns: "
                        f"{delimiter.join(cells)[:60]!r}. Quote cells that have a {delimiter!r} inside."
                    )
                else:
                    yield line, dict(zip(header, cells, strict=True))
            line = reader.line_num + 1
    except csv.Error as error:
        raise TextError(
            f"Line {line} of {path!r} cannot be read: {error}. Close quotes, and double those inside."
        ) from error


def checked_header(cells: list[str], path: str) -> list[str]:
    """The names of the columns, each of which must be there once."""
    names = [cell.strip() for cell in cells]
    duplicate = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if duplicate is not None:
        raise TextError(f"Line 1 of {path!r} names the column {duplicate!r} twice. Rename one of them.")
    return names


def json_rows(text: str, path: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The number of the line, and the values by name, of each object of JSON lines."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise TextError(f"Line {number} of {path!r} is no JSON: {error}. {FORM}") from error
        if not isinstance(row, dict):
            raise TextError(f"Line {number} of {path!r} is no JSON object: {line[:60]!r}. {FORM}")
        yield number, {str(name): cell_of(value) for name, value in row.items()}


def cell_of(value: Any) -> str:
    """A value of JSON as a cell of a table: nothing for null, texts as they are."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)
