"""Nothing that is tested occurs in training."""

import pytest

from keras_rnnkit.runs.splitting import held_out_counts, split
from keras_rnnkit.settings import SettingsError


def test_twins_never_stand_on_both_sides():
    pairs = [(f"source {i % 40}", f"target {i}") for i in range(200)]
    parts = split(pairs, valid=20, test=30, seed=0, key=lambda pair: pair[0])
    sources = {name: {source for source, _ in part} for name, part in parts.items()}
    assert not sources["train"] & sources["test"] and not sources["train"] & sources["valid"]
    assert not sources["valid"] & sources["test"] and sum(map(len, parts.values())) == 200


def test_the_split_of_different_examples_is_that_of_a_permutation():
    """Results that were measured before stay reproducible."""
    import numpy as np

    order = np.random.default_rng(5).permutation(30)
    parts = split(range(30), valid=4, test=6, seed=5, key=lambda example: example)
    assert parts["test"] == order[:6].tolist() and parts["valid"] == order[6:10].tolist()
    assert parts["train"] == order[10:].tolist()


def test_small_data_are_divided_by_default_and_too_much_is_refused():
    assert held_out_counts(12, None, None, "captions.tsv") == (1, 1)
    assert held_out_counts(10_000, None, None, "captions.tsv") == (500, 1000)
    with pytest.raises(SettingsError, match="captions.tsv has 12 examples, and 20 are to be held out"):
        held_out_counts(12, 10, 10, "captions.tsv")
