"""A group of workers that Ray starts on the machines of its cluster, watches, and restarts.

Ray's `TensorflowTrainer` sets TF_CONFIG for each worker; what they do then is what they do anywhere else. The driver,
which is the process that calls `run_on_ray`, does not train.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from keras_rnnkit.cluster.addresses import ClusterError
from keras_rnnkit.cluster.supervisor import ATTEMPT


def run_on_ray(work: Callable[[], None], workers: int, failures: int = 5, cpus: int | None = None) -> None:
    """Run a function on workers that Ray starts, all of them again where one fails.

    Arguments:
        work: the function, which Ray must be able to pickle; TF_CONFIG is set when it is called.
        workers: how many.
        failures: how often all are started again.
        cpus: processor cores of each worker; None for an equal part of the cluster's.
    """
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.tensorflow import TensorflowTrainer

    if not ray.is_initialized():
        address = os.environ.get("RAY_ADDRESS")
        ray.init(address=address) if address else ray.init()
    available = int(ray.cluster_resources().get("CPU", 0))
    if available < workers * (cpus or 1):
        raise ClusterError(
            f"{workers} workers need {workers * (cpus or 1)} cores, and the Ray cluster has {available}. Start fewer "
            "with --workers, or add machines."
        )
    resources = {"CPU": float(cpus or available // workers)}
    gpus = int(ray.cluster_resources().get("GPU", 0)) // workers
    trainer: Any = TensorflowTrainer(
        lambda: worker(work),
        scaling_config=ScalingConfig(num_workers=workers, resources_per_worker=resources, use_gpu=gpus > 0),
        run_config=RunConfig(failure_config=FailureConfig(max_failures=failures)),
    )
    trainer.fit()


def worker(work: Callable[[], None]) -> None:
    """What a worker does: the function, which continues the run in its folder if there is one."""
    os.environ[ATTEMPT] = "1"  # Ray does not say whether it has started the worker before
    work()
