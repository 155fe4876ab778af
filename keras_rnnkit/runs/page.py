"""The report of a run as one page of HTML that opens without a network: numbers, pictures, and how to repeat it."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_rnnkit.text.files import replacing

WIDEST_ON_A_PHONE = 7
"""Inches of a picture whose letters can still be read when it is as wide as a phone; wider ones are scrolled."""
AN_INCH_ON_A_PHONE = 70
"""Pixels for an inch of a picture that is scrolled."""
UNBROKEN = re.compile(r"\d{4}-\d\d-\d\d( [\d:]+)?|\d[\d.]*e-\d+|\d-grams [\d.]+")
"""Times, small numbers and n-grams, which a browser would break at their hyphens."""

STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --faint: #555; --line: #ddd; --box: #f5f5f5 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --paper: #16181c; --faint: #aaa; --line: #3a3d44; --box: #22252b }
}
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem }
body { color: var(--ink); background: var(--paper) }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem } h3 { font-size: 1rem; margin: 1.5rem 0 .25rem }
h1, p, figcaption { overflow-wrap: anywhere }
img { max-width: 100%; height: auto; background: #fff }
figure { margin: 1.5rem 0 } figcaption { color: var(--faint) }
summary { cursor: pointer; font-weight: 600; margin-top: 2rem }
@media (max-width: 640px) {
  .picture { overflow-x: auto }
  .picture.wide img { max-width: none; width: var(--width) }
  .picture.wide + figcaption::before { content: "The picture goes on to the right. " }
}
table { border-collapse: collapse; display: block; overflow-x: auto }
td, th { border-bottom: 1px solid var(--line); padding: .25rem .75rem .25rem 0; text-align: left; vertical-align: top }
pre { background: var(--box); overflow-x: auto; padding: .75rem; white-space: pre-wrap; overflow-wrap: anywhere }
.unbroken { white-space: nowrap }
"""


def write_page(
    folder: Path,
    title: str,
    record: dict[str, Any],
    metrics: dict[str, Any],
    pictures: Sequence[tuple[str, str]] = (),
    notes: Sequence[str] = (),
    text: str = "",
    profile: dict[str, str] | None = None,
) -> Path:
    """Write index.html into the folder of a report.

    Arguments:
        folder: the folder, which has the pictures.
        title: the heading.
        record: the content of run.json.
        metrics: numbers, texts, and dicts of numbers, by what they are of.
        pictures: names of files in the folder, each with a sentence about what it shows; those that are not there are
            left out.
        notes: sentences that the reader must see first, such as warnings.
        text: a text that the model wrote.
        profile: where the time of training went.
    """
    body = [f"<h1>{html.escape(title)}</h1>", *(f"<p><strong>{html.escape(note)}</strong></p>" for note in notes)]
    body += [f"<p>{escaped(record['data']['description'])}; begun {escaped(record['begun'])}.</p>"]
    body += ["<h2>Results</h2>", table_of(metrics)]
    if text:
        body += ["<h2>A text of the model</h2>", f"<pre>{html.escape(text)}</pre>"]
    for name, caption in pictures:
        if (folder / name).exists():
            body.append(figure_of(folder / name, caption))
    body += ["<h2>Where the time of training went</h2>", table_of(profile)] if profile else []
    for title_of_table, name in (("Settings", "settings"), ("Versions", "versions")):
        body.append(f"<details><summary>{title_of_table}</summary>{table_of(record[name])}</details>")
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    page = f"<!doctype html><html lang=en><head>{head}<title>{html.escape(title)}</title><style>{STYLE}</style></head>"
    with replacing(folder / "index.html") as temporary:
        temporary.write_text(f"{page}<body>{''.join(body)}</body></html>", encoding="utf-8")
    return folder / "index.html"


