"""Processes that are forks of this one, as the workers of a group; a fork need not import TensorFlow again.

TensorFlow must have computed nothing before the fork, which `tests.forking` sees to.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path


def fork(function: Callable[[], None], output: Path) -> int:
    """The number of a new process that runs a function, with what it prints in a file."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        function()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(code)


def wait(processes: list[int], seconds: float) -> list[int | None]:
    """The exit codes of processes; None, and SIGKILL, for those that have not ended by then."""
    until, codes = time.monotonic() + seconds, dict.fromkeys(processes)
    while time.monotonic() < until and None in codes.values():
        for process in [process for process, code in codes.items() if code is None]:
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                codes[process] = os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    for process in [process for process, code in codes.items() if code is None]:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    return [codes[process] for process in processes]


def wait_for_checkpoints(folder: Path, process: subprocess.Popen, seconds: float = 500) -> None:
    """Wait until both of two workers have written two checkpoints, so that they have one in common."""
    paths = [folder / f"training{name}.previous.ckpt" for name in ("", ".worker1")]
    until = time.monotonic() + seconds
    while not all(path.exists() for path in paths) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
