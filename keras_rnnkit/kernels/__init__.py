"""How a recurrence is run: a table of kernels, fastest first, each with the sentence in which it refuses."""

from __future__ import annotations

from keras_rnnkit.kernels import cudnn, hoisted, parallel, scan
from keras_rnnkit.kernels.call_flags import CallFlags

TABLE = {"cudnn": cudnn, "parallel": parallel, "hoisted": hoisted, "scan": scan}
CHOICES = ("auto", *TABLE)
MEMORY = ("keep", "checkpoint")
"""What training does with the arrays of each step that its way back needs: keep them, or compute them again."""


def check_name(kernel: str) -> str:
    if kernel not in CHOICES:
        raise ValueError(
            f"Unknown kernel. Received: kernel={kernel!r}. Expected one of {', '.join(map(repr, CHOICES))}; "
            "'auto' takes the fastest that can run the layer."
        )
    return kernel


def check_memory(memory: str) -> str:
    if memory not in MEMORY:
        raise ValueError(
            f"Unknown way with memory. Received: memory={memory!r}. Expected 'keep', or 'checkpoint' to keep the "
            "states of a few steps only and to compute the others again on the way back."
        )
    return memory


def refusals(layer, call: CallFlags) -> dict[str, str | None]:
    """For each kernel, fastest first, why it cannot run the layer in this call, or None."""
    return {name: kernel.refusal(layer, call) for name, kernel in TABLE.items()}


def choose(layer, call: CallFlags) -> str:
    """The kernel the layer runs on: the one it names, or the first that does not refuse."""
    if layer.kernel == "auto":
        return next(name for name, reason in refusals(layer, call).items() if reason is None)
    reason = TABLE[layer.kernel].refusal(layer, call)
    if reason:
        raise ValueError(
            f"Layer {layer.name!r} cannot run on kernel={layer.kernel!r}: {reason}. "
            "kernel='auto' takes the fastest kernel that can."
        )
    return layer.kernel


def describe(layer, call: CallFlags) -> tuple[str, str]:
    """The kernel of the layer and, in a sentence, why it is not a faster one; for tables such as `rk.explain`.

    A layer that names a kernel which cannot run here is described too: the call will raise, the table must not.
    """
    reasons = refusals(layer, call)
    if layer.kernel != "auto" and reasons[layer.kernel]:
        return layer.kernel, f"cannot run here: {reasons[layer.kernel]}; kernel='auto' takes one that can"
    name = choose(layer, call)
    faster = [each for each in list(TABLE)[: list(TABLE).index(name)] if each != "parallel" or is_parallel(layer)]
    sentences = [f"{each}: {reasons[each] or f'kernel={layer.kernel!r} was asked for'}" for each in faster]
    return name, "; ".join(filter(None, [*sentences, TABLE[name].remark(layer, call)])) or "the fastest there is"


def is_parallel(layer) -> bool:
    """Whether the kernel `parallel` is worth a word: for other cells it is out of the question."""
    return parallel.form_of(layer.equation) is not None


__all__ = ["CHOICES", "TABLE", "CallFlags", "check_memory", "check_name", "choose", "describe", "refusals"]
