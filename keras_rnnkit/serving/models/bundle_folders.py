"""Which bundles a folder holds, and what each is called on the server.

A bundle is called like its folder. A pipeline writes a run folder, with run.json beside its bundles: `words/bundle` is
called "words", and a second one such as `series/bundle_ahead` is called "series_ahead".
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from keras_rnnkit.runtime.manifest import NAME

RUN, BUNDLE = "run.json", "bundle"


class BundleFolders(NamedTuple):
    """The bundles by name, and sentences on the folders that are not served."""

    bundles: dict[str, Path]
    left_out: list[str]


def bundle_folders(root: Path) -> BundleFolders:
    """The bundles of a folder that is a bundle, a run folder, or a folder of both."""
    bundles: dict[str, Path] = {}
    left_out = []
    for folder in candidates(root):
        own = bundles_of(folder)
        if not own:
            left_out.append(reason(folder))
        for name, path in own.items():
            if name in bundles:
                left_out.append(
                    f"the bundles {bundles[name]} and {path} are both called {name!r}, and the first is served: rename "
                    "the folder of the other"
                )
            else:
                bundles[name] = path
    return BundleFolders(bundles, left_out)


def candidates(root: Path) -> list[Path]:
    """The folder itself where it has bundles of its own, or else the folders in it; those with bundles as their own
    name come first."""
    if (root / NAME).is_file() or (root / RUN).is_file():
        return [root.resolve()]
    folders = [path for path in root.iterdir() if path.is_dir() and path.name[0] != "."] if root.is_dir() else []
    return sorted(folders, key=lambda path: (not (path / NAME).is_file(), path.name))


def bundles_of(folder: Path) -> dict[str, Path]:
    """The bundles of a bundle's or a run's folder, by name."""
    if (folder / NAME).is_file():
        return {folder.name: folder}
    inside = [folder / BUNDLE, *sorted(folder.glob(f"{BUNDLE}_*"))]
    return {folder.name + path.name.removeprefix(BUNDLE): path for path in inside if (path / NAME).is_file()}


def reason(folder: Path) -> str:
    """Why a folder is passed over."""
    if (folder / RUN).is_file():
        return f"the run {folder.name} is passed over: it has exported no bundle yet"
    return f"the folder {folder.name} is passed over: it holds no {NAME}"
