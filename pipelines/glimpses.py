"""Classify images that are read as sequences of small patches, in a fixed order or where the model chooses to look.

python pipelines/glimpses.py --data folder --size 16 --patch 4
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from rich.table import Table

import keras_rnnkit as rk
from keras_rnnkit.data.patches import patches_at
from keras_rnnkit.runs.degenerate import degenerate
from keras_rnnkit.runs.glimpse_pictures import glimpse_sheet, plot_accuracy
from keras_rnnkit.runs.glimpse_report import results_of, right_after_each
from keras_rnnkit.runs.glimpse_ways import NAMES, PIXEL_WAYS, glimpses_to_report, order_of, patch_of, share_seen
from keras_rnnkit.runs.image_parts import ImageParts, read_parts
from keras_rnnkit.runs.lone_bundle import check_label_count, fitting_options, opened
from keras_rnnkit.runs.metrics_file import write_metrics
from keras_rnnkit.runs.rows import Rows
from keras_rnnkit.runs.run import Run
from keras_rnnkit.runs.settings import TrainingSettings, suffix_of
from keras_rnnkit.runs.streamed import check_streamed
from keras_rnnkit.runs.training_curves import plot_losses
from keras_rnnkit.settings import SettingsError

PICTURES = (
    ("accuracy.png", "Accuracy on the test images after each glimpse, by the share of the pixels that was seen."),
    ("glimpses.png", "Where the model looked, and its label for the image after each glimpse."),
    ("curves.png", "Loss on the validation images after each epoch."),
)


@dataclass(frozen=True)
class Settings(TrainingSettings):
    """The settings of the pipeline; each field is an option of the command."""

    data: Annotated[
        Path | None, "A folder of images in folders named after their label. Default: the digits of scikit-learn."
    ] = None
    size: Annotated[int, "Height and width to which your own images are scaled; the digits have 8 pixels."] = 8
    patch: Annotated[int, "Height and width of a glimpse in pixels; it must divide the size."] = 2
    glimpses: Annotated[int, "Number of glimpses of the model that chooses where to look."] = 6
    way: Annotated[
        Literal["policy", "scan", "rows", "pixels", "permuted"],
        "policy chooses where to look; scan goes from the middle outwards, rows row by row; pixels and permuted read "
        "single pixels, and are judged at the end.",
    ] = "policy"
    compare: Annotated[
        bool | None,
        "Also train the other ways, and a convolutional network that sees all pixels. Default: with the digits.",
    ] = None
    valid_count: Annotated[int | None, "Images for validation. Default: 120, or a tenth of your own."] = None
    test_count: Annotated[int | None, "Images for the test. Default: 360, or a tenth of your own."] = None
    batch: Annotated[int, "Images in a batch."] = 32
    units: Annotated[int, "Units of each layer."] = 128
    embedding: Annotated[int, "Number of features of a glimpse."] = 128
    dropout: Annotated[float, "Dropout rate before the output."] = 0.2
    explore: Annotated[
        float, "Weight of the entropy of the policy in its loss, which keeps it from deciding too early."
    ] = 0.02
    epochs: Annotated[int, "Passes over the images."] = 100
    compare_epochs: Annotated[int, "Passes over the images of the models to compare with."] = 40
    schedule: Annotated[
        Literal["constant", "halving", "cosine", "plateau"],
        "How the learning rate falls; plateau: after an epoch without improvement.",
    ] = "cosine"
    checkpoint_every: Annotated[int, "Batches between checkpoints."] = 500
    out: Annotated[Path, "Folder of the run: bundle, report, log and checkpoint."] = Path("exported/glimpses")

    MAY_DIFFER = (*TrainingSettings.MAY_DIFFER, "data", "compare", "checkpoint_every")
    COUNTS = (
        *TrainingSettings.COUNTS,
        *("size", "patch", "glimpses", "compare_epochs", "valid_count", "test_count", "batch", "checkpoint_every"),
    )
    NOT_NEGATIVE = (*TrainingSettings.NOT_NEGATIVE, "explore")
    JUDGES_BUNDLES = True
    SMOKE = {"units": 8, "embedding": 8, "epochs": 1, "compare": False, "glimpses": 3, "batch": 64}

    def __post_init__(self):
        super().__post_init__()
        if self.size % self.patch or self.size == self.patch:
            raise SettingsError(f"patch must divide size into parts. Received: size={self.size}, patch={self.patch}.")
        if self.glimpses > (self.size // self.patch) ** 2:
            raise SettingsError(
                f"An image has {(self.size // self.patch) ** 2} places to look at. Received: glimpses={self.glimpses}."
            )
        if self.data is None and self.size != 8:
            raise SettingsError(f"The digits have 8 pixels a side. Received: size={self.size} without --data.")

    @property
    def packages(self):
        return {**super().packages, **({"digits": ("sklearn",)} if self.data is None else {"images": ("PIL",)})}

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways to train; the first is exported."""
        compares = self.data is None if self.compare is None else self.compare
        return (self.way, *(way for way in NAMES if way != self.way)) if compares else (self.way,)


