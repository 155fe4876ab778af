"""Learn to translate from pairs, evaluate on held-out pairs, and write a bundle to serve.

python pipelines/translation.py --data pairs.tsv --unit subword --attention general
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from rich.table import Table

import keras_rnnkit as rk
from keras_rnnkit.runs.degenerate import degenerate
from keras_rnnkit.runs.evaluation import export, in_keras, respelled, results_of, same_in_both, scores, shown
from keras_rnnkit.runs.length_report import by_length, lengths_table, plot_lengths
from keras_rnnkit.runs.metrics_file import write_metrics
from keras_rnnkit.runs.numbered_pairs import as_numbers, description, fits, numbered, vocabulary_of
from keras_rnnkit.runs.pictures import heatmaps
from keras_rnnkit.runs.recurrent import layer_of
from keras_rnnkit.runs.reporting import plot_curves
from keras_rnnkit.runs.run import Run
from keras_rnnkit.runs.sequences import sample_of, train
from keras_rnnkit.runs.settings import PairSettings
from keras_rnnkit.runs.splitting import held_out_counts, split
from keras_rnnkit.settings import SettingsError

PICTURES = (
    ("curves.png", "Loss after each epoch on the training and the validation data, and the norm of the gradient."),
    ("lengths.png", "Exact translations of the test pairs, by the length of the source."),
    ("attention.png", "The tokens of the source (across) that each token of the translation (down) attends to."),
)
VOCABULARIES = ("vocabulary_source", "vocabulary_target")


@dataclass(frozen=True)
class Settings(PairSettings):
    """The settings of the pipeline; each field is an option of the command."""

    data: Annotated[
        Path | None,
        "A file whose lines are a source, a tab and a target. Default: dates in eight languages, to English.",
    ] = None
    days: Annotated[int, "Largest number of dates in a source, for the built-in pairs."] = 1
    count: Annotated[int, "Number of built-in pairs to train on."] = 30_000
    unit: Annotated[
        Literal["char", "word", "subword"] | None, "What a token is; char for the built-in pairs, else subword."
    ] = None
    max_tokens: Annotated[int, "Largest vocabulary of each language; for subwords the pieces to learn."] = 4000
    valid_count: Annotated[int | None, "Pairs for validation. Default: 500, or less with little data."] = None
    test_count: Annotated[int | None, "Pairs for the test. Default: 1000, or less with little data."] = None
    limit: Annotated[int, "Largest number of tokens of a source or target; longer pairs are left out."] = 100
    tokens: Annotated[int, "Largest number of tokens in a batch, sources and targets together."] = 4096
    rows: Annotated[int | None, "Largest number of pairs in a batch; 128 for the built-in pairs, else 32."] = None
    attention: Annotated[Literal["additive", "dot", "general", "none"], "How the decoder attends to the source."] = (
        "general"
    )
    compare: Annotated[
        bool | None, "Also train a model without attention, to compare. Default: with the built-in pairs."
    ] = None
    units: Annotated[int | None, "Units of each layer; 128 for the built-in pairs, else 256."] = None
    embedding: Annotated[int | None, "Width of a token's embedding; 64 for the built-in pairs, else 128."] = None
    dropout: Annotated[
        float | None, "Dropout rate of the inputs of the layers and of the output; 0 for the built-in pairs, else 0.2."
    ] = None
    epochs: Annotated[int | None, "Passes over the pairs; 3 for the built-in pairs, else 10."] = None
    learning_rate: Annotated[float | None, "Learning rate; 0.003 for the built-in pairs, else 0.001."] = None
    reverse: Annotated[bool, "Read sources from their end to their beginning (Sutskever 2014)."] = False
    out: Annotated[Path, "Folder of the run: bundle, report, log and checkpoint."] = Path("exported/translation")

    MAY_DIFFER = (*PairSettings.MAY_DIFFER, "data", "compare")
    COUNTS = (
        *PairSettings.COUNTS,
        "days",
        "count",
        "valid_count",
        "test_count",
        "limit",
        "tokens",
        "rows",
        "max_tokens",
    )
    BY_DATA = {
        "valid_count": (500, None),
        "test_count": (1000, None),
        "rows": (128, 32),
        "units": (128, 256),
        "embedding": (64, 128),
        "dropout": (0.0, 0.2),
        "epochs": (3, 10),
        "learning_rate": (3e-3, 1e-3),
    }

    SMOKE = {
        "count": 200,
        "valid_count": 20,
        "test_count": 20,
        "units": 8,
        "embedding": 8,
        "epochs": 1,
        "compare": False,
        "beam": 2,
    }

    def __post_init__(self):
        super().__post_init__()
        if self.attention == "dot" and self.units % 2:
            raise SettingsError(
                f"With dot attention, units must be even: two directions share them. Received: units={self.units}."
            )

    @property
    def own_data(self) -> bool:
        return self.data is not None

    @property
    def packages(self):
        texts = {"translate": ("sacrebleu",) if self.own_data else ("sacrebleu", "babel")}
        return {**super().packages, **texts, **({"text": ("tokenizers",)} if self.kind == "subword" else {})}

    @property
    def compares(self) -> bool:
        return (self.data is None if self.compare is None else self.compare) and self.attention != "none"

    @property
    def kind(self) -> str:
        return self.unit or ("char" if self.data is None else "subword")


def run(settings: Settings) -> dict:
    """data -> model -> train -> export -> judge -> report"""
    with Run(settings, "translation") as run:
        data = read(settings, run)
        model = build(settings, data, settings.attention)
        history = train(model, data.train, data.valid, settings, run, sample=sample(data, settings))
        if settings.compares:
            train_fixed(settings, data, run)
        model = run.best_model(build, settings, data, settings.attention)
        fixed = run.best_model(build, settings, data, "none", suffix="_fixed") if settings.compares else None
        bundle = export(model, (data.source, data.target), settings, run)
        metrics = judge(model, bundle, fixed, data, settings, run)
        report(settings, metrics, history, bundle, data)
        return run.complete(metrics, PICTURES, results=results_of(metrics, "test pairs"))


# ---------------------------------------------------------------------- data


@dataclass(frozen=True)
class Data:
    """The test pairs, the vocabularies of both languages, and batches of numbers."""

    test: list[tuple[str, str]]
    source: Any
    target: Any
    train: rk.data.Pairs
    valid: rk.data.Pairs
    steps: int
    """Most tokens of a translation."""


def read(settings: Settings, run: Run) -> Data:
    texts = pairs_of(settings)
    source, target = (
        run.vocabulary(lambda side=side: vocabulary_of([pair[side] for pair in texts["train"]], settings), name)
        for side, name in enumerate(VOCABULARIES)
    )
    parts = {name: numbered(texts[name], source, target, settings) for name in ("train", "valid")}
    test = [pair for pair in texts["test"] if fits(*as_numbers(pair, source, target, settings), settings)]
    run.begin(description(texts, parts, test, settings), *texts.values())
    for vocabulary, name in zip((source, target), VOCABULARIES, strict=True):
        run.keep(vocabulary, name)
    run.say("tokens", f"{len(source):,} of sources, {len(target):,} of targets")
    batches = {
        name: rk.data.Pairs(*parts[name], settings.tokens, settings.rows, seed=seed)
        for name, seed in (("train", settings.seed), ("valid", None))
    }
    steps = max(map(len, parts["train"][1])) + 5
    return Data(test, source, target, batches["train"], batches["valid"], steps)


def pairs_of(settings: Settings) -> dict[str, list[tuple[str, str]]]:
    """The pairs for training, validation and test. No source of the test occurs in training."""
    if settings.data:
        pairs = list(dict.fromkeys(rk.data.read_pairs(settings.data)))
        held_out = held_out_counts(len(pairs), settings.valid_count, settings.test_count, str(settings.data))
    else:
        held_out = settings.valid_count, settings.test_count
        pairs = rk.data.date_pairs(settings.count + sum(held_out), settings.seed, max_days=settings.days)
    return split(pairs, *held_out, settings.seed, key=lambda pair: pair[0])


# ---------------------------------------------------------------------- model


def build(settings: Settings, data: Data, attention: str):
    """A bidirectional encoder and a decoder; without attention, every step sees the fixed vector of the source."""
    half = {"units": settings.units // 2 if attention == "dot" else settings.units}
    encoder = rk.Encoder(
        rk.Bidirectional(layer_of(settings.cell, half["units"], name="reader")),
        len(data.source),
        settings.embedding,
        dropout=settings.dropout,
    )
    width = settings.units if attention != "none" else 2 * settings.units
    decoder = rk.Decoder(
        [layer_of(settings.cell, width, name=f"writer_{i}") for i in range(settings.layers)],
        len(data.target),
        settings.embedding,
        attention=attention_of(attention, settings.units),
        input_feeding=settings.feeding,
        condition=attention == "none",
        dropout=settings.dropout,
        scheduled_sampling=settings.sampling > 0,
        seed=settings.seed,
    )
    model = rk.Seq2Seq(encoder, decoder, limit=settings.limit, name="translator")
    model(data.train.batch(0)[0])
    return model


def attention_of(name: str, units: int):
    kinds = {"additive": lambda: rk.attention.Additive(units), "dot": rk.attention.Dot, "general": rk.attention.General}
    return kinds[name]() if name in kinds else None


def train_fixed(settings: Settings, data: Data, run: Run) -> None:
    """Train a second model without attention, in the same way."""
    run.console.print("\nwithout attention, with a fixed vector")
    train(build(settings, data, "none"), data.train, data.valid, settings, run, suffix="_fixed")


def sample(data: Data, settings: Settings):
    """What the model writes for the first validation pairs, while it trains."""
    order = -1 if settings.reverse else 1
    sources = [data.source.decode(tokens[::order]) for tokens in data.valid.sources[:3]]
    return sample_of(data.valid, data.target, data.steps, sources)


# ---------------------------------------------------------------------- evaluation


def judge(model, bundle, fixed, data: Data, settings: Settings, run: Run) -> dict:
    """BLEU, chrF and exact matches on the test pairs, and exact matches by the length of the source."""
    sources = [as_numbers(pair, data.source, data.target, settings)[0] for pair in data.test]
    wanted = [respelled(target, data.target) for _, target in data.test]
    found, same = same_in_both(model, bundle, sources, data.target, settings, data.steps, run)
    of = f"{len(sources):,} test pairs"
    table = Table(of, "exact", "BLEU", "chrF", box=None, header_style="bold", pad_edge=False)
    metrics: dict[str, Any] = {"same_in_keras": same, "test": len(sources), "steps": data.steps}
    exact = {}
    for name, translations in found.items():
        metrics[name] = scores([t.text for t in translations], [[text] for text in wanted])
        exact[name] = [t.text == w for t, w in zip(translations, wanted, strict=True)]
        table.add_row(name, *shown(metrics[name]))
    if fixed is not None:
        texts = [text for text, _ in in_keras(fixed, sources, rk.decoding.Greedy(), data.target, data.steps)]
        metrics["fixed"] = scores(texts, [[text] for text in wanted])
        exact["fixed"] = [text == w for text, w in zip(texts, wanted, strict=True)]
        table.add_row("fixed vector, greedy", *shown(metrics["fixed"]))
        run.note(degenerate(texts, "translations by the fixed vector"))
    run.console.print(table)
    run.note(degenerate([t.text for t in found["greedy"]], "translations"))
    names = {"greedy": settings.attention if settings.attention != "none" else "fixed", "fixed": "fixed vector"}
    kept = {names[name]: exact[name] for name in names if name in exact}
    metrics["by_length"] = by_length([len(source) for source in sources], kept)
    run.console.print(lengths_table(metrics["by_length"]))
    metrics["examples"] = [
        {"source": s, "wanted": w, "found": t.text, "score": t.score}
        for (s, _), w, t in zip(data.test[:20], wanted, found[f"beam {settings.beam}"], strict=False)
    ]
    for example in metrics["examples"][:5]:
        run.console.print(f"  {example['source']}  [bold]{example['found']}[/bold]")
    return metrics


# ---------------------------------------------------------------------- report


def report(settings: Settings, metrics: dict[str, Any], history, bundle, data: Data) -> Path:
    """A folder with metrics.json, curves.png, lengths.png and, with attention, attention.png."""
    folder = write_metrics(settings, metrics, history)
    plot_curves(history, folder / "curves.png")
    plot_lengths(metrics["by_length"], folder / "lengths.png")
    if settings.attention != "none":
        longest = sorted(data.test, key=lambda pair: -len(pair[0]))[: len(data.test) // 2 : max(1, len(data.test) // 8)]
        examples = [example(bundle, pair, data, settings) for pair in longest]
        heatmaps([item for item in examples if item[1]][:4], folder / "attention.png")
    return folder


def example(bundle, pair: tuple[str, str], data: Data, settings: Settings):
    source = as_numbers(pair, data.source, data.target, settings)[0]
    found = bundle.translate(source, data.steps)
    return [data.source.tokens[i] for i in source], [data.target.tokens[i] for i in found.tokens], found.attention


def main(settings: Settings) -> None:
    """Learn to translate from pairs, evaluate the model, and write a bundle and a report."""
    run(settings)


if __name__ == "__main__":
    from keras_rnnkit.cli.training import start

    start(main, Settings)
