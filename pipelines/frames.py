"""Learn a label for every frame of a clip, from this frame and those before it, and write a bundle that streams.

python pipelines/frames.py --data folder --window 32
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

import keras_rnnkit as rk
from keras_rnnkit.runs.clip_parts import ClipParts, read_clip_parts
from keras_rnnkit.runs.clip_pictures import clip_sheet, plot_by_frame, plot_confusion
from keras_rnnkit.runs.clip_windows import of_equal_length
from keras_rnnkit.runs.degenerate import degenerate
from keras_rnnkit.runs.lone_bundle import check_label_count, fitting_options, opened
from keras_rnnkit.runs.metrics_file import write_metrics
from keras_rnnkit.runs.page import percent
from keras_rnnkit.runs.recurrent import layer_of
from keras_rnnkit.runs.rows import Rows
from keras_rnnkit.runs.run import Run
from keras_rnnkit.runs.settings import TrainingSettings
from keras_rnnkit.runs.streamed import check_streamed, step_by_step
from keras_rnnkit.runs.training_curves import plot_losses

PICTURES = (
    (
        "clips.png",
        "Test clips, frame by frame; the frame's colour is the label of the model. Wrong ones are crossed out.",
    ),
    ("by_frame.png", "Accuracy at each frame of the test clips, by how much a model remembers."),
    ("confusion.png", "Labels of the test frames, and how often the recurrent model gave which."),
    ("curves.png", "Loss on the validation clips after each epoch."),
)
MEMORIES = {"recurrent": "recurrent", "pair": "two frames", "single": "one frame"}
"""What a model remembers, and its name in tables: everything, the frame before, or nothing."""


@dataclass(frozen=True)
class Settings(TrainingSettings):
    """The settings of the pipeline; each field is an option of the command."""

    data: Annotated[
        Path | None,
        "A folder of clips (folders of frames, or GIF files), in folders named after their label or with a labels.csv. "
        "Default: rendered moving shapes.",
    ] = None
    count: Annotated[int, "Number of rendered clips to train on."] = 1000
    window: Annotated[int, "Frames of a training window, and of a rendered clip. No clip may be shorter."] = 24
    size: Annotated[int, "Height and width of the network's frames, in pixels."] = 24
    compare: Annotated[
        bool | None,
        "Also train models that see one frame and two frames, to compare. Default: with the rendered clips.",
    ] = None
    valid_count: Annotated[int | None, "Clips for validation. Default: 100, or a tenth of your own."] = None
    test_count: Annotated[int | None, "Clips for the test. Default: 200, or a tenth of your own."] = None
    batch: Annotated[int, "Windows in a batch."] = 16
    embedding: Annotated[
        int, "Number of features of a frame, which the convolutional network hands to the recurrent one."
    ] = 64
    units: Annotated[int, "Units of each layer."] = 64
    epochs: Annotated[int, "Passes over the clips."] = 12
    schedule: Annotated[
        Literal["constant", "halving", "cosine", "plateau"],
        "How the learning rate falls; plateau: after an epoch without improvement.",
    ] = "cosine"
    checkpoint_every: Annotated[int, "Batches between checkpoints."] = 500
    out: Annotated[Path, "Folder of the run: bundle, report, log and checkpoint."] = Path("exported/frames")

    MAY_DIFFER = (*TrainingSettings.MAY_DIFFER, "data", "compare", "checkpoint_every")
    COUNTS = (
        *TrainingSettings.COUNTS,
        *("count", "window", "size", "valid_count", "test_count", "batch", "checkpoint_every"),
    )
    JUDGES_BUNDLES = True
    SMOKE = {
        "count": 16,
        "valid_count": 4,
        "test_count": 6,
        "window": 8,
        "units": 8,
        "embedding": 8,
        "epochs": 1,
        "compare": False,
    }

    @property
    def packages(self):
        return {**super().packages, "images": ("PIL",)}

    @property
    def memories(self) -> tuple[str, ...]:
        """The models to train; the first is exported."""
        compares = self.data is None if self.compare is None else self.compare
        return tuple(MEMORIES) if compares else ("recurrent",)


def run(settings: Settings) -> dict[str, Any]:
    """data -> models -> train -> judge -> export -> stream -> report"""
    with Run(settings, "frames") as run:
        data = read_clip_parts(settings, run)
        if settings.bundle is not None:
            return judge_bundle(settings.bundle, data, settings, run)
        labels, memories = len(data.labels), settings.memories
        histories = {
            memory: train(build(settings, labels, memory), data, settings, run, suffix_of(memory))
            for memory in memories
        }
        models = {
            memory: run.best_model(build, settings, labels, memory, suffix=suffix_of(memory)) for memory in memories
        }
        predicted = {memory: predictions_of(model, data) for memory, model in models.items()}
        metrics = judge(predicted, data, run)
        bundle = export(models["recurrent"], data, settings, run)
        metrics |= streamed(bundle, predicted["recurrent"], data, run)
        report(settings, metrics, histories, predicted, data)
        return run.complete(metrics, PICTURES, results=results(metrics))


# ---------------------------------------------------------------------- model


def build(settings: Settings, labels: int, memory: str):
    """Frames [B, T, size, size, 3] with values 0 to 255 to probabilities of the labels [B, T, labels]."""
    import keras

    from keras_rnnkit.runs.each_frame import EachFrame

    frames = keras.Input((None, settings.size, settings.size, 3), name="frames")
    x = EachFrame(network(settings.size, settings.embedding), name="each_frame")(frames)
    x = keras.layers.Dropout(settings.dropout, seed=settings.seed)(x) if settings.dropout else x
    if memory == "recurrent":
        for i in range(settings.layers):
            x = layer_of(settings.cell, settings.units, name=f"memory_{i}")(x)
    else:
        span = 2 if memory == "pair" else 1
        x = keras.layers.Conv1D(settings.units, span, padding="causal", activation="relu", name="memory")(x)
    x = keras.layers.Dropout(settings.dropout, seed=settings.seed + 1)(x) if settings.dropout else x
    output = keras.layers.Dense(labels, activation="softmax", name="label", dtype="float32")(x)
    return keras.Model(frames, output, name="frames")


def network(size: int, features: int):
    """The convolutional network of one frame. It has no global pooling: where the shape is must stay visible."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((size, size, 3)),
            layers.Rescaling(2 / 255, -1.0),
            layers.Conv2D(16, 5, strides=2, padding="same", activation="relu"),
            layers.Conv2D(32, 3, strides=2, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(features),
            layers.LayerNormalization(),  # recurrent units that see larger numbers saturate
        ],
        name="network",
    )


