"""Every case of the table: exact, without a Loop, lowered as it should be."""

from tests.covering import studied
from tests.export.table import CASES, CELLS

MERGES = ("bidirectional-sum", "bidirectional-mul", "bidirectional-ave", "bidirectional-None")
"""What is done with two directions does not depend on the layer, so that of most is a study."""
ALTERNATING = [["lstm", "our_lstm"], ["our_gru", "gru"], ["rnn", "gru_before", "our_rnn"]]
"""Groups of families, of which each kind of model has two in the quick tests; stock layers are lowered like ours."""
FUNCTIONS = ["activation-scan-gelu", "activation-scan-exponential", "activation-scan-softmax"]
"""The activations of a Scan that are not studies; tests/ops has the ONNX form of each."""


def quick():
    """The names of the cases that are no studies."""
    families = [family for group in ALTERNATING for family in group]
    kinds = dict.fromkeys(name.split("-", 1)[1] for name in CASES if name.split("-")[0] in families)
    for i, kind in enumerate(kinds):
        groups = [group for number, group in enumerate(ALTERNATING) if number != i % len(ALTERNATING)]
        yield from ["lstm-" + kind] if kind in MERGES else [f"{group[i % len(group)]}-{kind}" for group in groups]
    for i, (cell, _) in enumerate(CELLS.items()):
        yield f"cell-{cell}" + ("-backwards-zero" if i % 2 else "")
    yield from ("cell-peephole-backwards-zero", "cell-layernorm")
    for i, cell in enumerate(("lstm", "gru", "vanilla", "layernorm")):
        yield f"conditioned-{'wide-' if i % 2 else ''}{cell}"
    yield from ("conditioned-19-zoneout", *FUNCTIONS)
    crossed = (*families, "cell", "conditioned")
    yield from (n for n in CASES if n.split("-")[0] not in crossed and not n.startswith("activation-scan"))


def test_every_quick_case_is_in_the_table():
    assert set(quick()) <= set(CASES)


@studied("name", CASES, quick())
def test_exports_exactly(name, exported, op_types):
    _, path, report = exported(name)
    assert report.error <= 1e-5
    assert [row.lowering for row in report.rows] == CASES[name].lowerings
    assert all(row.error is None or row.error <= 1e-5 for row in report.rows)
    if "as traced" not in CASES[name].lowerings:
        assert "Loop" not in op_types(path)
