"""Runs cases on a group of workers and in a process of its own; prints how the results differ, as JSON.

python -m tests.distributed.one_and_many WORKERS CASE...
"""

import json
import os
import pickle
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np

from keras_rnnkit import training
from keras_rnnkit.cluster.addresses import local_cluster
from tests.distributed.cases import CASES
from tests.distributed.processes import fork, wait


def run_cases(names, path, workers=None, index=None):
    """Run cases as a worker of a group, or alone, and keep the results in a file."""
    keras.config.set_dtype_policy("float64")
    keras.backend.set_floatx("float64")
    patience = {"seconds": 300, "silence": 300}  # this machine may be busy with something else
    group = training.distribute("workers" if workers else None, workers, index, **patience)
    results = {name: CASES[name](group) for name in names}
    path.write_bytes(pickle.dumps(results))


def compare(expected, results):
    """By case, and by what is compared: the largest difference, and how far the numbers lie apart from zero."""
    return {
        case: {kind: difference(as_arrays(values), as_arrays(results[case][kind])) for kind, values in kinds.items()}
        for case, kinds in expected.items()
    }


def as_arrays(values):
    """Numbers of a log, in the order of their names, or arrays."""
    return [np.array(values[name]) for name in sorted(values)] if isinstance(values, dict) else values


def difference(arrays, others):
    differences = [float(np.abs(a - b).max()) for a, b in zip(arrays, others, strict=True)]
    return {"difference": max(differences), "size": max(float(np.abs(a).max()) for a in arrays)}


def main(workers, names):
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    addresses = ",".join(local_cluster(workers))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def work(index):
            return lambda: run_cases(names, folder / f"result{index}", addresses, index)

        processes = [fork(work(index), folder / f"output{index}") for index in range(workers)]
        processes.append(fork(lambda: run_cases(names, folder / "alone"), folder / "output_alone"))
        codes = wait(processes, 550)
        if set(codes) != {0}:
            sys.exit("\n".join(f"{path.name}: {path.read_text()[-3000:]}" for path in sorted(folder.glob("output*"))))
        alone = pickle.loads((folder / "alone").read_bytes())
        results = [pickle.loads((folder / f"result{index}").read_bytes()) for index in range(workers)]
        json.dump([compare(alone, each) for each in results], sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
