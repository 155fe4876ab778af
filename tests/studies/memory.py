"""Peak memory of truncated backpropagation, which should not grow with the text; one process for each length.

python -m tests.studies.memory
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

LENGTHS = (100_000, 1_000_000, 10_000_000, 100_000_000)
BATCHES = 60


def trained(length: int) -> float:
    """Peak memory in megabytes of this process, which trains on a text of that many tokens in a file."""
    import keras
    import numpy as np

    import keras_rnnkit as rk

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ids"
        with file.open("wb") as sink:
            for begin in range(0, length, 2**20):
                size = min(2**20, length - begin)
                np.random.default_rng(begin).integers(0, 60, size, dtype=np.int32).tofile(sink)
        windows = rk.data.Windows(np.memmap(file, np.int32, "r"), batch=20, steps=50)
        tokens = keras.Input((None,), batch_size=20, dtype="int32")
        x = keras.layers.Embedding(60, 32)(tokens)
        x = rk.LSTM(128, return_sequences=True, stateful=True)(x)
        model = keras.Model(tokens, keras.layers.Dense(60)(x))
        model.compile("adam", rk.training.NextToken())
        model.fit(windows.dataset().take(BATCHES), callbacks=[rk.training.CarriedState()], verbose=0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    if len(sys.argv) > 1:
        print(trained(int(sys.argv[1])))
        return
    for length in LENGTHS:
        run = [sys.executable, "-m", "tests.studies.memory", str(length)]
        done = subprocess.run(run, capture_output=True, text=True, check=True)
        size = 4 * length / 2**20
        print(f"{length:12,} tokens, {size:6.1f} MB on disk, {BATCHES} batches: {float(done.stdout):6.0f} MB at most")


if __name__ == "__main__":
    main()
