"""The JAX backend: two processes train as one does."""

import os
import subprocess
import sys

import numpy as np
import pytest

from keras_rnnkit.cluster.addresses import local_cluster


@pytest.mark.study
def test_two_processes_train_as_one(tmp_path):
    addresses = ",".join(local_cluster(2))
    command = [sys.executable, "-W", "ignore", "-m", "tests.distributed.jax_workers"]
    arguments = [["alone.npz"], *([f"worker{i}.npz", addresses, str(i)] for i in range(2))]
    backend = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "", "JAX_ENABLE_X64": "1"}
    streams = {"env": os.environ | backend, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    processes = [subprocess.Popen([*command, str(tmp_path / path), *rest], **streams) for path, *rest in arguments]
    outputs = [process.communicate(timeout=500)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], b"\n".join(outputs)[-4000:].decode()
    alone, *workers = (np.load(tmp_path / path[0]) for path in arguments)
    for worker in workers:
        for name in alone.files:
            np.testing.assert_allclose(worker[name], alone[name], atol=1e-6)
