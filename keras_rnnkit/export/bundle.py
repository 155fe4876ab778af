"""`export_bundle`: a folder with every graph of a model, and a manifest that says what they are."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from keras_rnnkit import __version__
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.onnx import require_tensorflow
from keras_rnnkit.export.report import ExportReport
from keras_rnnkit.export.saving import files
from keras_rnnkit.runtime import manifest as manifests
from keras_rnnkit.text.vocabulary import UNKNOWN, Vocabulary

PACKAGES = ("keras", "tensorflow", "tf2onnx", "onnx", "onnxruntime", "numpy")


@dataclass(frozen=True)
class BundleReport:
    """reports: of each graph, by mode; quantized: of those with weights in fewer bits.

    refused: why there is no graph for a mode that was not asked for by name.
    """

    path: str
    reports: dict[str, ExportReport]
    quantized: dict[str, ExportReport] = field(default_factory=dict)
    saved_model: Any = None
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def error(self) -> float | None:
        """The largest of all graphs."""
        reports = [report for report in (*self.reports.values(), self.saved_model) if report]
        return max((report.error for report in reports if report.error is not None), default=None)

    def with_paths_in(self, folder: Path) -> BundleReport:
        """The same report with the paths of the files inside `folder`."""
        reports, quantized = (
            {mode: replace(report, path=str(folder / report.path)) for mode, report in reports.items()}
            for reports in (self.reports, self.quantized)
        )
        return replace(self, reports=reports, quantized=quantized)

    def __str__(self) -> str:
        parts = [f"{mode}\n{report}" for mode, report in self.reports.items()]
        parts += [f"{mode}, {report.quantized}\n{report}" for mode, report in self.quantized.items()]
        parts += [f"saved_model\n{self.saved_model}"] if self.saved_model else []
        parts += [f"no {mode}\n{why}" for mode, why in self.refused.items()]
        return "\n\n".join([*parts, self.path])


def export_bundle(
    model: Any,
    folder: str | os.PathLike,
    *,
    modes: Iterable[str] | None = None,
    quantize: str | None = None,
    saved_model: bool = True,
    vocabulary: Any = None,
    labels: Iterable[str] | None = None,
    allow_unknown: bool = False,
    progress: Callable[[str], Any] | None = None,
    **settings: Any,
) -> BundleReport:
    """Writes a folder that holds all a server needs of a model: ONNX graphs, a SavedModel, and `manifest.json`.

    The folder appears, or replaces an earlier bundle, only when all is written and verified. The manifest has the
    inputs, outputs and states of each graph, how each layer was lowered, the errors measured, the versions of the
    packages that wrote it, and the sha256 of every file.

    Arguments:
        modes: "sequence", "stream", "generate"; a mode that the model cannot be exported in is an error. None takes
            whole sequences, and streams where the model can be run chunk by chunk. Of a `Seq2Seq` it is always the
            encoder, a step of the decoder, and the whole loop by `strategy`, a beam of 5 unless another is given.
        quantize: "int8" or "float16" for graphs with such weights beside the exact ones, `step.int8.onnx`.
        saved_model: write a SavedModel too.
        vocabulary: what turns text into tokens and back, with a method `save(path)`; it becomes `vocabulary.json`;
            of a `Seq2Seq` a pair, that of sources (None for features and images) and that of targets.
        labels: the names of the labels of a classifier in the order of their numbers, for people to read.
        allow_unknown: let the exported loop pick the token `<unk>` of the vocabulary; as a rule it is left out.
        progress: a function that is told each stage as it begins.
        settings: the other arguments of `export_onnx`.

    >>> import tempfile, keras, keras_rnnkit as rk
    >>> model = keras.Sequential([keras.Input((None, 3), name="x"), rk.GRU(4, return_sequences=True, name="reader")])
    >>> folder = os.path.join(tempfile.mkdtemp(), "reader")
    >>> report = rk.export_bundle(model, folder, saved_model=False)
    >>> sorted(os.listdir(folder)), report.error < 1e-5
    (['manifest.json', 'sequence.onnx', 'step.onnx'], True)
    >>> stream = rk.runtime.load(folder).stream()
    >>> stream.push([[[0.1, 0.2, 0.3]]]).shape
    (1, 1, 4)
    """
    require_tensorflow()
    from keras_rnnkit.export.settings import silently
    from keras_rnnkit.seq2seq import Seq2Seq

    names = {} if labels is None else {"labels": checked_labels(labels)}
    write = write_encoder_decoder if isinstance(model, Seq2Seq) else write_model
    destination = files.checked_folder(folder, manifests.NAME)
    with files.folder(destination) as temporary:
        tell = progress or silently
        settings["forbidden"] = () if allow_unknown else unknown_tokens(vocabulary)
        report, facts = write(model, temporary, modes, quantize, saved_model, settings, tell)
        for name, words in vocabularies(vocabulary).items():
            words.save(temporary / name)
        report = replace(report.with_paths_in(destination), path=str(destination))
        text = json.dumps(manifest(report, temporary) | names | facts, indent=2, allow_nan=False) + "\n"
        manifests.parsed(text.encode(), str(temporary / manifests.NAME))  # what is written can be read
        (temporary / manifests.NAME).write_text(text, encoding="utf-8")
    return report


def checked_labels(labels: Iterable[str]) -> list[str]:
    """The names as a list; an ExportError for a name that is no text, that is empty, or that is there twice."""
    names = list(labels)
    wrong = [name for name in names if not (isinstance(name, str) and name.strip())]
    twice = [name for name in names if name not in wrong and names.count(name) > 1]
    if not names or wrong or twice or isinstance(labels, str):
        received = repr(labels) if isinstance(labels, str) else str(wrong or twice or names)
        raise ExportError(f"labels must be texts that all differ, one for each label. Received: {received}.")
    return names


def vocabularies(vocabulary: Any) -> dict[str, Any]:
    """Vocabularies by the names of their files: one, or a pair for sources and targets."""
    if vocabulary is None:
        return {}
    if not isinstance(vocabulary, tuple | list):
        return {"vocabulary.json": vocabulary}
    source, target = vocabulary
    return {"source_vocabulary.json": source, "vocabulary.json": target} if source else {"vocabulary.json": target}


def unknown_tokens(vocabulary: Any) -> tuple[int, ...]:
    """The token of unknown words, where the vocabulary of what is generated has one."""
    target = vocabulary[1] if isinstance(vocabulary, tuple | list) else vocabulary
    unknown = target.number(UNKNOWN) if isinstance(target, Vocabulary) else None
    return () if unknown is None else (unknown,)


def write_model(model, folder: Path, modes, quantize, saved_model, settings, tell):
    """Writes the graphs of a model that reads sequences, streams, or continues a prompt."""
    from keras_rnnkit.export import road
    from keras_rnnkit.export.drafts import Drafts
    from keras_rnnkit.export.settings import MODES, Settings, check_choice

    reports, quantized, refused, drafts = {}, {}, {}, Drafts(shared=quantize is not None)
    chosen_modes = ["sequence", "stream"] if modes is None else list(modes)
    for mode in chosen_modes:
        check_choice("modes", mode, MODES)
    for mode in chosen_modes:
        mode_settings = Settings(mode=mode, progress=partial(report_stage, tell, mode), **settings)
        try:
            content, report = road.export(model, mode_settings, drafts)
        except ExportError as error:
            if modes is not None or mode == "sequence":
                raise
            refused[mode] = str(error)
            continue
        (folder / manifests.FILES[mode]).write_bytes(content)
        reports[mode] = replace(report, path=manifests.FILES[mode])
        if quantize is not None:
            content, report = road.export(model, replace(mode_settings, quantize=quantize), drafts)
            name = manifests.quantized_file(mode, quantize)
            (folder / name).write_bytes(content)
            quantized[mode] = replace(report, path=name)
    saved = write_saved_model_of(model, folder, settings, tell, drafts) if saved_model else None
    return BundleReport("", reports, quantized, saved, refused), {}


def write_encoder_decoder(model, folder: Path, modes, quantize, saved_model, settings, tell):
    """Writes the graphs of a model that reads a source, then writes a target."""
    from keras_rnnkit.export.drafts import Drafts
    from keras_rnnkit.export.generating.encoder_decoder import bundle_files
    from keras_rnnkit.export.generating.encoder_decoder.saved_model import saved_model as write_saved_model
    from keras_rnnkit.export.settings import Settings, check_choice

    for mode in modes or ():
        check_choice("modes", mode, bundle_files.MODES)
    own = Settings(**{"strategy": None, **settings}, quantize=quantize)
    drafts = Drafts(shared=quantize is not None)
    reports, quantized = bundle_files.write_graphs(model, folder, own, partial(report_stage, tell), drafts)
    saved = None
    if saved_model:
        tell("saved_model: tracing and verifying")
        saved = write_saved_model(model, folder / "saved_model", own, drafts)
    return BundleReport("", reports, quantized, saved), {"translation": bundle_files.facts(model)}


def report_stage(tell: Callable[[str], Any], mode: str, stage: str) -> None:
    tell(f"{mode}: {stage}")


def write_saved_model_of(model, folder: Path, settings: dict[str, Any], tell: Callable[[str], Any], drafts):
    from keras_rnnkit.export import saved_model
    from keras_rnnkit.export.settings import Settings

    tell("saved_model: tracing and verifying")
    report = saved_model.saved(model, folder / "saved_model", Settings(**settings), drafts)
    return replace(report, path="saved_model")


def manifest(report: BundleReport, folder: Path) -> dict[str, Any]:
    """What `manifest.json` says; `folder` holds the files already."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        "format": manifests.FORMAT,
        "name": Path(report.path).name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "graphs": {mode: described(mode, graph, report.quantized.get(mode)) for mode, graph in report.reports.items()},
        "saved_model": report.saved_model and {**report.saved_model.to_dict(), "folder": "saved_model"},
        "vocabulary": "vocabulary.json" if (folder / "vocabulary.json").exists() else None,
        "source_vocabulary": "source_vocabulary.json" if (folder / "source_vocabulary.json").exists() else None,
        "refused": report.refused,
        "files": {
            path.relative_to(folder).as_posix(): {"sha256": sha256(path), "size": path.stat().st_size} for path in paths
        },
    }


def described(mode: str, report: ExportReport, quantized: ExportReport | None) -> dict[str, Any]:
    facts = report.to_dict()
    for name in ("rows", "path", "mode", "seconds", "quantized", "quantized_error"):
        del facts[name]
    variants = {}
    if quantized is not None and quantized.quantized is not None:
        file = manifests.quantized_file(mode, quantized.quantized)
        layers = layer_rows(quantized)
        variants[quantized.quantized] = {"file": file, "error": quantized.quantized_error, "layers": layers}
    return {"file": manifests.FILES[mode], **facts, "layers": layer_rows(report), "quantized": variants}


def layer_rows(report: ExportReport) -> list[dict[str, Any]]:
    return [asdict(row) for row in report.rows]


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions() -> dict[str, str]:
    ours = {"keras_rnnkit": __version__, "python": platform.python_version()}
    return ours | {name: importlib.metadata.version(name) for name in PACKAGES}
