"""Which tests are run on a mutant.

At first its own examples and the tests that are closest to it. A mutant that passes them is run again with all others
that use its folder, which take longer.
"""

from __future__ import annotations

from pathlib import Path

CONFORMANCE = (
    "tests/conformance/test_written_gradients.py",
    "tests/conformance/test_gradients.py",
    "tests/conformance/test_agreement.py",
    "tests/conformance/test_compiled_loops.py",
)

# Where the tests of a folder are, if not in the folder of the same name.
FOLDERS = {"kernels": "tests/conformance"}

# The tests that are closest to a file, where no file of tests has its name; for a folder those of all other files.
CLOSEST = {
    "ops": ("tests/ops/test_readings.py", "tests/ops/test_onnx_reading.py"),
    "cells": ("tests/cells/test_arguments.py", "tests/cells/test_every_cell.py"),
    "cells/base": ("tests/cells/test_lstm.py", "tests/cells/test_arguments.py", "tests/cells/test_initial_weights.py"),
    "cells/lstm": ("tests/cells/test_lstm.py", "tests/cells/test_initial_weights.py"),
    "cells/slopes": ("tests/conformance/test_written_gradients.py",),
    "cells/wrapper": ("tests/cells/test_zoneout.py", "tests/cells/test_conditioned.py"),
    "kernels": (
        "tests/conformance/test_loop_functions.py",
        "tests/conformance/test_written_gradients.py",
        "tests/conformance/test_agreement.py",
        "tests/conformance/test_compiled_loops.py",
    ),
    "kernels/cudnn": ("tests/layers/test_cudnn.py",),
    "kernels/engine_jax": ("tests/conformance/test_agreement.py", "tests/conformance/test_gradients.py"),
    "layers": (
        "tests/layers/test_checks.py",
        "tests/layers/test_errors.py",
        "tests/layers/test_facades.py",
        "tests/layers/test_stack.py",
    ),
    "layers/traversal": ("tests/layers/test_explain.py",),
    "decoding": ("tests/decoding/test_loop.py", "tests/decoding/test_readings.py"),
    "decoding/aligned": ("tests/seq2seq/test_seq2seq.py",),
    "decoding/sources": ("tests/decoding/test_loop.py",),
    "data": ("tests/data/test_corpus.py", "tests/data/test_pairs.py"),
    "training": ("tests/training/test_training.py",),
    "training/losses": (
        "tests/training/test_losses.py",
        "tests/training/test_training.py",
        "tests/training/test_padding.py",
    ),
    "runtime": ("tests/runtime/test_functions.py", "tests/runtime/test_runtime.py", "tests/runtime/test_inputs.py"),
    "runtime/generation": ("tests/runtime/test_inputs.py", "tests/export/test_generate.py"),
    "runtime/prompts": ("tests/runtime/test_inputs.py", "tests/export/test_generate.py"),
    "runtime/translation": ("tests/export/test_seq2seq.py",),
}

# Other tests that use a folder.
OTHERS = {
    "ops": (
        "tests/decoding/test_readings.py",
        "tests/cells",
        "tests/export/test_onnx_forms.py",
        "tests/export/test_lowering.py",
        "tests/export/test_agreement.py",
        "tests/export/test_generate.py",
        *CONFORMANCE,
    ),
    "cells": (
        *CONFORMANCE,
        "tests/layers/test_errors.py",
        "tests/layers/test_dtypes.py",
        "tests/layers/test_facades.py",
        "tests/layers/test_convert.py",
        "tests/layers/test_training.py",
        "tests/layers/test_torch_weights.py",
        "tests/seq2seq/test_step_by_step.py",
    ),
    "kernels": (
        *CONFORMANCE,
        "tests/layers/test_cudnn.py",
        "tests/layers/test_explain.py",
        "tests/layers/test_training.py",
        "tests/layers/test_errors.py",
        "tests/layers/test_dtypes.py",
    ),
    "layers": ("tests/conformance/test_agreement.py", "tests/seq2seq", "tests/export/test_agreement.py"),
    "decoding": (
        "tests/runtime/test_runtime.py",
        "tests/runtime/test_inputs.py",
        "tests/seq2seq/test_seq2seq.py",
        "tests/export/test_generate.py",
        "tests/export/test_seq2seq.py",
    ),
    "data": ("tests/training/test_training.py", "tests/training/test_resume.py"),
    "training": ("tests/layers/test_training.py",),
    "runtime": (
        "tests/test_cli_inference.py",
        "tests/export/test_runtime.py",
        "tests/export/test_stream.py",
        "tests/export/test_generate.py",
        "tests/export/test_seq2seq.py",
        "tests/export/test_bundle.py",
        "tests/export/test_quantize.py",
    ),
}


def first_tests(path: str, tree: Path) -> list[str]:
    """The examples of a file of the package, and the tests that are closest to it."""
    examples = [path] if ">>> " in (tree / path).read_text() else []
    module, folder = names(path)
    named = [test for test in files_of((folder_of_tests(folder),), tree) if test.endswith(f"/test_{Path(path).name}")]
    return [*examples, *(CLOSEST.get(module) or named or CLOSEST[folder])]


def tests_of_folder(path: str, tree: Path) -> list[str]:
    """`first_tests`, and the other tests of the folder."""
    _, folder = names(path)
    first = first_tests(path, tree)
    return first if "jax" in path else list(dict.fromkeys([*first, *files_of((folder_of_tests(folder),), tree)]))


def tests_elsewhere(path: str, tree: Path) -> list[str]:
    """The tests of other folders that use the folder."""
    module, folder = names(path)
    tests = files_of(OTHERS.get(module, OTHERS[folder]), tree) if "jax" not in path else []
    return [test for test in tests if test not in tests_of_folder(path, tree)]


def folder_of_tests(folder: str) -> str:
    return FOLDERS.get(folder, f"tests/{folder}")


def names(path: str) -> tuple[str, str]:
    """The names of a module and of its folder, such as "cells/gru" and "cells"."""
    module = path.removeprefix("keras_rnnkit/").removesuffix(".py")
    return module, module.partition("/")[0]


def files_of(tests: tuple[str, ...], tree: Path) -> list[str]:
    """The files of tests in files and folders."""
    folders = {test: sorted((tree / test).glob("test_*.py")) for test in tests}
    return [str(file.relative_to(tree)) for test in tests for file in folders[test] or [tree / test]]