def figure_of(picture: Path, caption: str) -> str:
    """A picture as part of the page, so that the page is one file."""
    content = picture.read_bytes()
    data = base64.b64encode(content).decode()
    words = html.escape(caption)
    image = f'<img alt="{words}" src="data:image/png;base64,{data}">'
    inches = width_of(content)
    width = f'" style="--width: {AN_INCH_ON_A_PHONE * inches:.0f}px'
    kind = f"picture wide{width}" if inches > WIDEST_ON_A_PHONE else "picture"
    return f'<figure><div class="{kind}">{image}</div><figcaption>{words}</figcaption></figure>'


def width_of(png: bytes) -> float:
    """The width in inches at which a picture was drawn; 0 where the file does not say."""
    place = png.find(b"pHYs")
    pixels, per_metre = int.from_bytes(png[16:20]), int.from_bytes(png[place + 4 : place + 8])
    return pixels / per_metre / 0.0254 if place > 0 and per_metre else 0.0


def table_of(values: dict[str, Any]) -> str:
    """Names and values as a table. Dicts of dicts that have the same names are tables of their own, below it.

    >>> table_of({"perplexity": 12.3456})
    '<table><tr><td>perplexity</td><td>12.35</td></tr></table>'
    >>> table_of({"animals": {"cat": {"right": 3, "wrong": 1}}})
    '<h3>animals</h3><table><tr><th></th><th>right</th><th>wrong</th></tr><tr><td>cat</td><td>3</td><td>1</td></tr></table>'
    """
    grids = {name: value for name, value in values.items() if is_grid(value)}
    rows = [(name, value) for name, value in values.items() if name not in grids]
    tables = [rows_of(rows)] if rows else []
    for name, grid in grids.items():
        head = ["", *next(iter(grid.values()))]
        lines = [(row, *map(in_column, cells.values())) for row, cells in grid.items()]
        tables.append(f"<h3>{html.escape(str(name))}</h3>{rows_of(lines, head)}")
    return "".join(tables)


def is_grid(value: Any) -> bool:
    """Whether a value is a dict of dicts that have the same names."""
    rows = list(value.values()) if isinstance(value, dict) else []
    return bool(rows) and all(isinstance(row, dict) and row and row.keys() == rows[0].keys() for row in rows)


def rows_of(rows: Sequence[Sequence[Any]], head: Sequence[str] = ()) -> str:
    """Rows of cells as a table."""

    def line(cells: Sequence[Any], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{escaped(in_words(cell))}</{tag}>' for cell in cells)}</tr>"

    return f"<table>{line(head, 'th') if head else ''}{''.join(line(row, 'td') for row in rows)}</table>"


def escaped(text: str) -> str:
    """A text as HTML. Its lines stay lines, and what is `UNBROKEN` stays on one line.

    >>> escaped("a < 5.9e-08")
    'a &lt; <span class="unbroken">5.9e-08</span>'
    """
    words = UNBROKEN.sub(r'<span class="unbroken">\g<0></span>', html.escape(text))
    return words.replace("\n", "<br>")


def in_column(value: Any) -> Any:
    """A value of a column: all its numbers have four digits.

    >>> in_column(0.31), in_column(1107.2), in_column(3)
    ('0.3100', '1107', 3)
    """
    return f"{value:#.4g}".removesuffix(".") if isinstance(value, float) else value


def percent(value: Any, digits: int = 1) -> Any:
    """A share, or a dict of shares and of dicts, in per cent.

    >>> percent({"right": 0.984})
    {'right': '98.4%'}
    """
    if isinstance(value, dict):
        return {name: percent(share, digits) for name, share in value.items()}
    return f"{value:.{digits}%}"


def in_words(value: Any) -> str:
    """A value of a table: numbers with four digits, dicts with a line for each value, lists in one line."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        lines = (f"{name}: {in_words(item)}" for name, item in value.items())
        return "\n".join(line.replace("\n", ", ") for line in lines)
    if isinstance(value, (list, tuple)):
        return ", ".join(in_words(item) for item in value)
    return str(value)
