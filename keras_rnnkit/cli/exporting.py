"""`rnnkit export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from keras_rnnkit.cli.model_file import check_file, import_modules, load
from keras_rnnkit.cli.refusals import USAGE, need, refuse
from keras_rnnkit.stages import stages


def export(
    file: Annotated[Path, typer.Argument(help="A model saved by model.save('name.keras').")],
    out: Annotated[Path, typer.Argument(help="A folder for a bundle, or a file NAME.onnx for one graph.")],
    stream: Annotated[bool, typer.Option("--stream", help="The model over chunks, its states in and out.")] = False,
    generate: Annotated[bool, typer.Option("--generate", help="The token loop inside the graph.")] = False,
    strategy: Annotated[str, typer.Option(help="Of --generate: sample, greedy or beam.")] = "sample",
    end: Annotated[int | None, typer.Option(help="Of --generate: the token id that ends a row.")] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Products of 8-bit integers; in a bundle, graphs of their own.")
    ] = False,
    float16: Annotated[bool, typer.Option("--float16", help="Weights of 16 bits in the file.")] = False,
    calibration: Annotated[
        Path | None, typer.Option(help="An .npz file with inputs by name, to measure the error of such weights on.")
    ] = None,
    max_error: Annotated[float | None, typer.Option(help="The largest such error that is allowed.")] = None,
    lowering: Annotated[str, typer.Option(help="auto, native (ONNX's own operators) or scan.")] = "auto",
    batch: Annotated[int | None, typer.Option(help="How many rows the graph will run, where it is known.")] = None,
    opset: Annotated[int, typer.Option(help="Of ONNX.")] = 18,
    tolerance: Annotated[float, typer.Option(help="The largest difference from Keras that is allowed.")] = 1e-5,
    saved_model: Annotated[bool, typer.Option(help="Write a SavedModel into the bundle too.")] = True,
    compare: Annotated[bool, typer.Option("--compare", help="Of one file: time it beside Keras' own export.")] = False,
    imports: Annotated[
        list[str] | None, typer.Option("--import", help="A module that registers your own layers; may be repeated.")
    ] = None,
) -> None:
    """Write a model as verified ONNX: a bundle with all that a server needs, or one file."""
    check_file(file)
    need("train,export", "keras", "tensorflow", "tf2onnx", "onnxruntime")
    import_modules(imports or [])
    import keras_rnnkit as rk
    from keras_rnnkit.export.errors import ExportError

    model = load(file)
    settings: dict[str, Any] = {"lowering": lowering, "batch": batch, "opset": opset, "tolerance": tolerance}
    settings |= {"strategy": strategy, "end": end, "quantize": only_kind(int8, float16), "max_error": max_error}
    settings["calibration"] = arrays_of(calibration) if calibration else None
    try:
        with stages(f"exporting {file.name}") as progress:
            if out.suffix == ".onnx":
                settings |= {"mode": only_mode(stream, generate), "compare": compare}
                report: Any = rk.export_onnx(model, out, progress=progress, **settings)
            else:
                modes = ["sequence", *(["stream"] if stream else []), *(["generate"] if generate else [])]
                settings |= {"modes": None if isinstance(model, rk.Seq2Seq) else modes, "saved_model": saved_model}
                report = rk.export_bundle(model, out, progress=progress, **settings)
    except ExportError as error:
        refuse(str(error))
    typer.echo(str(report))


def only_mode(stream: bool, generate: bool) -> str:
    if stream and generate:
        refuse("One .onnx file holds one graph. Choose --stream or --generate, or name a folder for both.", USAGE)
    return "stream" if stream else "generate" if generate else "sequence"


def only_kind(int8: bool, float16: bool) -> str | None:
    if int8 and float16:
        refuse("Weights have one form. Choose --int8 or --float16.", USAGE)
    return "int8" if int8 else "float16" if float16 else None


def arrays_of(file: Path) -> Any:
    """The arrays in an .npz file: by name, or the only one."""
    import numpy as np

    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, AttributeError) as error:
        refuse(f"{file} is no .npz file of arrays ({error}). Write one with numpy.savez(file, name=array).", USAGE)
    return arrays if len(arrays) > 1 else next(iter(arrays.values()))
