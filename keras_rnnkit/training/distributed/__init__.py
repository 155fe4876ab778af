"""Training on several devices of a machine, or on several machines: the result is that of one device.

    group = rk.training.distribute("workers")          # or "mirrored", or nothing for one device
    with group.scope():
        model = build(rows=group.share(32))            # a stateful model has the rows of one replica
        model.compile(keras.optimizers.Adam(1e-3, global_clipnorm=1.0), rk.training.NextToken())
    group.prepare(model)
    place = group.resume(model, "run/training.ckpt", settings)
    keeper = group.checkpoint("run/training.ckpt", settings, every=500, place=place)
    rk.training.fit(model, windows, epochs=10, callbacks=[keeper], place=place)
    if group.is_chief:
        model.save("run/model.keras")

The data's way. Every worker reads the same batches, in the same order, and keeps its rows of each:

    batch [B, ...]  ->  rows r B / R to (r + 1) B / R  ->  replica r of R

A loss is the mean over the whole batch, whatever rows a replica has of it; gradients are summed over all replicas, then
clipped; metrics are sums over all replicas. Row b of a batch is always on the same replica, where its state is.

    group           `distribute` and `Group`: who takes part, and what they must have in common
    engines         how tf.distribute and keras.distribution are started
    model           what `prepare` changes in a model: its fit, evaluate, and the function of a step
    shards          the rows of each batch for each replica
    whole_batch     losses that are means over the whole batch
    checkpoints     a file for each worker, and the newest place that all have
"""

from keras_rnnkit.training.distributed.group import Group, distribute

__all__ = ["Group", "distribute"]
