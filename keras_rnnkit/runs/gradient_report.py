"""What is said about networks whose gradients were measured: tables of their losses, and the rows of the report."""

from __future__ import annotations

from typing import Any

from rich.table import Table


def table_of(task, metrics: dict[str, Any], reaches: dict[str, int]) -> Table:
    """The best loss of each network on a task."""
    title = f"{task.name}: {task.baseline:.3f} {task.unit} without a memory, solved below {task.target:.3f}"
    table = Table(
        "", "reach before training", f"{task.unit} on held-out", "", box=None, header_style="bold", title=title
    )
    for network, loss in metrics["loss"].items():
        verdict = "solved" if network in metrics["solved"] else "not solved"
        number = "diverged" if loss is None else f"{loss:.4f}"
        table.add_row(network, f"lag {reaches[network]}", number, verdict)
    return table


def results(metrics: dict[str, Any]) -> dict[str, Any]:
    """The numbers of the report, by what they are of."""
    rows: dict[str, Any] = {}
    for name, lag in metrics["reach"].items():
        rows[f"{name}: last lag with a thousandth of the gradient, untrained"] = f"{lag}"
    for task in (metrics["adding"], metrics["copying"]):
        for name, loss in task["loss"].items():
            verdict = "solved" if name in task["solved"] else "not solved"
            number = "diverged" if loss is None else f"{loss:.4f}"
            rows[f"{task['task']}, {name}: best {task['unit']} on held-out sequences"] = f"{number}, {verdict}"
    for name, loss in metrics.get("starts", {}).items():
        rows[f"{metrics['start task']}, {name}: last MSE"] = f"{loss:.4f}"
    return rows


def panel(task, losses: dict[str, list[float]], batches: int) -> dict[str, Any]:
    """What a chart of the losses of a task shows."""
    return {"losses": losses, "batches": batches, "unit": task.unit, "baseline": task.baseline, "target": task.target}
