"""Learn to say what an image shows, word by word between START and END, and write all that serving it takes.

python pipelines/captioning.py --images folder --captions captions.tsv --network mobilenet_v2 --weights imagenet
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs from any folder
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from rich.console import Console
from rich.table import Table

import keras_rnnkit as rk
from keras_rnnkit.settings import SettingsError
from pipelines.recurrent import layer_of
from pipelines.reporting import figure_of
from pipelines.sequences import (
    RESERVED,
    exported,
    in_keras,
    prepare,
    same_in_both,
    target_of,
    train,
    write_metrics,
)
from pipelines.settings import Training

WAYS = ("attention", "condition", "initial")
NETWORKS = {
    "mobilenet_v2": ("MobileNetV2", 2 / 255, -1.0),
    "inception_v3": ("InceptionV3", 2 / 255, -1.0),
    "xception": ("Xception", 2 / 255, -1.0),
    "efficientnet_b0": ("EfficientNetB0", 1.0, 0.0),
}
"""Of `keras.applications`: the class, and what brings pixels of 0 to 255 to what it was trained with."""


@dataclass(frozen=True)
class Settings(Training):
    """What the pipeline can be told; each field is an option of the command."""

    images: Annotated[Path | None, "A folder of images; drawn scenes of coloured shapes if left out."] = None
    captions: Annotated[Path | None, "A file with the name of an image, a tab and a caption a line."] = None
    count: Annotated[int, "Of the drawn scenes: how many to learn from."] = 20_000
    things: Annotated[int, "Of the drawn scenes: things in one, at most."] = 2
    size: Annotated[int, "Of an image that the network sees, in pixels."] = 48
    network: Annotated[str, f"What sees: small, or of keras.applications {', '.join(NETWORKS)}."] = "small"
    weights: Annotated[
        str | None, "Of that network: a file, or imagenet where Keras has them; it then stays as it is."
    ] = None
    way: Annotated[
        Literal["attention", "condition", "initial"],
        "attention over the grid, W_ih v at every step, or v as the initial state.",
    ] = "attention"
    compare: Annotated[bool | None, "Train the other two ways too; by default with the drawn scenes."] = None
    rows: Annotated[int, "Images of a batch."] = 64
    valid: Annotated[int, "Images to watch."] = 500
    test: Annotated[int, "Images to judge by."] = 1000
    least: Annotated[int, "How often a word must occur to be known."] = 1
    unshown: Annotated[
        float | None, "How often the word before is not shown in training (word dropout); 0.5 with the drawn scenes."
    ] = None
    grey: Annotated[
        float | None, "How often an image is shown without its colours in training; 0.4 of the drawn scenes."
    ] = None
    epochs: Annotated[int, "Times through the images."] = 8
    rate: Annotated[float, "Learning rate."] = 2e-3
    out: Annotated[Path, "Folder for the bundle, the report and the checkpoint."] = Path("exported/captioning")

    PLACE = (*Training.PLACE, "test", "compare")
    BY_DATA = {"unshown": (0.5, 0.0), "grey": (0.4, 0.0)}

    def __post_init__(self):
        super().__post_init__()
        for name in ("unshown", "grey"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingsError(f"{name} is a part, 0 to 1. Received: {name}={getattr(self, name)}.")
        if (self.images is None) != (self.captions is None):
            raise SettingsError("Images of your own take both --images FOLDER and --captions FILE.")
        if self.network != "small" and self.network not in NETWORKS:
            raise SettingsError(f"Received: network={self.network!r}. Expected small, {', '.join(NETWORKS)}.")
        if self.weights is not None and self.network == "small":
            raise SettingsError("The small network learns from nothing. Name one of keras.applications with --network.")
        if self.size < 32:
            raise SettingsError(f"size is 32 pixels or more. Received: size={self.size}.")

    @property
    def own_data(self) -> bool:
        return self.images is not None

    @property
    def ways(self) -> tuple[str, ...]:
        """What is trained, what is exported first."""
        compares = self.images is None if self.compare is None else self.compare
        return (self.way, *(way for way in WAYS if way != self.way)) if compares else (self.way,)


def run(settings: Settings) -> dict:
    """images -> model -> train -> export -> judge -> report"""
    console, began = Console(highlight=False, soft_wrap=True), time.perf_counter()
    settings.out.mkdir(parents=True, exist_ok=True)
    prepare(settings)
    data = read(settings, console)
    models, histories = {}, {}
    for way in settings.ways:
        console.print(f"\n{way}")
        models[way] = build(settings, data, way)
        if way != settings.way:  # all ways see alike, and begin with what the first has learned to see
            models[way].encoder.network.set_weights(models[settings.way].encoder.network.get_weights())
        part = "" if way == settings.way else f"_{way}"
        histories[way] = train(models[way], data.train, data.valid, settings, console, part)
    bundle = export(models[settings.way], data, settings, console)
    metrics, captions = judge(models, bundle, data, settings, console)
    metrics["seconds"] = time.perf_counter() - began
    folder = settings.out / "report"
    write_metrics(settings, metrics, histories[settings.way], folder)
    contact_sheet(data, captions, folder / "captions.png")
    if settings.way == "attention":
        looks(bundle, models["attention"], data, folder / "attention.png")
    console.print(f"report    {folder}   {metrics['seconds'] / 60:.1f} min in all")
    return metrics


# ---------------------------------------------------------------------- data


@dataclass(frozen=True)
class Data:
    """What to judge by, the words, and batches of numbers."""

    images: np.ndarray
    wanted: list[list[str]]
    """Of each test image all its captions."""
    unseen: np.ndarray | None
    """Whether a test image has a combination that no other part has; None of a user's images."""
    words: Any
    train: rk.data.Pairs
    valid: rk.data.Pairs
    steps: int


