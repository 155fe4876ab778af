"""How well a language model predicts a text: nats, bits and perplexity a token, and their names in a report."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import keras_rnnkit as rk
from keras_rnnkit.runs.page import in_words

MEASURES = {"nats": float, "perplexity": math.exp, "bits": lambda x: x / math.log(2)}


def nats_of(model: Any, ids: np.ndarray, steps: int = 256) -> float:
    """Cross-entropy per token; states are carried from one piece of the text to the next."""
    rk.training.reset_states(model)
    total = 0.0
    for begin in range(0, len(ids) - 1, steps):
        window = ids[begin : begin + steps + 1]
        total += summed_nats(model.predict_on_batch(window[None, :-1])[0], window[1:])
    return total / (len(ids) - 1)


def summed_nats(logits: np.ndarray, targets: np.ndarray) -> float:
    """The cross-entropy of tokens [T] under logits [T, V], summed over the tokens."""
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return float(-log_p[np.arange(len(targets)), targets].sum())


def name_of_test(parts: dict[str, np.ndarray]) -> str:
    """What the text is called on which the model is tested; the best epoch is the one with the best validation."""
    return "validation" if np.array_equal(parts["valid"], parts["test"]) else "test"


def results(metrics: dict[str, Any]) -> dict[str, Any]:
    """The numbers of the report, by what they are of."""
    of, ngrams = metrics["of"], metrics["ngram_perplexity"]
    return {
        f"perplexity of {of}": metrics["test_perplexity"],
        "the same in bits a token": metrics["test_bits"],
        "the same in nats a token": metrics["test_nats"],
        "perplexity of n-gram models of the training text": ", ".join(
            f"{n}-grams {in_words(p)}" for n, p in ngrams.items()
        ),
        **metrics.get("verified", {}),
    }
