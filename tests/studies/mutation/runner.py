"""Test runs in forked processes: TensorFlow is imported once, and each run still imports the package anew."""

from __future__ import annotations

import compileall
import gc
import json
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode

# A fork of a process whose TensorFlow has run an operation hangs, so these are imported and not called.
import hypothesis  # noqa: F401
import keras  # noqa: F401
import onnx  # noqa: F401
import onnxruntime  # noqa: F401
import pytest
import tensorflow  # noqa: F401
import tf2onnx  # noqa: F401

OTHERS = ("tests", "pipelines", "docs", "pyproject.toml", "README.md", "CONTRIBUTING.md")
OPTIONS = ("-x", "-q", "--no-header", "--tb=line", "-p", "no:cacheprovider", "-p", "no:schemathesis")
OPTIONS += ("-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning")


# What exit statuses mean. Pytest's: 1 for a failed test, 2 and 4 for an import that failed, 5 for no test in the files.
RESULTS = {0: "passed", 5: "passed", 1: "failed", 2: "failed", 4: "failed"}
RESULTS |= {-signal.SIGXCPU: "late", -signal.SIGKILL: "late"}

# CPU time is limited, since a busy machine would make tests late that pass; this ends what waits for ever.
PATIENCE = 1200


@dataclass(frozen=True)
class Outcome:
    """How a run of tests ended: "passed", "failed" by a test or at an import, "crashed", or "late"."""

    result: str
    test: str
    cpu_seconds: float


def copy_of_tree(root: Path, folder: Path) -> Path:
    """A copy of the working tree that mutants are written into; the working tree itself is never changed.

    The package is copied once, since the sample is drawn from it, and the tests are those of now. A run that was ended
    in the middle of a mutant has left it in the copy, so the copy is made from a second one that nothing changes.
    """
    original, tree = folder / "original", folder / "tree"
    if not original.exists():
        copy(root / "keras_rnnkit", original)
    if sources(original) != sources(root / "keras_rnnkit"):
        raise SystemExit(
            f"The package has changed since the sample in {folder} was drawn from it, so today's tests need not fit. "
            "Draw a new sample in another --folder, or check out the package of then."
        )
    copy(original, tree / "keras_rnnkit")
    for name in OTHERS:
        copy(root / name, tree / name)
    # A compiled file is usually recognized by time and size, which a mutant may share with the original.
    compileall.compile_dir(tree / "keras_rnnkit", quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
    return tree


def sources(package: Path) -> dict[Path, bytes]:
    return {file.relative_to(package): file.read_bytes() for file in package.glob("**/*.py")}


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy2(source, target)


@contextmanager
def replaced(file: Path, source: str) -> Iterator[None]:
    """The file with another content, and after the block with its own again."""
    before = file.read_text()
    file.write_text(source)
    try:
        yield
    finally:
        file.write_text(before)


def run_tests(tree: Path, tests: list[str], cpu_limit: int, jax: bool = False) -> Outcome:
    """Run the tests on the package in `tree` in a process of their own, with at most so many seconds of CPU time."""
    report = tree / "failed_test.json"
    report.unlink(missing_ok=True)
    gc.freeze()  # the garbage collector of the child need not look through what TensorFlow's import has left
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_limit, cpu_limit + 5))
        (execute_with_jax if jax else execute)(tree, tests, report)
    status, seconds = wait(child)
    test = json.loads(report.read_text()) if report.exists() else ""
    return Outcome(RESULTS.get(status, "crashed"), test, round(seconds, 1))


def execute(tree: Path, tests: list[str], report: Path) -> None:
    """Run pytest in this process, which is a child, and end it."""
    status = 4
    try:
        prepare(tree)
        status = pytest.main([*OPTIONS, *tests], plugins=[FirstFailure(report)])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(status))


def execute_with_jax(tree: Path, tests: list[str], report: Path) -> None:
    """Become a process with another backend, since Keras in this one is bound to TensorFlow already."""
    prepare(tree)
    os.environ["KERAS_BACKEND"] = "jax"
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *OPTIONS, *tests])


def prepare(tree: Path) -> None:
    """Make this process, and those it starts, find the package of `tree`, and write nothing but to its log."""
    os.setsid()
    log = os.open(tree / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.chdir(tree)
    sys.path.insert(0, str(tree))
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]  # so that tests are imported from the copy, this study is not
    os.environ["PYTHONPATH"] = str(tree)


class FirstFailure:
    """A plugin of pytest that writes the name of the test that failed."""

    def __init__(self, file: Path):
        self.file = file

    def pytest_runtest_logreport(self, report) -> None:
        if report.failed and not self.file.exists():
            self.file.write_text(json.dumps(report.nodeid))

    pytest_collectreport = pytest_runtest_logreport


def wait(child: int) -> tuple[int, float]:
    """The exit status of a child and its CPU time; it is ended where it waits for something that does not come."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
