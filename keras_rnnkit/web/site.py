"""A folder with bundles, the JavaScript runtime and a page: any web server can serve it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from keras_rnnkit import runtime
from keras_rnnkit.export.saving.folder_swap import put_in_place
from keras_rnnkit.runtime import Bundle, BundleError
from keras_rnnkit.serving.models.description import description, end_of_text, tensors_of
from keras_rnnkit.web.errors import SiteError
from keras_rnnkit.web.kinds import local_kind
from keras_rnnkit.web.onnxruntime import RuntimeFile, in_the_folder, integrity_of, on_the_network

HERE = Path(__file__).parent
PLAYGROUND = HERE.parent / "serving/playground"
LISTING = "files.json"
"""The list of the files of a page of ours, by which a later one knows what it may replace."""
KEEPER = "service_worker.js"
"""The script that keeps the files, so it is none of those that are kept."""
BESIDE_THE_RUNTIME = (
    *("activations.js", "completion.js", "forecast.js", "images.js"),
    *("offline.js", "onnxruntime.js", "whole.js"),
)
INSTEAD_OF_THE_SERVER = ("source.js", "local_model.js", "calls.js")
SERVER_ONLY = re.compile(r"docs\.html|sign_in\.html|index\.html|interface/.*|styles/interface\.css")


class Site(NamedTuple):
    """What was written. models: the names; sizes: bytes of the page, of onnxruntime-web and of each model."""

    folder: Path
    models: list[str]
    sizes: dict[str, int]


def build(
    bundles: Sequence[str | os.PathLike],
    out: str | os.PathLike,
    ort: Path | None = None,
    quantized: str | None = None,
) -> Site:
    """Write the folder; nothing is there before everything is.

    Arguments:
        bundles: folders that `export_bundle` wrote, or those of runs that have one in `bundle`.
        out: the folder to write. One that an earlier call wrote is replaced; any other that is not empty is refused.
        ort: the folder of the npm package onnxruntime-web, to copy its files from. None leaves them on a public
            network, from which the page fetches a fixed version and refuses any other.
        quantized: "int8" or "float16", for the graphs with such weights, where a bundle has them.
    """
    out = Path(out)
    check_replaceable(out)
    opened = named([loaded(bundle_in(Path(folder)), quantized) for folder in bundles])
    with beside(out) as folder:
        copy_page(folder)
        onnxruntime = copy_onnxruntime(folder, ort)
        write_index(folder, onnxruntime)
        descriptions = [copy_model(folder, name, bundle) for name, bundle in opened.items()]
        (folder / "models.json").write_text(json.dumps(descriptions, indent=1, ensure_ascii=False), encoding="utf-8")
        write_listing(folder, [file for file in onnxruntime if is_elsewhere(file)])
        sizes = {
            "page": size(folder) - size(folder / "ort") - size(folder / "models"),
            "onnxruntime": sum(file.size for file in onnxruntime),
        }
        sizes |= {name: size(folder / "models" / name) for name in opened}
    return Site(out, list(opened), sizes)


def bundle_in(folder: Path) -> Path:
    """The bundle itself, or that of the run which is in this folder."""
    is_run = not (folder / "manifest.json").exists() and (folder / "bundle/manifest.json").is_file()
    return folder / "bundle" if is_run else folder


def loaded(folder: Path, quantized: str | None) -> Bundle:
    """The bundle, with the weights that were asked for where it has them."""
    try:
        bundle = runtime.load(folder)
        has = any(quantized in graph["quantized"] for graph in bundle.manifest["graphs"].values())
        return runtime.load(folder, quantized=quantized) if quantized and has else bundle
    except BundleError as error:
        raise SiteError(str(error)) from None


def named(bundles: Sequence[Bundle]) -> dict[str, Bundle]:
    """The bundles by the names of their folders. One called bundle, as in a run, has that of its parent."""
    by_name: dict[str, Bundle] = {}
    for bundle in bundles:
        folder = Path(os.path.abspath(bundle.folder))  # without "..", which would be no name
        name = folder.parent.name if folder.name == "bundle" else folder.name
        if not re.fullmatch(r"[\w.-]+", name) or name in by_name:
            why = "is there twice" if name in by_name else "cannot be part of an address"
            raise SiteError(f"The name {name!r} of a bundle {why}. Received: {str(folder)!r}. Rename the folder.")
        by_name[name] = bundle
    if not by_name:
        raise SiteError("There must be one bundle or more. Received: none.")
    return by_name


def copy_page(folder: Path) -> None:
    for path in PLAYGROUND.rglob("*.*"):
        part = path.relative_to(PLAYGROUND)
        if path.suffix in (".js", ".css") and not SERVER_ONLY.fullmatch(part.as_posix()):
            copy(path, folder / "playground" / part)
    for path in [HERE / "rnnkit.js", *(HERE / "runtime").glob("*.js")]:
        copy(path, folder / "rnnkit" / path.relative_to(HERE))
    for names, place in (
        (("worker.js",), ""),
        (BESIDE_THE_RUNTIME, "rnnkit/page"),
        (INSTEAD_OF_THE_SERVER, "playground/models"),
    ):
        for name in names:
            copy(HERE / "page" / name, folder / place / name)
    for path in (HERE / "page/views").glob("*.js"):
        copy(path, folder / "playground/views" / path.name)


def copy_onnxruntime(folder: Path, package: Path | None) -> list[RuntimeFile]:
    """What the page needs of onnxruntime-web, copied from an npm folder if one is given."""
    if package is None:
        return on_the_network()
    files = in_the_folder(package)
    for path, file in files:
        copy(path, folder / file.address)
    return [file for _, file in files]


def write_index(folder: Path, files: list[RuntimeFile]) -> None:
    """The page, with the addresses and hashes of onnxruntime-web; its content policy admits them and its own host."""
    page = (HERE / "page/index.html").read_text(encoding="utf-8")
    network = "".join(f" {file.address}" for file in files if is_elsewhere(file))
    wanted = [{"name": file.name, "address": file.address, "integrity": file.integrity} for file in files]
    page = page.replace("{{network}}", network).replace("{{onnxruntime}}", json.dumps(wanted))
    (folder / "index.html").write_text(page, encoding="utf-8")


def is_elsewhere(file: RuntimeFile) -> bool:
    return "://" in file.address


def copy_model(folder: Path, name: str, bundle: Bundle) -> dict[str, Any]:
    """Copy the files that the runtime reads, and describe the model for the page."""
    graphs = bundle.manifest["graphs"].values()
    files = [graph["quantized"].get(bundle.quantized, graph)["file"] for graph in graphs]
    files += [bundle.manifest[key] for key in ("vocabulary", "source_vocabulary") if bundle.manifest[key]]
    for file in ["manifest.json", *files]:
        copy(bundle.folder / file, folder / "models" / name / file)
    written = sum((folder / "models" / name / file).stat().st_size for file in files)
    facts = {**tensors_of(bundle), **description(bundle), "size": written}
    facts |= local_kind(bundle, facts["kind"])
    return {
        "name": name,
        "folder": f"models/{name}/",
        "quantized": bundle.quantized,
        "end": end_of_text(bundle),
        **facts,
    }


def write_listing(folder: Path, network: list[RuntimeFile]) -> None:
    """The files with their hashes, for the service worker to keep, under a version that changes with any of them."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {path.relative_to(folder).as_posix(): integrity_of(path) for path in paths}
    elsewhere = [{"address": file.address, "integrity": file.integrity} for file in network]
    keeper = (HERE / "page" / KEEPER).read_text(encoding="utf-8")
    digest = hashlib.sha256(json.dumps([files, elsewhere, keeper]).encode()).hexdigest()
    listing = {"version": f"rnnkit-{digest[:16]}", "files": files, "network": elsewhere}
    (folder / KEEPER).write_text(f"self.listing = {json.dumps(listing)};\n\n{keeper}", encoding="utf-8")
    total = size(folder) + sum(file.size for file in network)
    (folder / LISTING).write_text(json.dumps({**listing, "bytes": total}, indent=1), encoding="utf-8")


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def check_replaceable(out: Path) -> None:
    """SiteError unless the folder is new, empty, or of an earlier call, with nothing of anybody else's in it."""
    if not out.absolute().parent.is_dir():
        raise SiteError(f"There is no folder {str(out.absolute().parent)!r} to write {out.name!r} to. Make it first.")
    if out.is_file():
        raise SiteError(f"The path names a file. Received: {str(out)!r}. Give a folder.")
    if not out.is_dir() or not any(out.iterdir()):
        return
    others = foreign_files(out)
    if others:
        raise SiteError(
            f"The folder {str(out)!r} has files that `rnnkit web` did not write, such as {others[0]!r}. "
            "Give a new folder."
        )


def foreign_files(out: Path) -> list[str]:
    there = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if not path.is_dir())
    try:
        listed = {*json.loads((out / LISTING).read_text(encoding="utf-8"))["files"], LISTING, KEEPER}
    except (OSError, ValueError, KeyError, TypeError):
        return there
    return [name for name in there if name not in listed]


@contextmanager
def beside(out: Path) -> Iterator[Path]:
    """A new folder that takes the place of `out` when the block ends well, and vanishes when it does not."""
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".part", dir=out.absolute().parent))
    try:
        yield folder
        folder.chmod(0o755)
        earlier = put_in_place(folder, out)
        if earlier is not None:
            shutil.rmtree(earlier, ignore_errors=True)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
