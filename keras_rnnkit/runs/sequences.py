"""What translation and captioning share: training on pairs, the best weights, the numbers of the report."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import keras_rnnkit as rk
from keras_rnnkit.runs.reporting import plot_curves
from keras_rnnkit.runs.settings import PairSettings
from keras_rnnkit.text.files import replacing

RESERVED = ["<pad>", "<unk>", "<bos>", "<eos>"]


def target_of(text: str, vocabulary) -> np.ndarray:
    """The numbers of BEGIN, the tokens of a text, and END."""
    return np.array([2, *vocabulary.encode(text), 3], np.int32)


def train(
    model, pairs: rk.data.Pairs, valid: rk.data.Pairs, settings: PairSettings, console: Console, suffix: str = ""
):
    """Train; the model then has the best weights, which are in a file too.

    Arguments:
        pairs, valid: the pairs to train on and to validate.
        suffix: is added to the names of the files.

    Returns the logs of every epoch.
    """
    from keras_rnnkit.runs.optimization import optimizer_of
    from keras_rnnkit.runs.progress import EpochReport

    loss = rk.training.NextToken(ignore=0, smoothing=settings.smoothing)
    model.compile(optimizer_of(settings, len(pairs)), loss)
    learned = settings.of_checkpoint | {"suffix": suffix}
    path, place = settings.out / f"training{suffix}.ckpt", None
    if settings.resume and path.exists():
        place = rk.training.resume(model, path, learned)
        console.print(f"resumed   epoch {place['epoch'] + 1}, batch {place['batch'] + 1}")
    keeper = rk.training.Checkpoint(path, learned, settings.checkpoint_every, place=place)
    report = EpochReport(
        settings, console, keeper.history, pairs.tokens // len(pairs), settings.out / f"best{suffix}.npz"
    )
    callbacks: list[Any] = [rk.training.GradientLog(), report, keeper]
    if settings.schedule == "plateau":
        callbacks.append(rk.training.Plateau(settings.factor, keeper.history))
    if settings.sampling:
        done = place["epoch"] * len(pairs) + place["batch"] if place else 0
        callbacks.append(rk.seq2seq.ScheduledSampling(settings.sampling, len(pairs), start=done))
    arguments = {"validation_data": valid.dataset(), "shuffle": False, "verbose": 0}
    rk.training.fit(model, pairs, settings.epochs, callbacks, place, **arguments)
    restore(model, report.path)
    return keeper.history


def restore(model, path: Path) -> None:
    """Give a model the best weights, from their file."""
    with np.load(path) as kept:
        model.set_weights([kept[name] for name in kept.files])


def write_metrics(settings: PairSettings, metrics: dict[str, Any], history, folder: Path) -> None:
    """Write metrics.json and curves.png."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(settings).items()}
    content = {**metrics, "settings": values, "history": history}
    with replacing(folder / "metrics.json") as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
    plot_curves(history, folder / "curves.png")
