"""Learn to caption images, word by word from START to END, and write a bundle to serve.

python pipelines/captioning.py --images folder --captions captions.tsv --network mobilenet_v2 --weights imagenet
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from rich.table import Table

import keras_rnnkit as rk
from keras_rnnkit.runs.degenerate import degenerate
from keras_rnnkit.runs.evaluation import export, in_keras, respelled, results_of, same_in_both, scores, shown
from keras_rnnkit.runs.image_encoder import NETWORKS, network_of, pooled
from keras_rnnkit.runs.metrics_file import write_metrics
from keras_rnnkit.runs.pictures import attention_on_images, contact_sheet
from keras_rnnkit.runs.recurrent import layer_of
from keras_rnnkit.runs.reporting import plot_curves
from keras_rnnkit.runs.run import Run
from keras_rnnkit.runs.sequences import RESERVED, sample_of, target_of, train
from keras_rnnkit.runs.settings import PairSettings, suffix_of
from keras_rnnkit.runs.splitting import held_out_counts, split
from keras_rnnkit.settings import SettingsError

PICTURES = (
    ("curves.png", "Loss after each epoch on the training and the validation data, and the norm of the gradient."),
    ("captions.png", "Captions of test images; wrong ones are in red, with a reference below."),
    ("attention.png", "Where the model looks at each word."),
)
WAYS = ("attention", "condition", "initial")


@dataclass(frozen=True)
class Settings(PairSettings):
    """The settings of the pipeline; each field is an option of the command."""

    images: Annotated[Path | None, "A folder of images. Default: drawn scenes of coloured shapes."] = None
    captions: Annotated[Path | None, "A file whose lines are the name of an image, a tab and a caption."] = None
    count: Annotated[int, "Number of drawn scenes to train on."] = 20_000
    things: Annotated[int, "Largest number of things in a drawn scene."] = 2
    size: Annotated[int, "Height and width of the network's images, in pixels."] = 48
    network: Annotated[str, f"The network: small, or of keras.applications {', '.join(NETWORKS)}."] = "small"
    weights: Annotated[
        str | None,
        "Weights of that network, which then stay fixed: a file, or imagenet. Default: random ones, which are trained.",
    ] = None
    way: Annotated[
        Literal["attention", "condition", "initial"],
        "attention over the grid, the image's vector at every step, or as the initial state.",
    ] = "attention"
    compare: Annotated[bool | None, "Also train the other two ways. Default: with the drawn scenes."] = None
    rows: Annotated[int, "Images in a batch."] = 64
    valid_count: Annotated[int | None, "Images for validation. Default: 500, or less with little data."] = None
    test_count: Annotated[int | None, "Images for the test. Default: 1000, or less with little data."] = None
    min_count: Annotated[int, "How often a word must occur to be in the vocabulary."] = 1
    unshown: Annotated[
        float | None,
        "How often the previous word is hidden in training (word dropout); 0.5 with the drawn scenes, else 0.",
    ] = None
    grey: Annotated[
        float | None, "How often an image is shown in grey in training; 0.4 with the drawn scenes, else 0."
    ] = None
    epochs: Annotated[int, "Passes over the images."] = 8
    learning_rate: Annotated[float, "Learning rate."] = 2e-3
    out: Annotated[Path, "Folder of the run: bundle, report, log and checkpoint."] = Path("exported/captioning")

    MAY_DIFFER = (*PairSettings.MAY_DIFFER, "images", "captions", "compare")
    FRACTIONS = (*PairSettings.FRACTIONS, "unshown", "grey")
    COUNTS = (*PairSettings.COUNTS, "count", "things", "rows", "valid_count", "test_count", "min_count")
    SMOKE = {
        "count": 64,
        "valid_count": 16,
        "test_count": 16,
        "size": 32,
        "units": 8,
        "embedding": 8,
        "epochs": 1,
        "compare": False,
        "beam": 2,
    }
    BY_DATA = {"valid_count": (500, None), "test_count": (1000, None), "unshown": (0.5, 0.0), "grey": (0.4, 0.0)}

    def __post_init__(self):
        super().__post_init__()
        if (self.images is None) != (self.captions is None):
            raise SettingsError("Images of your own need both --images FOLDER and --captions FILE.")
        if self.network != "small" and self.network not in NETWORKS:
            raise SettingsError(f"Received: network={self.network!r}. Expected small, {', '.join(NETWORKS)}.")
        if self.weights is not None and self.network == "small":
            raise SettingsError(
                "The small network has no weights to load. Name one of keras.applications with --network."
            )
        if self.size < 32:
            raise SettingsError(f"size must be 32 pixels or more. Received: size={self.size}.")

    @property
    def own_data(self) -> bool:
        return self.images is not None

    @property
    def packages(self):
        return {**super().packages, "images": ("PIL",)}

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways to train; the one that is exported comes first."""
        compares = self.images is None if self.compare is None else self.compare
        return (self.way, *(way for way in WAYS if way != self.way)) if compares else (self.way,)


