"""The packages that a run needs. They are looked for before minutes of training are spent."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

from keras_rnnkit.settings import SettingsError

Packages = Mapping[str, tuple[str, ...]]
"""Names of modules, by the extra of keras-rnnkit that installs them."""

TRAINING: Packages = {
    "train": ("tensorflow", "keras", "rich"),
    "export": ("onnx", "onnxruntime", "tf2onnx"),
    "plot": ("matplotlib",),
}
"""What every pipeline needs, from the first batch to the report."""


def check_packages(packages: Packages) -> None:
    """Refuse a run whose packages are not all installed; nothing is imported.

    >>> check_packages({"train": ("numpy",)})
    >>> check_packages({"plot": ("no_such_package",)})
    Traceback (most recent call last):
    keras_rnnkit.settings.SettingsError: This run needs no_such_package, which is not installed:
    pip install 'keras-rnnkit[plot]'
    """
    missing = {extra: [name for name in names if not is_installed(name)] for extra, names in packages.items()}
    missing = {extra: names for extra, names in missing.items() if names}
    if not missing:
        return
    names = [name for absent in missing.values() for name in absent]
    words = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    verb = "is" if len(names) == 1 else "are"
    raise SettingsError(
        f"This run needs {words}, which {verb} not installed: pip install 'keras-rnnkit[{','.join(missing)}]'"
    )


def is_installed(name: str) -> bool:
    """Whether Python finds a module, without importing it."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ModuleNotFoundError, ValueError):
        return False
