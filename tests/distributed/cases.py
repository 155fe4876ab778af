"""Small trainings that a group of workers and a single process both run, in float64.

In float64, because 50 steps of float32 may differ by more than 1e-6 for no other reason than the order of a sum.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import keras
import numpy as np

import keras_rnnkit as rk
from keras_rnnkit.training.distributed.checkpoints import previous_of

SGD, Adam, AdamW = keras.optimizers.SGD, keras.optimizers.Adam, keras.optimizers.AdamW
IDS = np.random.default_rng(0).integers(0, 9, size=8 * 61 + 1)


def language_model(group, rows, stateful, optimizer, metrics=()):
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
    """(weights, logs) after some epochs; logs of the last one."""
    seen = {}
    last = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.update(logs))
    rk.training.fit(model, batches, epochs, [*callbacks, last], verbose=0, **arguments)
    return model.get_weights(), {name: float(value) for name, value in seen.items()}


def stateful(group):
    """50 steps with carried states, clipping, logged norms, averaged weights, and a validation in between."""
    averaged = lambda: rk.training.averaging(rk.training.watched(Adam(0.01, global_clipnorm=0.1)), 0.9)  # noqa: E731
    model = language_model(group, 8, True, averaged)
    held_out = rk.data.Windows(IDS[:200], 8, 6).dataset()
    windows = rk.data.Windows(IDS, 8, 6)
    callbacks = [rk.training.GradientLog()]
    weights, logs = trained(group, model, windows, 5, callbacks, validation_data=held_out)
    with rk.training.averaged(model):
        weights += model.get_weights()
    states = np.concatenate([np.array(rows) for rows in group.exchange(rk.training.carried_states(model)[0].tolist())])
    return [*weights, states], logs


def plain(group):
    """50 steps of random windows, 7 rows to a batch, which no number of workers shares equally."""
    metrics = [rk.training.Perplexity]
    model = language_model(group, 7, False, lambda: SGD(0.5), metrics)
    windows = rk.data.Windows(IDS, 7, 5, order="random", seed=3)
    return trained(group, model, windows, 4, validation_data=rk.data.Windows(IDS[:100], 3, 6).dataset())


def limited(clip):
    def case(group):
        """20 steps with clipping of another kind, through model.fit alone, on arrays with weights."""
        model = language_model(group, 6, False, lambda: SGD(0.5, **clip), [rk.training.CrossEntropy])
        x, y = IDS[:264].reshape(44, 6), IDS[1:265].reshape(44, 6)
        weights = np.linspace(0.1, 2.0, 264).reshape(44, 6)
        history = model.fit(x, y, sample_weight=weights, batch_size=6, epochs=3, shuffle=False, verbose=0).history
        losses = model.evaluate(x, y, batch_size=9, verbose=0, return_dict=True)
        return model.get_weights(), {**{name: values[-1] for name, values in history.items()}, **losses}

    return case


def translation(group):
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
    build = lambda: language_model(group, 8, True, lambda: Adam(0.01, global_clipnorm=0.1))  # noqa: E731
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
    weights, logs = trained(group, model, windows, 2, [keeper], place=place)
    return weights, {**logs, **{f"first_{name}": value for name, value in keeper.history[0].items()}}


def interrupt(batch, logs):
    if batch == 6:
        raise InterruptedError


CASES = {
    "resumed": resumed,
    "stateful": stateful,
    "plain": plain,
    "clipvalue": limited({"clipvalue": 0.003}),
    "clipnorm": limited({"clipnorm": 0.03}),
    "translation": translation,
}