def run(settings: Settings) -> dict[str, Any]:
    """data -> models -> train -> judge -> export -> look again with the bundle -> report"""
    with Run(settings, "glimpses") as run:
        data = read_parts(settings, run)
        if settings.bundle is not None:
            return judge_bundle(settings.bundle, data, settings, run)
        histories = {way: train(build(settings, data, way), data, settings, run, way) for way in settings.ways}
        models = {
            way: run.best_model(build, settings, data, way, suffix=suffix_of(way, settings)) for way in settings.ways
        }
        parts = {"validation": data.valid[0], "test": data.test[0]}
        outputs = {part: {way: outputs_of(m, x) for way, m in models.items()} for part, x in parts.items()}
        metrics, results = judge(outputs, data, settings, run), outputs["test"]
        bundle = export(models[settings.way], data, settings, run)
        metrics |= looked_again(bundle, models[settings.way], results[settings.way], data, run)
        report(settings, metrics, histories, results, data)
        return run.complete(metrics, PICTURES, results=results_of(metrics))


# ---------------------------------------------------------------------- model


def build(settings: Settings, data: ImageParts, way: str):
    """Images [B, S, S] to probabilities of the labels after each glimpse; of the convolutional network, to one."""
    from keras_rnnkit.runs.glimpse_reader import GlimpseReader, small_network

    s, size, labels = settings, data.size, len(data.labels)
    if way == "cnn":
        return small_network(labels, size, s.dropout, s.seed)
    model = GlimpseReader(
        labels,
        size,
        patch_of(settings, way),
        order_of(settings, way),
        s.glimpses,
        "last" if way in PIXEL_WAYS else "all",
        s.cell,
        s.layers,
        s.units,
        s.embedding,
        s.dropout,
        s.explore,
        s.seed,
    )
    model.build((None, size, size))
    return model


# ---------------------------------------------------------------------- training


def train(model, data: ImageParts, settings: Settings, run: Run, way: str) -> list[dict[str, float]]:
    """The logs of every epoch; the best weights are kept in a file."""
    run.console.print(f"\n{NAMES[way]}: {model.count_params():,} weights")
    return run.fit(
        model,
        Rows(*data.train, settings.batch, settings.seed),
        loss="sparse_categorical_crossentropy" if way == "cnn" else None,  # a GlimpseReader has its own
        validation_data=data.valid,
        validation_batch_size=settings.batch,
        tokens=settings.batch * (1 if way == "cnn" else model.glimpses),
        suffix=suffix_of(way, settings),
        settings=settings if way == settings.way else replace(settings, epochs=settings.compare_epochs),
    )


# ---------------------------------------------------------------------- judging


def judge(outputs, data: ImageParts, settings: Settings, run: Run) -> dict[str, Any]:
    """Accuracies after each glimpse, of outputs by part and by way.

    Choose settings by the accuracy on the validation images, so that the one on the test images has no part in it.
    """
    numbers = {"validation": data.valid[1], "test": data.test[1]}
    valid, right = ({way: right_after_each(o, numbers[part]) for way, o in outputs[part].items()} for part in numbers)
    counts = {part: len(values) for part, values in numbers.items()}
    heads = ["right", "glimpses", "pixels seen", *(f"{count:,} {part} images" for part, count in counts.items())]
    table, rows = Table(*heads, box=None, header_style="bold", pad_edge=False), {}
    for way, shares in right.items():
        for glimpses in glimpses_to_report(way, len(shares), settings):
            seen = f"{share_seen(way, glimpses, data.size, settings):.1%}"
            by_part = {"validation": valid[way][glimpses - 1], "test": shares[glimpses - 1]}
            table.add_row(NAMES[way], str(glimpses), seen, *(f"{share:.1%}" for share in by_part.values()))
            rows[f"{NAMES[way]}, {seen} of the pixels"] = by_part
    run.console.print(table)
    last = outputs["test"][settings.way]["label"][:, -1].argmax(-1)
    run.note(degenerate([data.labels[number] for number in last], "labels of the test images"))
    return {"images": counts, "right": rows, "examples": {"right_after_each_glimpse": right}}


