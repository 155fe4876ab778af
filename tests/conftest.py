"""Shared by all tests: a quiet TensorFlow and random numbers."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import pytest


@pytest.fixture
def rng():
    return np.random.default_rng(20)