# ---------------------------------------------------------------------- training


def train(model, data: ClipParts, settings: Settings, run: Run, suffix: str) -> list[dict[str, float]]:
    """The logs of every epoch; the best weights are kept in a file."""
    run.console.print(f"\n{model.name}{suffix}: {model.count_params():,} weights")
    return run.fit(
        model,
        Rows(*data.train, settings.batch, settings.seed),
        loss="sparse_categorical_crossentropy",
        validation_data=data.valid,
        validation_batch_size=settings.batch,
        tokens=settings.batch * settings.window,
        suffix=suffix,
    )


def suffix_of(memory: str) -> str:
    """The exported model has files without a suffix."""
    return "" if memory == "recurrent" else f"_{memory}"


# ---------------------------------------------------------------------- judging


def predictions_of(model, data: ClipParts) -> list[np.ndarray]:
    """The probabilities [T, labels] of every test clip."""
    return of_equal_length(lambda x: model.predict(x, batch_size=16, verbose=0), data.test)


def judge(predicted: dict[str, list[np.ndarray]], data: ClipParts, run: Run) -> dict[str, Any]:
    """Accuracies on the frames of the test clips."""
    targets = np.concatenate(data.targets)
    most_frequent = np.bincount(data.train[1].ravel()).argmax()
    metrics: dict[str, Any] = {"test frames": len(targets)}
    accuracy = {MEMORIES[m]: float(np.mean(np.concatenate(p).argmax(-1) == targets)) for m, p in predicted.items()}
    metrics["right"] = accuracy | {f"always {data.labels[most_frequent]!r}": float(np.mean(targets == most_frequent))}
    for name, value in metrics["right"].items():
        run.say("test", f"{value:6.2%} of {len(targets):,} frames right, {name}")
    numbers = np.concatenate(predicted["recurrent"]).argmax(-1)
    metrics["right, by label"] = {
        label: float(np.mean(numbers[targets == number] == number))
        for number, label in enumerate(data.labels)
        if (targets == number).any()
    }
    run.note(degenerate([data.labels[number] for number in numbers], "labels of the test frames"))
    return metrics


