"""The training of a run: resumed where it stopped, watched, logged, its best weights kept; or what stands for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

import keras_rnnkit as rk
from keras_rnnkit.runs.best import set_weights
from keras_rnnkit.runs.errors import EndOfRun, RunError
from keras_rnnkit.runs.guards import DivergenceGuard, StopWhenAsked
from keras_rnnkit.runs.log import EpochLog, read_log
from keras_rnnkit.runs.optimization import optimizer_of
from keras_rnnkit.runs.profiling import StepProfile, reading_time
from keras_rnnkit.runs.progress import Ends, EpochReport
from keras_rnnkit.runs.run import Run
from keras_rnnkit.runs.samples import Sample, SampleWriter
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
    sample: Sample | None = None,
    ends: Ends | None = None,
    settings: Any = None,
    **arguments: Any,
) -> list[dict[str, float]]:
    """Train a model; the best weights are kept in a file. Returns the logs of every epoch.

    With --evaluate the model has the best weights of the run that is judged, and the logs are those of that run. With
    --find-rate the run ends here.

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
        sample: a text that the model writes, for --sample-every; the settings then are `WritingSettings`.
        ends: says why training ends after epochs with these validation losses, before the last; None if it does not.
        settings: the settings of this training, where a run trains several models and they are not its own.
        arguments: further arguments of `model.fit`.
    """
    s = run.settings if settings is None else settings
    batches = Slices(batches, s.steps_per_epoch) if s.steps_per_epoch else batches
    if s.find_rate:
        search_rate(run, model, batches, loss)
    compile_with(model, optimizer_of(s, len(batches)), loss)
    run.group.prepare(model)
    if run.judged is not None:
        return judged_history(run, model, suffix)
    keeper = keeper_of(run, model, suffix, s)
    place = keeper.place
    done = place["epoch"] * len(batches) + place["batch"] if place else 0
    report = EpochReport(run, keeper.history, tokens, suffix, unit, ends, s)
    chain = [DivergenceGuard(keeper, advice(s)), rk.training.GradientLog(), keeper]
    profile = StepProfile(s.out / f"profile{suffix}") if s.profile else None
    chain = chain if profile is None else [profile, *chain]
    if s.schedule == "plateau":
        chain.append(rk.training.Plateau(s.factor, keeper.history))
    log = [EpochLog(s.out / f"log{suffix}.csv", keeper.history)] if run.is_chief else []
    chain += [report, *log, *callbacks(done)]
    if s.tensorboard and run.is_chief:
        chain.append(TensorBoardLog(s.out / f"tensorboard{suffix}"))
    minutes = getattr(s, "sample_every", 0.0)
    if sample is not None and minutes:
        chain.append(SampleWriter(sample, minutes, s.out / f"samples{suffix}.txt", keeper, run.console))
    chain.append(StopWhenAsked(run.interruption, keeper))
    if report.ends_with([row["val_loss"] for row in keeper.history]):
        return keeper.history  # the run that is resumed had ended this training
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
    if profile is not None and profile.batches:
        of = f", {suffix.removeprefix('_').replace('_', ' ')}" if suffix else ""
        run.profile |= {f"{name}{of}": row for name, row in profile.rows(reading_time(batches)).items()}
    return keeper.history


def compile_with(model: Any, optimizer: Any, loss: Any) -> None:
    """Compile a built model, and create the variables of its optimizer.

    Keras would create them in the first step of the training, and TensorFlow traces a function that creates variables
    twice.
    """
    model.compile(optimizer, loss)
    model.optimizer.build(model.trainable_variables)  # in mixed_float16 a LossScaleOptimizer around the given one


def judged_history(run: Run, model: Any, suffix: str) -> list[dict[str, float]]:
    """Give a model the best weights of the run that is judged; the logs of its epochs."""
    assert run.judged is not None
    continue_from(run.judged, model, suffix)
    run.say("weights", f"the best of {run.judged.folder}; nothing is trained")
    return read_log(run.judged.folder / f"log{suffix}.csv")


def search_rate(run: Run, model: Any, batches: Any, loss: Any) -> None:
    """Write the loss at rising learning rates into the report, and end the run."""
    compile_with(model, optimizer_of(run.settings, len(batches), constant=True), loss)
    curve = rk.training.find_rate(model, batches, steps=max(2, min(200, 3 * len(batches))))
    folder: Path = run.settings.out / "report"
    folder.mkdir(parents=True, exist_ok=True)
    curve.plot(folder / "learning_rate.png")
    of = f"{len(curve.rates)} training batches, model {model.name!r}"
    run.say("rate", f"the loss is lowest near {curve.lowest:.2g}; try --learning-rate {curve.suggestion:.1g} ({of})")
    metrics = {f"learning rate with the lowest loss, {of}": curve.lowest, "a tenth of it, to try": curve.suggestion}
    caption = f"Loss of each of {of}, while the learning rate rises; the model learns on the way."
    run.complete(metrics, [("learning_rate.png", caption)])
    raise EndOfRun


def keeper_of(run: Run, model: Any, suffix: str, s: Any) -> Any:
    """The callback that writes checkpoints, after the model has been put back to where the run stopped."""
    path, place = s.out / f"training{suffix}.ckpt", None
    settings = s.of_checkpoint | {"suffix": suffix, "run": run.id}
    if run.resumes:
        place = run.group.resume(model, path, settings)
    if place is not None:
        run.say("resumed", f"epoch {place['epoch'] + 1}, batch {place['batch'] + 1}")
    elif run.resumes:
        run.say("resumed", "no checkpoint was written yet, so training starts from the beginning")
    if place is None and run.source is not None:
        continue_from(run.source, model, suffix)
        run.say("weights", f"those of {run.source.folder} to begin with")
    keeper = run.group.checkpoint(path, settings, every=getattr(s, "checkpoint_every", None), place=place)
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