def read(settings: Settings, console: Console) -> Data:
    parts, unseen = (drawn if settings.images is None else own)(settings)
    words = rk.text.Vocabulary.of(
        [caption for _, captions in parts["train"] for caption in captions],
        rk.text.Words(punctuation=True),
        RESERVED,
        settings.least,
    )
    pairs = {}
    for name, seed in (("train", settings.seed), ("valid", None)):
        images = [image for image, captions in parts[name] for _ in captions]
        targets = [target_of(caption.lower(), words) for _, captions in parts[name] for caption in captions]
        pairs[name] = rk.data.Pairs(np.stack(images), targets, tokens=10**9, rows=settings.rows, width=10**6, seed=seed)
    sizes = ", ".join(
        f"{len(parts[name]):,} {what}"
        for name, what in zip(parts, ("to learn from", "to watch", "to judge by"), strict=True)
    )
    console.print(f"images    {sizes}; {len(words)} words")
    images, wanted = np.stack([image for image, _ in parts["test"]]), [captions for _, captions in parts["test"]]
    return Data(
        images, wanted, unseen, words, pairs["train"], pairs["valid"], max(map(len, pairs["train"].targets)) + 5
    )


def drawn(settings: Settings):
    """Scenes; among those to judge by are colours and shapes that never stood together in the others."""
    sizes, parts, unseen = {"train": settings.count, "valid": settings.valid, "test": settings.test}, {}, None
    for number, (name, count) in enumerate(sizes.items()):
        kept_apart = None if name == "test" else 0.0
        found = rk.data.scenes(count, settings.seed * 3 + number, settings.size, settings.things, kept_apart)
        parts[name] = [(image, [caption]) for image, caption in zip(found.images, found.captions, strict=True)]
        unseen = found.unseen
    return parts, unseen


