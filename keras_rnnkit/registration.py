"""Our classes become known to Keras once Keras and this package are both imported, in whichever order.

Keras finds the classes in a model file by names that were registered. Classes of other packages it does not import by
itself, so `keras.models.load_model` would refuse our files until something of ours has been used.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import importlib.util
import sys
from typing import Any


def register_with_keras() -> None:
    """Register our classes now, or as soon as Keras is imported."""
    if "keras" in sys.modules:
        importlib.import_module("keras_rnnkit.loading")
    elif KerasFinder not in sys.meta_path:
        sys.meta_path.insert(0, KerasFinder)


class KerasFinder:
    """Finds Keras where Python finds it, and lets our classes be registered right after Keras is imported."""

    @staticmethod
    def find_spec(name: str, path=None, target=None) -> importlib.machinery.ModuleSpec | None:
        if name != "keras":
            return None
        spec = found_by_others(name, path, target)
        if spec is None or spec.loader is None:
            return None
        loader: Any = spec.loader
        execute = loader.exec_module

        def exec_module(module):
            execute(module)
            sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not KerasFinder]
            register_after_import()

        loader.exec_module = exec_module
        return spec


def found_by_others(name: str, path, target) -> importlib.machinery.ModuleSpec | None:
    """What the import system finds without us."""
    others = [finder for finder in sys.meta_path if finder is not KerasFinder and hasattr(finder, "find_spec")]
    specs = (finder.find_spec(name, path, target) for finder in others)
    return next((spec for spec in specs if spec is not None), None)


def register_after_import() -> None:
    """Register our classes now that Keras is imported, unless one of our modules is still being imported itself.

    An error of ours, for example about a version of Keras that is too old, must not keep anybody from importing Keras;
    it is raised again where something of ours is used.
    """
    if not any(is_being_imported(name) for name in list(sys.modules) if name.startswith("keras_rnnkit.")):
        with contextlib.suppress(ImportError):
            importlib.import_module("keras_rnnkit.loading")


def is_being_imported(name: str) -> bool:
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))
