"""Learn to draw images of a label, pixel by pixel or row by row, and digits stroke by stroke.

python pipelines/drawing.py --data folder --size 12
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

import keras_rnnkit as rk
from keras_rnnkit.data.strokes import SHAPES, strokes
from keras_rnnkit.runs.degenerate import degenerate
from keras_rnnkit.runs.drawing_data import DrawingData, drawing_data
from keras_rnnkit.runs.drawing_pictures import image_sheet, stroke_sheet
from keras_rnnkit.runs.drawing_report import results
from keras_rnnkit.runs.drawn import completions, degenerate_strokes, draw
from keras_rnnkit.runs.image_parts import ImageParts, read_parts
from keras_rnnkit.runs.lone_bundle import fitting_options, opened
from keras_rnnkit.runs.metrics_file import write_metrics
from keras_rnnkit.runs.named_rows import NamedRows
from keras_rnnkit.runs.recurrent import layer_of
from keras_rnnkit.runs.run import Run
from keras_rnnkit.runs.settings import TrainingSettings, suffix_of
from keras_rnnkit.runs.shades import nearest_labels, shades_of
from keras_rnnkit.runs.training_curves import plot_losses
from keras_rnnkit.settings import SettingsError

PICTURES = (
    ("samples.png", "Drawings pixel by pixel, a row for each label, beside a training image."),
    ("completions.png", "Test images, the upper half that the model was shown, and how it went on from there."),
    ("samples_rows.png", "Drawings row by row: the pixels of a row do not know of each other."),
    ("strokes.png", "Digits drawn with a pen by the mixture-density model, beside generated ones."),
    ("curves.png", "Validation loss of the images after each epoch."),
    ("curves_strokes.png", "Validation loss of the strokes after each epoch."),
)
NAMES = {"pixels": "pixel by pixel", "rows": "row by row", "strokes": "stroke by stroke"}


@dataclass(frozen=True)
class Settings(TrainingSettings):
    """The settings of the pipeline; each field is an option of the command."""

    data: Annotated[
        Path | None, "A folder of images in folders named after their label. Default: the digits of scikit-learn."
    ] = None
    size: Annotated[int, "Height and width to which your own images are scaled; the digits have 8 pixels."] = 8
    levels: Annotated[int, "Number of shades of grey."] = 4
    way: Annotated[
        Literal["pixels", "rows", "strokes"],
        "pixels draws pixel by pixel, rows row by row, and strokes generated digits with a pen.",
    ] = "pixels"
    compare: Annotated[bool | None, "Also train the other ways. Default: with the digits."] = None
    strokes: Annotated[int, "Number of digits generated for drawing with a pen."] = 2000
    mixtures: Annotated[int, "Normal distributions of the mixture for a movement of the pen."] = 8
    temperature: Annotated[float, "Below 1 the drawings become more ordinary, above 1 more unusual."] = 0.8
    samples: Annotated[int, "Drawings of each label in the report."] = 8
    valid_count: Annotated[int | None, "Images for validation. Default: 120, or a tenth of your own."] = None
    test_count: Annotated[int | None, "Images for the test. Default: 360, or a tenth of your own."] = None
    batch: Annotated[int, "Images in a batch."] = 32
    embedding: Annotated[int, "Number of features of the pixels before, of the row before, or of the point before."] = (
        48
    )
    units: Annotated[int, "Units of each layer."] = 128
    dropout: Annotated[float, "Dropout rate before the recurrent layers and before the output."] = 0.25
    epochs: Annotated[int, "Passes over the images."] = 30
    schedule: Annotated[
        Literal["constant", "halving", "cosine", "plateau"],
        "How the learning rate falls; plateau: after an epoch without improvement.",
    ] = "cosine"
    checkpoint_every: Annotated[int, "Batches between checkpoints."] = 500
    out: Annotated[Path, "Folder of the run: bundle, report, log and checkpoint."] = Path("exported/drawing")

    MAY_DIFFER = (*TrainingSettings.MAY_DIFFER, "data", "compare", "samples", "temperature", "checkpoint_every")
    COUNTS = (
        *TrainingSettings.COUNTS,
        *("strokes", "mixtures", "samples", "valid_count", "test_count", "batch", "checkpoint_every"),
    )
    POSITIVE = (*TrainingSettings.POSITIVE, "temperature")
    JUDGES_BUNDLES = True
    SMOKE = {
        "units": 8,
        "embedding": 8,
        "epochs": 1,
        "compare": False,
        "strokes": 64,
        "mixtures": 2,
        "samples": 2,
    }

    def __post_init__(self):
        super().__post_init__()
        if not 2 <= self.levels <= 256:
            raise SettingsError(f"levels must be 2 to 256. Received: levels={self.levels}.")
        if self.size < 2:
            raise SettingsError(f"size must be 2 pixels or more. Received: size={self.size}.")
        if self.data is None and self.size != 8:
            raise SettingsError(f"The digits have 8 pixels a side. Received: size={self.size} without --data.")
        if self.data is not None and self.way == "strokes":
            raise SettingsError("Strokes are generated, and --data is of images. Draw them with --way pixels or rows.")

    @property
    def packages(self):
        return {**super().packages, **({"digits": ("sklearn",)} if self.data is None else {"images": ("PIL",)})}

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways to train; the first one's bundle is in the folder `bundle`."""
        compares = self.data is None if self.compare is None else self.compare
        others = [way for way in NAMES if way != self.way and not (self.data and way == "strokes")]
        return (self.way, *others) if compares else (self.way,)