def own(settings: Settings):
    """A user's images, each with all its captions, in three parts."""
    captions: dict[Path, list[str]] = {}
    for path, caption in rk.data.read_captions(settings.captions, settings.images):
        captions.setdefault(path, []).append(caption.lower())
    held = settings.valid + settings.test
    if len(captions) < 2 * held:
        raise SettingsError(
            f"{str(settings.captions)!r} names {len(captions)} images, and {held} are to be held out. Make --valid and "
            "--test smaller, or give more."
        )
    found = [(rk.data.read_image(path, settings.size), sentences) for path, sentences in captions.items()]
    order = np.random.default_rng(settings.seed).permutation(len(found))
    test, valid, rest = ([found[i] for i in part] for part in np.split(order, [settings.test, held]))
    return {"train": rest, "valid": valid, "test": test}, None


# ---------------------------------------------------------------------- model


def build(settings: Settings, data: Data, way: str):
    """Sees with a convolutional network; says it in one of three ways."""
    network = network_of(settings)
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


def network_of(settings: Settings):
    """From pixels of 0 to 255 to features in a grid."""
    import keras

    pixels = keras.Input((settings.size, settings.size, 3), name="pixels")
    x = keras.layers.RandomGrayscale(settings.grey, seed=settings.seed)(pixels) if settings.grey else pixels
    if settings.network == "small":
        x = keras.layers.Rescaling(2 / 255, -1.0)(x)
        for i, (filters, size, strides) in enumerate(((32, 5, 2), (64, 3, 1), (64, 3, 1), (64, 3, 1))):
            see = keras.layers.Conv2D(filters, size, strides, padding="same", activation="relu", name=f"see_{i}")
            x = see(x)
            x = keras.layers.MaxPooling2D(2)(x) if i in (1, 2) else x
        return keras.Model(pixels, x)
    name, scale, offset = NETWORKS[settings.network]
    x = keras.layers.Rescaling(scale, offset)(x)
    try:
        inner = getattr(keras.applications, name)(
            include_top=False, weights=settings.weights, input_shape=(settings.size, settings.size, 3)
        )
    except Exception as error:
        raise SettingsError(
            f"The weights {settings.weights!r} of {settings.network} are not at hand: {str(error)[:200]}. Give a file "
            "of weights without the top, as Keras saves them, or leave --weights out to learn from nothing."
        ) from error
    inner.trainable = settings.weights is None
    return keras.Model(pixels, inner(x))


def pooled(network):
    """The same with a coarser grid, for all of it side by side: each cell then has more images to learn from."""
    import keras

    if min(network.output.shape[1:3]) < 4:
        return network
    return keras.Model(network.input, keras.layers.MaxPooling2D(2)(network.output))


def export(model, data: Data, settings: Settings, console: Console):
    folder = settings.out / "bundle"
    report = rk.export_bundle(
        model,
        folder,
        strategy=exported(settings),
        vocabulary=(None, data.words),
        saved_model=settings.saved_model,
        tolerance=1e-3,
    )
    console.print(f"\nexported  {folder}, error {report.error:.1e}")
    return rk.runtime.load(folder)


# ---------------------------------------------------------------------- judging


def judge(models, bundle, data: Data, settings: Settings, console: Console):
    """BLEU, chrF and exact matches on held-out images, and on combinations that were never seen."""
    images = data.images.astype("float32")
    found, same = same_in_both(models[settings.way], bundle, images, data.words, settings, data.steps, console)
    texts = {f"{settings.way}, {name}": [t.text for t in translations] for name, translations in found.items()}
    for way in settings.ways[1:]:
        written = in_keras(models[way], images, rk.decoding.Greedy(), data.words, data.steps)
        texts[f"{way}, greedy"] = [text for text, _ in written]
    columns = ["exact", *parts_of(data), "BLEU", "chrF"]
    table = Table("", *columns, box=None, header_style="bold", pad_edge=False)
    metrics: dict[str, Any] = {"same_in_keras": same, "test": len(images)}
    for name, captions in texts.items():
        metrics[name] = scores(captions, data)
        table.add_row(name, *(f"{v:.1%}" if k.startswith("exact") else f"{v:.1f}" for k, v in metrics[name].items()))
    console.print(table)
    captions = texts[f"{settings.way}, beam {settings.beam}"]
    metrics["examples"] = [{"wanted": w, "found": c} for w, c in zip(data.wanted[:20], captions, strict=False)]
    return metrics, captions


