"""What must be equal on all workers: code, versions, settings, data. Where it is not, a sentence says what differs."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import sys
from pathlib import Path
from typing import Any

from keras_rnnkit.cluster.addresses import DisagreementError
from keras_rnnkit.cluster.channel import Channel

PACKAGES = ("tensorflow", "keras", "jax", "numpy")

MISSING = "(nothing)"


def agree(channel: Channel, facts: dict[str, Any], doing: str) -> None:
    """Compare facts on all workers. Any difference is an error on each of them, with the same sentence.

    Arguments:
        channel: the channel of this worker.
        facts: names and values that JSON has.
        doing: what the workers do, such as "compared their settings".
    """
    sentence = difference(channel.exchange(facts, doing))
    if sentence is not None:
        raise DisagreementError(sentence)


def difference(everyone: list[dict[str, Any]]) -> str | None:
    """A sentence about the first worker whose facts are not those of the chief; None if there is none.

    >>> difference([{"seed": 1, "units": 8}, {"seed": 1, "units": 8}, {"seed": 2, "units": 8}])
    'Worker 2 does not fit the chief: seed is 1 on the chief and 2 on worker 2. Start all workers with the same ...'
    """
    chief = everyone[0]
    for index, facts in enumerate(everyone):
        names = [name for name in {**chief, **facts} if facts.get(name, MISSING) != chief.get(name, MISSING)]
        if names:
            words = "; ".join(
                f"{name} is {shown(chief.get(name, MISSING))} on the chief and {shown(facts.get(name, MISSING))} on "
                f"worker {index}"
                for name in names
            )
            remedy = "Start all workers with the same code, data and settings."
            return f"Worker {index} does not fit the chief: {words}. {remedy}"
    return None


def shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def code_facts() -> dict[str, Any]:
    """The versions of Python and of packages, and hashes of this package's code and of the program that runs."""
    package = Path(__file__).parents[1]
    facts: dict[str, Any] = {"the version of Python": platform.python_version()}
    for name in PACKAGES:
        try:
            facts[f"the version of {name}"] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    facts["the code of keras_rnnkit"] = hash_of(sorted(package.rglob("*.py")), package)
    program = Path(getattr(sys.modules.get("__main__"), "__file__", None) or sys.argv[0] or ".")
    if program.is_file():
        facts["the code of the program"] = hash_of([program], program.parent)
    return facts


def hash_of(files: list[Path], root: Path) -> str:
    """A short hash of files, with their names below `root`."""
    state = hashlib.sha256()
    for path in files:
        content = path.read_bytes()
        state.update(f"{path.relative_to(root)} {len(content)}\n".encode())
        state.update(content)
    return state.hexdigest()[:16]
