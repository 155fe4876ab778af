"""What is said and shown about a classifier of texts."""

from __future__ import annotations

import numpy as np
from rich.table import Table

from keras_rnnkit.runs.labelled_texts import LabelledData
from keras_rnnkit.runs.page import percent


def results(metrics: dict) -> dict:
    """The numbers of the report, by what they are of."""
    count = f"{metrics['texts judged']:,} test texts"
    return {
        f"mean distance of probability and share of right answers, {count}": percent(metrics["calibration error"]),
        f"Accuracy and mean F1, {count}": {
            name: scores | {"accuracy": percent(scores["accuracy"])} for name, scores in metrics["models"].items()
        },
        f"Answers of the RNN by label, {count}": {
            label: {"F1" if name == "f1" else name: score for name, score in scores.items()}
            for label, scores in metrics["labels"].items()
        },
        f"Labels (rows) and answers of the RNN (columns), {count}": metrics["taken for"],
    }


def table_of(metrics: dict) -> Table:
    table = Table(
        f"{metrics['texts judged']:,} test texts", "accuracy", "mean F1", box=None, header_style="bold", pad_edge=False
    )
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


def to_show(
    probabilities: np.ndarray, truth: np.ndarray, data: LabelledData, count: int = 8, longest: int = 60
) -> list[int]:
    """Test texts for a picture: two wrong ones at most, those the model was most sure of, and others."""
    short = np.array([2 <= len(text) <= longest for text in data.texts["test"]])
    wrong = np.flatnonzero((probabilities.argmax(1) != truth) & short)
    wrong = wrong[np.argsort(-probabilities[wrong].max(1), kind="stable")][:2]
    right = [np.flatnonzero((truth == i) & (probabilities.argmax(1) == truth) & short) for i in range(len(data.names))]
    mixed = [int(places[i]) for i in range(count) for places in right if i < len(places)]
    return [*mixed[: count - len(wrong)], *map(int, wrong)]


def coloured(bundle, place: int, probabilities: np.ndarray, data: LabelledData):
    """A test text with the effects of its words on the answer."""
    from keras_rnnkit.runs.text_classifiers import probabilities_of
    from keras_rnnkit.runs.word_effects import word_effects

    text, answer, names = data.texts["test"][place], int(probabilities[place].argmax()), data.names.tokens
    effects = word_effects(lambda texts: probabilities_of(bundle, texts), text, answer)
    right = "right" if answer == data.labels["test"][place] else f"wrong, it is {names[data.labels['test'][place]]}"
    title = f"{names[answer]}, {probabilities[place, answer]:.0%} ({right})"
    return title, [data.words.tokens[token] for token in text], effects
