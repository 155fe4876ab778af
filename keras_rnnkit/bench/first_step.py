"""Seconds from the call of `model.fit` to the end of its first step, in a process that has compiled nothing yet."""

from __future__ import annotations

import os
import subprocess
import sys

SCRIPT = """
import sys, time
import keras, numpy as np
import keras_rnnkit as rk
units, batch, steps, tokens = map(int, sys.argv[2:])
layer = {"stock": keras.layers.LSTM, "ours": rk.LSTM}[sys.argv[1]]
model = keras.Sequential([keras.Input((steps,), dtype="int32"), keras.layers.Embedding(tokens, units),
    layer(units, return_sequences=True), layer(units, return_sequences=True), keras.layers.Dense(tokens)])
model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
x = np.zeros((batch, steps), "int32")
began = time.perf_counter()
model.fit(x, x, batch_size=batch, verbose=0)
print(time.perf_counter() - began)
"""


def first_steps(repeats: int, quick: bool) -> dict[str, list[float]]:
    """For stock and ours, the seconds of each process; they take turns."""
    sizes = (8, 4, 18, 11) if quick else (128, 50, 50, 96)
    found: dict[str, list[float]] = {"stock": [], "ours": []}
    for _ in range(repeats):
        for name, seconds in found.items():
            seconds.append(first_step(name, sizes))
    return found


def first_step(name: str, sizes: tuple[int, ...]) -> float:
    command = [sys.executable, "-c", SCRIPT, name, *map(str, sizes)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
    if done.returncode:
        raise RuntimeError(f"The first step of {name} failed: {done.stderr[-2000:]}")
    return float(done.stdout.split()[-1])
