"""Train a language model on a text, evaluate it on held-out text, and write a bundle to serve.

python pipelines/language_model.py --data text.txt --unit word --cell lstm --layers 2 --units 200
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from rich.text import Text

import keras_rnnkit as rk
from keras_rnnkit.runs.degenerate import repetitive
from keras_rnnkit.runs.recurrent import CELLS, layer_of
from keras_rnnkit.runs.reporting import write_report
from keras_rnnkit.runs.run import Run
from keras_rnnkit.runs.settings import WritingSettings
from keras_rnnkit.runs.text_judging import MEASURES, name_of_test, nats_of, results, summed_nats
from keras_rnnkit.settings import SettingsError

PICTURES = (
    ("curves.png", "Loss after each epoch on the training and the validation data, and the norm of the gradient."),
    ("units.png", "Text coloured by the activity of hidden units after each character."),
    ("rank_frequency.png", "How often the tokens of the training text occur, by their rank."),
)


@dataclass(frozen=True)
class Settings(WritingSettings):
    """The settings of the pipeline; each field is an option of the command."""

    data: Annotated[
        Path | None, "A text, or a folder with train, valid and test files. Default: Python's help topics."
    ] = None
    unit: Annotated[Literal["char", "word", "subword"], "What a token is."] = "char"
    punctuation: Annotated[bool, "Make punctuation marks tokens of their own, where a token is a word."] = False
    min_count: Annotated[int, "How often a token must occur to be in the vocabulary."] = 1
    max_tokens: Annotated[
        int | None, "Largest size of the vocabulary. Default: all tokens, and 1000 pieces for subwords."
    ] = None
    valid_fraction: Annotated[float, "Fraction of a single text for validation, at its end."] = 0.05
    test_fraction: Annotated[
        float, "Fraction of a single text for the test, after that; 0 to test on the validation text."
    ] = 0.0
    spread: Annotated[bool, "Take these fractions from the end of each row of a batch, as char-rnn does."] = False

    cell: Annotated[str, f"One of {', '.join(CELLS)}."] = "lstm"
    layers: Annotated[int, "Recurrent layers."] = 2
    embedding: Annotated[int, "Width of a token's embedding; 0 for one-hot."] = 128
    dropout: Annotated[float, "Dropout rate of the inputs of each layer and of the output."] = 0.0
    recurrent_dropout: Annotated[float, "Dropout rate of the recurrent state, the same units at every step."] = 0.0
    zoneout: Annotated[float, "Probability that a unit keeps its state at a step, in training."] = 0.0
    tied: Annotated[bool, "Use one matrix for the embedding and the output."] = False
    forget_bias: Annotated[float, "Initial bias of the forget gate of LSTM cells, 0 or 1."] = 1.0
    init: Annotated[float, "Initial weights are between -init and init; 0 for Keras' defaults."] = 0.0

    batch: Annotated[int, "Rows of a batch; each goes through its own part of the text."] = 50
    steps: Annotated[int, "Steps of truncated backpropagation."] = 50
    order: Annotated[
        Literal["sequential", "random"], "sequential carries states from batch to batch, random samples windows."
    ] = "sequential"
    varied: Annotated[bool, "Use windows of random length around --steps."] = False
    epochs: Annotated[int, "Passes over the text."] = 10
    learning_rate: Annotated[float, "Learning rate."] = 2e-3
    clip: Annotated[float, "Largest norm of the whole gradient; 0 for none."] = 5.0
    patience: Annotated[int, "Epochs without a better perplexity before training ends; 0 for never."] = 0

    out: Annotated[Path, "Folder of the run: bundle, report, log and checkpoint."] = Path("exported/language_model")
    checkpoint_every: Annotated[int, "Batches between checkpoints."] = 500
    start: Annotated[str | None, "The text that the sample continues. Default: the beginning of the test text."] = None
    length: Annotated[int, "Tokens of the sample."] = 300
    temperature: Annotated[float, "Temperature of the sample."] = 0.8
    export: Annotated[bool, "Write the bundle."] = True

    MAY_DIFFER = (*WritingSettings.MAY_DIFFER, "data", "checkpoint_every", "start", "length", "temperature", "export")
    SIZES = ("batch", "steps", "length", "min_count", "max_tokens", "checkpoint_every", "steps_per_epoch")
    COUNTS = ("layers", "units", "epochs", *SIZES)
    FRACTIONS = (*WritingSettings.FRACTIONS, "recurrent_dropout", "zoneout", "valid_fraction", "test_fraction")
    POSITIVE = (*WritingSettings.POSITIVE, "temperature")
    NOT_NEGATIVE = (*WritingSettings.NOT_NEGATIVE, "embedding", "init")
    SMOKE = {"layers": 1, "units": 16, "embedding": 8, "batch": 8, "steps": 20, "epochs": 1, "length": 40}

    def __post_init__(self):
        super().__post_init__()
        if self.tied and self.embedding not in (0, self.units):
            raise SettingsError(
                f"Tied weights need an embedding as wide as the layers. Received: embedding={self.embedding}, units="
                f"{self.units}. Make them equal."
            )
        if self.forget_bias not in (0.0, 1.0):
            raise SettingsError(f"forget_bias must be 0 or 1, the values that Keras has. Received: {self.forget_bias}.")
        if self.valid_fraction + self.test_fraction >= 1:
            raise SettingsError(
                "valid_fraction and test_fraction must leave text to train on: together they must be below 1. "
                f"Received: {self.valid_fraction} and {self.test_fraction}."
            )
        if self.varied and self.order == "random":
            raise SettingsError("Windows of varied length follow each other: --varied needs --order sequential.")

    @property
    def packages(self):
        needed = {**super().packages, **({"text": ("tokenizers",)} if self.unit == "subword" else {})}
        return needed if self.export else {extra: names for extra, names in needed.items() if extra != "export"}


def run(settings: Settings) -> dict:
    """data -> model -> train -> judge -> export -> report"""
    with Run(settings, "language_model") as run:
        vocabulary, parts = read(settings, run)
        model = build(settings, len(vocabulary), run.share(settings.batch), stateful=settings.order == "sequential")
        history = train(model, parts, vocabulary, settings, run)
        metrics = judge(parts, vocabulary, settings, run)
        if settings.export:
            metrics |= export(parts, vocabulary, settings, run)
        shown = run.best_model(build, settings, len(vocabulary), None, False)
        write_report(settings, metrics, history, vocabulary, parts, shown)
        return run.complete(metrics, PICTURES, metrics.get("sample", ""), results(metrics))


# ---------------------------------------------------------------------- data


def read(settings: Settings, run: Run):
    """The vocabulary, and the texts as numbers."""
    corpus = corpus_of(settings)
    vocabulary = run.vocabulary(lambda: vocabulary_of(corpus.train, settings))
    parts = {name: vocabulary.encode(getattr(corpus, name)) for name in ("train", "valid", "test")}
    training_windows(parts["train"], settings), validation_windows(parts["valid"], settings)  # refuse short texts here
    distinct = {name: ids for name, ids in parts.items() if name != "test" or name_of_test(parts) == name}
    sizes = ", ".join(f"{len(ids):,} {name}" for name, ids in distinct.items())
    run.begin(
        f"{corpus.source}: {sizes} {settings.unit}s, {len(vocabulary):,} different",
        corpus.train,
        corpus.valid,
        corpus.test,
    )
    run.keep(vocabulary)
    return vocabulary, parts


def corpus_of(settings: Settings):
    """The texts to train on, to validate and to test."""
    from keras_rnnkit.data.corpus import read_corpus, spread
    from keras_rnnkit.data.embedded import python_topics

    fractions = settings.valid_fraction, settings.test_fraction
    rows = settings.batch if settings.spread else 1
    if settings.data:
        return read_corpus(settings.data, *fractions, rows)
    text = python_topics()
    return spread(text[:20_000] if settings.smoke else text, *fractions, "Python's help topics", rows)


def vocabulary_of(text: str, settings: Settings):
    return rk.text.Vocabulary.of(text, unit_of(text, settings), ["<unk>"], settings.min_count, settings.max_tokens)


def unit_of(text: str, settings: Settings):
    if settings.unit == "subword":
        return rk.text.Subwords.learned([text], settings.max_tokens or 1000)
    return rk.text.Words(settings.punctuation) if settings.unit == "word" else rk.text.Characters()


# ---------------------------------------------------------------------- model


def build(settings: Settings, size: int, batch: int | None, stateful: bool):
    """Tokens [B, T] to logits of the next ones [B, T, size]."""
    import keras

    tokens = keras.Input((None,), batch_size=batch, dtype="int32", name="tokens")
    table = keras.layers.ReversibleEmbedding(size, settings.units, name="tokens_in_and_out") if settings.tied else None
    if table is not None:
        x = table(tokens)
    elif settings.embedding:
        x = keras.layers.Embedding(size, settings.embedding, name="embedding")(tokens)
    else:
        x = keras.ops.one_hot(tokens, size)
    for i in range(settings.layers):
        x = keras.layers.Dropout(settings.dropout, seed=settings.seed + i)(x) if settings.dropout else x
        x = recurrent(settings, i, stateful)(x)
    x = keras.layers.Dropout(settings.dropout, seed=settings.seed - 1)(x) if settings.dropout else x
    y = table(x, reverse=True) if table is not None else keras.layers.Dense(size, name="logits", dtype="float32")(x)
    return keras.Model(tokens, y, name="language_model")


def recurrent(settings: Settings, place: int, stateful: bool):
    """A layer; place counts from the tokens."""
    drop = {"recurrent_dropout": settings.recurrent_dropout, "seed": settings.seed + place}
    drop = drop if settings.recurrent_dropout else {}
    kind = settings.cell, settings.units, settings.forget_bias == 1.0, settings.zoneout
    return layer_of(*kind, stateful=stateful, name=f"memory_{place}", **drop)


# ---------------------------------------------------------------------- training


def train(model, parts, vocabulary, settings: Settings, run: Run) -> list[dict[str, float]]:
    """Train; the best weights are kept in a file. Returns the logs of every epoch."""
    from keras_rnnkit.runs.samples import continuation

    if settings.init:
        rk.training.initialize_uniformly(model, settings.init, settings.seed)
    windows = training_windows(parts["train"], settings)
    run.say("model", f"{settings.layers} x {settings.cell}({settings.units}), {model.count_params():,} weights")
    run.say("kernel", rk.explain(model, print_fn=None)[0].kernel)
    held_out = validation_windows(parts["valid"], settings)
    prompt = start_of(parts["test"], vocabulary, settings)
    return run.fit(
        model,
        windows,
        loss=rk.training.NextToken(),
        validation_data=held_out.dataset(),
        tokens=settings.batch * settings.steps,
        sample=lambda model: continuation(model, vocabulary, prompt[None], settings.length, settings.temperature)[0],
    )


def training_windows(ids: np.ndarray, settings: Settings):
    """The training text in windows of `steps` tokens."""
    s = settings
    return rk.data.Windows(ids, s.batch, s.steps, s.order, s.seed, varied=s.varied)


def validation_windows(ids: np.ndarray, settings: Settings):
    """The validation text in as many rows as in training, in windows of at most `steps` that use nearly all of it."""
    row_length = (len(ids) - 1) // settings.batch
    windows = max(1, -(-row_length // settings.steps))
    return rk.data.Windows(ids, settings.batch, max(1, row_length // windows))


# ---------------------------------------------------------------------- evaluation


def judge(parts, vocabulary, settings: Settings, run: Run) -> dict:
    """Perplexity on held-out text, in one row from beginning to end, of the model and of n-gram models."""
    model = run.best_model(build, settings, len(vocabulary), 1, True)
    found = {name: nats_of(model, parts[name]) for name in ("valid", "test")}
    metrics: dict = {f"{name}_{what}": f(x) for name, x in found.items() for what, f in MEASURES.items()}
    ngrams = {n: rk.data.Markov(parts["train"], n, len(vocabulary)).perplexity(parts["test"]) for n in (1, 2, 3)}
    metrics["of"] = f"the {len(parts['test']):,} tokens of the {name_of_test(parts)} text"
    run.say("test", f"perplexity {metrics['test_perplexity']:.3f}, {metrics['test_bits']:.3f} bits a token")
    run.say("n-grams", "perplexity " + ", ".join(f"{n}: {p:.3f}" for n, p in ngrams.items()))
    run.say("", f"all of {metrics['of']}")
    return metrics | {"ngram_perplexity": ngrams}


# ---------------------------------------------------------------------- export


def export(parts, vocabulary, settings: Settings, run: Run) -> dict:
    """Write the bundle; compare the perplexity of its graphs with Keras' on the same tokens."""
    test = parts["test"]
    model = run.best_model(build, settings, len(vocabulary), None, False)
    modes = ["sequence", "stream", "generate"]
    folder = settings.out / "bundle"
    report = rk.export_bundle(model, folder, modes=modes, vocabulary=vocabulary, saved_model=False)
    bundle = rk.runtime.load(folder)
    ids = test[:1001]
    stream = bundle.stream()
    logits = {
        "keras": model.predict_on_batch(ids[None, :-1])[0],
        "sequence": bundle.predict(ids[None, :-1])[0],
        "stream": np.concatenate(
            [stream.push(ids[None, i : min(i + 7, 1000, len(ids) - 1)]) for i in range(0, len(ids) - 1, 7)], 1
        )[0],
    }
    same = {name: math.exp(summed_nats(y, ids[1:]) / (len(ids) - 1)) for name, y in logits.items()}
    run.say("exported", f"{folder}, error {report.error:.1e}")
    numbers = ", ".join(f"{name} {value:.4f}" for name, value in same.items())
    of = f"perplexity of the first {len(ids) - 1:,} tokens of the {name_of_test(parts)} text"
    run.say("verified", f"{of}:\n          {numbers}")
    prompt = start_of(test, vocabulary, settings)
    start = settings.start or vocabulary.decode(prompt)
    written = bundle.generate(prompt, settings.length, seed=settings.seed, temperature=settings.temperature)
    sample = vocabulary.decode(written.tokens[0])
    run.console.print(Text.assemble("\n", (start, "bold"), sample, "\n"), soft_wrap=True)
    run.note(repetitive(sample))
    return {"exported_perplexity": same, "verified": {of: numbers}, "sample": start + sample, "written": sample}


def start_of(test: np.ndarray, vocabulary, settings: Settings) -> np.ndarray:
    """The tokens that a sample continues: those of --start, or the first of the test text."""
    return vocabulary.encode(settings.start) if settings.start else test[:20]


def main(settings: Settings) -> None:
    """Train a language model on a text, evaluate it, and write a bundle and a report.

    For a text of about a million characters we recommend
    --units 256 --dropout 0.2 --schedule cosine --epochs 16:
    1.32 nats a character on tiny Shakespeare (docs/language_models.md).
    """
    run(settings)


if __name__ == "__main__":
    from keras_rnnkit.cli.training import start

    start(main, Settings)
