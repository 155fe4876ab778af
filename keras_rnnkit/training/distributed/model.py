"""What `Group.prepare` changes in a model: `fit` and `evaluate` take batches of a single device and are right on many.

Keras' own `fit` fails on several workers, because it takes the mean of numbers as if they were rows, and where a batch
is not divided equally its losses and logs are means of means.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras

from keras_rnnkit import keras_internals
from keras_rnnkit.cluster import ClusterError
from keras_rnnkit.training.distributed.shards import EMPTY, UNEQUAL, as_dataset, data_facts, first_rows, shards
from keras_rnnkit.training.distributed.whole_batch import over_whole_batch, summed_over_replicas
from keras_rnnkit.training.preparation import Prepared

if TYPE_CHECKING:
    from keras_rnnkit.training.distributed.group import Group

REFUSED = {
    "validation_split": "Give validation_data instead.",
    "class_weight": "Give the weights of the rows as sample_weight.",
}
"""Arguments of `fit` that Keras applies to the data before it could be divided, and what to do without them."""


class Distributed(Prepared):
    """The methods that take the place of Keras' own."""

    group: Group

    def fit(self, x=None, y=None, batch_size=None, validation_data=None, shuffle=True, sample_weight=None, **arguments):
        for name, remedy in REFUSED.items():
            if arguments.get(name):
                raise ClusterError(f"{name} cannot be used where a model trains on several devices. {remedy}")
        data = self.divided(x, y, sample_weight, batch_size, shuffle, check=True)
        if validation_data is not None:
            rows = arguments.pop("validation_batch_size", None) or batch_size
            validation_data = self.divided(*unpacked(validation_data), rows, False)
        arguments["callbacks"] = [*(arguments.get("callbacks") or ()), *self.group.callbacks()]
        with in_sentences(self.group), self.group.scope():  # in which metrics are read as sums over all replicas
            return super().fit(data, validation_data=validation_data, shuffle=False, **arguments)  # type: ignore[misc]

    def evaluate(self, x=None, y=None, batch_size=None, sample_weight=None, **arguments):
        # Inside `fit`, Keras passes the validation data that `fit` has divided.
        divided = arguments.get("_use_cached_eval_dataset", False)
        data = x if divided else self.divided(x, y, sample_weight, batch_size, False)
        with in_sentences(self.group), self.group.scope():
            return super().evaluate(data, **arguments)  # type: ignore[misc]

    def divided(self, x, y, sample_weight, batch_size, shuffle, check=False) -> Any:
        """The data as the engine takes it; it stays as it is where it has been divided before."""
        if self.group.is_divided(x):
            return x
        dataset = as_dataset(x, y, sample_weight, batch_size, shuffle, self.group.workers)
        if check and self.group.workers > 1:
            self.group.agree(data_facts(dataset), "compared their data")
        group = self.group
        which = group.first_replica, group.local_replicas, group.replicas
        rows = shards(dataset, *which, equal=group.needs_equal_shards, nonempty=cannot_be_empty(self, group))
        if group.strategy is not None:
            keras_internals.build_from_spec(self, rows.element_spec)
            check_metrics(self, group)
        return group.engine_dataset(rows)


class DistributedSteps(Distributed, keras_internals.OwnFunctions):
    """The same on TensorFlow, where the function of a step must be written differently, too."""

    logs_of_step: dict[str, Any] | None = None

    def batch_to_build_on(self, batch):
        return first_rows(batch, self.group.replicas)

    def get_metrics_result(self):
        """Inside a step the metrics of its replica; after it, where `fit` and `evaluate` ask, those over all replicas.

        A metric that was made outside of the group's scope counts in each process alone, so its variables must not be
        read there.
        """
        import tensorflow as tf

        if self.logs_of_step is not None and tf.distribute.in_cross_replica_context():
            return dict(self.logs_of_step)
        return super().get_metrics_result()  # type: ignore[misc]

    def built_for_training(self):
        keras_internals.replace_losses(self, over_whole_batch)

    def function_of_step(self, step):
        """The function that Keras calls with an iterator, for `train_step` or `test_step`."""
        import tensorflow as tf

        strategy = self.group.strategy

        def replica_step(data):
            return reduced_logs(self, step(data))

        def one_step(data):
            logs = strategy.run(replica_step, args=(data,))
            return {name: strategy.experimental_local_results(value)[0] for name, value in logs.items()}

        if not self.run_eagerly:  # type: ignore[attr-defined]
            one_step = tf.function(one_step, reduce_retracing=True, autograph=False)  # as in Keras' own function

        def function(iterator):
            logs = one_step(next(iterator))
            for _ in range(self.steps_per_execution - 1):  # type: ignore[attr-defined]
                batch = iterator.get_next_as_optional()
                if not batch.has_value():
                    break
                logs = one_step(batch.get_value())
            set_untracked(self, "logs_of_step", logs)
            return logs

        return function