def run(settings: Settings) -> dict[str, Any]:
    """data -> models -> train -> judge -> export -> draw -> report"""
    with Run(settings, "drawing") as run:
        images = read_parts(settings, run)
        if settings.bundle is not None:
            return judge_bundle(settings.bundle, images, settings, run)
        data = {way: drawing_data(way, images, settings) for way in settings.ways}
        histories = {way: train(build(settings, images, way), data[way], settings, run, way) for way in settings.ways}
        models = {
            way: run.best_model(build, settings, images, way, suffix=suffix_of(way, settings)) for way in settings.ways
        }
        predicted = {way: m.predict(data[way].test[0], batch_size=128, verbose=0) for way, m in models.items()}
        metrics = judge(predicted, data, run)
        bundles = {way: export(model, images, settings, run, way) for way, model in models.items()}
        drawings = {way: draw(bundle, images, settings, way) for way, bundle in bundles.items()}
        metrics |= recognized(drawings, images, settings, run)
        run.note(degenerate_strokes(drawings))
        report(settings, metrics, histories, drawings, bundles, images)
        return run.complete(metrics, PICTURES, results=results(metrics, NAMES.values()))


# ---------------------------------------------------------------------- model


def build(settings: Settings, images: ImageParts, way: str):
    """What came before, [B, T] or [B, T, ...], and the label [B, L] to a distribution of what comes next."""
    import keras

    from keras_rnnkit.runs.position_cell import PositionCell
    from keras_rnnkit.runs.stroke_mixture import width_of

    s, layers = settings, keras.layers
    label = keras.Input((len(SHAPES) if way == "strokes" else len(images.labels),), name="label")
    if way == "pixels":
        first = keras.Input((None,), dtype="int32", name="pixels")
        x = layers.Embedding(s.levels + 1, 16, name="shade")(first)
        where = rk.Recurrent(PositionCell(images.size**2), return_sequences=True, name="position")(x)
        span = images.size + 2  # as far back as the pixel above and to the left
        x = layers.Conv1D(s.embedding, span, padding="causal", activation="relu", name="neighbours")(x)
    else:
        first = (
            keras.Input((None, images.size), name="rows") if way == "rows" else keras.Input((None, 5), name="points")
        )
        x = layers.Dense(s.embedding, activation="relu", name="before")(first)
    x = layers.Add()([x, layers.Reshape((1, -1))(layers.Dense(s.embedding, name="of_label")(label))])  # at every step
    x = layers.Concatenate()([x, where]) if way == "pixels" else x
    for i in range(s.layers):
        x = layers.Dropout(s.dropout, seed=s.seed + i)(x)
        x = layer_of(s.cell, s.units, name=f"memory_{i}")(x)
    x = layers.Dropout(s.dropout, seed=s.seed - 1)(x)
    width = {"pixels": s.levels, "rows": images.size * s.levels, "strokes": width_of(s.mixtures)}[way]
    x = layers.Dense(width, dtype="float32", name="next")(x)
    x = layers.Reshape((-1, images.size, s.levels), name="scores")(x) if way == "rows" else x
    return keras.Model([first, label], x, name=way)


# ---------------------------------------------------------------------- training


def train(model, data: DrawingData, settings: Settings, run: Run, way: str) -> list[dict[str, float]]:
    """The logs of every epoch; the best weights are kept in a file."""
    run.console.print(f"\n{NAMES[way]}: {model.count_params():,} weights")
    return run.fit(
        model,
        NamedRows(*data.train, settings.batch, settings.seed),
        loss=loss_of(way),
        validation_data=data.valid,
        validation_batch_size=settings.batch,
        tokens=settings.batch * data.train[1].shape[1],
        suffix=suffix_of(way, settings),
    )


def loss_of(way: str):
    """Minus the log-likelihood of what comes next."""
    from keras_rnnkit.runs.stroke_mixture import StrokeMixture

    return StrokeMixture() if way == "strokes" else rk.training.NextToken()


# ---------------------------------------------------------------------- judging


