"""Learn the words of a list and invent others like them, letter by letter from START to END.

python pipelines/words.py --data names.txt --count 30
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

import keras_rnnkit as rk
from keras_rnnkit.runs.degenerate import degenerate
from keras_rnnkit.runs.recurrent import layer_of
from keras_rnnkit.runs.reporting import write_report
from keras_rnnkit.runs.rows import Rows
from keras_rnnkit.runs.run import Run
from keras_rnnkit.runs.settings import WritingSettings
from keras_rnnkit.settings import SettingsError
from keras_rnnkit.text.vocabulary import BEGIN, END, PADDING

PICTURES = (
    ("curves.png", "Loss after each epoch on the training and the validation data, and the norm of the gradient."),
    ("units.png", "Words coloured by the activity of hidden units after each letter."),
    ("rank_frequency.png", "How often letters occur in the training words, by their rank."),
)


@dataclass(frozen=True)
class Settings(WritingSettings):
    """The settings of the pipeline; each field is an option of the command."""

    data: Annotated[Path | None, "A file with one word per line. Default: the words of Python's documentation."] = None
    embedding: Annotated[int, "Width of a letter's embedding."] = 32
    dropout: Annotated[float, "Dropout rate before each layer but the first, and before the output."] = 0.2
    zoneout: Annotated[float, "Probability that a unit keeps its state at a step, in training."] = 0.0
    batch: Annotated[int, "Words in a batch."] = 32
    epochs: Annotated[int, "Passes over the list at most."] = 30
    patience: Annotated[int, "Epochs without a better perplexity before training ends; 0 for never."] = 3
    held_out: Annotated[float, "Fraction of the words for validation."] = 0.1
    count: Annotated[int, "Words to invent."] = 20
    temperature: Annotated[float, "Below 1 the words become more ordinary, above 1 more unusual."] = 0.8
    out: Annotated[Path, "Folder of the run: bundle, report, log and checkpoint."] = Path("exported/words")

    unit = "char"
    MAY_DIFFER = (*WritingSettings.MAY_DIFFER, "data", "count", "temperature")
    COUNTS = (*WritingSettings.COUNTS, "batch", "count")
    FRACTIONS = (*WritingSettings.FRACTIONS, "zoneout")
    POSITIVE = (*WritingSettings.POSITIVE, "temperature")
    SMOKE = {"units": 16, "embedding": 8, "epochs": 1, "count": 5}

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.held_out < 1:
            raise SettingsError(f"held_out must be a fraction between 0 and 1. Received: {self.held_out}.")


def run(settings: Settings) -> dict:
    """data -> model -> train -> judge -> export -> invent -> report"""
    with Run(settings, "words") as run:
        words, parts, vocabulary = read(settings, run)
        model = build(settings, len(vocabulary))
        history = train(model, parts, vocabulary, settings, run)
        model = run.best_model(build, settings, len(vocabulary))
        metrics = judge(model, parts["test"], run) | {"epochs": len(history)}
        bundle = export(model, vocabulary, settings)
        run.say("exported", str(bundle.folder))
        metrics |= invented(bundle, vocabulary, words, settings, run)
        report(model, parts, vocabulary, metrics, history, settings)
        return run.complete(metrics, PICTURES, ", ".join(metrics["words"]), results(metrics))


# ---------------------------------------------------------------------- data


def read(settings: Settings, run: Run):
    """All words, those to train on and those held out as numbers, and the vocabulary of letters."""
    words = words_of(settings)
    vocabulary = run.vocabulary(lambda: rk.text.Vocabulary.of(words, reserved=[PADDING, BEGIN, END]))
    held_out, training = split(words, settings)
    parts = {"train": padded(training, vocabulary), "test": padded(held_out, vocabulary)}
    letters = len(vocabulary) - 3
    run.begin(f"{len(training):,} words to learn from, {len(held_out):,} held out, {letters} letters", words)
    run.keep(vocabulary)
    return words, parts, vocabulary


def words_of(settings: Settings) -> list[str]:
    """The different words of the list."""
    from keras_rnnkit.data.embedded import english_words
    from keras_rnnkit.text.files import read_lines

    lines = read_lines(settings.data, "Give a file with one word per line.") if settings.data else english_words()
    words = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if len(words) < 20:
        raise rk.text.TextError(f"{str(settings.data)!r} has {len(words)} different words. Give a list of 20 or more.")
    return words[::10] if settings.smoke and not settings.data else words


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


# ---------------------------------------------------------------------- model


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


# ---------------------------------------------------------------------- training


def train(model, parts, vocabulary, settings: Settings, run: Run) -> list[dict[str, float]]:
    """The logs of every epoch; the best weights are kept in a file. Each epoch has the words in an order of its own."""
    from keras_rnnkit.runs.samples import continuation

    x, y = parts["train"]
    rows = Rows(x, y, settings.batch, settings.seed)
    start, end = np.full((5, 1), vocabulary.number(BEGIN), np.int32), vocabulary.number(END)
    return run.fit(
        model,
        rows,
        loss=rk.training.NextToken(ignore=0),
        validation_data=parts["test"],
        validation_batch_size=settings.batch,
        tokens=int((x > 0).sum()) // len(rows),
        sample=lambda model: ", ".join(continuation(model, vocabulary, start, 30, settings.temperature, end=end)),
    )


# ---------------------------------------------------------------------- evaluation


def judge(model, held_out: tuple[np.ndarray, np.ndarray], run: Run) -> dict:
    """Perplexity a letter on the held-out words, whose loss decided which weights are the best."""
    x, y = held_out
    model.compile(loss=rk.training.NextToken(ignore=0))
    perplexity = math.exp(model.evaluate(x, y, batch_size=256, verbose=0))
    run.say("held out", f"perplexity {perplexity:.3f} a letter of the {len(x):,} words for validation")
    return {"perplexity": perplexity, "held_out": len(x)}


def results(metrics: dict) -> dict:
    """The numbers of the report, by what they are of."""
    count = len(metrics["words"])
    return {
        f"perplexity a letter of the {metrics['held_out']:,} held-out words": metrics["perplexity"],
        f"of {count} invented words, not in the list": f"{metrics['new']:.0%}",
        "epochs of training": metrics["epochs"],
    }


# ---------------------------------------------------------------------- export


def export(model, vocabulary, settings: Settings):
    folder = settings.out / "bundle"
    modes, end = ["sequence", "stream", "generate"], vocabulary.number(END)
    rk.export_bundle(model, folder, modes=modes, end=end, vocabulary=vocabulary, saved_model=False)
    return rk.runtime.load(folder)


def invent(bundle, vocabulary, settings: Settings) -> list[str]:
    """Words that begin at START, all of them in one run of the graph."""
    start = np.full((settings.count, 1), vocabulary.number(BEGIN))
    found = bundle.generate(start, steps=30, seed=settings.seed, temperature=settings.temperature)
    return [vocabulary.decode(row[:length]) for row, length in zip(found.tokens, found.lengths, strict=True)]


def invented(bundle, vocabulary, words: list[str], settings: Settings, run: Run) -> dict:
    """New words, and how many of them are not in the list."""
    found = invent(bundle, vocabulary, settings)
    new = sum(word not in set(words) for word in found) / len(found)
    run.say("invented", f"{len(found)} words, {new:.0%} of them not in the list\n\n" + ", ".join(found) + "\n")
    run.note(degenerate(found, "words", "the model has learned little"))
    return {"words": found, "new": new}


def report(model, parts, vocabulary, metrics: dict, history, settings: Settings) -> None:
    """metrics.json and the pictures."""
    x = parts["train"][0]
    letters = {"train": x[x > 0], "test": parts["test"][0]}  # the words of the test begin with new states
    write_report(settings, metrics, history, vocabulary, letters, model)


def main(settings: Settings) -> None:
    """Learn a list of words and invent others like them."""
    run(settings)


if __name__ == "__main__":
    from keras_rnnkit.cli.training import start

    start(main, Settings)
