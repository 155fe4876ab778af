"""A stateful language model on a group of workers, for kills: `python -m tests.distributed.kills FOLDER`.

The process kills or stops itself at a place that FOLDER/fault.json names, once. The weights end in FOLDER/resultI.npz.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from pathlib import Path

import keras
import numpy as np

import keras_rnnkit as rk

IDS = np.random.default_rng(0).integers(0, 9, size=8 * 49 + 1)
SETTINGS = {"units": 5}


def main(folder: Path) -> None:
    keras.config.set_dtype_policy("float64")
    keras.backend.set_floatx("float64")
    engine = "workers" if os.environ.get("TF_CONFIG") else None
    group = rk.training.distribute(engine, settings=SETTINGS, seconds=300, silence=300)
    keras.utils.set_random_seed(1)
    with group.scope():
        tokens = keras.Input((None,), batch_size=group.share(8), dtype="int32")
        x = keras.layers.Embedding(9, 4)(tokens)
        x = rk.LSTM(5, return_sequences=True, stateful=True)(x)
        model = keras.Model(tokens, keras.layers.Dense(9)(x))
        optimizer = rk.training.averaging(rk.training.watched(keras.optimizers.Adam(0.01, global_clipnorm=0.1)), 0.9)
        model.compile(optimizer, rk.training.NextToken())
    group.prepare(model)
    place = group.resume(model, folder / "training.ckpt", SETTINGS)
    print("place", place and (place["epoch"], place["batch"]), flush=True)
    keeper = group.checkpoint(folder / "training.ckpt", SETTINGS, every=2, place=place)
    fault = Fault(folder, group.index)
    held_out = rk.data.Windows(IDS[:200], 8, 6).dataset()
    windows = rk.data.Windows(IDS, 8, 6)
    callbacks = [rk.training.GradientLog(), keeper, fault]
    rk.training.fit(model, windows, 3, callbacks, place=place, validation_data=held_out, verbose=0)
    np.savez(folder / f"result{group.index}.npz", *model.get_weights(), *rk.training.carried_states(model))
    (folder / f"history{group.index}.json").write_text(json.dumps(keeper.history))
    group.close()


class Fault(keras.callbacks.Callback):
    """Ends or stops this process once, at the place that the file of the fault names."""

    def __init__(self, folder: Path, index: int):
        super().__init__()
        path = folder / "fault.json"
        fault = json.loads(path.read_text()) if path.exists() else {}
        self.fault = fault if fault.get("worker") == index and os.environ.get("RNNKIT_ATTEMPT") == "0" else {}
        self.steps = 0
        if self.fault.get("where") == "writing":
            self.break_writing(self.fault["step"])

    def strike(self):
        os.kill(os.getpid(), getattr(signal, self.fault.get("signal", "SIGKILL")))

    def on_train_batch_begin(self, batch, logs=None):
        if self.fault.get("where") == "step" and self.steps == self.fault["step"]:
            self.strike()
        self.steps += 1

    def on_test_batch_end(self, batch, logs=None):
        if self.fault.get("where") == "validation" and self.steps >= self.fault["step"]:
            self.strike()

    def break_writing(self, file: int):
        """Strike when the checkpoint with this number has been written, but is not in its place yet."""
        replace, count = Path.replace, itertools.count(1)

        def strike_or_replace(path, target):
            if path.name.endswith(".ckpt.part") and next(count) == file:
                self.strike()
            return replace(path, target)

        Path.replace = strike_or_replace


if __name__ == "__main__":
    main(Path(sys.argv[1]))
