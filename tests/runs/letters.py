"""A pipeline for tests of what all pipelines share: it learns which letter follows which, and has no recurrent layer.

Everything runs eagerly: tracing graphs would take most of the time, and no test looks at them.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

import keras_rnnkit as rk
from keras_rnnkit.runs.rows import Rows
from keras_rnnkit.runs.run import Run
from keras_rnnkit.runs.settings import WritingSettings
from keras_rnnkit.text.files import read_lines
from tests.eager import eagerly

NAME = "letters"
WORDS = [a + b + c for a in "bdgkt" for b in "aeiou" for c in ("ba", "de", "ko")]


@dataclass(frozen=True)
class Settings(WritingSettings):
    data: Annotated[Path | None, "A file with one word of four letters in each line."] = None
    units: Annotated[int, "Width of the hidden layer."] = 8
    batch: Annotated[int, "Words in a batch."] = 32
    epochs: Annotated[int, "Passes over the words."] = 2
    out: Annotated[Path, "Folder of the run."] = Path("exported/letters")

    MAY_DIFFER = (*WritingSettings.MAY_DIFFER, "data")


def run(settings: Settings) -> dict:
    with eagerly(), Run(settings, NAME) as run:
        parts, vocabulary = read(settings, run)
        history = train(build(settings, len(vocabulary)), parts, vocabulary, settings, run)
        metrics = judge(run.best_model(build, settings, len(vocabulary)), parts["held out"])
        export(settings)
        return run.complete(metrics | {"epochs": len(history)})


def read(settings: Settings, run: Run):
    words = read_lines(settings.data) if settings.data else WORDS
    vocabulary = run.vocabulary(lambda: rk.text.Vocabulary.of(words))
    run.begin(f"{len(words)} words", words)
    run.keep(vocabulary)
    numbers = np.stack([vocabulary.encode(word) for word in words]).astype(np.int32)
    return {"train": numbers[:60], "held out": numbers[60:]}, vocabulary


def build(settings: Settings, size: int):
    import keras

    letters = keras.Input((None,), dtype="int32", name="letters")
    x = keras.layers.Embedding(size, settings.units)(letters)
    x = keras.layers.Dropout(0.2, seed=settings.seed)(x)
    return keras.Model(letters, keras.layers.Dense(size)(x), name=NAME)


def train(model, parts, vocabulary, settings: Settings, run: Run) -> list[dict[str, float]]:
    from keras_rnnkit.runs.samples import continuation

    words, held_out = parts["train"], parts["held out"]
    return run.fit(
        model,
        Rows(words[:, :-1], words[:, 1:], settings.batch, settings.seed),
        loss=rk.training.NextToken(),
        validation_data=(held_out[:, :-1], held_out[:, 1:]),
        tokens=3 * settings.batch,
        sample=lambda model: continuation(model, vocabulary, words[:1, :1], 3)[0],
    )


def judge(model, held_out: np.ndarray) -> dict:
    nats = rk.training.NextToken()(held_out[:, 1:], model(held_out[:, :-1]))
    return {"perplexity": math.exp(float(nats)), "held_out": len(held_out)}


def export(settings: Settings) -> None:
    """A folder that is recognised as a bundle."""
    folder = settings.out / "bundle"
    folder.mkdir(exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps({"files": {}}))
