"""Run the RNN tests of the installed keras wheel with our layers and cells standing in for Keras'.

    python tests/peer/run.py --backend tensorflow
    python tests/peer/run.py --backend jax -k masking -x

The tests say `layers.LSTM`, with `layers` the module `keras.src.layers`; its names are bound to our classes before
the tests are imported. Keras itself asks its private modules for its classes, so nothing inside it changes. What a
test builds is counted, and the run fails when a file builds none of our classes, when any builds one of Keras' that
we stand in for, and when a test is skipped without being named below.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

FILES = ("simple_rnn", "lstm", "gru", "rnn", "bidirectional", "stacked_rnn_cells", "time_distributed")

STAND_INS = {
    "SimpleRNN": "VanillaRNN",
    "LSTM": "LSTM",
    "GRU": "GRU",
    "RNN": "Recurrent",
    "Bidirectional": "Bidirectional",
    "SimpleRNNCell": "cells.VanillaCell",
    "LSTMCell": "cells.LSTMCell",
    "GRUCell": "cells.GRUCell",
}
"""Keras' class by its name in `keras.layers`, ours by its name in `keras_rnnkit`."""

NEEDS_TORCH = "Asks whether the torch backend calls torch._VF.gru on a GPU; Keras skips it on every other backend."
NOT_APPLICABLE = {
    "tensorflow": {
        "gru_test.py::GRUTest::test_torch_cudnn_dispatch_fires": NEEDS_TORCH,
        "bidirectional_test.py::SimpleRNNTest::test_torch_cudnn_bidirectional_gru_dispatch_fires": NEEDS_TORCH,
    },
    "jax": {
        "gru_test.py::GRUTest::test_torch_cudnn_dispatch_fires": NEEDS_TORCH,
        "bidirectional_test.py::SimpleRNNTest::test_torch_cudnn_bidirectional_gru_dispatch_fires": NEEDS_TORCH,
        "gru_test.py::GRUTest::test_stateful_with_symbolic_batch_size": (
            "Traces the layer with tf.function, which takes TensorFlow's layers only; Keras skips it elsewhere."
        ),
    },
}
"""The tests that do not apply, by backend, and why. Keras skips these itself; no test is skipped by us."""

BUILDS_NONE = {
    "time_distributed_test.py": "TimeDistributed is Keras' own, and its tests wrap Dense and Conv2D, never an RNN.",
}
"""The files that pass without any class of ours, and why."""


@dataclass
class Tally:
    """What happened, by test file."""

    passed: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    skipped: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    ours: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    stock: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def complaints(self, backend: str) -> list[str]:
        """Why a run without failures would still not show that our classes pass, a sentence for each reason."""
        idle = [file for file in self.passed if not self.ours[file] and file not in BUILDS_NONE]
        skips = [test for tests in self.skipped.values() for test in tests]
        return [
            *(f"{file} built no instance of our classes, so it says nothing about them." for file in idle),
            *(f"{file} built Keras' own {', '.join(c)}." for file, c in self.stock.items() if c),
            *(
                f"{test} was skipped and is not in NOT_APPLICABLE."
                for test in skips
                if test not in NOT_APPLICABLE[backend]
            ),
        ]

    def table(self) -> list[str]:
        """A line for each file, with the number of instances of our classes that its tests built."""
        lines = [f"{'file':28}{'passed':>7}{'failed':>7}{'skipped':>8}   built of ours"]
        for file in (f"{name}_test.py" for name in FILES):
            built = ", ".join(f"{n} {name}" for name, n in sorted(self.ours[file].items()))
            counts = f"{self.passed[file]:7}{self.failed[file]:7}{len(self.skipped[file]):8}"
            lines.append(f"{file:28}{counts}   {built or BUILDS_NONE.get(file, 'none')}")
        return lines