def run(settings: Settings) -> dict:
    """data -> models -> train -> export -> judge -> report"""
    with Run(settings, "captioning") as run:
        data = read(settings, run)
        history = train_ways(data, settings, run)
        models = {
            way: run.best_model(build, settings, data, way, suffix=suffix_of(way, settings)) for way in settings.ways
        }
        bundle = export(models[settings.way], (None, data.words), settings, run, data.valid.sources[:16])
        metrics, captions = judge(models, bundle, data, settings, run)
        report(settings, metrics, captions, history, models, bundle, data)
        return run.complete(metrics, PICTURES, results=results_of(metrics, "test images"))


def train_ways(data: Data, settings: Settings, run: Run) -> list[dict[str, float]]:
    """Train a model for each way. Returns the logs of the first."""
    histories, first = {}, None
    for way in settings.ways:
        run.console.print(f"\n{way}")
        model = build(settings, data, way)
        if first is not None:  # all ways begin with the image encoder of the first
            model.encoder.network.set_weights(first.encoder.network.get_weights())
        sample = sample_of(data.valid, data.words, data.steps, ["image 1", "image 2", "image 3"])
        histories[way] = train(model, data.train, data.valid, settings, run, suffix_of(way, settings), sample)
        first = first or run.restore(model)
    return histories[settings.way]


def report(settings: Settings, metrics, captions, history, models, bundle, data: Data) -> None:
    """metrics.json, curves.png, captions.png and, with attention, attention.png."""
    folder = write_metrics(settings, metrics, history)
    plot_curves(history, folder / "curves.png")
    contact_sheet(data.images, captions, data.wanted, folder / "captions.png", data.names)
    if settings.way == "attention":
        images = data.images[:3]
        found = bundle.translate(images.astype("float32"), data.steps)
        attention_on_images(images, found, data.words, models["attention"].encoder.grid, folder / "attention.png")


# ---------------------------------------------------------------------- data


class Example(NamedTuple):
    """An image with all its captions, and the name of its file."""

    image: np.ndarray
    captions: list[str]
    name: str = ""


@dataclass(frozen=True)
class Data:
    """The test images, the vocabulary, and batches of numbers."""

    images: np.ndarray
    names: list[str] | None
    """The names of their files; None for drawn scenes."""
    wanted: list[list[str]]
    """All captions of each test image."""
    unseen: np.ndarray | None
    """Whether a test image has a combination that was not trained on; None for a user's images."""
    words: Any
    train: rk.data.Pairs
    valid: rk.data.Pairs
    steps: int


def read(settings: Settings, run: Run) -> Data:
    parts, unseen = (drawn if settings.images is None else own)(settings)
    words = run.vocabulary(
        lambda: rk.text.Vocabulary.of(
            [caption for example in parts["train"] for caption in example.captions],
            rk.text.Words(punctuation=True),
            RESERVED,
            settings.min_count,
        )
    )
    sizes = f"{len(parts['train']):,} images to train on, {len(parts['valid']):,} for validation"
    run.begin(f"{sizes}, {len(parts['test']):,} for the test; {len(words)} words", *parts.values())
    run.keep(words)
    pairs = {
        name: batches_of(parts[name], words, settings, seed)
        for name, seed in (("train", settings.seed), ("valid", None))
    }
    images = np.stack([example.image for example in parts["test"]])
    wanted = [[respelled(caption, words) for caption in example.captions] for example in parts["test"]]
    names = [example.name for example in parts["test"]] if settings.own_data else None
    steps = max(map(len, pairs["train"].targets)) + 5
    return Data(images, names, wanted, unseen, words, pairs["train"], pairs["valid"], steps)


def batches_of(examples, words, settings: Settings, seed: int | None) -> rk.data.Pairs:
    """Batches of images, each with one of its captions."""
    images = [example.image for example in examples for _ in example.captions]
    targets = [target_of(caption.lower(), words) for example in examples for caption in example.captions]
    return rk.data.Pairs(np.stack(images), targets, tokens=10**9, rows=settings.rows, width=10**6, seed=seed)


