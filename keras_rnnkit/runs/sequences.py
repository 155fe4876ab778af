"""What translation and captioning share: training on pairs, the best weights, the numbers of the report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import keras_rnnkit as rk
from keras_rnnkit.decoding import Greedy
from keras_rnnkit.runs.evaluation import in_keras
from keras_rnnkit.runs.run import Run
from keras_rnnkit.runs.settings import PairSettings

RESERVED = ["<pad>", "<unk>", "<bos>", "<eos>"]


def target_of(text: str, vocabulary) -> np.ndarray:
    """The numbers of BEGIN, the tokens of a text, and END."""
    return np.array([2, *vocabulary.encode(text), 3], np.int32)


def train(
    model,
    pairs: rk.data.Pairs,
    valid: rk.data.Pairs,
    settings: PairSettings,
    run: Run,
    suffix: str = "",
    sample: Callable[[Any], str] | None = None,
):
    """Train; the best weights are kept in a file. Returns the logs of every epoch.

    Arguments:
        pairs, valid: the pairs to train on and to validate.
        suffix: is added to the names of the files.
        sample: a text that the model writes, for --sample-every.
    """

    def callbacks(done: int) -> list[Any]:
        sampling = rk.seq2seq.ScheduledSampling
        return [sampling(settings.sampling, len(pairs), start=done)] if settings.sampling else []

    return run.fit(
        model,
        pairs,
        loss=rk.training.NextToken(ignore=0, smoothing=settings.smoothing),
        validation_data=valid.dataset(),
        tokens=pairs.tokens // len(pairs),
        suffix=suffix,
        callbacks=callbacks,
        sample=sample,
    )


def sample_of(valid: rk.data.Pairs, vocabulary, steps: int, names: list[str], count: int = 3) -> Callable[[Any], str]:
    """What a model writes for the first sources of the validation, below their names.

    Arguments:
        vocabulary: of the targets.
        steps: tokens of a target, at most.
        names: of the sources.
    """

    def sample(model) -> str:
        written = in_keras(model, valid.sources[:count], Greedy(), vocabulary, steps)
        references = [vocabulary.decode(target[1:-1]) for target in valid.targets[:count]]
        rows = zip(names, written, references, strict=False)
        return "\n".join(f"{name}: {text} (reference: {reference})" for name, (text, _), reference in rows)

    return sample