class Substitution:
    """The pytest plugin: our classes in place of Keras', and a count of what the tests build."""

    def __init__(self, backend: str):
        import keras
        from keras.src import layers

        import keras_rnnkit as rk

        self.backend = backend
        self.title = f"keras {keras.__version__} tests on keras_rnnkit {rk.__version__}, {backend} backend"
        self.tally = Tally()
        self.file = ""
        ours = {name: attrgetter(path)(rk) for name, path in STAND_INS.items()}
        self._count_instances(keras.layers.Layer, ours={*ours.values()}, stock={getattr(layers, name) for name in ours})
        for name, layer_class in ours.items():
            setattr(layers, name, layer_class)

    def _count_instances(self, layer: type, ours: set[type], stock: set[type]) -> None:
        """Count by exact class, where every Keras layer is born: ours derive from the stock classes."""
        new: Any = layer.__new__

        def counted(cls, *args, **kwargs):
            for classes, count in ((ours, self.tally.ours), (stock, self.tally.stock)):
                if cls in classes:
                    count[self.file][cls.__name__] += 1
            return new(cls, *args, **kwargs)

        layer.__new__ = staticmethod(counted)  # type: ignore[assignment]

    def pytest_configure(self, config):
        # The marker is declared in a conftest.py that is not in the wheel.
        config.addinivalue_line("markers", "requires_trainable_backend: the backend can train")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item):
        self.file = item.path.name

    def pytest_runtest_logreport(self, report):
        file, test = Path(report.fspath).name, report.nodeid.rpartition("/")[2]
        if report.skipped:
            self.tally.skipped[file].append(test)
        elif report.failed:
            self.tally.failed[file] += 1
        elif report.when == "call":
            self.tally.passed[file] += 1

    def pytest_sessionfinish(self, session, exitstatus):
        if exitstatus == pytest.ExitCode.OK and self.tally.complaints(self.backend):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        terminalreporter.section(self.title)
        for line in self.tally.table():
            terminalreporter.write_line(line)
        for test in (test for tests in self.tally.skipped.values() for test in tests):
            terminalreporter.write_line(f"not applicable: {test}: {NOT_APPLICABLE[self.backend].get(test, 'unnamed')}")
        for complaint in self.tally.complaints(self.backend):
            terminalreporter.write_line(f"FAILED: {complaint}", red=True)


def test_files() -> list[Path]:
    """The files in the installed wheel. Found without importing Keras."""
    spec = importlib.util.find_spec("keras")
    if spec is None or spec.origin is None:
        sys.exit("keras is not installed: pip install 'keras-rnnkit[test]'")
    folder = Path(spec.origin).parent / "src" / "layers" / "rnn"
    files = [folder / f"{name}_test.py" for name in FILES]
    missing = [path.name for path in files if not path.exists()]
    if missing:
        sys.exit(f"This keras does not ship {', '.join(missing)} in {folder}. constraints.txt names one that does.")
    return files


def run(backend: str, pytest_arguments: list[str], cache: str) -> int:
    """The exit status of pytest, or 1 if the run shows nothing."""
    os.environ["KERAS_BACKEND"] = backend
    # Nearly all of the time on JAX goes to compiling loops of two steps, many of them again and again.
    quick_jax = {
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    for name, value in {"TF_CPP_MIN_LOG_LEVEL": "3", **quick_jax}.items():
        os.environ.setdefault(name, value)
    files = test_files()
    # The settings of this repository are for its own tests, so pytest gets an empty file of settings.
    options = ["-c", os.devnull, "--rootdir", str(files[0].parent), "-p", "no:cacheprovider", "-q", *pytest_arguments]
    return int(pytest.main([*options, *map(str, files)], plugins=[Substitution(backend)]))


def main(arguments: list[str] | None = None) -> int:
    stand_ins = "\n".join(f"  keras.layers.{name:14} -> keras_rnnkit.{path}" for name, path in STAND_INS.items())
    parser = argparse.ArgumentParser(
        description="Run the RNN tests of the installed keras wheel with the classes of keras_rnnkit standing in.",
        epilog=f"stand-ins:\n{stand_ins}\n\nfiles: {', '.join(f'{name}_test.py' for name in FILES)}\n\n"
        "Other arguments go to pytest, for example: -x --tb=short -k masking",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--backend", choices=tuple(NOT_APPLICABLE), default="tensorflow", help="default: %(default)s")
    known, pytest_arguments = parser.parse_known_args(arguments)
    if importlib.util.find_spec(known.backend) is None:
        parser.error(f"--backend {known.backend} needs {known.backend}: pip install 'keras-rnnkit[test]'")
    with tempfile.TemporaryDirectory() as cache:
        return run(known.backend, pytest_arguments, cache)


if __name__ == "__main__":
    sys.exit(main())
