"""Recurrent networks for Keras 3, from the equation of a cell to a served model.

The names are loaded when they are first used (PEP 562), so that `import keras_rnnkit` needs NumPy alone.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from keras_rnnkit import registration

__version__ = "0.1.0"

_HOMES = {
    "LSTM": "layers.facades",
    "GRU": "layers.facades",
    "VanillaRNN": "layers.facades",
    "Recurrent": "layers.recurrent",
    "Stack": "layers.stack",
    "Bidirectional": "layers.bidirectional",
    "Residual": "layers.residual",
    "Encoder": "seq2seq.encoder",
    "Decoder": "seq2seq.decoder",
    "Seq2Seq": "seq2seq.model",
    "convert": "conversion",
    "from_torch": "torch_weights",
    "to_torch_state_dict": "torch_weights",
    "explain": "explanation",
    "load_model": "loading",
    "export_onnx": "export.onnx",
    "export_saved_model": "export.saved_model",
    "export_bundle": "export.bundle",
}
_MODULES = {
    name: name
    for name in (
        "blocks",
        "cells",
        "data",
        "decoding",
        "kernels",
        "layers",
        "ops",
        "runtime",
        "seq2seq",
        "text",
        "training",
    )
} | {"attention": "seq2seq.attention"}

_NAMES = [*_HOMES, *_MODULES]
_EXTRAS = {"keras": "train", "tensorflow": "train"} | dict.fromkeys(("onnx", "tf2onnx", "onnxruntime"), "train,export")
_FRAMEWORK_FREE = ("decoding", "ops", "runtime", "text")


def _missing_packages(name: str) -> list[str]:
    """The packages that a public name needs and that are not installed."""
    needed = {"runtime": ["onnxruntime"]}.get(name, [] if name in _FRAMEWORK_FREE else ["keras"])
    return [package for package in needed if not _is_installed(package)]


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False


# `from keras_rnnkit import *` and help() take the names that can be used with the installed extras.
__all__ = [name for name in _NAMES if not _missing_packages(name)]

if TYPE_CHECKING:
    from keras_rnnkit import blocks, cells, data, decoding, kernels, layers, ops, runtime, seq2seq, text, training
    from keras_rnnkit.conversion import convert
    from keras_rnnkit.explanation import explain
    from keras_rnnkit.export.bundle import export_bundle
    from keras_rnnkit.export.onnx import export_onnx
    from keras_rnnkit.export.saved_model import export_saved_model
    from keras_rnnkit.layers.bidirectional import Bidirectional
    from keras_rnnkit.layers.facades import GRU, LSTM, VanillaRNN
    from keras_rnnkit.layers.recurrent import Recurrent
    from keras_rnnkit.layers.residual import Residual
    from keras_rnnkit.layers.stack import Stack
    from keras_rnnkit.loading import load_model
    from keras_rnnkit.seq2seq import attention
    from keras_rnnkit.seq2seq.decoder import Decoder
    from keras_rnnkit.seq2seq.encoder import Encoder
    from keras_rnnkit.seq2seq.model import Seq2Seq
    from keras_rnnkit.torch_weights import from_torch, to_torch_state_dict


def _resolve(name: str) -> Any:
    if name in _HOMES:
        value = getattr(_load(_HOMES[name], name), name)
    elif name in _MODULES:
        value = _load(_MODULES[name], name)
    else:
        raise AttributeError(f"module 'keras_rnnkit' has no attribute {name!r}. It has: {', '.join(_NAMES)}")
    globals()[name] = value
    return value


if not TYPE_CHECKING:  # a type checker would accept every name, misspelt ones too
    __getattr__ = _resolve


def _load(module: str, name: str) -> Any:
    try:
        if name not in _FRAMEWORK_FREE:
            importlib.import_module("keras")  # before any module of ours, so that Keras knows all our classes
            registration.register_after_import()
        return importlib.import_module(f"keras_rnnkit.{module}")
    except ModuleNotFoundError as error:
        if error.name in _EXTRAS:
            extra = "serve" if name == "runtime" else _EXTRAS[error.name]
            raise AttributeError(  # and no ImportError, so that hasattr, dir and inspect work without the extra
                f"keras_rnnkit.{name} needs {error.name}, which is not installed: pip install 'keras-rnnkit[{extra}]'"
            ) from error
        raise


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})


registration.register_with_keras()
