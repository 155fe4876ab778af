"""The three files of onnxruntime-web that a page runs: from the folder of its npm package, or from a public network."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from keras_rnnkit.web.errors import SiteError

MODULE, LOADER, WASM = FILES = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
)
VERSION = "1.27.0"
NETWORK = f"https://cdn.jsdelivr.net/npm/onnxruntime-web@{VERSION}/dist/"
"""Where a page without files of its own has them from. Its content policy admits these three addresses and no other."""


class RuntimeFile(NamedTuple):
    """A file of onnxruntime-web: where a page finds it, its hash in the form of a page's `integrity`, and its bytes."""

    name: str
    address: str
    integrity: str
    size: int


RELEASE = (
    (MODULE, "sha384-nU6qQ19c+thKRr4j1iyvgAcfW/Z6/lbo9agSyFIhBj8eZbO4MLvCySQzwCYJxY67", 50_069),
    (LOADER, "sha384-QwBuCPwkZ1hn48SSG/YP1rd25hKczDIg103x2AtlotnwUzVF919IZz1uRnLp9IOw", 24_180),
    (WASM, "sha384-ZBv2MGQL3EUHCYbVm9I410F+QZX7GWFj9a556jISGqlE2TiRaeEWLu6jxd8ZYMGC", 13_479_978),
)
"""Of the npm package in that version. `python -m keras_rnnkit.web.onnxruntime DIR` prints those of another."""


def on_the_network() -> list[RuntimeFile]:
    """The files of the pinned version, where a page can fetch them."""
    return [RuntimeFile(name, f"{NETWORK}{name}", integrity, size) for name, integrity, size in RELEASE]


def in_the_folder(package: Path) -> list[tuple[Path, RuntimeFile]]:
    """Each file of an npm folder of any version, and what it is in the folder `ort` of a page."""
    place = next((path for path in (package / "dist", package) if (path / MODULE).is_file()), None)
    missing = [name for name in FILES if place is None or not (place / name).is_file()]
    if place is None or missing:
        raise SiteError(
            f"The folder {str(package)!r} is not the npm package onnxruntime-web: it has no {missing[0]!r}. "
            "Fetch the package with `npm install onnxruntime-web` and give node_modules/onnxruntime-web."
        )
    return [(place / n, RuntimeFile(n, f"ort/{n}", integrity_of(place / n), (place / n).stat().st_size)) for n in FILES]


def version_note(package: Path) -> str | None:
    """A sentence, where the npm folder has another version than the one that pages were tested with."""
    try:
        version = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if version == VERSION:
        return None
    return f"The folder {str(package)!r} has onnxruntime-web {version}; pages were tested with {VERSION}."


def integrity_of(path: Path) -> str:
    return f"sha384-{base64.b64encode(hashlib.sha384(path.read_bytes()).digest()).decode()}"


if __name__ == "__main__":
    import sys

    for _, file in in_the_folder(Path(sys.argv[1])):
        print(f'("{file.name}", "{file.integrity}", {file.size:_}),')
