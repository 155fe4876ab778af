"""The table of `rnnkit bench distribute` is made of what was measured, and its model fits that for two workers."""

from keras_rnnkit.bench.distribute import lines, row_of
from keras_rnnkit.bench.settings import DistributeBench


def rows():
    settings = DistributeBench(rows=10, steps=10)
    one = [{"units": u, "bytes": b, "step": s, "sum": 0.0} for u, b, s in ((8, 1e6, 0.010), (16, 2e6, 0.020))]
    two = [
        {"units": u, "bytes": b, "step": s, "sum": m}
        for u, b, s, m in ((8, 1e6, 0.020, 0.003), (16, 2e6, 0.025, 0.004))
    ]
    return [row_of(*pair, settings) for pair in zip(one, two, strict=True)]


def test_the_table_of_what_was_measured():
    table = lines(rows())
    assert table[2] == "| 8 | 1.00 MB | 15% | 10,000 | 10,000 | 1.00 |"
    assert table[3] == "| 16 | 2.00 MB | 16% | 5,000 | 8,000 | 1.60 |"


def test_the_model_says_what_it_is_and_fits_two_workers():
    text = lines(rows())
    assert "A model, not a measurement: 1,000 MB/s and 1.00 ms a message, a ring." in text
    assert text[-2].startswith("| 8 | 1.0 |") and text[-1].startswith("| 16 | 1.6 |")