def reduced_logs(model, logs: dict[str, Any]) -> dict[str, Any]:
    """The logs of a step over all replicas: metrics of the summed counts, and means of anything else."""
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    variables = [v for metric in model.metrics for v in metric.variables if v.aggregation == "sum"]
    sums = summed_over_replicas([v.value for v in variables]) if variables else []
    with keras.StatelessScope(state_mapping=list(zip(variables, sums, strict=True))):
        results = model.get_metrics_result()
    if set(results) == set(logs):
        return results
    return {name: context.all_reduce(tf.distribute.ReduceOp.MEAN, value) for name, value in logs.items()}


def check_metrics(model, group: Group) -> None:
    """Refuse metrics that devices of one process would share, so that each would count what the others have seen."""
    if group.local_replicas == 1:
        return
    for variable in (variable for metric in model.metrics for variable in metric.variables):
        if not group.strategy.extended.variable_created_in_scope(variable.value):
            raise ClusterError(
                f"The metric {variable.path.split('/')[0]!r} was made outside of the group. Make it inside "
                "group.scope(), as in model.compile(..., metrics=[Perplexity()]) there."
            )


CONVOLUTIONS = (
    *(keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D),
    *(keras.layers.SeparableConv1D, keras.layers.SeparableConv2D),
    *(keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D),
)


def cannot_be_empty(model, group: Group) -> bool:
    """Whether each replica must have a row: the convolutions of TensorFlow 2.21 fail on a CPU when they get none."""
    if group.strategy is None or all("CPU" not in device for device in group.strategy.extended.worker_devices):
        return False
    return any(isinstance(layer, CONVOLUTIONS) for layer in keras_internals.flatten_layers(model))


LOST = {
    "UnavailableError",
    "AbortedError",
    "CancelledError",
    "DeadlineExceededError",
    "InternalError",
    "JaxRuntimeError",
}
"""Errors of TensorFlow and JAX that a worker which has gone causes on the others, if they are about the exchange."""

SIGNS = ("ollective", "oordination", "loo", "eartbeat", "onnection")
"""Parts of words by which such an error is recognised: Collective, CoordinationService, Gloo, heartbeat, connection."""


@contextlib.contextmanager
def in_sentences(group: Group) -> Iterator[None]:
    """Turn the errors that a lost worker, or a batch that cannot be shared, causes on this one into a sentence."""
    try:
        yield
    except Exception as error:
        for sentence in (UNEQUAL.format(group.replicas), EMPTY.format(group.replicas)):
            if sentence in str(error):
                raise ClusterError(sentence) from None
        if group.workers == 1 or type(error).__name__ not in LOST or not any(sign in str(error) for sign in SIGNS):
            raise
        raise ClusterError(
            "Another worker has gone, so this one cannot go on. Look at the output of the others for the reason, then "
            "start all of them again; they continue from their newest common checkpoint."
        ) from error


def unpacked(data: Any) -> tuple[Any, Any, Any]:
    """(x, y, sample weights) of what `validation_data` may be."""
    return keras.utils.unpack_x_y_sample_weight(data) if isinstance(data, tuple) else (data, None, None)


def make_distributed(model, group: Group) -> None:
    """Put the methods above in front of those of a model's class, which keeps its name."""
    cls, extension = type(model), Distributed if group.strategy is None else DistributedSteps
    if not issubclass(cls, Distributed):
        model.__class__ = type(cls.__name__, (extension, cls), {"__module__": cls.__module__})
    set_untracked(model, "group", group)


def set_untracked(model, name: str, value: Any) -> None:
    """Set an attribute that Keras does not look into, as it does in an ordinary assignment."""
    object.__setattr__(model, name, value)
