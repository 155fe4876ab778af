"""Draws the pictures of README and the guides as SVG, with the standard library alone.

python docs/pictures/draw.py road                    # docs/pictures/road.svg: from a model to a server
rnnkit bench export --json bench.json
python docs/pictures/draw.py speed bench.json        # docs/pictures/onnx_speed.svg: our ONNX files beside Keras' own
python docs/pictures/draw.py training docs/benchmarks/train.json   # docs/pictures/training_speed.svg: a training step
"""

from __future__ import annotations

import json
import re
import sys
from html import escape
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

STYLE = """
  text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; font-size: 17px; fill: #1f2328 }
  .title { font-size: 20px; font-weight: 600 }
  .quiet { font-size: 16px; fill: #59636e }
  .box { fill: #eef2ff; stroke: #4f5bd5 }
  .line { stroke: #59636e; stroke-width: 1.5; fill: none }
  .ours { fill: #4f5bd5 } .stock { fill: #b6bcc5 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6e8eb } .quiet { fill: #a3adb8 } .box { fill: #262b45; stroke: #8b95f6 }
    .line { stroke: #a3adb8 } .ours { fill: #8b95f6 } .stock { fill: #59636e }
  }
"""


def text(x: float, y: float, content: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{escape(content)}</text>'


def picture(width: int, height: int, description: str, shapes: list[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    label = escape(description, quote=True)
    body = "\n".join(shapes)
    return f'{head} role="img" aria-label="{label}">\n<style>{STYLE}</style>\n{body}\n</svg>\n'


# ---------------------------------------------------------------------- the road

ROAD = [
    ("model", ["any Keras model with recurrent layers,", "trained with model.fit"], "rk.export_bundle"),
    (
        "graph",
        ["ONNX with native LSTM, GRU and RNN,", "compared with Keras before it is written"],
        "files and manifest",
    ),
    ("bundle", ["sequence.onnx, step.onnx, generate.onnx,", "a SavedModel, the vocabulary"], "rk.runtime.load"),
    ("server", ["rnnkit serve: HTTP, streams, text;", "NumPy and onnxruntime, no TensorFlow"], None),
]


def road() -> str:
    """Four boxes from top to bottom, readable on a narrow screen too."""
    shapes, step, height = [], 118, 72
    for number, (name, lines, arrow) in enumerate(ROAD):
        y = 10 + number * step
        shapes.append(f'<rect x="10" y="{y}" width="130" height="{height}" rx="10" class="box"/>')
        shapes.append(text(75, y + 43, name, "title", "middle"))
        shapes += [text(165, y + 30 + 26 * i, line) for i, line in enumerate(lines)]
        if arrow:
            top, tip = y + height + 4, y + step - 4
            shapes.append(f'<path d="M75 {top}V{tip}m-6 -8l6 8l6 -8" class="line"/>')
            shapes.append(text(165, y + height + 29, arrow, "quiet"))
    description = "A Keras model becomes a checked ONNX graph, a bundle of files, and a model on a server."
    return picture(560, 10 + 4 * step - (step - height) + 10, description, shapes)


# ---------------------------------------------------------------------- the speed of exported graphs

LEFT, SPAN, STEP = 200, 330, 62
"""Where bars begin, the width of the longest, and the distance from one pair to the next."""


def speed(results: dict[str, Any]) -> str:
    """A pair of bars a model: its median time in Keras' own ONNX file and in ours, for every row that was measured.

    The step of a stream is left out, because it is measured beside bare operators and not beside Keras' export.
    """
    rows = [row for row in results["rows"] if not row["model"].startswith("step of")]
    longest = max(times[0] for row in rows for times in (row["stock"], row["ours"]) if times)
    shapes = [*legend("stock", "model.export of Keras", 10), *legend("ours", "rk.export_onnx", 260)]
    for number, row in enumerate(rows):
        shapes += pair_of_bars(row, 56 + number * STEP, longest)
    bottom, settings = 56 + len(rows) * STEP, results["settings"]
    measured = f"batch {settings['batch']}, {settings['steps']} steps, {settings['units']} units; shorter is faster"
    machine = results["machine"].split(", tensorflow")[0]
    shapes += [text(10, bottom + 18, measured, "quiet"), text(10, bottom + 42, machine, "quiet")]
    ratios = "; ".join(f"{row['model']} {row['ratio']:.2f} times as fast" for row in rows if row["stock"])
    return picture(660, bottom + 60, f"Our ONNX files beside those of model.export: {ratios}.", shapes)


def legend(kind: str, label: str, x: float) -> list[str]:
    return [f'<rect x="{x}" y="14" width="18" height="18" rx="3" class="{kind}"/>', text(x + 26, 29, label)]


def pair_of_bars(row: dict[str, Any], y: float, longest: float) -> list[str]:
    shapes = [text(LEFT - 14, y + 28, row["model"], "", "end")]
    for kind in ("stock", "ours"):
        top = y if kind == "stock" else y + 23
        if row[kind] is None:
            shapes.append(text(LEFT, top + 16, "fails", "quiet"))
            continue
        median = row[kind][0]
        width = max(2.0, SPAN * median / longest)
        ratio = f", {row['ratio']:.{1 if row['ratio'] >= 2 else 2}f}x" if kind == "ours" and row["stock"] else ""
        shapes.append(f'<rect x="{LEFT}" y="{top:g}" width="{width:.1f}" height="20" rx="3" class="{kind}"/>')
        milliseconds = f"{median:.0f}" if median >= 100 else f"{median:.2g}"
        shapes.append(text(LEFT + width + 8, top + 16, f"{milliseconds} ms{ratio}", "quiet"))
    return shapes


# ---------------------------------------------------------------------- the speed of training

SHAPE = re.compile(r"(LSTM|GRU) B=(\d+) T=(\d+) F=\d+ U=(\d+)")


def training(results: dict[str, Any]) -> str:
    """A pair of bars a row of the LSTM and the GRU: the median times of a training step, each pair on its own scale."""
    rows = [(SHAPE.fullmatch(row["name"]), row) for row in results["rows"]]
    rows = [(shape, row) for shape, row in rows if shape]
    shapes, ratios = [*legend("stock", "stock Keras", 10), *legend("ours", "rk.LSTM, rk.GRU", 200)], []
    for number, (shape, row) in enumerate(rows):
        stock, ours = row["times"]["stock"], row["times"]["ours"]
        label, ratio = f"{shape[1]}, {shape[2]} x {shape[3]}, {shape[4]}", row["ratios"]["ours"]
        pair = {"model": label, "stock": stock, "ours": ours, "ratio": ratio}
        shapes += pair_of_bars(pair, 56 + number * STEP, max(stock[0], ours[0]))
        ratios.append(f"{label} units {ratio:.2f} times as fast")
    bottom = 56 + len(rows) * STEP
    measured = "rows x steps, units; each pair on its own scale; shorter is faster"
    shapes += [text(10, bottom + 18, measured, "quiet")]
    shapes += [text(10, bottom + 42, results["machine"].split(", torch")[0], "quiet")]
    return picture(660, bottom + 60, f"A training step beside stock Keras: {'; '.join(ratios)}.", shapes)


def main(arguments: list[str]) -> None:
    if arguments == ["road"]:
        (HERE / "road.svg").write_text(road(), encoding="utf-8")
    elif len(arguments) == 2 and arguments[0] == "speed":
        results = json.loads(Path(arguments[1]).read_text(encoding="utf-8"))
        (HERE / "onnx_speed.svg").write_text(speed(results), encoding="utf-8")
    elif len(arguments) == 2 and arguments[0] == "training":
        results = json.loads(Path(arguments[1]).read_text(encoding="utf-8"))
        (HERE / "training_speed.svg").write_text(training(results), encoding="utf-8")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
