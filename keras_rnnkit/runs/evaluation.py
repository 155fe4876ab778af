"""Export and evaluation of sequence-to-sequence models: the targets of Keras, of the bundle, and the references."""

from __future__ import annotations

from typing import Any

import numpy as np

import keras_rnnkit as rk
from keras_rnnkit.decoding import Beam, Greedy
from keras_rnnkit.runs.run import Run
from keras_rnnkit.runs.settings import PairSettings

SAME = 1e-4
"""Two translations count as the same where their scores differ by less: the model rates them equally."""


def in_keras(model, sources, strategy, vocabulary, steps: int, batch: int = 64) -> list[tuple[str, float]]:
    """The best target of each source with its score, by the Keras model. Sources of similar length run together."""
    from keras_rnnkit.runtime.generation import without_unknown

    found: list[Any] = [None] * len(sources)
    strategy = without_unknown(strategy, vocabulary, allow_unknown=False)
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


def same_in_both(model, bundle, sources, vocabulary, settings: PairSettings, steps: int, run: Run):
    """The bundle's translations of all sources, greedy and by beam search, and for how many of them Keras agrees."""
    counts, texts = {}, {}
    for name, strategy in (("greedy", Greedy()), (f"beam {settings.beam}", exported(settings))):
        graphs = bundle.translate(sources, steps, strategy=Greedy() if name == "greedy" else None)
        expected = in_keras(model, sources, strategy, vocabulary, steps)
        same = [a.text == b or abs(a.score - score) < SAME for a, (b, score) in zip(graphs, expected, strict=True)]
        texts[name], counts[name] = graphs, int(np.sum(same))
        run.say("verified", f"{counts[name]} of {len(same)} the same in Keras and in the bundle, {name}")
    return texts, counts


def export(model, vocabulary: tuple, settings: PairSettings, run: Run, sources: np.ndarray | None = None):
    """Write a bundle into the folder of --out, and load it as a server would.

    Arguments:
        vocabulary: those of sources and of targets.
        sources: sources as the model sees them, on which the bundle is compared with Keras too.
    """
    folder = settings.out / "bundle"
    report = rk.export_bundle(
        model,
        folder,
        strategy=exported(settings),
        calibration=sources,
        vocabulary=vocabulary,
        saved_model=settings.saved_model,
    )
    run.say("exported", f"{folder}, error {report.error:.1e}")
    return rk.runtime.load(folder)


def exported(settings: PairSettings) -> Beam:
    """The strategy of the exported graph."""
    return Beam(settings.beam, settings.penalty)


def respelled(text: str, vocabulary) -> str:
    """A reference with the spaces that the model writes. Words outside the vocabulary stay, and count as errors."""
    return vocabulary.unit.join(vocabulary.unit.split(text))


def scores(found: list[str], wanted: list[list[str]], parts: dict[str, np.ndarray] | None = None) -> dict[str, float]:
    """Exact matches, BLEU and chrF of texts.

    Arguments:
        found: the texts.
        wanted: all references of each text.
        parts: masks of texts, by name, for exact matches among those alone.
    """
    import sacrebleu

    right = np.array([text in texts for text, texts in zip(found, wanted, strict=True)])
    references = [[texts[i] if i < len(texts) else None for texts in wanted] for i in range(max(map(len, wanted)))]
    return {
        "exact": float(right.mean()),
        **{name: float(right[part].mean()) for name, part in (parts or {}).items()},
        "bleu": sacrebleu.corpus_bleu(found, references).score,
        "chrf": sacrebleu.corpus_chrf(found, references).score,
    }


def results_of(metrics: dict[str, Any], kind: str) -> dict[str, Any]:
    """The numbers of a report, by what they are of.

    Arguments:
        metrics: the scores by the name of the model and its decoding; "test", how many targets were written, and
            "same_in_keras", how many of them Keras and the bundle agree about, by the name of the decoding.
        kind: what the model was tested on, in the plural, such as "test pairs".

    >>> scores = {"exact": 0.5, "bleu": 20.0, "chrf": 40.0}
    >>> results_of({"test": 8, "same_in_keras": {"greedy": 8}, "greedy": scores}, "test pairs")
    {'the same in Keras and in the bundle, greedy': '8 of 8 test pairs',
     '8 test pairs': {'greedy': {'exact': '50.0%', 'BLEU': '20.0', 'chrF': '40.0'}}}
    """
    scored = {name: row for name, row in metrics.items() if isinstance(row, dict) and "bleu" in row}
    of, same = f"{metrics['test']:,} {kind}", metrics["same_in_keras"].items()
    rows = {f"the same in Keras and in the bundle, {name}": f"{count:,} of {of}" for name, count in same}
    names = {"fixed": "fixed vector, greedy"}
    table = {names.get(name, name): dict(zip(heads(row), shown(row), strict=True)) for name, row in scored.items()}
    return rows | {of: table}


def heads(metrics: dict[str, float]) -> list[str]:
    """The names of scores as they are usually written."""
    return [{"bleu": "BLEU", "chrf": "chrF"}.get(name, name) for name in metrics]


def shown(metrics: dict[str, float]) -> list[str]:
    """The scores as the cells of a table."""
    return [f"{value:.1%}" if name.startswith("exact") else f"{value:.1f}" for name, value in metrics.items()]
