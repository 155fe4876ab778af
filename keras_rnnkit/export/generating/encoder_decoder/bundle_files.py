"""A `Seq2Seq` as the files of a bundle: its encoder, one step of its decoder, and the whole loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from keras_rnnkit.export import road
from keras_rnnkit.export.drafts import Drafts
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.generating.encoder_decoder.loop import TranslationFile
from keras_rnnkit.export.generating.encoder_decoder.parts import EncoderFile, EncoderModel, StepFile, source_spec
from keras_rnnkit.export.report import ExportReport
from keras_rnnkit.export.settings import Settings
from keras_rnnkit.runtime import manifest as manifests
from keras_rnnkit.seq2seq import Seq2Seq

FILES = {file.mode: file for file in (EncoderFile, StepFile, TranslationFile)}
MODES = tuple(FILES)


def write_graphs(model: Seq2Seq, folder, settings: Settings, tell: Callable[[str, str], None], drafts: Drafts):
    """Writes the graphs into a folder: (reports by mode, reports of those with weights in fewer bits)."""
    check(model)
    reports: dict[str, ExportReport] = {}
    quantized: dict[str, ExportReport] = {}
    encoder = drafts.keep("encoder model", lambda: EncoderModel(model))
    for kind in (None, *([settings.quantize] if settings.quantize else [])):
        for mode, file in FILES.items():
            own = replace(settings, mode="sequence", quantize=kind, progress=partial(tell, mode))
            content, report = road.along(file(encoder, own, drafts))
            name = manifests.quantized_file(mode, kind) if kind else manifests.FILES[mode]
            (folder / name).write_bytes(content)
            (quantized if kind else reports)[mode] = replace(report, path=name)
    return reports, quantized


def check(model: Seq2Seq) -> None:
    if not model.built:
        raise ExportError(
            f"The model {model.name!r} has not been called yet. Received: a model that is not built. Call it once, "
            "model((source, target))."
        )


def facts(model: Seq2Seq) -> dict[str, Any]:
    """What the manifest says of sources and targets."""
    spec = source_spec(model)
    return {
        "source": {2: "tokens", 3: "features", 4: "image"}[len(spec.shape)],
        "source_tokens": getattr(model.encoder, "vocabulary_size", None),
        "source_shape": list(spec.shape),
        "limit": model.limit,
        "begin": model.begin,
        "end": model.end,
        "tokens": model.decoder.vocabulary_size,
    }