def drawn(settings: Settings):
    """Drawn scenes; only those of the test have certain combinations of colour and shape."""
    sizes, parts, unseen = (
        {"train": settings.count, "valid": settings.valid_count, "test": settings.test_count},
        {},
        None,
    )
    for number, (name, count) in enumerate(sizes.items()):
        kept_apart = None if name == "test" else 0.0
        found = rk.data.scenes(count, settings.seed * 3 + number, settings.size, settings.things, kept_apart)
        parts[name] = [Example(image, [caption]) for image, caption in zip(found.images, found.captions, strict=True)]
        unseen = found.unseen
    return parts, unseen


def own(settings: Settings):
    """A user's images, each with all its captions, for training, validation and test."""
    captions: dict[Path, list[str]] = {}
    for path, caption in rk.data.read_captions(settings.captions, settings.images):
        captions.setdefault(path, []).append(caption.lower())
    valid, test = held_out_counts(len(captions), settings.valid_count, settings.test_count, str(settings.captions))
    examples = [
        Example(rk.data.read_image(path, settings.size), sentences, path.name) for path, sentences in captions.items()
    ]
    return split(examples, valid, test, settings.seed, key=lambda example: example.image.tobytes()), None


# ---------------------------------------------------------------------- model


def build(settings: Settings, data: Data, way: str):
    """A convolutional encoder and a recurrent decoder that sees its features in one of three ways."""
    network = network_of(settings.network, settings.size, settings.weights, settings.grey, settings.seed)
    encoder = rk.seq2seq.ImageEncoder(
        pooled(network) if way == "condition" else network, vector="mean" if way == "attention" else "all"
    )
    decoder = rk.Decoder(
        [layer_of(settings.cell, settings.units, name=f"writer_{i}") for i in range(settings.layers)],
        len(data.words),
        settings.embedding,
        attention=rk.attention.Additive(settings.units) if way == "attention" else None,
        condition=way == "condition",
        bridge="zeros" if way == "condition" else "dense",
        input_feeding=settings.feeding,
        dropout=settings.dropout,
        token_dropout=settings.unshown,
        scheduled_sampling=settings.sampling > 0,
        seed=settings.seed,
    )
    model = rk.Seq2Seq(encoder, decoder, name="captioner")
    (image, before), _ = data.train.batch(0)
    model((image[:2], before[:2]))
    return model


# ---------------------------------------------------------------------- evaluation


def judge(models, bundle, data: Data, settings: Settings, run: Run):
    """BLEU, chrF and exact matches on held-out images, and on combinations that were never seen."""
    images = data.images.astype("float32")
    found, same = same_in_both(models[settings.way], bundle, images, data.words, settings, data.steps, run)
    texts = {f"{settings.way}, {name}": [t.text for t in translations] for name, translations in found.items()}
    for way in settings.ways[1:]:
        written = in_keras(models[way], images, rk.decoding.Greedy(), data.words, data.steps)
        texts[f"{way}, greedy"] = [text for text, _ in written]
    parts = parts_of(data)
    columns = ["exact", *parts, "BLEU", "chrF"]
    table = Table(f"{len(images):,} test images", *columns, box=None, header_style="bold", pad_edge=False)
    metrics: dict[str, Any] = {"same_in_keras": same, "test": len(images)}
    for name, captions in texts.items():
        metrics[name] = scores(captions, data.wanted, parts)
        table.add_row(name, *shown(metrics[name]))
    run.console.print(table)
    for way in settings.ways:
        run.note(degenerate(texts[f"{way}, greedy"], f"captions by {way}"))
    captions = texts[f"{settings.way}, beam {settings.beam}"]
    metrics["examples"] = [{"wanted": w, "found": c} for w, c in zip(data.wanted[:20], captions, strict=False)]
    return metrics, captions


def parts_of(data: Data) -> dict[str, np.ndarray]:
    """Masks of the test images with combinations that were trained on, and with others, where there are both."""
    if data.unseen is None or not data.unseen.any():
        return {}
    return {"exact, seen": ~data.unseen, "exact, unseen": data.unseen}


def main(settings: Settings) -> None:
    """Learn to caption images, evaluate the model, and write a bundle and a report."""
    run(settings)


if __name__ == "__main__":
    from keras_rnnkit.cli.training import start

    start(main, Settings)