def parts_of(data: Data) -> dict[str, np.ndarray]:
    """Test images of combinations that were seen, and of others, where there are both."""
    if data.unseen is None or not data.unseen.any():
        return {}
    return {"exact, seen": ~data.unseen, "exact, unseen": data.unseen}


def scores(found: list[str], data: Data) -> dict[str, float]:
    import sacrebleu

    wanted = [[data.words.decode(data.words.encode(caption)) for caption in captions] for captions in data.wanted]
    right = np.array([caption in captions for caption, captions in zip(found, wanted, strict=True)])
    most = max(map(len, wanted))
    references = [[captions[i] if i < len(captions) else None for captions in wanted] for i in range(most)]
    return {
        "exact": float(right.mean()),
        **{name: float(right[part].mean()) for name, part in parts_of(data).items()},
        "bleu": sacrebleu.corpus_bleu(found, references).score,
        "chrf": sacrebleu.corpus_chrf(found, references).score,
    }


# ---------------------------------------------------------------------- what is written


def contact_sheet(data: Data, captions: list[str], path: Path, count: int = 24, columns: int = 6) -> None:
    """Images with what was said of them; what is wrong in red, with what was wanted below."""
    right = [caption in wanted for caption, wanted in zip(captions, data.wanted, strict=True)]
    wrong = [i for i, ok in enumerate(right) if not ok][: count // 3]
    shown = [*[i for i, ok in enumerate(right) if ok][: count - len(wrong)], *wrong]
    figure = figure_of(2.6 * columns, 3.9 * -(-len(shown) // columns))
    for axes, i in zip(np.atleast_1d(figure.subplots(-(-len(shown) // columns), columns)).ravel(), shown, strict=False):
        axes.imshow(data.images[i], interpolation="nearest")
        axes.set_title(wrapped(captions[i]), fontsize=8, color="black" if right[i] else "firebrick")
        if not right[i]:
            axes.set_xlabel(wrapped(data.wanted[i][0]), fontsize=8)
        axes.set(xticks=[], yticks=[])
    for axes in figure.axes[len(shown) :]:
        axes.axis("off")
    figure.savefig(path, dpi=110)


def wrapped(text: str) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, 30))


def looks(bundle, model, data: Data, path: Path, count: int = 3) -> None:
    """Where the model looked at each word, as light on the image."""
    found = bundle.translate(data.images[:count].astype("float32"), data.steps)
    longest = max(len(one.tokens) for one in found)
    figure = figure_of(1.25 * (longest + 1), 1.6 * count)
    grid = figure.subplots(count, longest + 1, squeeze=False)
    for row, one, image in zip(grid, found, data.images, strict=False):
        row[0].imshow(image)
        for axes, token, weights in zip(row[1:], one.tokens, one.attention, strict=False):
            light = weights.reshape(model.encoder.grid) / max(weights.max(), 1e-9)
            height, width = (image.shape[i] // model.encoder.grid[i] for i in (0, 1))
            axes.imshow((0.25 + 0.75 * np.kron(light, np.ones((height, width)))[..., None]) * image / 255)
            axes.set_title(data.words.tokens[token], fontsize=9)
    for axes in grid.ravel():
        axes.axis("off")
    figure.savefig(path, dpi=110)


def main(settings: Settings) -> None:
    """Learn to say what an image shows, judge it, and write a bundle and a report."""
    run(settings)


if __name__ == "__main__":
    from pipelines.command import start

    start(main, Settings)
