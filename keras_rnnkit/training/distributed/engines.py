"""How tf.distribute and keras.distribution are started, on the devices of one machine or on the workers of a group."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import keras

from keras_rnnkit.cluster import Cluster, ClusterError
from keras_rnnkit.cluster.addresses import TF_CONFIG


def mirrored_strategy(devices: list[str] | None) -> Any:
    """One replica on each device: by default on every GPU, or on every logical CPU where there is no GPU."""
    import tensorflow as tf

    if devices is None:
        devices = [device.name for device in tf.config.list_logical_devices("GPU")]
        devices = devices or [device.name for device in tf.config.list_logical_devices("CPU")]
    return tf.distribute.MirroredStrategy(devices)


def worker_strategy(cluster: Cluster, silence: float) -> Any:
    """One replica, or one for each GPU, on every worker of a group."""
    import tensorflow as tf

    os.environ[TF_CONFIG] = cluster.tf_config
    try:
        set_patience(len(cluster), silence)
        with ending_if_stuck(silence):
            return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        if "program startup" not in str(error):
            raise
        raise ClusterError(
            "TensorFlow has already computed something in this process, and can join other workers only before that. "
            "Call rk.training.distribute before anything is built or computed."
        ) from None


def set_patience(workers: int, silence: float) -> None:
    """Let TensorFlow take a worker for dead after so many seconds of silence; by itself it does so after ten.

    Ten seconds are less than a busy machine or a slow network needs now and then. TensorFlow has no public name for it,
    and its own limit stays where a release of it has moved these names.
    """
    try:
        from tensorflow.python.eager import context

        job = context.coordination_config_pb2.CoordinatedJob(name="worker", num_tasks=workers)
        configure = context.context().configure_coordination_service
    except (ImportError, AttributeError):
        return
    leader, limit = "/job:worker/replica:0/task:0", int(1000 * silence)
    configure("standalone", service_leader=leader, heartbeat_timeout_in_ms=limit, coordinated_jobs=[job])


WATCHER = """
import os, select, signal, sys
parent, seconds, sentence = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
if not select.select([0], [], [], seconds)[0]:
    print(sentence, file=sys.stderr, flush=True)
    os.kill(parent, signal.SIGKILL)
"""
"""A program that kills its parent, unless the parent closes its end of the pipe in time or is gone."""


@contextlib.contextmanager
def ending_if_stuck(seconds: float) -> Iterator[None]:
    """End the process where TensorFlow waits too long for the other workers.

    It waits an hour, and cannot be told otherwise, for a worker that has died after it greeted us and before TensorFlow
    was there. It waits in C++ and holds Python's lock, so only another process can end this one.
    """
    sentence = (
        f"Another worker greeted this one and then did not start TensorFlow within {seconds:.0f} seconds. Look at its "
        "output for the reason, then start all of them again."
    )
    command = [sys.executable, "-I", "-S", "-c", WATCHER, str(os.getpid()), str(seconds), sentence]
    with subprocess.Popen(command, stdin=subprocess.PIPE):  # leaving the context closes the pipe
        yield


def start_jax_devices() -> None:
    """All devices of this machine share each batch."""
    keras.distribution.set_distribution(keras.distribution.DataParallel())


def start_jax_workers(cluster: Cluster, silence: float) -> None:
    """The devices of all workers share each batch, of which every worker reads its own rows."""
    import jax

    jax.config.update("jax_cpu_collectives_implementation", "gloo")  # of no consequence where the devices are GPUs
    try:
        limit = {"heartbeat_timeout_seconds": max(1, int(silence))}
        jax.distributed.initialize(cluster.workers[0], len(cluster), cluster.index, **limit)
    except RuntimeError as error:
        if "must be called before" not in str(error):
            raise
        raise ClusterError(
            "JAX has already computed something in this process, and can join other workers only before that. Call "
            "rk.training.distribute before anything is built or computed."
        ) from None
    devices = keras.distribution.DataParallel(devices=jax.devices(), auto_shard_dataset=False)
    keras.distribution.set_distribution(devices)


def leave_jax() -> None:
    """Tell the other workers that this one ends as it should."""
    import jax

    jax.distributed.shutdown()
