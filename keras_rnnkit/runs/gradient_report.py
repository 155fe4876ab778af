"""What is said about networks whose gradients were measured: tables of their losses, and those of the report."""

from __future__ import annotations

from typing import Any

from rich.table import Table


def table_of(metrics: dict[str, Any], task: str) -> Table:
    """The best loss of each network on a task, for the console."""
    title, rows = rows_of(metrics, task)
    table = Table(title="\n".join(title), box=None, header_style="bold")
    for column in ("", *next(iter(rows.values()), {})):
        table.add_column(column)
    for network, cells in rows.items():
        table.add_row(network, *cells.values())
    return table


def results(metrics: dict[str, Any]) -> dict[str, Any]:
    """The numbers of the report, by what they are of."""
    tables: dict[str, Any] = {}
    for task in ("adding", "copying"):
        title, rows = rows_of(metrics, task)
        tables["; ".join(title)] = rows
    if "starts" in metrics:
        of = f"{metrics['start task']}, {metrics['held out']:,} held-out sequences: other ways to begin"
        tables[of] = {name: {"last MSE": f"{loss:.4f}"} for name, loss in metrics["starts"].items()}
    tables["largest difference of onnxruntime from Keras, 64 held-out sequences"] = metrics["export_error"]
    return tables


def rows_of(metrics: dict[str, Any], task: str) -> tuple[list[str], dict[str, dict[str, str]]]:
    """Two lines about a task, and for each network how far its gradient reached, its best loss and a verdict."""
    of = metrics[task]
    unit, solved = of["unit"], of["solved"]
    title = [
        f"{of['task']}, {metrics['held out']:,} held-out sequences",
        f"{of['baseline']:.3f} {unit} without a memory, solved below {of['target']:.3f}",
    ]
    rows = {
        name: {
            "reach before training": f"lag {metrics['reach'][name]}",
            f"best {unit}": "diverged" if loss is None else f"{loss:.4f}",
            "verdict": "solved" if name in solved else "not solved",
        }
        for name, loss in of["loss"].items()
    }
    return title, rows


def panel(task, losses: dict[str, list[float]], batches: int) -> dict[str, Any]:
    """What a chart of the losses of a task shows."""
    return {"losses": losses, "batches": batches, "unit": task.unit, "baseline": task.baseline, "target": task.target}
