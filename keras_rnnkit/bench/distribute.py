"""Training on one and on two workers of this machine, one thread each; and what that says about more workers.

What is measured: a step of one worker, of two workers with as many rows each, and the sum of the gradients alone. What
is computed from it is a model, and is called so: the step of two workers without the sum, and the sum over a ring of N
workers, which sends 2 (N - 1) / N times the gradient's bytes at the bandwidth and the latency of the measured sums.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from keras_rnnkit.bench.settings import DistributeBench
from keras_rnnkit.cluster import Cluster, ClusterError
from keras_rnnkit.cluster.addresses import TF_CONFIG, local_cluster

Row = dict[str, float]


def run(settings: DistributeBench) -> list[Row]:
    """A row for each size of the model."""
    alone, pair = (measured(settings, workers) for workers in (1, 2))
    return [row_of(one, two, settings) for one, two in zip(alone, pair, strict=True)]


def measured(settings: DistributeBench, workers: int) -> list[Row]:
    """Run the workers, and return the times that they have measured."""
    s, addresses = settings, local_cluster(workers)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "steps.json"
        command = [sys.executable, "-W", "ignore", "-m", "keras_rnnkit.bench.distributed_steps", str(file), s.sizes]
        command += [str(number) for number in (s.rows, s.steps, s.repeats)]
        environments = [
            {TF_CONFIG: Cluster(addresses, i).tf_config, "CUDA_VISIBLE_DEVICES": ""} for i in range(workers)
        ]
        processes = [
            subprocess.Popen(command, env={**os.environ, **each}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            for each in environments
        ]
        errors = [process.communicate()[1] for process in processes]
        if not file.exists():
            raise ClusterError(f"The measurement failed: {errors[0].decode(errors='replace')[-1000:]}")
        return json.loads(file.read_text(encoding="utf-8"))


def row_of(one: Row, two: Row, settings: DistributeBench) -> Row:
    """Tokens per second of one and of two workers, and what the exchange costs."""
    tokens = settings.rows * settings.steps
    return {
        **two,
        "alone": one["step"],
        "tokens_1": tokens / one["step"],
        "tokens_2": 2 * tokens / two["step"],
        "share": two["sum"] / two["step"],
    }


def lines(rows: list[Row]) -> list[str]:
    """The measurement as a table, and the model of more workers."""
    header = "| units | sent in a step | of which the exchange is | tokens/s, 1 worker | 2 workers | ratio |"
    table = [header, "|---:|---:|---:|---:|---:|---:|"]
    for row in rows:
        ratio = row["tokens_2"] / row["tokens_1"]
        table.append(
            f"| {row['units']:.0f} | {row['bytes'] / 1e6:.2f} MB | {row['share']:.0%} | {row['tokens_1']:,.0f} | "
            f"{row['tokens_2']:,.0f} | {ratio:.2f} |"
        )
    return [*table, "", *model_lines(rows)]


def model_lines(rows: list[Row], counts: tuple[int, ...] = (2, 4, 8, 16, 32, 64)) -> list[str]:
    """For each number of workers, how many times faster than one they would be by the model."""
    latency, bandwidth = ring(rows)
    table = [
        f"A model, not a measurement: {bandwidth / 1e6:,.0f} MB/s and {1e3 * latency:.2f} ms a message, a ring.",
        "",
        "| units | " + " | ".join(f"{count} workers" for count in counts) + " |",
        "|---:|" + "---:|" * len(counts),
    ]
    for row in rows:
        step = max(row["alone"], row["step"] - row["sum"])  # what a step of two workers takes beside the sum
        speeds = [count * row["alone"] / (step + sum_time(row["bytes"], count, latency, bandwidth)) for count in counts]
        table.append(f"| {row['units']:.0f} | " + " | ".join(f"{speed:.1f}" for speed in speeds) + " |")
    return table


def sum_time(size: float, workers: int, latency: float, bandwidth: float) -> float:
    """Seconds of the sum of `size` bytes over a ring: 2 (N - 1) messages, each of size / N bytes.

    >>> round(sum_time(1e6, 2, latency=0.001, bandwidth=1e9), 6)
    0.003
    """
    return 2 * (workers - 1) * (latency + size / workers / bandwidth)


def ring(rows: list[Row]) -> tuple[float, float]:
    """The latency of a message and the bandwidth, fitted to the sums that two workers have measured.

    >>> latency, bandwidth = ring([{"bytes": 1e6, "sum": 0.003}, {"bytes": 2e6, "sum": 0.004}])
    >>> round(latency, 6), round(bandwidth)
    (0.001, 1000000000)
    """
    sizes, sums = np.array([row["bytes"] for row in rows]), np.array([row["sum"] for row in rows])
    columns: Any = np.stack([np.full(len(rows), 2.0), sizes], axis=1)
    latency, second_per_byte = np.linalg.lstsq(columns, sums, rcond=None)[0]
    return max(float(latency), 0.0), 1 / max(float(second_per_byte), 1e-15)
