"""One worker of `rnnkit bench distribute`: times its training steps and the sums of gradients alone.

    python -m keras_rnnkit.bench.distributed_steps FILE UNITS,UNITS ROWS STEPS REPEATS

With TF_CONFIG it joins the other workers; without, it is alone. The chief writes the file.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

import keras_rnnkit as rk

TOKENS = 64


def main(file: Path, sizes: list[int], rows: int, steps: int, repeats: int) -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    group = rk.training.distribute("workers", seconds=120)
    results = [measured(group, units, rows, steps, repeats) for units in sizes]
    if group.is_chief:
        file.write_text(json.dumps(results), encoding="utf-8")
    group.exchange("done", "ended their measurement")
    group.close()


def measured(group: Any, units: int, rows: int, steps: int, repeats: int) -> dict[str, float]:
    """Medians for a language model of one LSTM: a step, and the sum of as many numbers as its gradients have."""
    keras.utils.set_random_seed(0)
    with group.scope():
        layers = [rk.LSTM(units, return_sequences=True), keras.layers.Dense(TOKENS)]
        one_hot = keras.layers.CategoryEncoding(TOKENS, output_mode="one_hot")
        model = keras.Sequential([keras.Input((steps,), dtype="int32"), one_hot, *layers])
        model.compile(keras.optimizers.SGD(0.01, global_clipnorm=1.0), rk.training.NextToken())
    group.prepare(model)
    x = np.random.default_rng(0).integers(0, TOKENS, size=(rows * group.workers * (repeats + 2), steps), dtype=np.int32)
    timing = StepTimes()
    model.fit(x, x, batch_size=rows * group.workers, shuffle=False, verbose=0, callbacks=[timing])
    weights = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    return {
        "units": units,
        "bytes": 4 * weights,
        "step": float(np.median(timing.seconds[2:])),
        "sum": summing_time(group.strategy, model.trainable_weights, repeats),
    }


class StepTimes(keras.callbacks.Callback):
    """The seconds of each step."""

    def on_train_begin(self, logs=None):
        self.seconds: list[float] = []
        self.last = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        now = time.perf_counter()
        self.seconds.append(now - self.last)
        self.last = now


def summing_time(strategy: Any, weights: list[Any], repeats: int) -> float:
    """The median time of summing tensors of the shapes of these weights over all workers."""
    import tensorflow as tf

    shapes = [tuple(weight.shape) for weight in weights]

    @tf.function
    def step():
        def sums():
            tensors = [tf.random.uniform(shape) for shape in shapes]
            totals = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tensors)
            return tf.add_n([tf.reduce_sum(total) for total in totals])

        return strategy.run(sums)

    times = []
    for _ in range(repeats + 2):
        began = time.perf_counter()
        float(strategy.experimental_local_results(step())[0])
        times.append(time.perf_counter() - began)
    return float(np.median(times[2:]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(units) for units in sys.argv[2].split(",")], *map(int, sys.argv[3:]))
