"""A run of a pipeline in a process of its own, to which something happens on the way.

python -m tests.pipelines.faulty NAME FAULT NUMBER SETTINGS, which are JSON. NAME is a pipeline, or the module of one.
FAULT happens at the call of that NUMBER.
"""

import errno
import importlib
import json
import os
import signal
import sys
from pathlib import Path

import typer

from keras_rnnkit.cli.training import load_pipeline, run_command


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def full():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")


def twice():
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGINT)


def places():
    """Where a fault can happen: an object, the name of its function, and what happens there."""
    import keras

    from keras_rnnkit.export import bundle
    from keras_rnnkit.training import checkpoint

    return {
        "kill in an epoch": (checkpoint.Checkpoint, "on_train_batch_end", kill),
        "kill in validation": (keras.callbacks.CallbackList, "on_test_batch_end", kill),
        "kill while writing a checkpoint": (checkpoint.np, "save", kill),
        "kill while exporting": (bundle, "sha256", kill),
        "full disk at a checkpoint": (checkpoint.np, "save", full),
        "full disk while exporting": (bundle, "sha256", full),
        "Ctrl-C twice": (checkpoint.Checkpoint, "on_train_batch_end", twice),
        "nothing": (checkpoint.Checkpoint, "no such function", kill),
    }


def arrange(fault, number):
    """Let the fault happen at a call of its function."""
    place, name, happen = places()[fault]
    original, calls = getattr(place, name, None), iter(range(1, 10**9))

    def function(*arguments, **options):
        if next(calls) == number:
            happen()
        return original(*arguments, **options)

    setattr(place, name, function)


def main(name, fault, number, settings):
    pipeline = importlib.import_module(name) if "." in name else load_pipeline(name)
    hints = {"out", "data", "images", "captions", "evaluate"}
    values = {key: Path(value) if key in hints else value for key, value in json.loads(settings).items()}
    arrange(fault, int(number))
    try:
        run_command(pipeline.run, pipeline.Settings(**values))
    except typer.Exit as end:  # inside a command, typer itself turns it into the exit code
        sys.exit(end.exit_code)


if __name__ == "__main__":
    main(*sys.argv[1:])
