"""Two workers, one of which dies after the greeting: `python -m tests.distributed.lost_start FOLDER INDEX`.

Prints the exit codes of both; what they print is in FOLDER.
"""

import os
import sys
from pathlib import Path

from keras_rnnkit import training
from keras_rnnkit.cluster.addresses import local_cluster
from keras_rnnkit.training.distributed import engines
from tests.distributed.processes import fork, wait


def main(folder: Path, dying: int) -> None:
    addresses = ",".join(local_cluster(2))

    def work(index):
        def join():
            if index == dying:
                engines.worker_strategy = lambda *arguments: os._exit(5)
            training.distribute("workers", addresses, index, seconds=300, silence=5)

        return join

    print(wait([fork(work(index), folder / f"output{index}") for index in range(2)], 300))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
