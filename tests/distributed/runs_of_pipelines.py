"""A pipeline alone and on two workers: `python -m tests.distributed.runs_of_pipelines PIPELINE FOLDER [interrupted]`.

The folders of the runs are FOLDER/alone and FOLDER/together. With `interrupted`, the workers are interrupted in the
training of their second model, and run again with --resume. Dropout and the like are off, because each device draws
random numbers of its own.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from pathlib import Path

from keras_rnnkit.cluster.addresses import local_cluster
from tests.distributed.processes import fork, wait

SETTINGS = {
    "words": {"dropout": 0.0},
    "translation": {"compare": True},
    "sentiment": {"count": 60, "valid_count": 20, "test_count": 20, "units": 4, "dropout": 0.0, "epochs": 2},
    "series": {"epochs": 2},
    "frames": {"count": 18, "batch": 8, "compare": True, "dropout": 0.0, "epochs": 2},
    "drawing": {"compare": True, "dropout": 0.0, "epochs": 2},
    "captioning": {"compare": True, "unshown": 0.0, "grey": 0.0, "epochs": 2},
}


def main(name: str, folder: Path, interrupted: bool) -> None:
    pipeline = importlib.import_module(f"pipelines.{name}")

    def run(out, **changes):
        settings = SETTINGS[name] | changes
        pipeline.run(pipeline.Settings(smoke=True, out=folder / out, **settings))

    def start_workers(interrupts=False, **changes):
        addresses = ",".join(local_cluster(2))

        def work(index):
            if interrupts:
                interrupt_second_model()
            run("together", distribute="workers", workers=addresses, index=index, **changes)

        return [fork(lambda index=index: work(index), folder / f"output{index}") for index in range(2)]

    processes = [fork(lambda: run("alone"), folder / "output_alone"), *start_workers(interrupted)]
    codes = wait(processes, 580)
    if interrupted and codes == [0, 1, 1]:
        codes = [0, *wait(start_workers(resume=True), 580)]
    if codes != [0, 0, 0]:
        sys.exit("\n".join(f"{path.name}: {path.read_text()[-3000:]}" for path in sorted(folder.glob("output*"))))


def interrupt_second_model() -> None:
    """Let the run believe, at the end of the first epoch of its second model, that it has got SIGTERM."""
    import keras

    from keras_rnnkit.runs import fitting

    fit = fitting.fit

    def interrupted_fit(run, *arguments, suffix="", **keywords):
        def ask(epoch, logs):
            run.interruption.requested = signal.SIGTERM

        if suffix:
            keywords["callbacks"] = lambda done: [keras.callbacks.LambdaCallback(on_epoch_end=ask)]
        return fit(run, *arguments, suffix=suffix, **keywords)

    fitting.fit = interrupted_fit


if __name__ == "__main__":
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    main(sys.argv[1], Path(sys.argv[2]), "interrupted" in sys.argv[3:])
