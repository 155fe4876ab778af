"""Classify texts by reading them word by word, beside a bag of words, which does not see their order.

python pipelines/sentiment.py --data reviews.csv --text review --label verdict --vectors glove.6B.100d.txt
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

import keras_rnnkit as rk
from keras_rnnkit.runs.classification import (
    accuracy,
    calibration_error,
    confusion,
    reliability,
    scores_of,
    temperature_of,
)
from keras_rnnkit.runs.labelled_texts import LabelledData, read_texts
from keras_rnnkit.runs.lone_bundle import check_label_count, opened
from keras_rnnkit.runs.loss_curves import plot_losses
from keras_rnnkit.runs.metrics_file import write_metrics
from keras_rnnkit.runs.recurrent import CELLS
from keras_rnnkit.runs.run import Run
from keras_rnnkit.runs.settings import TrainingSettings
from keras_rnnkit.runs.text_report import always_the_same, coloured, results, table_of, to_show
from keras_rnnkit.settings import SettingsError

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
    lower: Annotated[bool, "Convert texts to lower case."] = True
    min_count: Annotated[int, "How often a word must occur in the training texts to be in the vocabulary."] = 2
    max_tokens: Annotated[int, "Largest vocabulary."] = 20_000
    limit: Annotated[int, "Largest number of words of a text; longer texts are cut."] = 400
    tokens: Annotated[int, "Largest number of words in a batch, padding included."] = 8192
    rows: Annotated[int, "Largest number of texts in a batch."] = 64
    cell: Annotated[str, f"One of {', '.join(CELLS)}."] = "lstm"
    units: Annotated[int, "Units of each layer, in each direction."] = 32
    embedding: Annotated[int, "Width of a word's embedding; that of --vectors where they are given."] = 32
    bidirectional: Annotated[bool, "Read texts from the end to the beginning too."] = True
    vectors: Annotated[Path | None, "Word vectors to begin with, in the text format of word2vec or GloVe."] = None
    freeze: Annotated[bool, "Do not train the word vectors."] = False
    balance: Annotated[bool, "Weigh texts so that rare labels count as much in training as frequent ones."] = False
    dropout: Annotated[float, "Dropout rate before and after each layer."] = 0.2
    compare: Annotated[bool, "Also train a bag of words, to compare."] = True
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
    JUDGES_BUNDLES = True
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
    """data -> models -> train -> export -> judge -> report"""
    from keras_rnnkit.runs.text_classifiers import bag_of_words

    with Run(settings, "sentiment") as run:
        data = read_texts(settings, run)
        if settings.bundle is not None:
            return judge_bundle(settings.bundle, data, settings, run)
        histories = {RNN: train(build(settings, data), data, settings, run)}
        if settings.compare:
            run.console.print(f"\na {BAG}")
            histories[BAG] = train(bag_of_words(data), data, settings, run, "_bag")
        model = run.best_model(build, settings, data)
        bag = run.best_model(bag_of_words, data, suffix="_bag") if settings.compare else None
        bundle = export(model, data, settings, run)
        metrics, probabilities = judge(bundle, bag, data, run)
        report(metrics, probabilities, histories, bundle, data, settings)
        return run.complete(metrics, PICTURES, results=results(metrics))


# ---------------------------------------------------------------------- model


def build(settings: Settings, data: LabelledData):
    """Words [B, T] to logits of the labels [B, C]; padding is masked."""
    import keras

    from keras_rnnkit.runs.recurrent import layer_of

    s, vectors = settings, data.vectors
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


# ---------------------------------------------------------------------- training


def train(model, data: LabelledData, settings: Settings, run: Run, suffix: str = "") -> list[dict[str, float]]:
    """Train; the best weights are kept in a file. Returns the logs of every epoch."""
    import keras

    batches, valid = data.batches("train", settings), data.batches("valid", settings)
    return run.fit(
        model,
        batches,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        validation_data=valid.dataset(),
        tokens=sum(map(len, data.texts["train"])) // len(batches),
        suffix=suffix,
    )


# ---------------------------------------------------------------------- export


def export(model, data: LabelledData, settings: Settings, run: Run):
    """Write a bundle that gives probabilities, calibrated on the validation texts, and load it as a server would."""
    import keras

    from keras_rnnkit.runs.text_classifiers import logits_of

    temperature = temperature_of(logits_of(model, data.batches("valid", settings)), data.labels["valid"])
    probabilities = keras.ops.softmax(model.output / temperature)
    whole = keras.Model(model.input, {"probabilities": probabilities}, name="sentiment")
    folder = settings.out / "bundle"
    report = rk.export_bundle(whole, folder, vocabulary=data.words, labels=data.names.tokens, saved_model=False)
    run.say("exported", f"{folder}, error {report.error:.1e}; temperature {temperature:.2f}")
    bundle = rk.runtime.load(folder)
    words = rk.data.LabelledTexts(data.texts["test"], data.labels["test"], seed=None).batch(0)[0]
    largest = float(np.abs(np.asarray(whole(words)["probabilities"]) - bundle.predict(words)).max())
    run.say("verified", f"onnxruntime and Keras differ by {largest:.1e} on {len(words)} padded texts of the test")
    return bundle


# ---------------------------------------------------------------------- evaluation


def judge(bundle, bag, data: LabelledData, run: Run) -> tuple[dict, np.ndarray]:
    """Accuracy, F1 and calibration on the test texts, by the bundle; beside simple models."""
    from keras_rnnkit.runs.text_classifiers import logits_of, probabilities_of

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
    error = f"wrong by {metrics['calibration error']:.1%} on average"
    run.say("probable", f"the probabilities of the answers to {len(truth):,} test texts are {error}")
    run.note(always_the_same(answers[RNN], names))
    return metrics, probabilities


# ---------------------------------------------------------------------- report


def report(
    metrics: dict, probabilities: np.ndarray, histories: dict, bundle, data: LabelledData, settings: Settings
) -> None:
    """Write metrics.json and the pictures."""
    from keras_rnnkit.runs.classification_pictures import plot_confusion, plot_reliability
    from keras_rnnkit.runs.word_effects import plot_effects

    folder = write_metrics(settings, metrics, histories)
    names, truth = data.names.tokens, data.labels["test"]
    if histories:
        plot_losses({name: ("nats", history) for name, history in histories.items()}, folder / "curves.png")
    plot_confusion(confusion(truth, probabilities.argmax(1), len(names)), names, folder / "confusion.png")
    plot_reliability(reliability(probabilities, truth), folder / "calibration.png")
    plot_effects(
        [coloured(bundle, place, probabilities, data) for place in to_show(probabilities, truth, data)],
        folder / "words.png",
    )


# ---------------------------------------------------------------------- a bundle without its run


def judge_bundle(path: Path, data: LabelledData, settings: Settings, run: Run) -> dict:
    """What can be said about a bundle alone: everything but its training."""
    bundle = opened(path, ["words"], "sentiment")
    check_label_count(
        path, bundle.predict(data.texts["test"][:1])[0].shape[-1], data.names.tokens, "--data, --text, --label"
    )
    metrics, probabilities = judge(bundle, None, data, run)
    report(metrics, probabilities, {}, bundle, data, settings)
    return run.complete(metrics, PICTURES, results=results(metrics))


def main(settings: Settings) -> None:
    """Classify texts by reading them word by word, judge the answers, and write a bundle and a report."""
    run(settings)


if __name__ == "__main__":
    from keras_rnnkit.cli.training import start

    start(main, Settings)