def outputs_of(model, images: np.ndarray) -> dict[str, np.ndarray]:
    """Labels [N, T, L] after each glimpse, and the places [N, T]; the convolutional network has one glimpse of all."""
    outputs = model.predict(images, batch_size=64, verbose=0)
    return outputs if isinstance(outputs, dict) else {"label": outputs[:, None]}


# ---------------------------------------------------------------------- export


def export(model, data: ImageParts, settings: Settings, run: Run):
    """A bundle for sequences of patches with their places, and for a stream of glimpses."""
    folder, images = settings.out / "bundle", data.valid[0][:16].astype("float32")
    places = outputs_of(model, images)["places"]
    patches = np.asarray(patches_at(images, places, model.patch))
    exported = rk.export_bundle(
        model.of_glimpses(),
        folder,
        modes=["sequence", "stream"],
        labels=data.labels,
        saved_model=False,
        calibration={"patches": patches, "places": places},
    )
    run.say("exported", f"{folder}, error {exported.error:.1e}")
    return rk.runtime.load(folder)


def looked_again(bundle, model, expected, data: ImageParts, run: Run) -> dict[str, Any]:
    """The test images through the bundle, glimpse by glimpse: whether it looks and decides as Keras does."""
    from keras_rnnkit.runs.glimpse_reader import looked

    streamed = looked(bundle, data.test[0], model.patch, model.glimpses, model.order)
    same = (streamed["places"] == expected["places"]).all(1)
    difference = check_streamed([expected["label"][same]], [streamed["label"][same]])
    of = f"{same.sum()} of {len(same)} test images were looked at in the same places by onnxruntime"
    run.say("streamed", f"{of}; largest difference {difference:.1e}")
    return {"same places through onnxruntime": float(same.mean()), "largest difference from Keras": difference}


# ---------------------------------------------------------------------- report


def report(settings: Settings, metrics, histories, results, data: ImageParts) -> None:
    """metrics.json and the pictures."""
    folder = write_metrics(settings, metrics, histories)
    if histories:
        plot_losses({NAMES[way]: history for way, history in histories.items()}, folder / "curves.png")
    curves = {
        NAMES[way]: [
            (100 * share_seen(way, glimpses, data.size, settings), 100 * share)
            for glimpses, share in enumerate(shares, 1)
            if way not in PIXEL_WAYS or glimpses == len(shares)
        ]
        for way, shares in metrics["examples"]["right_after_each_glimpse"].items()
    }
    plot_accuracy(curves, folder / "accuracy.png")
    glimpse_sheet(
        *data.test, results[settings.way], data.labels, patch_of(settings, settings.way), folder / "glimpses.png"
    )


# ---------------------------------------------------------------------- a bundle without its run


def judge_bundle(path: Path, data: ImageParts, settings: Settings, run: Run) -> dict[str, Any]:
    """What can be said about a bundle alone: everything but its training and its likeness to Keras."""
    from keras_rnnkit.runs.glimpse_reader import looked

    bundle = opened(path, ["patches", "places"], "glimpses")
    patch, order = patch_of(settings, settings.way), order_of(settings, settings.way)
    if (order is None) != ("next" in bundle.sequence.outputs):
        raise SettingsError(
            f"{path} {'has a fixed order of places' if order is None else 'chooses the places itself'}, which does not "
            f"go with --way {settings.way}. Give the --way of its run."
        )
    glimpses = settings.glimpses if order is None else len(order)
    with fitting_options(path, "--patch, --size and --way"):
        parts = {"validation": data.valid[0], "test": data.test[0]}
        outputs = {part: {settings.way: looked(bundle, x, patch, glimpses, order)} for part, x in parts.items()}
    check_label_count(path, outputs["test"][settings.way]["label"].shape[-1], data.labels, "--data")
    metrics = judge(outputs, data, settings, run)
    report(settings, metrics, {}, outputs["test"], data)
    return run.complete(metrics, PICTURES, results=results_of(metrics))


def main(settings: Settings) -> None:
    """Classify images by glimpses, evaluate the model, and write a bundle that streams, and a report."""
    run(settings)


if __name__ == "__main__":
    from keras_rnnkit.cli.training import start

    start(main, Settings)
