"""Small trainings that a group of workers and a single process both run, in float64.

In float64, because 50 steps of float32 may differ by more than 1e-6 for no other reason than the order of a sum. Each
returns lists of arrays, and the numbers of its logs, by what they are. Those of the quick tests are one epoch of
batches of one shape and of few steps, because most of their time is that in which TensorFlow traces a step.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import tensorflow as tf

import keras_rnnkit as rk
import pipelines.language_model
import pipelines.translation
from keras_rnnkit.training.distributed.checkpoints import previous_of

SGD, Adam, AdamW = keras.optimizers.SGD, keras.optimizers.Adam, keras.optimizers.AdamW
IDS = np.random.default_rng(0).integers(0, 9, size=8 * 61 + 1)
MANY_IDS = np.random.default_rng(0).integers(0, 9, size=8 * 50 * 2 + 1)


def small_model(group, rows, stateful, optimizer, metrics=()):
    """Tokens [B, T] to logits; the same first weights in every process."""
    keras.utils.set_random_seed(1)
    with group.scope():
        tokens = keras.Input((None,), batch_size=group.share(rows) if stateful else None, dtype="int32")
        x = keras.layers.Embedding(9, 4)(tokens)
        x = rk.LSTM(5, return_sequences=True, stateful=stateful)(x)
        model = keras.Model(tokens, keras.layers.Dense(9)(x))
        model.compile(optimizer(), rk.training.NextToken(), metrics=[metric() for metric in metrics])
    group.prepare(model)
    return model


def trained(group, model, batches, epochs, callbacks=(), **arguments):
    """The weights after some epochs, and the logs of the last one."""
    seen = {}
    last = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.update(logs))
    rk.training.fit(model, batches, epochs, [*callbacks, last], verbose=0, **arguments)
    return {"weights": model.get_weights(), "logs": {name: float(value) for name, value in seen.items()}}


class OneShape:
    """Batches of one shape, and TensorFlow is told so: it then traces a single process's step as it does workers'."""

    def __init__(self, batches):
        self.batches, self.epoch = batches, 0

    def __len__(self):
        return len(self.batches)

    def dataset(self, start=0):
        shapes = keras.tree.map_structure(lambda x: x.shape, self.batches.batch(0))
        return self.batches.dataset(start).map(
            lambda *batch: keras.tree.map_structure_up_to(batch, tf.ensure_shape, batch, shapes)
        )


def averages_and_states(group, model):
    """The averaged weights, and the carried states of all workers one above the other."""
    with rk.training.averaged(model):
        averages = model.get_weights()
    everyone = group.exchange([states.tolist() for states in rk.training.carried_states(model)])
    return {"averages": averages, "states": [np.concatenate(rows) for rows in zip(*everyone, strict=True)]}


@contextlib.contextmanager
def double_logits():
    """Inside, layers that pipelines build in float32, whatever the policy, are in float64 as all others."""
    dense = keras.layers.Dense
    keras.layers.Dense = lambda *arguments, dtype=None, **keywords: dense(*arguments, **keywords)
    try:
        yield
    finally:
        keras.layers.Dense = dense


def averaged_optimizer():
    return rk.training.averaging(rk.training.watched(Adam(0.01, global_clipnorm=0.1)), 0.9)


def plain(group):
    """50 steps of random windows, 7 rows to a batch, which no number of workers shares equally."""
    model = small_model(group, 7, False, lambda: SGD(0.5))
    return trained(group, model, rk.data.Windows(MANY_IDS[:701], 7, 2, order="random", seed=3), 1)


def language_model(group):
    """50 steps of the pipeline's model: carried states, clipping, averaged weights, logged norms, a validation."""
    settings = pipelines.language_model.Settings(layers=1, units=5, embedding=4)
    keras.utils.set_random_seed(1)
    with group.scope(), double_logits():
        model = pipelines.language_model.build(settings, 9, group.share(8), stateful=True)
        model.compile(averaged_optimizer(), rk.training.NextToken())
    group.prepare(model)
    windows, held_out = rk.data.Windows(MANY_IDS, 8, 2), rk.data.Windows(MANY_IDS[:49], 8, 2).dataset()
    results = trained(group, model, windows, 1, [rk.training.GradientLog()], validation_data=held_out)
    return results | averages_and_states(group, model)


def translation(group):
    """50 plain steps of the pipeline's model with attention, 7 pairs to a batch, with padding that does not count."""
    random = np.random.default_rng(2)
    lengths = np.where(np.arange(350)[:, None] % 7 == 0, 2, random.integers(1, 3, size=(350, 2)))
    sources = [random.integers(4, 12, size=s) for s, _ in lengths]
    targets = [[2, *random.integers(4, 12, size=t - 1), 3] for _, t in lengths]
    data = SimpleNamespace(source=range(12), target=range(12), train=rk.data.Pairs(sources, targets, rows=7, seed=None))
    settings = pipelines.translation.Settings(cell="vanilla", units=4, embedding=4)
    keras.utils.set_random_seed(1)
    with group.scope(), double_logits():
        model = pipelines.translation.build(settings, data, settings.attention)
        model.compile(SGD(0.5), rk.training.NextToken(ignore=0))
    group.prepare(model)
    return trained(group, model, OneShape(data.train), 1)


