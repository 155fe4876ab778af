"""Shared by all tests: a quiet TensorFlow, short start and compilation, and random numbers."""

import gc
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

# tf2onnx copies the graph before each of its optimizers, in case one fails. Without the copies a failure is an error.
os.environ.setdefault("TF2ONNX_CATCH_ERRORS", "FALSE")
# Most programs that the tests compile run once, so that XLA's optimizations cost more than they save.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")
if "PYTEST_XDIST_WORKER" in os.environ:
    # The processes of pytest-xdist share the cores already. More threads of TensorFlow would wait for one another.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import numpy as np
import pytest

# Importing makes objects that stay; looking through them for garbage takes a fifth of the start.
gc.disable()

# Programs that tests run, that recorded what they read, or that need a package of their own: not modules of tests.
collect_ignore = ["training/two_replicas.py", "layers/record_torch.py", "studies/mutation"]


def pytest_collection_finish(session):
    # Hypothesis refuses random generators to which nothing refers, and does not see what refers to frozen ones.
    import hypothesis  # noqa: F401

    gc.freeze()
    gc.enable()
    # Tracing a model makes hundreds of thousands of objects that stay; Python's own numbers are for small programs.
    gc.set_threshold(20_000, 20, 50)
    if "tensorflow" in sys.modules:
        one_stack_for_all_operations()


def one_stack_for_all_operations():
    """TensorFlow notes the calls that led to each operation, which below those of pytest takes 3% of the time."""
    from tensorflow.python.util import tf_stack

    stack = tf_stack.extract_stack()
    tf_stack.extract_stack = lambda stacklevel=1: stack


def pytest_unconfigure(config):
    """One collection, which reports what was never closed; pytest makes five, and looks through all objects in each."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def rng():
    return np.random.default_rng(20)
