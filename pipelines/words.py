"""Invent words: one to many, letter by letter between START and END, after the words of a list.

python pipelines/words.py --data names.txt --count 30
"""

from __future__ import annotations

import json
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs from any folder
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from rich.console import Console

import keras_rnnkit as rk
from keras_rnnkit.settings import SettingsError
from keras_rnnkit.text.vocabulary import BEGIN, END, PADDING


@dataclass(frozen=True)
class Settings:
    """What the pipeline can be told; each field is an option of the command."""

    data: Annotated[Path | None, "A file with a word a line; the words of Python's documentation if left out."] = None
    cell: Annotated[Literal["lstm", "gru", "vanilla"], "The recurrence."] = "gru"
    units: Annotated[int, "Its units."] = 128
    embedding: Annotated[int, "Width of a letter."] = 32
    dropout: Annotated[float, "Before the output."] = 0.2
    batch: Annotated[int, "Words of a batch."] = 32
    epochs: Annotated[int, "Times through the list, at most."] = 30
    patience: Annotated[int, "Epochs without a better perplexity before training ends."] = 3
    rate: Annotated[float, "Learning rate."] = 3e-3
    clip: Annotated[float, "Largest norm of the whole gradient."] = 1.0
    held_out: Annotated[float, "Part of the words to judge by."] = 0.1
    count: Annotated[int, "Words to invent."] = 20
    temperature: Annotated[float, "Below 1 they grow more usual, above 1 wilder."] = 0.8
    seed: Annotated[int, "Of everything random."] = 0
    out: Annotated[Path, "Folder for the bundle and the metrics."] = Path("exported/words")

    def __post_init__(self):
        if not 0 < self.held_out < 1:
            raise SettingsError(f"held_out is a part of the words, between 0 and 1. Received: {self.held_out}.")


def run(settings: Settings) -> dict:
    """words -> model -> train -> evaluate -> export -> invent"""
    console = Console(highlight=False, soft_wrap=True)
    words = read(settings)
    vocabulary = rk.text.Vocabulary.of(words, reserved=[PADDING, BEGIN, END])
    held_out, training = split(words, settings)
    console.print(
        f"words     {len(training):,} to learn from, {len(held_out):,} held out, {len(vocabulary) - 3} letters"
    )
    model = build(settings, len(vocabulary))
    history = train(model, *(padded(part, vocabulary) for part in (training, held_out)), settings, console)
    metrics = {"perplexity": math.exp(min(history["val_loss"])), "epochs": len(history["loss"])}
    console.print(f"held out  perplexity {metrics['perplexity']:.3f} a letter")
    bundle = export(model, vocabulary, settings)
    invented = invent(bundle, vocabulary, settings)
    metrics |= {"words": invented, "new": sum(word not in set(words) for word in invented) / len(invented)}
    console.print(f"invented  {metrics['new']:.0%} of them new\n\n" + ", ".join(invented) + "\n")
    (settings.out / "metrics.json").write_text(json.dumps(metrics, indent=2), encoding="utf-8")
    console.print(f"exported  {bundle.folder}")
    return metrics


def read(settings: Settings) -> list[str]:
    """The different words of the list."""
    from keras_rnnkit.data.corpus import read_text
    from keras_rnnkit.data.embedded import english_words

    lines = read_text(settings.data).splitlines() if settings.data else english_words()
    words = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if len(words) < 20:
        raise rk.text.TextError(f"{str(settings.data)!r} has {len(words)} different words; it takes 20 or more.")
    return words


def split(words: list[str], settings: Settings) -> tuple[list[str], list[str]]:
    order = np.random.default_rng(settings.seed).permutation(len(words))
    cut = max(1, round(settings.held_out * len(words)))
    return [words[i] for i in order[:cut]], [words[i] for i in order[cut:]]


def padded(words: list[str], vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """START and the letters [N, T], and what comes next, END last [N, T]; 0 where a word is over."""
    table = np.zeros((len(words), max(map(len, words)) + 2), np.int32)
    for row, word in zip(table, words, strict=True):
        row[: len(word) + 2] = [vocabulary.number(BEGIN), *vocabulary.encode(word), vocabulary.number(END)]
    return np.where(table[:, 1:] > 0, table[:, :-1], 0), table[:, 1:]


def build(settings: Settings, size: int):
    """Letters [B, T] to logits of the next ones; padding is masked."""
    import keras

    keras.utils.set_random_seed(settings.seed)
    layer = {"lstm": rk.LSTM, "gru": rk.GRU, "vanilla": rk.VanillaRNN}[settings.cell]
    letters = keras.Input((None,), dtype="int32", name="letters")
    x = keras.layers.Embedding(size, settings.embedding, mask_zero=True, name="embedding")(letters)
    x = layer(settings.units, return_sequences=True, name="memory")(x)
    x = keras.layers.Dropout(settings.dropout)(x)
    return keras.Model(letters, keras.layers.Dense(size, name="logits")(x), name="words")


def train(model, training, held_out, settings: Settings, console: Console) -> dict[str, list[float]]:
    import keras

    model.compile(
        keras.optimizers.Adam(settings.rate, global_clipnorm=settings.clip),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0),
    )
    best = keras.callbacks.EarlyStopping(patience=settings.patience, restore_best_weights=True)
    line = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: console.print(
            f"epoch {epoch + 1:3d}   train {logs['loss']:.3f}   held out {logs['val_loss']:.3f} nats"
        )
    )
    return model.fit(
        *training,
        validation_data=held_out,
        batch_size=settings.batch,
        epochs=settings.epochs,
        callbacks=[best, line],
        verbose=0,
    ).history


def export(model, vocabulary, settings: Settings):
    folder = settings.out / "bundle"
    modes, end = ["sequence", "stream", "generate"], vocabulary.number(END)
    rk.export_bundle(model, folder, modes=modes, end=end, vocabulary=vocabulary, saved_model=False, tolerance=1e-4)
    return rk.runtime.load(folder)


def invent(bundle, vocabulary, settings: Settings) -> list[str]:
    """Words from START on, all of them in one run of the graph."""
    start = np.full((settings.count, 1), vocabulary.number(BEGIN))
    found = bundle.generate(start, steps=30, seed=settings.seed, temperature=settings.temperature)
    return [vocabulary.decode(row[:length]) for row, length in zip(found.tokens, found.lengths, strict=True)]


def main(settings: Settings) -> None:
    """Learn a list of words and invent others like them."""
    run(settings)


if __name__ == "__main__":
    from pipelines.command import start

    start(main, Settings)
