"""Datasets of which no epoch waits for TensorFlow's tuning thread."""

import numpy as np
import pytest
import tensorflow as tf

import keras_rnnkit as rk
from keras_rnnkit.runs.named_rows import NamedRows
from keras_rnnkit.runs.rows import Rows
from keras_rnnkit.training.distributed.shards import shards

TEXTS = [[4, 5], [6]]
CHANNEL = np.arange(6.0)
BATCHES = {
    "Windows": lambda: rk.data.Windows(np.arange(9), batch=2, steps=2),
    "LabelledTexts": lambda: rk.data.LabelledTexts(TEXTS, [0, 1], tokens=8, width=2, seed=None),
    "ForecastWindows": lambda: rk.data.ForecastWindows([CHANNEL[:, None]], [CHANNEL], 3, 2, 4, seed=1),
    "Pairs": lambda: rk.data.Pairs(TEXTS, [[2, 4, 3], [2, 3]], tokens=24, width=4, seed=None),
    "Rows": lambda: Rows(np.arange(5), np.arange(5), batch=2),
    "NamedRows": lambda: NamedRows({"a": np.arange(5)}, np.arange(5), batch=2),
}


def is_tuned(dataset) -> bool:
    return dataset.options().autotune.enabled is not False


@pytest.mark.parametrize("name", BATCHES)
def test_no_epoch_waits(name):
    batches = BATCHES[name]()
    dataset = batches.dataset()
    assert int(dataset.cardinality()) == len(batches) == len(list(dataset))
    for changed in (dataset, dataset.repeat(), dataset.take(1), shards(dataset, 0, 1, 1)):
        assert not is_tuned(changed)


def test_the_batches_and_other_options_stay():
    options = tf.data.Options()
    options.deterministic = True
    tuned = tf.data.Dataset.range(7).batch(3).with_options(options)
    assert is_tuned(tuned)
    untuned = rk.data.untuned(tuned)
    assert not is_tuned(untuned) and untuned.options().deterministic
    assert untuned.element_spec == tuned.element_spec
    assert [x.tolist() for x in untuned.as_numpy_iterator()] == [x.tolist() for x in tuned.as_numpy_iterator()]