def stateful(group):
    """50 steps in 5 epochs with carried states, clipping, logged norms, averaged weights, and validations."""
    model = small_model(group, 8, True, averaged_optimizer)
    held_out = rk.data.Windows(IDS[:200], 8, 6).dataset()
    windows = rk.data.Windows(IDS, 8, 6)
    results = trained(group, model, windows, 5, [rk.training.GradientLog()], validation_data=held_out)
    return results | averages_and_states(group, model)


def uneven(group):
    """52 steps in 4 epochs of random windows, and validations in batches of 3 rows."""
    model = small_model(group, 7, False, lambda: SGD(0.5), [rk.training.Perplexity])
    windows = rk.data.Windows(IDS, 7, 5, order="random", seed=3)
    return trained(group, model, windows, 4, validation_data=rk.data.Windows(IDS[:100], 3, 6).dataset())


def limited(clip):
    def case(group):
        """20 steps with clipping of another kind, through model.fit alone, on arrays with weights."""
        model = small_model(group, 6, False, lambda: SGD(0.5, **clip), [rk.training.CrossEntropy])
        x, y = IDS[:264].reshape(44, 6), IDS[1:265].reshape(44, 6)
        weights = np.linspace(0.1, 2.0, 264).reshape(44, 6)
        history = model.fit(x, y, sample_weight=weights, batch_size=6, epochs=3, shuffle=False, verbose=0).history
        losses = model.evaluate(x, y, batch_size=9, verbose=0, return_dict=True)
        logs = {**{name: values[-1] for name, values in history.items()}, **losses}
        return {"weights": model.get_weights(), "logs": logs}

    return case


def pairs_of_all_lengths(group):
    """52 steps of pairs with attention: batches of unequal length, padding that does not count, batches of one pair."""
    random = np.random.default_rng(2)
    lengths = random.integers(2, 9, size=(60, 2))
    sources = [random.integers(4, 12, size=s) for s, _ in lengths]
    targets = [[2, *random.integers(4, 12, size=t), 3] for _, t in lengths]
    pairs = rk.data.Pairs(sources, targets, tokens=70, width=2, seed=4)
    keras.utils.set_random_seed(1)
    with group.scope():
        encoder = rk.Encoder(rk.GRU(5), vocabulary_size=12, embedding_dim=4)
        model = rk.Seq2Seq(encoder, rk.Decoder(rk.GRU(5), 12, embedding_dim=4, attention=rk.attention.Additive(4)))
        model(pairs.batch(0)[0])
        model.compile(AdamW(0.01, clipnorm=0.1), rk.training.NextToken(ignore=0), metrics=[rk.training.Perplexity()])
    group.prepare(model)
    return trained(group, model, pairs, -(-52 // len(pairs)), validation_data=pairs.dataset())


def resumed(group):
    """The same as `stateful`, interrupted in the middle of an epoch when the last worker is a checkpoint behind."""
    folder = Path(group.exchange(tempfile.mkdtemp())[0])
    build = lambda: small_model(group, 8, True, lambda: Adam(0.01, global_clipnorm=0.1))  # noqa: E731
    model, windows, path, settings = build(), rk.data.Windows(IDS, 8, 6), folder / "training.ckpt", {"units": 5}
    if group.workers > 1:
        keeper, broken = (
            group.checkpoint(path, settings, every=2),
            keras.callbacks.LambdaCallback(on_batch_end=interrupt),
        )
        with contextlib.suppress(InterruptedError):
            rk.training.fit(model, windows, 2, [keeper, broken], verbose=0)
        if group.index == group.workers - 1:
            previous_of(keeper.path).replace(keeper.path)  # as if it had been killed while it wrote the last one
        model = build()
    place = group.resume(model, path, settings)
    assert (place and (place["epoch"], place["batch"])) == ((0, 4) if group.workers > 1 else None)
    keeper = group.checkpoint(path, settings, every=2, place=place)
    results = trained(group, model, windows, 2, [keeper], place=place)
    first = {f"first_{name}": value for name, value in keeper.history[0].items()}
    return results | {"logs": results["logs"] | first}


def interrupt(batch, logs):
    if batch == 6:
        raise InterruptedError


CASES = {
    "plain": plain,
    "language_model": language_model,
    "translation": translation,
    "resumed": resumed,
    "stateful": stateful,
    "uneven": uneven,
    "clipvalue": limited({"clipvalue": 0.003}),
    "clipnorm": limited({"clipnorm": 0.03}),
    "pairs_of_all_lengths": pairs_of_all_lengths,
}
