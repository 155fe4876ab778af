"""A group of workers that Ray starts on the machines of its cluster, watches, and restarts.

Ray's `TensorflowTrainer` sets TF_CONFIG for each worker; what they do then is what they do anywhere else. The driver,
which is the process that calls `run_on_ray`, does not train. Ray itself starts all workers again where one fails. That
would be of no use where they refuse their settings: such a worker ends as if all was well, and the driver gets the
sentence.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from typing import Any

from keras_rnnkit.cluster.addresses import ClusterError
from keras_rnnkit.cluster.supervisor import ATTEMPT

Work = Callable[[], str | None]
"""The function that a worker runs. It returns the sentence by which it refuses its settings, or None."""


def run_on_ray(work: Work, workers: int, failures: int = 5) -> str | None:
    """Run a function on workers that Ray starts, all of them again where one fails; the sentence of a refusal.

    Arguments:
        work: the function, which Ray must be able to pickle; TF_CONFIG is set when it is called.
        workers: how many.
        failures: how often all are started again.
    """
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.tensorflow import TensorflowTrainer

    if not ray.is_initialized():
        ray.init()
    resources = resources_of_worker([node["Resources"] for node in ray.nodes() if node["Alive"]], workers)
    refusals = ray.remote(num_cpus=0)(Refusals).remote()
    trainer: Any = TensorflowTrainer(
        functools.partial(run_worker, work, refusals),
        scaling_config=ScalingConfig(
            num_workers=workers, resources_per_worker=resources, use_gpu=resources.get("GPU", 0) > 0
        ),
        run_config=RunConfig(failure_config=FailureConfig(max_failures=failures)),
    )
    try:
        trainer.fit()
    except TrainingFailedError as error:
        sentence = ray.get(refusals.first.remote())
        if sentence is None:
            message = f"Ray has started the workers {failures + 1} times, and does not start them again. {error}"
            raise ClusterError(message) from None
        return sentence
    return ray.get(refusals.first.remote())


class Refusals:
    """The sentences by which workers have refused their settings, in a process of Ray's that all of them reach."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def add(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def first(self) -> str | None:
        return next(iter(self.sentences), None)


def run_worker(work: Work, refusals: Any) -> None:
    """What a worker does: the function, which continues the run in its folder if there is one."""
    import ray

    os.environ[ATTEMPT] = "1"  # Ray does not say whether it has started the worker before
    os.environ.pop("TF_USE_LEGACY_KERAS", None)  # Ray asks TensorFlow for Keras 2
    logging.getLogger("tensorflow").setLevel(logging.WARNING)
    sentence = work()
    if sentence is not None:
        ray.get(refusals.add.remote(sentence))


def resources_of_worker(machines: list[dict[str, float]], workers: int) -> dict[str, float]:
    """As many GPUs and cores for each worker as the machines have, so that all workers find a place.

    Arguments:
        machines: the "CPU" and "GPU" of each machine.
        workers: how many there are.

    >>> resources_of_worker([{"CPU": 8}, {"CPU": 4}], workers=3)
    {'CPU': 4.0}
    >>> resources_of_worker([{"CPU": 8, "GPU": 2}], workers=2)
    {'CPU': 4.0, 'GPU': 1.0}
    """

    def places(resources: dict[str, float]) -> int:
        return sum(min(int(machine.get(name, 0) // n) for name, n in resources.items()) for machine in machines)

    largest = {name: int(max((machine.get(name, 0) for machine in machines), default=0)) for name in ("GPU", "CPU")}
    resources: dict[str, float] = {"CPU": 1.0}
    if places(resources) < workers:
        raise ClusterError(
            f"{workers} workers need a core each, and the Ray cluster has {places(resources)}. Start fewer with "
            "--workers, or add machines."
        )
    for name in ("GPU", "CPU"):
        sizes = (resources | {name: float(size)} for size in range(largest[name], 0, -1))
        resources = next((size for size in sizes if places(size) >= workers), resources)
    return resources
