"""What translation and captioning share: how pairs are trained, the best weights, the report's numbers."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import keras_rnnkit as rk
from pipelines.optimization import optimizer_of
from pipelines.progress import Watching
from pipelines.reporting import plot_curves
from pipelines.settings import Training

RESERVED = ["<pad>", "<unk>", "<bos>", "<eos>"]


def target_of(text: str, vocabulary) -> np.ndarray:
    """BEGIN, the tokens, END."""
    return np.array([2, *vocabulary.encode(text), 3], np.int32)


def train(model, pairs: rk.data.Pairs, valid: rk.data.Pairs, settings: Training, console: Console, part: str = ""):
    """Logs of every epoch; the best weights are kept in a file. part: goes into the names of the files."""
    loss = rk.training.NextToken(ignore=0, smoothing=settings.smoothing)
    model.compile(optimizer_of(settings, len(pairs)), loss)
    known = settings.learned | {"part": part}
    path, place = settings.out / f"training{part}.ckpt", None
    if settings.resume and path.exists():
        place = rk.training.resume(model, path, known)
        console.print(f"resumed   epoch {place['epoch'] + 1}, batch {place['batch'] + 1}")
    keeper = rk.training.Checkpoint(
        path, known, settings.checkpoint_every, place["batch"] if place else 0, place["history"] if place else None
    )
    done = place["epoch"] * len(pairs) + place["batch"] if place else 0
    callbacks: list[Any] = [rk.training.GradientLog(), rk.training.AveragedWeights()]
    if settings.schedule == "plateau":
        callbacks.append(rk.training.Plateau(settings.factor, keeper.history))
    if settings.sampling:
        callbacks.append(rk.seq2seq.ScheduledSampling(settings.sampling, len(pairs), start=done))
    watching = Watching(settings, console, keeper.history, pairs.tokens // len(pairs), settings.out / f"best{part}.npz")
    callbacks += [watching, keeper]
    quietly = {"validation_data": valid.dataset(), "shuffle": False, "verbose": 0}
    rk.training.fit(model, pairs, settings.epochs, callbacks, place, **quietly)
    restore(model, watching.path)
    return keeper.history


def restore(model, path: Path) -> None:
    """The best weights that were found."""
    with np.load(path) as kept:
        model.set_weights([kept[name] for name in kept.files])


def write_metrics(settings: Training, metrics: dict[str, Any], history, folder: Path) -> None:
    """metrics.json and curves.png."""
    folder.mkdir(parents=True, exist_ok=True)
    known = {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(settings).items()}
    part = folder / ".metrics.json"
    part.write_text(json.dumps({**metrics, "settings": known, "history": history}, indent=2, ensure_ascii=False))
    part.replace(folder / "metrics.json")
    plot_curves(history, folder / "curves.png")
