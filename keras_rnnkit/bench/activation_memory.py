"""Memory that a training step needs beyond its inputs and weights, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

CONTENDERS = {
    "stock": "keras.layers.LSTM(units)",
    "ours": "rk.LSTM(units)",
    "ours, checkpoint": "rk.LSTM(units, memory='checkpoint')",
}
"""Expressions of Python that make the layers."""
SCRIPT = """
import sys
import keras, numpy as np, tensorflow as tf
import keras_rnnkit as rk
batch, steps, features, units = map(int, sys.argv[2:])
layer = eval(sys.argv[1])
layer.build((None, None, features))
x = tf.constant(np.random.default_rng(0).normal(size=(batch, steps, features)).astype("float32"))
@tf.function
def step(x):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x, training=True))
    return tape.gradient(loss, [v.value for v in layer.trainable_variables])
def resident(field):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(field))
step(x)  # what tracing and compiling need is not counted
open("/proc/self/clear_refs", "w").write("5")  # the peak begins anew
before = resident("VmRSS")
step(x)
print((resident("VmHWM") - before) / 1024)
"""


def of_all(sizes: tuple[int, ...]) -> dict[str, float]:
    """For each contender the MB at the peak of a training step of an LSTM that returns its last output."""
    return {name: megabytes(make, sizes) for name, make in CONTENDERS.items()}


def megabytes(make: str, sizes: tuple[int, ...], freed_at: int = 65536) -> float:
    """MB at the peak of a training step of the layer that the expression `make` gives for `units`.

    freed_at: bytes from which a freed array goes back to the system. Smaller ones stay with the process, so that the
    peak of later steps does not show them: choose fewer than those of the arrays of a step of a loop.
    """
    command = [sys.executable, "-c", SCRIPT, make, *map(str, sizes)]
    # Arrays that are freed must go back to the system at once; the allocator that comes with oneDNN keeps them.
    returned = {"MALLOC_MMAP_THRESHOLD_": str(freed_at), "TF_ENABLE_ONEDNN_OPTS": "0"}
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow", **returned}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"The memory of {make} was not measured: {done.stderr[-2000:]}")
    return float(done.stdout.split()[-1])
