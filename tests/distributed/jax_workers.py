"""A training alone or as one of two workers: `python -m tests.distributed.jax_workers RESULT [WORKERS INDEX]`.

It needs KERAS_BACKEND=jax and JAX_ENABLE_X64=1 in the environment.
"""

from __future__ import annotations

import sys

import keras
import numpy as np

import keras_rnnkit as rk

IDS = np.random.default_rng(0).integers(0, 9, size=8 * 31 + 1)


def main(path, workers=None, index=None):
    keras.config.set_dtype_policy("float64")
    keras.backend.set_floatx("float64")
    patience = {"seconds": 300, "silence": 300}
    group = rk.training.distribute("workers" if workers else None, workers, index and int(index), **patience)
    keras.utils.set_random_seed(1)
    with group.scope():
        tokens = keras.Input((None,), batch_size=group.share(8), dtype="int32")
        x = keras.layers.Embedding(9, 4)(tokens)
        x = rk.LSTM(5, return_sequences=True, stateful=True)(x)
        model = keras.Model(tokens, keras.layers.Dense(9)(x))
        optimizer = rk.training.averaging(rk.training.watched(keras.optimizers.Adam(0.01, global_clipnorm=0.1)), 0.9)
        model.compile(optimizer, rk.training.NextToken(), metrics=[rk.training.Perplexity()])
    group.prepare(model)
    logs = {}
    last = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, values: logs.update(values))
    rk.training.fit(model, rk.data.Windows(IDS, 8, 6), 10, [rk.training.GradientLog(), last], verbose=0)
    np.savez(path, *model.get_weights(), logs=[float(logs[name]) for name in sorted(logs)])
    group.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
