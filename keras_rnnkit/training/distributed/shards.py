"""The rows of each batch for each replica: together they are the batch of a single device, in the same order."""

from __future__ import annotations

import hashlib
from typing import Any

import keras
import numpy as np

from keras_rnnkit.cluster import ClusterError
from keras_rnnkit.tf_datasets import untuned


def as_dataset(x: Any, y: Any, sample_weight: Any, batch_size: int | None, shuffle: bool, workers: int) -> Any:
    """The `tf.data.Dataset` of batches that the arguments of `model.fit` describe."""
    import tensorflow as tf

    if isinstance(x, tf.data.Dataset):
        return x
    arrays = keras.tree.flatten(x)
    if not arrays or not all(hasattr(array, "shape") for array in arrays):
        raise ClusterError(
            "Several devices train on a tf.data.Dataset, on arrays, or on what rk.training.fit takes. Received: x of "
            f"the type {type(x).__name__}."
        )
    if shuffle and workers > 1:
        raise ClusterError(
            "shuffle=True draws an order without a seed, and every worker would draw another one. Pass shuffle=False, "
            "or a dataset with .shuffle(size, seed=1)."
        )
    columns = tuple(column for column in (x, y, sample_weight) if column is not None)
    dataset = tf.data.Dataset.from_tensor_slices(columns if len(columns) > 1 else columns[0])
    return (dataset.shuffle(len(arrays[0])) if shuffle else dataset).batch(batch_size or 32)


def shards(dataset: Any, first: int, local: int, replicas: int, equal: bool = False, nonempty: bool = False) -> Any:
    """A dataset of the rows of replicas `first` to `first + local - 1`, in this order, for each batch of another one.

    Arguments:
        dataset: batches of a single device.
        first: the first replica of this process.
        local: how many replicas this process has.
        replicas: how many there are in all.
        equal: whether each must have the same number of rows.
        nonempty: whether each must have a row.

    >>> import tensorflow as tf
    >>> batches = tf.data.Dataset.range(7).batch(5)
    >>> [rows.numpy().tolist() for rows in shards(batches, 0, 2, 2)]
    [[0, 1], [2, 3, 4], [5], [6]]
    """
    import tensorflow as tf

    if equal:
        check_rows(dataset.element_spec, replicas)

    @tf.autograph.experimental.do_not_convert
    def rows_of(replica, batch):
        count = tf.shape(keras.tree.flatten(batch)[0], tf.int64)[0]
        if equal:
            message = f"The rows of a batch must be a multiple of the {replicas} devices. Drop the last batch."
            count = asserted(count, count % replicas == 0, message)
        if nonempty:
            message = (
                f"A batch has fewer rows than the {replicas} devices that share it, and TensorFlow's convolutions fail "
                "on processors where there are no rows. Choose another batch size, or drop the last batch."
            )
            count = asserted(count, count >= replicas, message)
        begin, end = count * replica // replicas, count * (replica + 1) // replicas
        return keras.tree.map_structure(lambda x: cut(x, begin, end, replicas), batch)

    @tf.autograph.experimental.do_not_convert
    def pieces(*batch):
        batch = batch if len(batch) > 1 else batch[0]
        return tf.data.Dataset.range(first, first + local).map(lambda replica: rows_of(replica, batch))

    count = dataset.cardinality()
    pieces_of_all = dataset.flat_map(pieces)
    if int(count) >= 0:
        pieces_of_all = pieces_of_all.apply(tf.data.experimental.assert_cardinality(count * local))
    return untuned(pieces_of_all.prefetch(2 * local))


def asserted(value: Any, condition: Any, message: str) -> Any:
    """A tensor, or an error with this message where the condition is false."""
    import tensorflow as tf

    with tf.control_dependencies([tf.debugging.Assert(condition, [message])]):
        return tf.identity(value)


def cut(x: Any, begin: Any, end: Any, replicas: int) -> Any:
    """Rows of a tensor, with a static number of them where it is the same for all replicas."""
    import tensorflow as tf

    rows = x.shape[0]
    shape = [rows // replicas if rows is not None and rows % replicas == 0 else None, *x.shape[1:]]
    return tf.ensure_shape(x[begin:end], shape)


def check_rows(spec: Any, replicas: int) -> None:
    """Refuse batches whose rows are known not to be divisible."""
    rows = keras.tree.flatten(spec)[0].shape[0]
    if rows is not None and rows % replicas:
        raise ClusterError(
            f"{replicas} devices cannot share a batch of {rows} rows equally, which JAX needs. Use a multiple of "
            f"{replicas}."
        )


def first_rows(batch: Any, replicas: int) -> Any:
    """As many rows of a batch as a replica has, for building a model on their shape."""
    return keras.tree.map_structure(lambda x: x if x is None else x[: max(1, x.shape[0] // replicas)], batch)


def data_facts(dataset: Any) -> dict[str, Any]:
    """The number of batches and a hash of the first one, by which workers notice that they read different data."""
    state = hashlib.sha256()
    for batch in dataset.take(1):
        for array in keras.tree.flatten(batch):
            values = np.asarray(array)
            state.update(f"{values.shape} {values.dtype}".encode() + np.ascontiguousarray(values).tobytes())
    return {"the number of batches": int(dataset.cardinality()), "the first batch": state.hexdigest()[:16]}
