"""What translation and captioning share: training pairs, the best weights, comparing graphs with Keras, reporting."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import keras_rnnkit as rk
from keras_rnnkit.decoding import Beam, Greedy
from pipelines.optimizing import optimizer_of
from pipelines.reporting import figure_of, plot_curves
from pipelines.settings import Training
from pipelines.watching import Watching

RESERVED = ["<pad>", "<unk>", "<bos>", "<eos>"]
SAME = 1e-4
"""Scores as near as that are of translations that the model holds for equally good."""


def prepare(settings: Training) -> None:
    """Threads, seeds and the numbers a model computes in; before anything is built."""
    import keras
    import tensorflow as tf

    if settings.threads:
        tf.config.threading.set_intra_op_parallelism_threads(settings.threads)
    keras.utils.set_random_seed(settings.seed)
    keras.config.set_dtype_policy("mixed_bfloat16" if settings.mixed else "float32")


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
        path, known, settings.every, place["batch"] if place else 0, place["history"] if place else None
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


def in_keras(model, sources, strategy, vocabulary, steps: int, batch: int = 64) -> list[tuple[str, float]]:
    """The best target of each source and its score, by the Keras model, of sources in order of their lengths."""
    found: list[Any] = [None] * len(sources)
    lengths = [len(source) for source in sources]
    order = sorted(range(len(sources)), key=lengths.__getitem__)
    for start in range(0, len(order), batch):
        places = order[start : start + batch]
        these = sources[places] if isinstance(sources, np.ndarray) else [sources[place] for place in places]
        written = model.translate(these, strategy, steps)
        best = strategy.rows > 1
        for row, place in enumerate(places):
            tokens, length = written.tokens[row], written.lengths[row]
            score = written.scores[row]
            tokens, length, score = (tokens[0], length[0], score[0]) if best else (tokens, length, score)
            kept = [t for t in tokens[: int(length)] if t != model.end]
            found[place] = vocabulary.decode(kept), float(score)
    return found


def same_in_both(model, bundle, sources, vocabulary, settings: Training, steps: int, console: Console):
    """Translations of all sources in both ways, by the bundle; and on how many Keras agrees."""
    counts, texts = {}, {}
    for name, strategy in (("greedy", Greedy()), (f"beam {settings.beam}", exported(settings))):
        graphs = bundle.translate(sources, steps, strategy=Greedy() if name == "greedy" else None)
        expected = in_keras(model, sources, strategy, vocabulary, steps)
        same = [a.text == b or abs(a.score - score) < SAME for a, (b, score) in zip(graphs, expected, strict=True)]
        texts[name], counts[name] = graphs, int(np.sum(same))
        console.print(f"verified  {counts[name]} of {len(same)} the same in Keras and in the bundle, {name}")
    return texts, counts


def exported(settings: Training) -> Beam:
    return Beam(settings.beam, settings.penalty)


def write_metrics(settings: Training, metrics: dict[str, Any], history, folder: Path) -> None:
    """metrics.json and curves.png."""
    folder.mkdir(parents=True, exist_ok=True)
    known = {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(settings).items()}
    part = folder / ".metrics.json"
    part.write_text(json.dumps({**metrics, "settings": known, "history": history}, indent=2, ensure_ascii=False))
    part.replace(folder / "metrics.json")
    plot_curves(history, folder / "curves.png")


def heatmaps(examples, path: Path, columns: int = 2) -> None:
    """Where the model looked: of each example (tokens of the source, tokens of the target, weights)."""
    rows = max(1, math.ceil(len(examples) / columns))
    figure = figure_of(7 * columns, 4.2 * rows)
    grid = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axes, (source, target, weights) in zip(grid, examples, strict=False):
        axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_xticks(range(len(source)), source, fontsize=8, rotation=0 if max(map(len, source)) == 1 else 60)
        axes.set_yticks(range(len(target)), target, fontsize=8)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
    for axes in grid[len(examples) :]:
        axes.axis("off")
    figure.savefig(path, dpi=120)
