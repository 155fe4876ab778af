"""Trains `tests.distributed.kills` on two supervised workers: `python -m tests.distributed.supervised FOLDER SILENCE`.

Prints the exit code and what the supervisor said, as JSON. The supervisor, its signals and the workers' processes are
real; only that each worker is a fork of this process, which has imported TensorFlow already, is special to the tests.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from keras_rnnkit.cluster import supervisor
from keras_rnnkit.cluster.supervisor import LaunchSettings, Supervisor
from tests.distributed import kills


class ForkedWorker:
    """As much of `subprocess.Popen` as the supervisor uses, for a fork of this process."""

    def __init__(self, command, env, **streams):
        read, write = os.pipe()
        self.pid, self.code = os.fork(), None
        if not self.pid:
            run_worker(Path(command[-1]), env, write)
        os.close(write)
        self.stdout = os.fdopen(read, "rb")

    def poll(self):
        if self.code is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if ended else None
        return self.code

    def wait(self):
        if self.code is None:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code


def run_worker(folder: Path, env: dict[str, str], output: int) -> None:
    """What the new process does: train as a worker, and end."""
    os.setsid()
    for stream in (1, 2):
        os.dup2(output, stream)
    sys.stdout, sys.stderr = (os.fdopen(stream, "w", buffering=1) for stream in (1, 2))
    os.environ.update(env)
    code = 1
    try:
        kills.main(folder)
        code = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}")
    os._exit(code)


def main(folder: str, silence: str) -> None:
    said: list[str] = []
    # In the supervisor alone: a worker starts a process of its own while it joins the others.
    supervisor.subprocess = SimpleNamespace(**{**vars(subprocess), "Popen": ForkedWorker})
    settings = LaunchSettings("2", ("fork", folder), restarts=2, pause=0.1, silence=float(silence))
    stdout, sys.stdout = sys.stdout, sys.stderr  # the workers' lines
    code = Supervisor(settings, said.append).run()
    json.dump([code, said], stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