def results(metrics: dict[str, Any]) -> dict[str, Any]:
    """The numbers of the report, by what they are of."""
    of = f"{metrics['test frames']:,} frames of the test clips"
    shares = {f"{name}, {of}": percent(x, 2) for name, x in metrics.items() if name.startswith("right")}
    return shares | {name: x for name, x in metrics.items() if name.startswith("largest")}


def export(model, data: ClipParts, settings: Settings, run: Run):
    """A bundle for whole clips, and for a stream of frames. It is checked on frames of the validation clips too."""
    folder, frames = settings.out / "bundle", data.valid[0][:16].astype("float32")
    exported = rk.export_bundle(
        model,
        folder,
        modes=["sequence", "stream"],
        labels=data.labels,
        saved_model=False,
        calibration={"frames": frames},
    )
    run.say("exported", f"{folder}, error {exported.error:.1e}")
    return rk.runtime.load(folder)


def streamed(bundle, expected: list[np.ndarray], data: ClipParts, run: Run) -> dict[str, float]:
    """The test clips frame by frame through onnxruntime: the accuracy, and the largest difference from Keras."""
    probabilities = of_equal_length(lambda x: step_by_step(bundle, x), data.test)
    difference = check_streamed(expected, probabilities)
    accuracy = float(np.mean(np.concatenate(probabilities).argmax(-1) == np.concatenate(data.targets)))
    run.say("streamed", f"{accuracy:6.2%} of them right frame by frame, largest difference from Keras {difference:.1e}")
    return {"right, frame by frame through onnxruntime": accuracy, "largest difference from Keras": difference}


# ---------------------------------------------------------------------- report


def report(settings: Settings, metrics, histories, predicted, data: ClipParts) -> None:
    """metrics.json and the pictures."""
    folder = write_metrics(settings, metrics, histories)
    named = {MEMORIES[memory]: clips for memory, clips in predicted.items()}
    clip_sheet(data.test, predicted["recurrent"], data.labels, folder / "clips.png")
    plot_by_frame(named, data.targets, folder / "by_frame.png")
    plot_confusion(predicted["recurrent"], data.targets, data.labels, folder / "confusion.png")
    if histories:
        plot_losses({MEMORIES[memory]: history for memory, history in histories.items()}, folder / "curves.png")


# ---------------------------------------------------------------------- a bundle without its run


def judge_bundle(path: Path, data: ClipParts, settings: Settings, run: Run) -> dict[str, Any]:
    """What can be said about a bundle alone: everything but its training and its likeness to Keras."""
    bundle = opened(path, ["frames"], "frames")
    with fitting_options(path, "--size"):
        predicted = {"recurrent": of_equal_length(lambda x: step_by_step(bundle, x), data.test)}
    check_label_count(path, predicted["recurrent"][0].shape[-1], data.labels, "--data")
    metrics = judge(predicted, data, run)
    report(settings, metrics, {}, predicted, data)
    return run.complete(metrics, PICTURES, results=results(metrics))


def main(settings: Settings) -> None:
    """Learn a label for every frame of a clip, evaluate the model, and write a bundle that streams, and a report."""
    run(settings)


if __name__ == "__main__":
    from keras_rnnkit.cli.training import start

    start(main, Settings)
