"""Classify texts by reading them word by word, beside a bag of words, which does not see their order.

python pipelines/sentiment.py --data reviews.csv --text review --label verdict --vectors glove.6B.100d.txt
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from rich.table import Table

import keras_rnnkit as rk
from keras_rnnkit.runs.classification import (
    accuracy,
    calibration_error,
    confusion,
    reliability,
    scores_of,
    temperature_of,
)
from keras_rnnkit.runs.loss_curves import plot_losses, write_numbers
from keras_rnnkit.runs.run import Run
from keras_rnnkit.runs.settings import TrainingSettings
from keras_rnnkit.runs.splitting import held_out_counts, split
from keras_rnnkit.settings import SettingsError
from keras_rnnkit.text import TextError
from keras_rnnkit.text.vocabulary import PADDING, UNKNOWN

PICTURES = (
    (
        "words.png",
        "Test texts. Red words speak for the answer of the model, blue ones against it: its log odds without them.",
    ),
    ("confusion.png", "How often the texts of each label (rows) were taken for each label (columns)."),
    (
        "calibration.png",
        "How often the answer is right, by the probability that the model gives it; the line is what it should be.",
    ),
    ("curves.png", "The loss after each epoch, on the training and the validation texts."),
)
LABELS = "vocabulary_labels"
RNN, BAG, MAJORITY = "RNN", "bag of words", "most frequent label"


@dataclass(frozen=True)
class Settings(TrainingSettings):
    """The settings of the pipeline; each field is an option of the command."""

    data: Annotated[
        Path | None, "A .csv, .tsv or .jsonl file with columns. Default: generated reviews, in which order matters."
    ] = None
    text: Annotated[str | None, "Column of the texts."] = None
    label: Annotated[str | None, "Column of the labels."] = None
    count: Annotated[int, "Number of generated reviews to train on."] = 6000
    valid_count: Annotated[int | None, "Texts for validation. Default: 500, or less with little data."] = None
    test_count: Annotated[int | None, "Texts for the test. Default: 1000, or less with little data."] = None
    lower: Annotated[bool, "Read capital letters as small ones."] = True
    min_count: Annotated[int, "How often a word must occur in the training texts to be one of the vocabulary."] = 2
    max_tokens: Annotated[int, "Largest vocabulary."] = 20_000
    limit: Annotated[int, "Most words of a text; of longer ones the beginning is read."] = 400
    tokens: Annotated[int, "Most words in a batch, padding included."] = 8192
    rows: Annotated[int, "Most texts in a batch."] = 64
    cell: Annotated[str, "The cell: lstm, gru, vanilla and others."] = "lstm"
    units: Annotated[int, "Units of each layer, in each direction."] = 32
    embedding: Annotated[int, "Width of a word's embedding; that of --vectors where they are given."] = 32
    bidirectional: Annotated[bool, "Read texts from the end to the beginning too."] = True
    vectors: Annotated[Path | None, "Word vectors to begin with, in the text format of word2vec or GloVe."] = None
    freeze: Annotated[bool, "Do not train the word vectors."] = False
    balance: Annotated[
        bool, "Weigh texts so that all labels count alike in training, where they are not as frequent."
    ] = False
    dropout: Annotated[float, "Dropout rate before and after each layer."] = 0.2
    compare: Annotated[bool, "Train a bag of words too, to compare."] = True
    epochs: Annotated[int, "Passes over the texts at most."] = 12
    patience: Annotated[int, "Epochs without a better validation loss before training ends; 0 for never."] = 3
    out: Annotated[Path, "Folder of the run: bundle, report, log and checkpoint."] = Path("exported/sentiment")

    MAY_DIFFER = (*TrainingSettings.MAY_DIFFER, "data", "compare")
    COUNTS = (
        *TrainingSettings.COUNTS,
        "count",
        "valid_count",
        "test_count",
        "min_count",
        "max_tokens",
        "limit",
        "tokens",
        "rows",
    )
    SMOKE = {"count": 300, "units": 8, "embedding": 8, "epochs": 1}

    def __post_init__(self):
        super().__post_init__()
        if self.data and not (self.text and self.label):
            raise SettingsError("--data needs --text and --label, the names of the columns of texts and labels.")
        if not self.data and (self.text or self.label):
            raise SettingsError("--text and --label name columns of a file. Give the file with --data.")
        if self.freeze and not self.vectors:
            raise SettingsError(
                "--freeze keeps the vectors of --vectors as they are. Give a file of vectors, or leave it."
            )


def run(settings: Settings) -> dict:
    """data -> model -> train -> export -> judge -> report"""
    with Run(settings, "sentiment") as run:
        data = read(settings, run)
        model = build(settings, data, run)
        histories = {RNN: train(model, data, settings, run)}
        bag = compared(data, settings, run, histories) if settings.compare else None
        bundle = export(model, data, settings, run)
        metrics, probabilities = judge(model, bundle, bag, data, run)
        report(metrics, probabilities, histories, bundle, data, settings)
        return run.complete(metrics, PICTURES, results=results(metrics))


# ---------------------------------------------------------------------- data


@dataclass(frozen=True)
class Data:
    """Texts and labels as numbers, by part, and the vocabularies of both."""

    texts: dict[str, list[np.ndarray]]
    labels: dict[str, np.ndarray]
    words: Any
    names: Any

    def batches(self, part: str, settings: Settings) -> rk.data.LabelledTexts:
        """Batches of texts of similar length."""
        weights = rk.data.balanced_weights(self.labels["train"], len(self.names)) if settings.balance else None
        seed = settings.seed if part == "train" else None
        return rk.data.LabelledTexts(
            self.texts[part], self.labels[part], settings.tokens, settings.rows, weights=weights, seed=seed
        )


def read(settings: Settings, run: Run) -> Data:
    parts = parts_of(settings)
    texts = {part: [text.lower() if settings.lower else text for text, _ in pairs] for part, pairs in parts.items()}
    words = run.vocabulary(lambda: vocabulary_of(texts["train"], settings))
    names = run.vocabulary(lambda: labels_of(parts["train"]), LABELS)
    numbers = {part: [words.encode(text) for text in texts[part]] for part in parts}
    labels = {
        part: np.array([number_of(label, names) for _, label in pairs], np.int32) for part, pairs in parts.items()
    }
    long = sum(len(text) > settings.limit for every in numbers.values() for text in every)
    run.begin(
        ", ".join(f"{len(parts[part]):,} texts {use}" for part, use in USES.items())
        + f"; {len(names)} labels, {len(words):,} words"
        + (f"; {long:,} texts are cut after {settings.limit} words" if long else ""),
        *parts.values(),
    )
    run.keep(words)
    run.keep(names, LABELS)
    run.note(None if settings.balance else imbalance(labels["train"], names))
    cut = {part: [text[: settings.limit] for text in every] for part, every in numbers.items()}
    return Data(cut, labels, words, names)


USES = {"train": "to train on", "valid": "for validation", "test": "for the test"}


def parts_of(settings: Settings) -> dict[str, list[tuple[str, str]]]:
    """Texts with labels for training, validation and test. No text of the test occurs in training."""
    if settings.data:
        pairs = rk.data.read_labelled(settings.data, settings.text, settings.label)
        held_out = held_out_counts(len(pairs), settings.valid_count, settings.test_count, str(settings.data))
    else:
        most = (50, 100) if settings.smoke else (500, 1000)
        held_out = settings.valid_count or most[0], settings.test_count or most[1]
        pairs = rk.data.reviews(settings.count + sum(held_out), settings.seed)
    parts = split(pairs, *held_out, settings.seed, key=lambda pair: " ".join(pair[0].lower().split()))
    lost = sorted({label for _, label in pairs} - {label for _, label in parts["train"]})
    if lost:
        raise TextError(
            f"No text with the label {lost[0]!r} is left to train on. Give more of them, or another --seed."
        )
    return parts


def vocabulary_of(texts: list[str], settings: Settings):
    unit = rk.text.Words(punctuation=True)
    return rk.text.Vocabulary.of(
        texts, unit, [PADDING, UNKNOWN], min_count=settings.min_count, max_tokens=settings.max_tokens
    )


def labels_of(pairs: list[tuple[str, str]]):
    """The labels, as a vocabulary whose tokens are whole labels."""
    return rk.text.Vocabulary(sorted({label for _, label in pairs}), rk.text.Words())


def number_of(label: str, names) -> int:
    if label not in names.numbers:
        raise TextError(
            f"The label {label!r} is none of {', '.join(map(repr, names.tokens[:20]))}, which the model has."
        )
    return names.numbers[label]


def imbalance(labels: np.ndarray, names) -> str | None:
    """A sentence about labels that are much rarer than others."""
    counts = np.bincount(labels, minlength=len(names))
    if counts.max() < 5 * counts.min():
        return None
    return (
        f"{names.tokens[counts.argmax()]!r} is {counts.max() / counts.min():.0f} times as frequent as "
        f"{names.tokens[counts.argmin()]!r}. Look at F1 more than at accuracy; --balance weighs all labels alike."
    )


# ---------------------------------------------------------------------- model


def build(settings: Settings, data: Data, run: Run):
    """Words [B, T] to logits of the labels [B, C]; padding is masked."""
    import keras

    from keras_rnnkit.runs.recurrent import layer_of

    s, vectors = settings, vectors_of(settings, data, run)
    width = s.embedding if vectors is None else vectors.shape[1]
    words = keras.Input((None,), dtype="int32", name="words")
    embedding = keras.layers.Embedding(len(data.words), width, mask_zero=True, trainable=not s.freeze, name="embedding")
    x = embedding(words)
    if vectors is not None:
        embedding.set_weights([vectors])
    for i in range(s.layers):
        x = keras.layers.Dropout(s.dropout, seed=s.seed + i)(x) if s.dropout else x
        layer = layer_of(s.cell, s.units, name=f"reader_{i}")
        layer = rk.Bidirectional(layer, name=f"both_{i}") if s.bidirectional else layer
        x = layer(x)
    # The mean of what was read up to each word; it leaves out padding by the mask.
    x = keras.layers.GlobalAveragePooling1D(name="mean")(x)
    x = keras.layers.Dropout(s.dropout, seed=s.seed - 1)(x) if s.dropout else x
    return keras.Model(words, keras.layers.Dense(len(data.names), name="logits", dtype="float32")(x), name="sentiment")


def vectors_of(settings: Settings, data: Data, run: Run) -> np.ndarray | None:
    """The word vectors to begin with [V, D], None without --vectors."""
    if settings.vectors is None:
        return None
    vectors = rk.data.read_vectors(settings.vectors, data.words.tokens)
    if not vectors:
        raise TextError(
            f"{str(settings.vectors)!r} has no vector of a word of the vocabulary. Give vectors of the language of the "
            "texts; try --no-lower where they have capital letters."
        )
    run.say("vectors", f"{len(vectors):,} of {len(data.words):,} words, of {settings.vectors}")
    return rk.data.matrix_of(data.words.tokens, vectors, settings.seed)


def build_bag(data: Data):
    """A bag of words: every word adds its own numbers to the logits, wherever it stands."""
    import keras
    from keras import ops

    words = keras.Input((None,), dtype="int32", name="words")
    weights = keras.layers.Embedding(len(data.words), len(data.names), name="weights")(words)
    there = ops.cast(ops.not_equal(words, 0), "float32")[..., None]
    total = ops.sum(weights * there, axis=1)
    bias = keras.layers.Dense(len(data.names), kernel_initializer="identity", name="logits")
    return keras.Model(words, bias(total), name="bag")


# ---------------------------------------------------------------------- training


def train(model, data: Data, settings: Settings, run: Run, suffix: str = "") -> list[dict[str, float]]:
    """Train; the model then has the best weights, which are in a file too. Returns the logs of every epoch."""
    import keras

    batches, valid = data.batches("train", settings), data.batches("valid", settings)
    history = run.fit(
        model,
        batches,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        validation_data=valid.dataset(),
        tokens=sum(map(len, data.texts["train"])) // len(batches),
        suffix=suffix,
    )
    run.restore(model, suffix)
    return history


def compared(data: Data, settings: Settings, run: Run, histories: dict):
    """A bag of words, trained in the same way."""
    run.console.print("\na bag of words")
    model = build_bag(data)
    histories[BAG] = train(model, data, settings, run, "_bag")
    return model


# ---------------------------------------------------------------------- export


def export(model, data: Data, settings: Settings, run: Run):
    """Write a bundle that gives probabilities, calibrated on the validation texts, and load it as a server would."""
    import keras

    temperature = temperature_of(logits_of(model, data.batches("valid", settings)), data.labels["valid"])
    probabilities = keras.ops.softmax(model.output / temperature)
    whole = keras.Model(model.input, {"probabilities": probabilities}, name="sentiment")
    folder = settings.out / "bundle"
    report = rk.export_bundle(whole, folder, vocabulary=data.words, saved_model=False, tolerance=1e-5)
    run.say("exported", f"{folder}, error {report.error:.1e}; temperature {temperature:.2f}")
    bundle = rk.runtime.load(folder)
    words = rk.data.LabelledTexts(data.texts["test"], data.labels["test"], seed=None).batch(0)[0]
    largest = float(np.abs(np.asarray(whole(words)["probabilities"]) - bundle.predict(words)).max())
    run.say("verified", f"onnxruntime and Keras differ by {largest:.1e} on {len(words)} padded texts of the test")
    return bundle


def logits_of(model, batches: rk.data.LabelledTexts) -> np.ndarray:
    """The logits of all texts [N, C], in their order."""
    import tensorflow as tf

    # Keras' predict would compile the model again for every length of a batch.
    forward = tf.function(model, input_signature=[tf.TensorSpec((None, None), tf.int32)], autograph=False)
    logits = np.zeros((len(batches.texts), model.output_shape[-1]), np.float32)
    for number in range(len(batches)):
        logits[batches.places(number)] = forward(batches.batch(number)[0])
    return logits


def probabilities_of(bundle, texts: list[np.ndarray]) -> np.ndarray:
    """The probabilities of texts of any lengths [N, C], by the bundle."""
    return np.asarray(bundle.predict(texts))


# ---------------------------------------------------------------------- evaluation


def judge(model, bundle, bag, data: Data, run: Run) -> tuple[dict, np.ndarray]:
    """Accuracy, F1 and calibration on the test texts, by the bundle; beside simple models."""
    truth, count = data.labels["test"], len(data.names)
    probabilities = probabilities_of(bundle, data.texts["test"])
    answers = {RNN: probabilities.argmax(1)}
    if bag is not None:
        batches = rk.data.LabelledTexts(data.texts["test"], truth, seed=None)
        answers[BAG] = logits_of(bag, batches).argmax(1)
    answers[MAJORITY] = np.full(len(truth), np.bincount(data.labels["train"], minlength=count).argmax())
    matrices = {name: confusion(truth, labels, count) for name, labels in answers.items()}
    names = data.names.tokens
    by_label = scores_of(matrices[RNN])
    metrics = {
        "models": {
            name: {"accuracy": accuracy(matrix), "mean F1": float(scores_of(matrix)["f1"].mean())}
            for name, matrix in matrices.items()
        },
        "labels": {
            name: {score: float(values[i]) for score, values in by_label.items()} | {"texts": int((truth == i).sum())}
            for i, name in enumerate(names)
        },
        "taken for": {
            name: dict(zip(names, map(int, row), strict=True)) for name, row in zip(names, matrices[RNN], strict=True)
        },
        "calibration error": calibration_error(probabilities, truth),
        "texts judged": len(truth),
    }
    run.console.print(table_of(metrics))
    run.say("probable", f"the probabilities are wrong by {metrics['calibration error']:.1%} on average")
    run.note(always_the_same(answers[RNN], names))
    return metrics, probabilities


def results(metrics: dict) -> dict:
    """The numbers of the report, by what they are of."""
    count = f"{metrics['texts judged']:,} test texts"
    return {
        f"mean distance of probability and share of right answers, {count}": metrics["calibration error"],
        f"Accuracy and mean F1, {count}": metrics["models"],
        "Answers of the RNN, by label": metrics["labels"],
        "Labels (rows) and answers of the RNN (columns)": metrics["taken for"],
    }


def table_of(metrics: dict) -> Table:
    table = Table("test texts", "accuracy", "mean F1", box=None, header_style="bold", pad_edge=False)
    for name, scores in metrics["models"].items():
        table.add_row(name, f"{scores['accuracy']:.1%}", f"{scores['mean F1']:.3f}")
    return table


def always_the_same(answers: np.ndarray, names: list[str]) -> str | None:
    """A sentence about a model that gives one label only."""
    if len(set(answers.tolist())) > 1 or len(answers) < 2:
        return None
    return (
        f"The model answers {names[answers[0]]!r} to all {len(answers):,} test texts: it does not look at them. "
        "Train it longer, on more data, or with --balance."
    )


# ---------------------------------------------------------------------- report


def report(metrics: dict, probabilities: np.ndarray, histories: dict, bundle, data: Data, settings: Settings) -> None:
    """Write metrics.json and the pictures."""
    from keras_rnnkit.runs.classification_pictures import plot_confusion, plot_reliability
    from keras_rnnkit.runs.word_effects import plot_effects

    folder, names, truth = settings.out / "report", data.names.tokens, data.labels["test"]
    write_numbers(folder, metrics, settings, histories)
    plot_losses({name: ("nats", history) for name, history in histories.items()}, folder / "curves.png")
    plot_confusion(confusion(truth, probabilities.argmax(1), len(names)), names, folder / "confusion.png")
    plot_reliability(reliability(probabilities, truth), folder / "calibration.png")
    plot_effects(
        [coloured(bundle, place, probabilities, data) for place in to_show(probabilities, truth, data)],
        folder / "words.png",
    )


def to_show(probabilities: np.ndarray, truth: np.ndarray, data: Data, count: int = 8, longest: int = 60) -> list[int]:
    """Test texts for a picture: two wrong ones at most, those the model was most sure of, and others."""
    short = np.array([2 <= len(text) <= longest for text in data.texts["test"]])
    wrong = np.flatnonzero((probabilities.argmax(1) != truth) & short)
    wrong = wrong[np.argsort(-probabilities[wrong].max(1), kind="stable")][:2]
    right = [np.flatnonzero((truth == i) & (probabilities.argmax(1) == truth) & short) for i in range(len(data.names))]
    mixed = [int(places[i]) for i in range(count) for places in right if i < len(places)]
    return [*mixed[: count - len(wrong)], *map(int, wrong)]


def coloured(bundle, place: int, probabilities: np.ndarray, data: Data):
    """A test text with the effects of its words on the answer."""
    from keras_rnnkit.runs.word_effects import word_effects

    text, answer, names = data.texts["test"][place], int(probabilities[place].argmax()), data.names.tokens
    effects = word_effects(lambda texts: probabilities_of(bundle, texts), text, answer)
    right = "right" if answer == data.labels["test"][place] else f"wrong, it is {names[data.labels['test'][place]]}"
    title = f"{names[answer]}, {probabilities[place, answer]:.0%} ({right})"
    return title, [data.words.tokens[token] for token in text], effects


def main(settings: Settings) -> None:
    """Classify texts by reading them word by word, judge the answers, and write a bundle and a report."""
    run(settings)


if __name__ == "__main__":
    from keras_rnnkit.cli.training import start

    start(main, Settings)