def judge(predicted, data: dict[str, DrawingData], run: Run) -> dict[str, Any]:
    """What each model needs for a pixel or a point of the test data, beside a model without memory."""
    metrics: dict[str, Any] = {}
    for way, outputs in predicted.items():
        of_strokes, (_, y) = way == "strokes", data[way].test
        unit, scale = ("nats a point", 1.0) if of_strokes else ("bits a pixel", 1 / math.log(2))
        loss = loss_of(way)
        own, baseline = float(loss(y, outputs)) * scale, data[way].baseline * scale
        of = f"{len(y):,} generated test drawings" if of_strokes else f"{len(y):,} test images"
        alone = "the number of the point" if of_strokes else "the pixel's place"
        less = f"{baseline - own:.3f} less" if of_strokes else f"{1 - own / baseline:.1%} less"
        run.say("test", f"{own:.4f} {unit} of {of}, {NAMES[way]}; {less} than {baseline:.4f} by {alone} alone")
        metrics |= {f"{unit}, {NAMES[way]}": own, f"{unit}, without memory, {NAMES[way]}": baseline}
        metrics[f"judged on, {NAMES[way]}"] = of
    return metrics


def recognized(drawings, images: ImageParts, settings: Settings, run: Run) -> dict[str, Any]:
    """How many drawings the most similar training image assigns to the label that was asked for."""
    train, metrics = shades_of(images.train[0], settings.levels), {}
    for way in [way for way in drawings if way != "strokes"]:
        drawn = drawings[way].reshape(-1, images.size, images.size)
        labels = np.repeat(np.arange(len(images.labels)), settings.samples)
        share = float(np.mean(nearest_labels(train, images.train[1], drawn) == labels))
        run.say(
            "drawn", f"{share:.0%} of {len(drawn)} drawings are most like a training image of their label, {NAMES[way]}"
        )
        metrics |= {"drawings": len(drawn), f"recognized, {NAMES[way]}": share}
        run.note(degenerate(["".join(map(str, x.ravel())) if x.any() else "" for x in drawn], f"drawings {NAMES[way]}"))
    return metrics


# ---------------------------------------------------------------------- export


def export(model, images: ImageParts, settings: Settings, run: Run, way: str):
    """A bundle that draws: pixels by its own loop of tokens, rows and strokes step by step."""
    folder = settings.out / f"bundle{suffix_of(way, settings)}"
    modes = ["sequence", "stream", *(["generate"] if way == "pixels" else [])]
    labels = SHAPES if way == "strokes" else images.labels
    exported = rk.export_bundle(model, folder, modes=modes, labels=labels, saved_model=False)
    run.say("exported", f"{folder}, error {exported.error:.1e}")
    return rk.runtime.load(folder)


# ---------------------------------------------------------------------- report


def report(settings: Settings, metrics, histories, drawings, bundles, images: ImageParts) -> None:
    """metrics.json and the pictures."""
    folder, s = write_metrics(settings, metrics, histories), settings
    of_images = {NAMES[way]: history for way, history in histories.items() if way != "strokes"}
    if of_images:
        plot_losses(of_images, folder / "curves.png", "bits a pixel", 1 / math.log(2))
    if "strokes" in histories:
        plot_losses({NAMES["strokes"]: histories["strokes"]}, folder / "curves_strokes.png", "nats a point")
    firsts = [int(np.argmax(images.train[1] == number)) for number in range(len(images.labels))]
    for way, name in (("pixels", "samples.png"), ("rows", "samples_rows.png")):
        if way in drawings:
            examples = shades_of(images.train[0][firsts], s.levels)
            image_sheet(drawings[way], examples, images.labels, s.levels, folder / name)
    if "pixels" in bundles:
        completions(bundles["pixels"], images, settings, folder / "completions.png")
    if "strokes" in drawings:
        moves, pens, numbers = strokes(100, s.seed)
        rows = [int(np.argmax(numbers == number)) for number in range(len(SHAPES))]
        examples = [np.column_stack([moves[row], pens[row]])[pens[row] >= 0] for row in rows]
        stroke_sheet(drawings["strokes"], examples, folder / "strokes.png")


# ---------------------------------------------------------------------- a bundle without its run


def judge_bundle(path: Path, images: ImageParts, settings: Settings, run: Run) -> dict[str, Any]:
    """What can be said about a bundle alone: everything but its training."""
    way, data = settings.way, drawing_data(settings.way, images, settings)
    bundle = opened(path, list(data.test[0]), "drawing")
    with fitting_options(path, "--data, --size, --levels and --mixtures"):
        metrics = judge({way: bundle.predict(data.test[0])}, {way: data}, run)
        drawings = {way: draw(bundle, images, settings, way)}
    metrics |= recognized(drawings, images, settings, run)
    report(settings, metrics, {}, drawings, {way: bundle}, images)
    return run.complete(metrics, PICTURES, results=results(metrics, NAMES.values()))


def main(settings: Settings) -> None:
    """Learn to draw images of a label, judge the model, and write bundles that draw, and a report."""
    run(settings)


if __name__ == "__main__":
    from keras_rnnkit.cli.training import start

    start(main, Settings)
