"""What is made once for all processes of pytest-xdist: the first that asks for it makes it, the others read it."""

from __future__ import annotations

import fcntl
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Any]) -> tuple[Path, Any]:
    """A folder, and what `make(folder)` returned after it had filled it. Nobody may change the folder later.

    What `make` returns must be something that pickle takes. A process that asks while another makes it waits.
    """
    base = factory.getbasetemp()
    place = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared" / name
    folder, result = place / name, place / "result"
    folder.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.exists():
            content = pickle.dumps(make(folder))
            (place / "part").write_bytes(content)
            (place / "part").replace(result)
        return folder, pickle.loads(result.read_bytes())
