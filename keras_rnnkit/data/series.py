"""Series of numbers: read from files of columns, with a sentence for every gap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from keras_rnnkit.data.tables import Table, read_table
from keras_rnnkit.text import TextError

MISSING = ("", "na", "n/a", "nan", "null", "none", ".")
"""Cells that mean that there is no number, in any case of letters."""

GAPS = ("refuse", "interpolate")

IRREGULAR = 0.3
"""The largest distance of a time from a whole number of steps, in steps. Months and years stay below it."""


@dataclass(frozen=True)
class Series:
    """A series, one number for each step of time.

    Arguments:
        name: what it is called in reports.
        values: the numbers [T].
        covariates: what is known at the same steps besides [T, C]; C may be 0.
        observed: which of the values [T] were measured; the others were filled in, and no forecast is judged by them.
    """

    name: str
    values: np.ndarray
    covariates: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    observed: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))

    def __post_init__(self):
        if not self.covariates.size:
            object.__setattr__(self, "covariates", np.zeros((len(self.values), 0)))
        if not self.observed.size:
            object.__setattr__(self, "observed", np.ones(len(self.values), bool))

    def __len__(self) -> int:
        """The number of steps."""
        return len(self.values)

    @property
    def channels(self) -> np.ndarray:
        """The values and, beside them, the covariates [T, 1 + C]."""
        return np.concatenate([self.values[:, None], self.covariates], axis=1)


def read_series(
    path: str | Path,
    targets: Sequence[str],
    time: str | None = None,
    series: str | None = None,
    covariates: Sequence[str] = (),
    gaps: str = "refuse",
) -> list[Series]:
    """The series of a file of columns.

    Arguments:
        path: a file as `read_table` reads it.
        targets: columns of numbers; each is a series.
        time: a column of numbers or of ISO dates, which must rise by equal steps. Without it every line is a step.
        series: a column with the name of the series that a line belongs to, where the file has several, one below
            another.
        covariates: columns of numbers that are known together with the targets.
        gaps: "refuse" makes a missing number or time an error; "interpolate" fills it by a straight line between its
            neighbours. Missing numbers at the beginning or the end of a target are left out.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "rain.csv"
    >>> _ = path.write_text("day,rain\\n2024-01-01,1\\n2024-01-02,2\\n2024-01-03,3\\n2024-01-05,5\\n2024-01-06,6\\n")
    >>> [rain] = read_series(path, ["rain"], time="day", gaps="interpolate")
    >>> rain.values.tolist(), rain.observed.tolist()
    ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [True, True, True, False, True, True])
    """
    if gaps not in GAPS:
        raise TextError(f"gaps must be one of {', '.join(GAPS)}. Received: {gaps!r}.")
    names = [*targets, *covariates, *([time] if time else []), *([series] if series else [])]
    table = read_table(path, list(dict.fromkeys(names)))
    return [
        series_of(table, rows, target, time, covariates, gaps, group)
        for group, rows in groups_of(table, series).items()
        for target in targets
    ]


def groups_of(table: Table, series: str | None) -> dict[str, list[int]]:
    """The rows of each series."""
    if series is None:
        return {"": list(range(len(table)))}
    groups: dict[str, list[int]] = {}
    for row, name in enumerate(table.columns[series]):
        if not name.strip():
            raise TextError(f"{table.place(row, series)}, is empty, and must name the series of the line.")
        groups.setdefault(name.strip(), []).append(row)
    return groups


def series_of(
    table: Table, rows: list[int], target: str, time: str | None, covariates: Sequence[str], gaps: str, group: str
) -> Series:
    """One series, from its rows."""
    places = steps_of(table, rows, time, gaps) if time else np.arange(len(rows))
    columns = np.full((1 + len(covariates), places[-1] + 1), np.nan)
    for column, name in zip(columns, [target, *covariates], strict=True):
        column[places] = [number_of(table, row, name, gaps) for row in rows]
    observed = np.isfinite(columns[0])
    if not observed.any():
        raise TextError(f"Column {target!r} of {table.path!r} has no number{f' for {group!r}' if group else ''}.")
    first, last = np.flatnonzero(observed)[[0, -1]]
    filled = np.stack([interpolated(column, table.path) for column in columns])[:, first : last + 1]
    name = ": ".join(filter(None, [group, target]))
    return Series(name, filled[0], filled[1:].T, observed[first : last + 1])


def number_of(table: Table, row: int, column: str, gaps: str) -> float:
    """The number in a cell; NaN where there is none and gaps may be filled."""
    cell = table.columns[column][row].strip()
    if cell.lower() in MISSING:
        if gaps == "refuse":
            raise TextError(
                f"{table.place(row, column)}, has no number: {cell!r}. Fill it in, or fill all gaps by straight lines "
                "with --gaps interpolate."
            )
        return math.nan
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise TextError(f"{table.place(row, column)}, must be a number. Received: {cell[:40]!r}.")
    return number


def steps_of(table: Table, rows: list[int], column: str, gaps: str) -> np.ndarray:
    """The number of the step of each row, by its time."""
    times = np.array([time_of(table, row, column) for row in rows])
    differences = np.diff(times)
    back = np.flatnonzero(differences <= 0)
    if back.size:
        row = rows[back[0] + 1]
        raise TextError(
            f"{table.place(row, column)}, is {table.columns[column][row]!r} and does not come after the time of the "
            "row before. Sort the lines by time; where the file has several series, name their column with --series."
        )
    if len(times) < 3:
        return np.arange(len(times))
    steps = differences / np.median(differences)
    counts = np.round(steps).astype(int)
    uneven = np.flatnonzero((np.abs(steps - counts) > IRREGULAR) | (counts < 1))
    if uneven.size:
        row = rows[uneven[0] + 1]
        raise TextError(
            f"{table.place(row, column)}, is {steps[uneven[0]]:.2g} times the usual step after the row before. Times "
            "must rise by equal steps: give a series that was resampled to them."
        )
    if gaps == "refuse" and counts.max() > 1:
        place = int(np.argmax(counts > 1))
        raise TextError(
            f"{table.place(rows[place + 1], column)}: {counts[place] - 1} times before it are missing. Add them, or "
            "fill all gaps by straight lines with --gaps interpolate."
        )
    return np.concatenate([[0], np.cumsum(counts)])


def time_of(table: Table, row: int, column: str) -> float:
    """A time as a number: what the cell has, or the seconds of a date."""
    cell = table.columns[column][row].strip()
    try:
        return float(cell)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(cell)
    except ValueError:
        raise TextError(
            f"{table.place(row, column)}, must be a number or a date such as 2024-12-31 or 2024-12-31T23:59. "
            f"Received: {cell[:40]!r}."
        ) from None
    # Without a zone all times count as of one zone without summer time, so that every day has the same length.
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()


def interpolated(column: np.ndarray, path: str = "") -> np.ndarray:
    """Numbers with their gaps filled by straight lines.

    >>> interpolated(np.array([1.0, np.nan, 3.0])).tolist()
    [1.0, 2.0, 3.0]
    """
    present = np.isfinite(column)
    if not present.any():
        raise TextError(f"A column of {path!r} has no number.")
    return np.interp(np.arange(len(column)), np.flatnonzero(present), column[present])
