"""The training of a run: resumed where it stopped, watched, logged, its best weights kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

import keras_rnnkit as rk
from keras_rnnkit.runs.best import set_weights
from keras_rnnkit.runs.errors import RunError
from keras_rnnkit.runs.guards import DivergenceGuard, StopWhenAsked
from keras_rnnkit.runs.log import EpochLog
from keras_rnnkit.runs.optimization import optimizer_of
from keras_rnnkit.runs.progress import EpochReport
from keras_rnnkit.runs.run import Run
from keras_rnnkit.runs.slices import Slices
from keras_rnnkit.runs.tensorboard import TensorBoardLog


def fit(
    run: Run,
    model: Any,
    batches: Any,
    loss: Any,
    validation_data: Any,
    tokens: int,
    suffix: str = "",
    unit: str = "nats",
    callbacks: Callable[[int], list[keras.callbacks.Callback]] = lambda done: [],
    **arguments: Any,
) -> list[dict[str, float]]:
    """Train a model; the best weights are kept in a file. Returns the logs of every epoch.

    Arguments:
        run: the run, with its settings.
        model: a built model.
        batches: `Windows`, `Pairs` or `Rows`: `epoch`, `len()` and `dataset(start)`.
        loss: the loss.
        validation_data: as in `model.fit`.
        tokens: tokens of a batch, for the speed.
        suffix: is added to the names of the files, where a run trains more than one model.
        unit: what the loss is measured in, for the lines about epochs.
        callbacks: gives further callbacks, for the number of batches that were trained on before.
        arguments: further arguments of `model.fit`.
    """
    s = run.settings
    batches = Slices(batches, s.steps_per_epoch) if s.steps_per_epoch else batches
    model.compile(optimizer_of(s, len(batches)), loss)
    keeper = keeper_of(run, model, suffix)
    place = keeper.place
    done = place["epoch"] * len(batches) + place["batch"] if place else 0
    report = EpochReport(run, keeper.history, tokens, suffix, unit)
    chain = [DivergenceGuard(keeper, advice(s)), rk.training.GradientLog(), keeper]
    if s.schedule == "plateau":
        chain.append(rk.training.Plateau(s.factor, keeper.history))
    chain += [report, EpochLog(s.out / f"log{suffix}.csv", keeper.history), *callbacks(done)]
    if s.tensorboard:
        chain.append(TensorBoardLog(s.out / f"tensorboard{suffix}"))
    chain.append(StopWhenAsked(run.interruption, keeper))
    run.interruption.deferred = True
    try:
        rk.training.fit(
            model,
            batches,
            s.epochs,
            chain,
            place,
            validation_data=validation_data,
            shuffle=False,
            verbose=0,
            **arguments,
        )
    finally:
        run.interruption.deferred = False
        report.close()
    return keeper.history


def keeper_of(run: Run, model: Any, suffix: str) -> Any:
    """The callback that writes checkpoints, after the model has been put back to where the run stopped."""
    s, path, place = run.settings, run.settings.out / f"training{suffix}.ckpt", None
    settings = s.of_checkpoint | {"suffix": suffix, "run": run.id}
    if run.resumes and path.exists():
        place = rk.training.resume(model, path, settings)
        run.say("resumed", f"epoch {place['epoch'] + 1}, batch {place['batch'] + 1}")
    elif run.resumes:
        run.say("resumed", "no checkpoint was written yet, so training starts from the beginning")
    if place is None and run.source is not None:
        continue_from(run.source, model, suffix)
        run.say("weights", f"those of {run.source.folder} to begin with")
    keeper = rk.training.Checkpoint(path, settings, getattr(s, "checkpoint_every", None), place=place)
    keeper.place = place
    return keeper


def continue_from(source: Any, model: Any, suffix: str) -> None:
    """Begin with the best weights of another run."""
    if suffix not in source.weights:
        raise RunError(f"{source.folder} has no file best{suffix}.npz. Train that model there first.")
    set_weights(model, source.weights[suffix], source.folder / f"best{suffix}.npz")


def advice(settings: Any) -> str:
    """What to try when training diverges."""
    lower = f"Try a lower --learning-rate (it is {settings.learning_rate:g})"
    clip = f"a smaller --clip (it is {settings.clip:g})" if settings.clip else "--clip 1 (gradients are not clipped)"
    return f"{lower}, {clip} or --warmup with some hundred steps, and begin again with --overwrite."
