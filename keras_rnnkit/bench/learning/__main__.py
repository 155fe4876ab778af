"""The command: trains what is missing in a file of results, and prints the table."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_rnnkit.bench.learning import chart, tasks
from keras_rnnkit.bench.learning.contenders import CONTENDERS, network, width_of
from keras_rnnkit.bench.train import where

TASKS = ("characters", "adding 200", "copying 200", "adding 1000", "copying 1000")
SMALL = 64
"""Units of the LSTM in the tasks of memory; characters are read by one with 128."""


@dataclass(frozen=True)
class Row:
    """One contender in one task. score: bits, squared error or share of right tokens, as `unit` says.

    epoch: seconds of all processors together for the task's epoch. For characters that is the whole text once.
    """

    task: str
    name: str
    seed: int
    steps: int
    units: int
    weights: int
    score: float
    unit: str
    epoch: float


def main(arguments: list[str] | None = None) -> None:
    options = parsed(arguments)
    rows = read(options.json) if options.json.exists() else []
    for file in options.add:
        rows = merged(rows, read(file))
        write(options.json, rows)
    check_steps(options, rows)
    for task_name, name in missing(options, rows):
        print(f"{task_name}: {name}", flush=True)
        rows.append(measured(task_name, name, options))
        write(options.json, rows)
    for line in lines(rows):
        print(line)
    if options.chart:
        chart.draw(rows, options.chart)


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m keras_rnnkit.bench.learning", description=__doc__)
    parser.add_argument("--json", type=Path, required=True, help="results; those that it holds are not trained again")
    parser.add_argument(
        "--add", type=Path, action="append", default=[], help="take the results of another file, in place of older ones"
    )
    parser.add_argument("--data", type=Path, help="a text for the characters; without one they are left out")
    parser.add_argument("--steps", type=int, default=500, help="training steps of 16 rows, of every contender")
    parser.add_argument("--tasks", default=",".join(TASKS), help="tasks with commas; '' trains nothing")
    parser.add_argument("--only", default=",".join(CONTENDERS), help="contenders with commas")
    parser.add_argument("--seed", type=int, default=1, help="of the weights and of the data")
    parser.add_argument("--chart", type=Path, help="draw bits against time into this file (.svg or .png)")
    return parser.parse_args(arguments)


def read(path: Path) -> list[Row]:
    return [Row(**row) for row in json.loads(path.read_text(encoding="utf-8"))["rows"]]


def merged(rows: list[Row], new: list[Row]) -> list[Row]:
    """The rows of both. A new row takes the place of an older one of the same task, contender and seed."""
    by_key = {(row.task, row.name, row.seed): row for row in (*rows, *new)}
    return list(by_key.values())


def check_steps(options, rows: list[Row]) -> None:
    """A table compares contenders after the same number of steps."""
    other = {row.steps for row in rows if row.task in options.tasks.split(",")} - {options.steps}
    if other:
        raise SystemExit(
            f"{options.json} has results after {min(other)} steps. Received: --steps {options.steps}. Write to another "
            "file, or leave that task out of --tasks."
        )


def missing(options, rows: list[Row]) -> Iterator[tuple[str, str]]:
    done = {(row.task, row.name, row.seed) for row in rows}
    for task_name in filter(None, options.tasks.split(",")):
        for name in options.only.split(","):
            skipped = task_name == "characters" and options.data is None
            if not skipped and (task_name, name, options.seed) not in done:
                yield task_name, name


def task_of(name: str, options) -> tuple[tasks.Task, int]:
    """A task, and the units of its LSTM."""
    rng = np.random.default_rng(options.seed)
    if name == "characters":
        return tasks.characters(options.data.read_text(encoding="utf-8"), options.steps, rng), 2 * SMALL
    kind, length = name.split()
    return {"adding": tasks.adding, "copying": tasks.copying}[kind](int(length), options.steps, rng), SMALL


def measured(task_name: str, name: str, options) -> Row:
    task, base_units = task_of(task_name, options)
    units = width_of(name, task.head, base_units)
    keras.utils.set_random_seed(options.seed)
    model = network(name, task.head, units)
    rate = keras.optimizers.schedules.CosineDecay(2e-3, options.steps)
    model.compile(keras.optimizers.Adam(rate, global_clipnorm=1.0), task.loss, jit_compile=False)
    spent = trained(model, task)
    seconds = spent / (options.steps - 1) * task.steps_of_epoch
    return Row(
        task_name, name, options.seed, options.steps, units, model.count_params(), task.score(model), task.unit, seconds
    )


def trained(model: keras.Model, task: tasks.Task) -> float:
    """Trains the model; the seconds of all processors together, without the first step, which compiles."""
    x, y = task.train
    model.train_on_batch(x[: task.rows], y[: task.rows])
    rest = range(task.rows, len(x), task.rows)
    begin = time.process_time()
    for i in rest:
        model.train_on_batch(x[i : i + task.rows], y[i : i + task.rows])
    return time.process_time() - begin


def write(path: Path, rows: list[Row]) -> None:
    temporary = path.with_suffix(".part")
    content: dict[str, Any] = {"machine": where(), "rows": [asdict(row) for row in rows]}
    temporary.write_text(json.dumps(content, indent=2), encoding="utf-8")
    temporary.replace(path)


def lines(rows: list[Row]) -> Iterator[str]:
    """A table for each task, best first."""
    for task_name in dict.fromkeys(row.task for row in rows):
        of_task = [row for row in rows if row.task == task_name]
        best_first = sorted(of_task, key=lambda row: row.score, reverse=of_task[0].unit == "right")
        yield f"{task_name}, {of_task[0].steps} steps"
        for row in best_first:
            yield (
                f"  {row.name:<14} {row.score:7.4f} {row.unit:<6} {row.epoch:8.1f} s of all processors an epoch"
                f"  {row.units} units, {row.weights:,} weights, seed {row.seed}"
            )


if __name__ == "__main__":
    main()
