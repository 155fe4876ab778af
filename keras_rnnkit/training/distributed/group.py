"""Who trains a model together, and what all of them must have in common."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from keras_rnnkit.cluster import Cluster, ClusterError
from keras_rnnkit.cluster.addresses import launched_workers
from keras_rnnkit.cluster.agreement import agree, code_facts
from keras_rnnkit.cluster.channel import Channel
from keras_rnnkit.cluster.heartbeat import Heartbeat
from keras_rnnkit.training.checkpoint import Checkpoint, resume
from keras_rnnkit.training.distributed import engines
from keras_rnnkit.training.distributed.checkpoints import WorkerCheckpoint, path_of_worker, resume_together
from keras_rnnkit.training.distributed.model import make_distributed
from keras_rnnkit.training.distribution import synchronize_model
from keras_rnnkit.training.gradients import Watching
from keras_rnnkit.training.loop import build_optimizer
from keras_rnnkit.training.optimizers import applied
from keras_rnnkit.training.preparation import OPEN_GROUPS
from keras_rnnkit.training.state import as_array

ENGINES = ("mirrored", "workers")


def distribute(
    engine: str | None = None,
    workers: str | None = None,
    index: int | None = None,
    settings: dict[str, Any] | None = None,
    seconds: float = 45.0,
    silence: float = 60.0,
    devices: list[str] | None = None,
) -> Group:
    """Start the devices and the workers that train a model together.

    Call it before anything is built. With "workers" it waits until all of them are there and have the same code,
    versions and settings; what does not fit is a `ClusterError` with a sentence, on every worker.

    Arguments:
        engine: "mirrored" for all devices of this machine, "workers" for several processes or machines, None for one
            device. On TensorFlow these are `MirroredStrategy` and `MultiWorkerMirroredStrategy`, on JAX
            `keras.distribution.DataParallel`.
        workers: "host:port" of all workers, with commas between them; None to read TF_CONFIG.
        index: the place of this process in `workers`, from 0.
        settings: what must be equal on all workers, by name, such as the settings and the seed of the training.
        seconds: how long the workers wait for each other at the start, and when they compare something.
        silence: seconds after which a worker that gives no sign is taken for dead, and training ends on the others.
        devices: names of the devices of "mirrored" on TensorFlow, instead of all.

    >>> group = distribute()
    >>> group.replicas, group.is_chief, group.share(32)
    (1, True, 32)
    """
    if engine not in (None, *ENGINES):
        raise ClusterError(f"Received: engine={engine!r}. Expected one of {', '.join(map(repr, ENGINES))}, or None.")
    if keras.backend.backend() not in ("tensorflow", "jax") and engine is not None:
        raise ClusterError(
            f"Keras runs on {keras.backend.backend()}. Training on several devices needs KERAS_BACKEND=tensorflow or "
            "KERAS_BACKEND=jax."
        )
    if engine != "workers":
        check_alone(engine, workers, index)
        return Group(engine, devices=devices)
    cluster = Cluster.from_environment(workers, index)
    channel = Channel(cluster, seconds)
    facts = code_facts() | {"the backend of Keras": keras.backend.backend()}
    facts |= {"the dtype policy": keras.config.dtype_policy().name} | json.loads(
        json.dumps(settings or {}, default=str)
    )
    agree(channel, facts, "compared their settings")
    return Group(engine, cluster, channel, silence=silence)


def check_alone(engine: str | None, workers: str | None, index: int | None) -> None:
    """Refuse addresses of other workers, and a process that was started as one of them, where it would train alone."""
    if workers is not None or index is not None:
        raise ClusterError(
            f'The addresses of workers go with "workers". Received: {engine!r}, workers={workers!r}, index={index!r}.'
        )
    if launched_workers() > 1:
        raise ClusterError(
            f"rnnkit launch has started this process as one of {launched_workers()} workers, and each would train "
            'alone. Give the command --distribute workers; a program calls rk.training.distribute("workers").'
        )


class Group:
    """The devices and workers that train a model together. `distribute` makes it.

    Attributes:
        workers, index: how many processes there are, and the number of this one, from 0.
        is_chief: whether this process is the one that writes results.
        replicas: how many devices share a batch; on JAX, how many processes, each of which divides its rows itself.
        first_replica, local_replicas: which of them belong to this process.
        strategy: the strategy of `tf.distribute`; None on JAX and on one device.
    """

    def __init__(
        self,
        engine: str | None,
        cluster: Cluster | None = None,
        channel: Channel | None = None,
        devices: list[str] | None = None,
        silence: float = 60.0,
    ):
        self.engine, self.channel = engine, channel
        self.workers, self.index = (len(cluster), cluster.index) if cluster is not None else (1, 0)
        self.is_chief = self.index == 0
        self.heartbeat = Heartbeat.of_worker(self.index)
        self.strategy: Any = None
        self.on_jax = keras.backend.backend() == "jax"
        self.needs_equal_shards = self.on_jax and engine is not None
        if engine is not None:
            self._start(cluster, devices, silence)
        self.replicas = self._count_replicas()
        # On JAX a process gives the engine all of its rows, whatever number of devices it has.
        self.local_replicas = 1 if self.on_jax else self.replicas // self.workers
        self.first_replica = self.index * self.local_replicas
        if engine is not None:
            OPEN_GROUPS.add(self)

    def _start(self, cluster: Cluster | None, devices: list[str] | None, silence: float) -> None:
        if self.on_jax:
            engines.start_jax_devices() if cluster is None else engines.start_jax_workers(cluster, silence)
            return
        if cluster is None:
            self.strategy = engines.mirrored_strategy(devices)
        else:
            self.strategy = engines.worker_strategy(cluster, silence)
        # All replicas have the same number of batches; otherwise they would ask each other before every batch.
        self.strategy.extended.experimental_enable_get_next_as_optional = False

    def _count_replicas(self) -> int:
        if self.strategy is not None:
            return int(self.strategy.num_replicas_in_sync)
        return self.workers

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """The context in which the model is built and compiled."""
        return self.strategy.scope() if self.strategy is not None else contextlib.nullcontext()

    def share(self, batch: int) -> int:
        """The rows of a batch that one replica has: the `batch_size` of the inputs of a stateful model.

        On JAX a model has the rows of the whole batch.

        Arguments:
            batch: the rows of the whole batch.
        """
        if batch % self.replicas:
            raise ClusterError(
                f"{self.replicas} replicas cannot share a batch of {batch} rows equally, which carried states need. "
                f"Use a multiple of {self.replicas}."
            )
        return batch if self.on_jax else batch // self.replicas

    def prepare(self, model: Any) -> None:
        """Make `fit` and `evaluate` of a compiled model right on all devices. Call it after `compile`.

        Arguments:
            model: a model that was built and compiled inside `scope`.
        """
        if self.engine is None:
            build_optimizer(model)
            if keras.backend.backend() == "tensorflow" and not isinstance(applied(model.optimizer), Watching):
                synchronize_model(model)  # rows of the same token are added up before clipping, as on several devices
            return
        check_model(model, self)
        with self.scope():
            if self.strategy is not None:
                synchronize_model(model)
            if not model.optimizer.built:
                model.optimizer.build(model.trainable_variables)
        if self.workers > 1:
            self.agree(model_facts(model), "compared their models")
            if not self.on_jax:
                draw_apart(model, self.index)
        make_distributed(model, self)

    def checkpoint(self, path: str | Path, settings: dict[str, Any], **arguments: Any) -> Checkpoint:
        """The `Checkpoint` of this worker: the chief writes `path`, the others files beside it.

        Arguments:
            path: the file of the chief.
            settings: those of `Checkpoint`.
            arguments: further arguments of `Checkpoint`.
        """
        kind = Checkpoint if self.workers == 1 else WorkerCheckpoint
        return kind(path_of_worker(path, self.index), settings, **arguments)

    def resume(self, model: Any, path: str | Path, settings: dict[str, Any]) -> dict[str, Any] | None:
        """Put a prepared model back to the newest checkpoint that all workers have; None where there is none yet.

        Arguments:
            model, settings: those of `rk.training.resume`.
            path: the file of the chief.
        """
        path = path_of_worker(path, self.index)
        with self.scope():
            if self.workers == 1:
                return resume(model, path, settings) if path.exists() else None
            return resume_together(self, model, path, settings)

    def exchange(self, value: Any, doing: str = "exchanged values") -> list[Any]:
        """The values of all workers, in their order; each gives one that JSON has."""
        return [value] if self.channel is None else self.channel.exchange(value, doing)

    def agree(self, facts: dict[str, Any], doing: str) -> None:
        """Refuse, on every worker, facts that are not equal on all."""
        if self.channel is not None:
            agree(self.channel, facts, doing)

    def callbacks(self) -> list[keras.callbacks.Callback]:
        """What every call of `fit` needs."""
        return [Beats(self.heartbeat)] if self.heartbeat.path is not None else []

    def is_divided(self, data: Any) -> bool:
        """Whether data has been divided among the replicas before, by `engine_dataset`."""
        if self.strategy is None:
            return False
        import tensorflow as tf

        return isinstance(data, tf.distribute.DistributedDataset)

    def engine_dataset(self, rows: Any) -> Any:
        """The rows of this process, as the engine takes them."""
        if self.strategy is None:
            return rows
        return self.strategy.distribute_datasets_from_function(lambda context: rows)

    def close(self) -> None:
        """Leave the group, at the end of the training."""
        OPEN_GROUPS.discard(self)
        self.heartbeat.rest()
        if self.channel is not None:
            self.channel.close()
            if self.on_jax:
                engines.leave_jax()


class Beats(keras.callbacks.Callback):
    """Shows the supervisor that the training goes on."""

    def __init__(self, heartbeat: Heartbeat):
        super().__init__()
        self.heartbeat = heartbeat

    def on_train_batch_end(self, batch, logs=None):
        self.heartbeat.beat()

    def on_test_batch_end(self, batch, logs=None):
        self.heartbeat.beat()

    def on_train_end(self, logs=None):
        self.heartbeat.rest()


def check_model(model: Any, group: Group) -> None:
    """Refuse a model that this group cannot train."""
    if getattr(model, "optimizer", None) is None:
        raise ClusterError("prepare takes a compiled model. Call model.compile before.")
    if not model.built:
        raise ClusterError(
            f"The model {model.name!r} has no weights yet. Call it on a batch inside group.scope() first."
        )
    if group.strategy is not None and model.distribute_strategy is not group.strategy:
        raise ClusterError(f"The model {model.name!r} was built outside of the group. Build it inside group.scope().")
    if group.strategy is not None and model.jit_compile:
        raise ClusterError("jit_compile=True cannot be combined with tf.distribute. Compile the model without it.")


def model_facts(model: Any) -> dict[str, Any]:
    """What the models of all workers must have in common."""
    arrays = [as_array(variable) for variable in model.variables]
    state = hashlib.sha256(b"".join(array.tobytes() for array in arrays))
    optimizer = keras.saving.serialize_keras_object(model.optimizer)["config"]
    return {
        "the shapes of the weights": [list(array.shape) for array in arrays],
        "the first weights and random seeds": state.hexdigest()[:16],
        **{f"{name} of the optimizer": json.loads(json.dumps(value, default=str)) for name, value in optimizer.items()},
    }


def seeds_of(model: Any) -> Iterator[Any]:
    """The states of the model's random generators, such as those of its dropout layers."""
    return (variable for variable in model.variables if variable.path.endswith("seed_generator_state"))


def draw_apart(model: Any, index: int) -> None:
    """Let each worker draw random numbers of its own: equal dropout masks on all would be fewer masks."""
    for variable in seeds_of(model):
        state = as_array(variable)
        state[0] = (int(state[0]) + 1_000_003 * index) % 2**31
        variable.assign(state)
