"""What the study found, as a table."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

# Survivors that compute the same as the code, or whose difference nobody can see, each with the reason.
EQUIVALENT = {
    "keras_rnnkit/data/markov.py:51 NumberReplacer 19": "a longer context was never counted, so the loop ends there",
    "keras_rnnkit/data/markov.py:66 ReplaceBinaryOperator_Add_BitXor 6": "`probability` cuts the context itself",
    "keras_rnnkit/data/scenes.py:14 NumberReplacer 21": "one of 256 steps, where each scene varies colours by 12",
    "keras_rnnkit/data/scenes.py:16 NumberReplacer 32": "one of 256 steps, where each scene varies colours by 12",
    "keras_rnnkit/data/scenes.py:17 NumberReplacer 36": "one of 256 steps, where each scene varies colours by 12",
    "keras_rnnkit/data/scenes.py:18 NumberReplacer 47": "one of 256 steps, where each scene varies colours by 12",
    "keras_rnnkit/decoding/prompts.py:73 NumberReplacer 7": "a shortcut, which computes the same",
    "keras_rnnkit/decoding/sampling.py:89 NumberReplacer 45": "any number just below one serves",
    "keras_rnnkit/decoding/sampling.py:105 ReplaceBinaryOperator_BitAnd_Mul 0": "the product of booleans is their and",
    "keras_rnnkit/training/gradients.py:109 ReplaceComparisonOperator_NotEq_Lt 0": "'jax' is less than 'tensorflow'",
    "keras_rnnkit/ops/numpy.py:30 ReplaceComparisonOperator_GtE_Gt 0": "both branches are 0.5 at zero",
    "keras_rnnkit/ops/protocol.py:26 NumberReplacer 5": "nobody calls a protocol, which describes a module",
    "keras_rnnkit/cells/base.py:145 RemoveDecorator 0": "always true in this class, and so is a method",
    "keras_rnnkit/layers/checks.py:12 ReplaceComparisonOperator_Lt_LtE 0": "three axes have returned two lines before",
    "keras_rnnkit/training/losses.py:62 NumberReplacer 13": "the axis has a single entry",
    "keras_rnnkit/training/checkpoint.py:179 ReplaceTrueWithFalse 0": "`check_shapes` has compared the lengths before",
    "keras_rnnkit/kernels/loop_choice.py:70 NumberReplacer 19": "the maximum with one follows",
    "keras_rnnkit/kernels/hoisted.py:69 NumberReplacer 5": "only the last row of the result is read, which is the same",
    "keras_rnnkit/kernels/graph_loops.py:52 ReplaceComparisonOperator_Gt_GtE 0": "one piece joined is that piece",
    "keras_rnnkit/kernels/graph_loops.py:52 NumberReplacer 27": "one piece joined is that piece",
    "keras_rnnkit/kernels/graph_loops.py:32 NumberReplacer 15": "all arrays of a loop have the same number of steps",
    "keras_rnnkit/kernels/graph_loops.py:17 NumberReplacer 7": "a threshold of speed: both loops compute the same",
    "keras_rnnkit/kernels/recurrence.py:65 NumberReplacer 13": "all states have the same number of rows",
    "keras_rnnkit/kernels/steps.py:102 ReplaceTrueWithFalse 2": "both lists have an array for each state",
    "keras_rnnkit/kernels/scan.py:80 ReplaceTrueWithFalse 2": "both lists are made from the same cells",
}


def read(results: Path) -> dict[str, dict]:
    """The last result of each mutant, by its name."""
    if not results.exists():
        return {}
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    return {line["name"]: line for line in lines}


def table(results: Path) -> str:
    """Numbers for each folder, and the survivors with what was changed."""
    lines = sorted(read(results).values(), key=lambda line: line["number"])
    sampled, survived, equivalent = Counter(), Counter(), Counter()
    text = []
    for line in lines:
        folder, reason = line["name"].split("/")[1], EQUIVALENT.get(line["name"])
        sampled[folder] += 1
        if line["result"] == "passed":
            (survived if reason is None else equivalent)[folder] += 1
            text += ["", line["name"], *(f"    {change}" for change in line["change"]), *([reason] if reason else [])]
    rows = [row(folder, sampled[folder], equivalent[folder], survived[folder]) for folder in sorted(sampled)]
    rows.append(row("all", sampled.total(), equivalent.total(), survived.total()))
    head = "| folder | sampled | caught | equivalent | survived |\n| --- | --- | --- | --- | --- |"
    return "\n".join([head, *rows, *text])


def row(folder: str, sampled: int, equivalent: int, survived: int) -> str:
    return f"| {folder} | {sampled} | {sampled - equivalent - survived} | {equivalent} | {survived} |"
