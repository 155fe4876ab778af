"""Every case of the table: exact, without a Loop, lowered as it should be."""

from tests.covering import studied
from tests.export.table import CASES

KINDS = {
    "lstm": ["last", "masking", "return_state", "initial_state", "bidirectional-concat"],
    "gru": ["no_bias", "unrolled", "dropout", "bidirectional-ave"],
    "rnn": ["backwards", "bidirectional-last-masked", "bidirectional-sum"],
    "gru_before": ["masking_backwards", "sequences"],
    "our_lstm": ["tokens", "stateful", "bidirectional-mul"],
    "our_gru": ["bidirectional-masked", "bidirectional-None"],
    "our_rnn": ["static", "masking"],
}
"""The kinds of models that are no studies, each with a family that has its own operator or weights."""
CELLS = ["peephole-backwards-zero", "layernorm", "min_gru-backwards-zero", "convolution-backwards-zero", "keras_cell"]
CELLS += ["coupled_hard", "coupled_relu-backwards-zero", "zoneout_gru-backwards-zero"]
CELLS += ["batchnorm_lstm", "batchnorm_rnn-backwards-zero", "batchnorm_layernorm"]
"""One for each lowering, and those that tests/export/test_agreement.py does not have."""
CONDITIONED = ["lstm", "wide-gru", "19-zoneout"]
STUDIES = ["subclassed", "cells_in_one_layer", "lstm_in_time_distributed", "cnn_then_lstm", "mixed_precision"]
STUDIES += ["convolution_attention_normalisation", "learned_initial_state", "stack", "dense_in_time_distributed"]
STUDIES += ["an_activation_of_the_users", "conv_lstm", "double_precision", "explicit_mask"]
"""Cases of which another test has a like: that of the guides, of hierarchies, streams, lowerings or refusals."""


def quick():
    """The names of the cases that are no studies."""
    yield from (f"{family}-{kind}" for family, kinds in KINDS.items() for kind in kinds)
    yield from (f"cell-{cell}" for cell in CELLS)
    yield from (f"conditioned-{cell}" for cell in CONDITIONED)
    yield from ("activation-softplus", "activation-scan-softmax")
    yield from (name for name in CASES if "-" not in name and name not in STUDIES)


def test_every_quick_case_is_in_the_table():
    assert {*quick(), *STUDIES} <= set(CASES)


def test_every_kind_of_model_has_a_quick_case():
    kinds = {name.partition("-")[2] for name in CASES if name.split("-")[0] in KINDS}
    assert kinds == {kind for kinds in KINDS.values() for kind in kinds}


@studied("name", CASES, quick())
def test_exports_exactly(name, exported, op_types):
    _, path, report = exported(name)
    assert report.error <= 1e-5
    assert [row.lowering for row in report.rows] == CASES[name].lowerings
    assert all(row.error is None or row.error <= 1e-5 for row in report.rows)
    if "as traced" not in CASES[name].lowerings:
        assert "Loop" not in op_types(path)
