"""New Python processes that need not import TensorFlow: each is a fork of one in which that has been done.

Importing TensorFlow takes four seconds of processor time, and dozens of tests need a process of their own. The process
that is forked has imported TensorFlow and NumPy, and neither Keras nor anything of ours; whatever a program imports
after that, it imports as in a process started by hand. Programs whose imports are not what is tested are forks of a
second process, itself a fork of the first, which has imported Keras and our layers too.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def python(*arguments, cwd=None, timeout=600, env=None, with_keras=False) -> subprocess.CompletedProcess:
    """Like `subprocess.run([sys.executable, *arguments], capture_output=True, text=True)`.

    The arguments may begin with `-W FILTER`; then comes `-c CODE`, `-m MODULE` or the path of a script. env: variables
    that differ from those of this process. with_keras: whether Keras and our layers may be imported already.
    """
    with tempfile.TemporaryDirectory() as folder:
        streams = [os.path.join(folder, name) for name in ("stdout", "stderr")]
        request = {
            "arguments": [str(argument) for argument in arguments],
            "cwd": str(cwd or os.getcwd()),
            "env": env or {},
            "streams": streams,
            "with_keras": with_keras,
        }
        returncode = exit_code(request, timeout)
        stdout, stderr = (Path(stream).read_text(errors="replace") for stream in streams)
    return subprocess.CompletedProcess(arguments, returncode, stdout, stderr)


def exit_code(request: dict, timeout: float) -> int:
    process = forked_process()
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    if not select.select([process.stdout], [], [], timeout)[0]:
        forked_process.cache_clear()
        os.killpg(process.pid, signal.SIGKILL)
        raise subprocess.TimeoutExpired(request["arguments"], timeout)
    return int(process.stdout.readline())


@functools.cache
def forked_process() -> subprocess.Popen:
    """The process that is forked, started at the first need."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.forking"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that a program that does not end can be ended together with it
        # TensorFlow imports Keras, unless it is told to use a package that is not there.
        env={**os.environ, "TF_USE_LEGACY_KERAS": "1"},
    )
    atexit.register(process.communicate)
    return process


# ---------------------------------------------------------------------- in the process that is forked


def serve_forks() -> None:
    """Answer the requests of `python`, which come as lines of JSON."""
    import numpy  # noqa: F401
    import tensorflow  # noqa: F401

    assert "keras" not in sys.modules
    del os.environ["TF_USE_LEGACY_KERAS"]
    second = Second()
    for line in sys.stdin:
        request = json.loads(line)
        print(second.exit_code(line) if request.pop("with_keras") else exit_code_of_fork(request), flush=True)
    second.end()


def exit_code_of_fork(request: dict) -> int:
    """Fork, and run the program in the child."""
    child = os.fork()
    if not child:
        run_as_main(**request)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Second:
    """The process that has imported Keras too; started at the first need."""

    pid = 0

    def exit_code(self, line: str) -> int:
        if not self.pid:
            self.start()
        self.requests.write(line)
        self.requests.flush()
        return int(self.answers.readline())

    def start(self) -> None:
        (requests, write), (read, answers) = os.pipe(), os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(write)
            os.close(read)
            answer_with_keras(requests, answers)
            os._exit(0)
        os.close(requests)
        os.close(answers)
        self.requests, self.answers = os.fdopen(write, "w"), os.fdopen(read)

    def end(self) -> None:
        if self.pid:
            self.requests.close()
            os.waitpid(self.pid, 0)


def answer_with_keras(requests: int, answers: int) -> None:
    import keras_rnnkit.layers.facades  # noqa: F401

    for line in os.fdopen(requests):
        request = json.loads(line)
        del request["with_keras"]
        os.write(answers, f"{exit_code_of_fork(request)}\n".encode())


def run_as_main(arguments: list[str], cwd: str, env: dict[str, str], streams: list[str]) -> None:
    """Run a program as Python's command line would, and end the process."""
    import runpy
    import traceback

    for number, path in enumerate([os.devnull, *streams]):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
    os.chdir(cwd)
    os.environ.update(env)
    code = 0
    try:
        set_warnings(arguments)
        kind, *rest = arguments
        sys.path[0] = str(Path(kind).parent) if kind not in ("-c", "-m") else ""
        if kind == "-c":
            sys.argv = ["-c", *rest[1:]]
            exec(compile(rest[0], "<string>", "exec"), new_main())
        elif kind == "-m":
            sys.argv = rest
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        else:
            sys.argv = arguments
            runpy.run_path(kind, run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def set_warnings(arguments: list[str]) -> None:
    """Take `-W FILTER` from the arguments; without it Python's own filters hold."""
    import warnings

    warnings.resetwarnings()
    filters = ["default::DeprecationWarning:__main__", "ignore::DeprecationWarning", "ignore::ImportWarning"]
    while arguments[0] == "-W":
        filters.append(arguments[1])
        del arguments[:2]
    for each in filters:
        warnings._setoption(each)


def new_main() -> dict:
    import types

    sys.modules["__main__"] = main = types.ModuleType("__main__")
    return main.__dict__


if __name__ == "__main__":
    serve_forks()
