"""Learn the words of a list and invent others like them, letter by letter from START to END.

python pipelines/words.py --data names.txt --count 30
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from rich.console import Console

import keras_rnnkit as rk
from keras_rnnkit.runs.recurrent import layer_of
from keras_rnnkit.runs.reporting import write_report
from keras_rnnkit.runs.settings import TrainingSettings
from keras_rnnkit.settings import SettingsError
from keras_rnnkit.text.vocabulary import BEGIN, END, PADDING


@dataclass(frozen=True)
class Settings(TrainingSettings):
    """The settings of the pipeline; each field is an option of the command."""

    data: Annotated[Path | None, "A file with one word per line. Default: the words of Python's documentation."] = None
    embedding: Annotated[int, "Width of a letter's embedding."] = 32
    dropout: Annotated[float, "Dropout rate before each layer but the first, and before the output."] = 0.2
    zoneout: Annotated[float, "How often a unit keeps its state in training."] = 0.0
    batch: Annotated[int, "Words in a batch."] = 32
    epochs: Annotated[int, "Passes over the list at most."] = 30
    patience: Annotated[int, "Epochs without a better perplexity before training ends; 0 for never."] = 3
    held_out: Annotated[float, "Fraction of the words for validation."] = 0.1
    count: Annotated[int, "Words to invent."] = 20
    temperature: Annotated[float, "Below 1 the words become more ordinary, above 1 more unusual."] = 0.8
    out: Annotated[Path, "Folder for the bundle, the report and the checkpoint."] = Path("exported/words")

    unit = "char"
    MAY_DIFFER = (*TrainingSettings.MAY_DIFFER, "count", "temperature")
    COUNTS = (*TrainingSettings.COUNTS, "batch", "count")
    FRACTIONS = (*TrainingSettings.FRACTIONS, "zoneout")

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.held_out < 1:
            raise SettingsError(f"held_out must be a fraction between 0 and 1. Received: {self.held_out}.")


def run(settings: Settings) -> dict:
    """words -> model -> train -> evaluate -> export -> invent"""
    console = Console(highlight=False, soft_wrap=True)
    settings.out.mkdir(parents=True, exist_ok=True)
    words = read(settings)
    vocabulary = rk.text.Vocabulary.of(words, reserved=[PADDING, BEGIN, END])
    held_out, training = split(words, settings)
    console.print(
        f"words     {len(training):,} to learn from, {len(held_out):,} held out, {len(vocabulary) - 3} letters"
    )
    parts = {"train": padded(training, vocabulary), "test": padded(held_out, vocabulary)}
    model = learner(settings, len(vocabulary))
    history = train(model, parts, settings, console)
    model = best_model(settings, len(vocabulary))
    metrics = {"perplexity": math.exp(min(row["val_loss"] for row in history)), "epochs": len(history)}
    console.print(f"held out  perplexity {metrics['perplexity']:.3f} a letter")
    bundle = export(model, vocabulary, settings)
    invented = invent(bundle, vocabulary, settings)
    metrics |= {"words": invented, "new": sum(word not in set(words) for word in invented) / len(invented)}
    console.print(f"invented  {metrics['new']:.0%} of them new\n\n" + ", ".join(invented) + "\n")
    letters = {name: np.concatenate([row[row > 0] for row in x]) for name, (x, _) in parts.items()}
    folder = write_report(settings, metrics, history, vocabulary, letters, model)
    console.print(f"exported  {bundle.folder}\nreport    {folder}")
    return metrics


def read(settings: Settings) -> list[str]:
    """The different words of the list."""
    from keras_rnnkit.data.embedded import english_words
    from keras_rnnkit.text.files import read_lines

    lines = read_lines(settings.data) if settings.data else english_words()
    words = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if len(words) < 20:
        raise rk.text.TextError(f"{str(settings.data)!r} has {len(words)} different words. Give a list of 20 or more.")
    return words


def split(words: list[str], settings: Settings) -> tuple[list[str], list[str]]:
    order = np.random.default_rng(settings.seed).permutation(len(words))
    cut = max(1, round(settings.held_out * len(words)))
    return [words[i] for i in order[:cut]], [words[i] for i in order[cut:]]


def padded(words: list[str], vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """Inputs [N, T], START and the letters, and targets [N, T], the letters and END; 0 after a word has ended."""
    table = np.zeros((len(words), max(map(len, words)) + 2), np.int32)
    for row, word in zip(table, words, strict=True):
        row[: len(word) + 2] = [vocabulary.number(BEGIN), *vocabulary.encode(word), vocabulary.number(END)]
    return np.where(table[:, 1:] > 0, table[:, :-1], 0), table[:, 1:]


def build(settings: Settings, size: int):
    """Letters [B, T] to logits of the next ones; padding is masked."""
    import keras

    letters = keras.Input((None,), dtype="int32", name="letters")
    x = keras.layers.Embedding(size, settings.embedding, mask_zero=True, name="embedding")(letters)
    for i in range(settings.layers):
        x = keras.layers.Dropout(settings.dropout, seed=settings.seed + i)(x) if i and settings.dropout else x
        x = layer_of(settings.cell, settings.units, zoneout=settings.zoneout, name=f"memory_{i}")(x)
    x = keras.layers.Dropout(settings.dropout, seed=settings.seed - 1)(x)
    return keras.Model(letters, keras.layers.Dense(size, name="logits", dtype="float32")(x), name="words")


def learner(settings: Settings, size: int):
    """The model to train."""
    from keras_rnnkit.runs.optimization import prepare

    prepare(settings)
    return build(settings, size)


def train(model, parts, settings: Settings, console: Console) -> list[dict[str, float]]:
    """The logs of every epoch; the best weights are kept in a file. Each epoch has the words in an order of its own."""
    from keras_rnnkit.runs.optimization import optimizer_of
    from keras_rnnkit.runs.progress import EpochReport

    (x, y), held_out = parts["train"], parts["test"]
    batches = -(-len(x) // settings.batch)
    model.compile(optimizer_of(settings, batches), rk.training.NextToken(ignore=0))
    path, place = settings.out / "training.ckpt", None
    if settings.resume:
        place = rk.training.resume(model, path, settings.of_checkpoint)
        console.print(f"resumed   epoch {place['epoch'] + 1}")
    keeper = rk.training.Checkpoint(path, settings.of_checkpoint, place=place)
    callbacks = [rk.training.GradientLog(), keeper]
    if settings.average:
        callbacks.append(rk.training.AveragedWeights())
    if settings.schedule == "plateau":
        callbacks.append(rk.training.Plateau(settings.factor, keeper.history))
    callbacks.append(EpochReport(settings, console, keeper.history, int((x > 0).sum()) // batches))
    for epoch in range(place["epoch"] if place else 0, settings.epochs):
        order = np.random.default_rng([settings.seed, epoch]).permutation(len(x))
        arguments = {"batch_size": settings.batch, "initial_epoch": epoch, "epochs": epoch + 1, "verbose": 0}
        model.fit(x[order], y[order], validation_data=held_out, callbacks=callbacks, shuffle=False, **arguments)
        if model.stop_training:
            break
    return keeper.history


def best_model(settings: Settings, size: int):
    """A float32 model with the best weights."""
    import keras

    keras.config.set_dtype_policy("float32")
    model = build(settings, size)
    with np.load(settings.best) as kept:
        model.set_weights([kept[name] for name in kept.files])
    return model


def export(model, vocabulary, settings: Settings):
    folder = settings.out / "bundle"
    modes, end = ["sequence", "stream", "generate"], vocabulary.number(END)
    rk.export_bundle(model, folder, modes=modes, end=end, vocabulary=vocabulary, saved_model=False, tolerance=1e-4)
    return rk.runtime.load(folder)


def invent(bundle, vocabulary, settings: Settings) -> list[str]:
    """Words that begin at START, all of them in one run of the graph."""
    start = np.full((settings.count, 1), vocabulary.number(BEGIN))
    found = bundle.generate(start, steps=30, seed=settings.seed, temperature=settings.temperature)
    return [vocabulary.decode(row[:length]) for row, length in zip(found.tokens, found.lengths, strict=True)]


def main(settings: Settings) -> None:
    """Learn a list of words and invent others like them."""
    run(settings)


if __name__ == "__main__":
    from keras_rnnkit.cli.training import start

    start(main, Settings)
