"""Which tests are run on a mutant.

At first those of its own folder and its own examples. A mutant that passes them is run again with all others that use
its folder, which take longer.
"""

from __future__ import annotations

from pathlib import Path

CONFORMANCE = (
    "tests/conformance/test_agreement.py",
    "tests/conformance/test_written_gradients.py",
    "tests/conformance/test_gradients.py",
    "tests/conformance/test_compiled_loops.py",
)

# Where the tests of a folder are, if not in the folder of the same name.
OWN = {
    "kernels": (CONFORMANCE[0], CONFORMANCE[3], "tests/cells/test_zoneout.py"),
    "kernels/cudnn": ("tests/layers/test_cudnn.py",),
    "kernels/engine_jax": ("tests/conformance/test_agreement.py", "tests/conformance/test_gradients.py"),
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
    "data": ("tests/training/test_training.py", "tests/training/test_resume.py", "tests/pipelines"),
    "training": ("tests/layers/test_training.py", "tests/pipelines"),
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


def own_tests(path: str, tree: Path) -> list[str]:
    """The files of tests for a file of the package, and the file itself where it has examples."""
    module, folder = names(path)
    examples = [path] if ">>> " in (tree / path).read_text() else []
    return [*examples, *files_of(OWN.get(module, OWN.get(folder, (f"tests/{folder}",))), tree)]


def other_tests(path: str, tree: Path) -> list[str]:
    """Further files of tests for a file of the package."""
    module, folder = names(path)
    own = own_tests(path, tree)
    also = OTHERS.get(module, OTHERS[folder]) if "jax" not in path else ()
    return [file for file in files_of(also, tree) if file not in own]


def names(path: str) -> tuple[str, str]:
    """The names of a module and of its folder, such as "cells/gru" and "cells"."""
    module = path.removeprefix("keras_rnnkit/").removesuffix(".py")
    return module, module.partition("/")[0]


def files_of(tests: tuple[str, ...], tree: Path) -> list[str]:
    """The files of tests in files and folders."""
    folders = {test: sorted((tree / test).glob("test_*.py")) for test in tests}
    return [str(file.relative_to(tree)) for test in tests for file in folders[test] or [tree / test]]
