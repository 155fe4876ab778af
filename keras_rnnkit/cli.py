"""The `rnnkit` command.

A command imports what it needs when it runs, so that `--help` answers without TensorFlow.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Annotated, Any, NoReturn, get_args, get_origin, get_type_hints

import typer

from keras_rnnkit import __version__
from keras_rnnkit.bench.settings import ExportBench, ServeBench, TranslateBench
from keras_rnnkit.demo.settings import Settings as DemoSettings
from keras_rnnkit.serving.settings import Settings as ServeSettings
from keras_rnnkit.serving.settings import TritonSettings
from keras_rnnkit.settings import SettingsError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # its notes are not about what was asked

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

REFUSED, USAGE = 1, 2


def show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"keras-rnnkit {__version__}")
        raise typer.Exit


@app.callback()
def rnnkit(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Recurrent networks for Keras 3, from the equation of a cell to a served model."""


# ---------------------------------------------------------------------- how commands begin and end


def refuse(sentence: str, code: int = REFUSED) -> NoReturn:
    """Ends the command with one sentence instead of a traceback."""
    typer.echo(sentence, err=True)
    raise typer.Exit(code)


def need(extra: str, *packages: str) -> None:
    """Imports the packages of an extra, or refuses."""
    try:
        with silenced_stderr():
            for package in packages:
                importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name not in ("keras", "tensorflow", *packages):
            raise
        refuse(f"This command needs {error.name}, which is not installed: pip install 'keras-rnnkit[{extra}]'")


@contextmanager
def silenced_stderr() -> Iterator[None]:
    """TensorFlow reports the GPUs it does not find before any setting can stop it, from C++."""
    visible = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(visible, 2)
        os.close(visible)


def kind_of(field: Field) -> Callable[..., Any]:
    """A field without a default is an argument of the command, the others are options."""
    return typer.Argument if field.default is MISSING else typer.Option


def shown(text: str, variable: str | None = None) -> dict[str, str]:
    return {"help": text} | ({"envvar": variable} if variable else {})


def options_of(settings: type) -> Callable[[Callable[[Any], Any]], Callable[..., None]]:
    """Gives a command that takes a settings object an option for each field with a text beside its type.

    A second text names a variable of the environment that says it too, for what a list of processes should not show.
    """
    hints = get_type_hints(settings, include_extras=True)
    texts = {f.name: get_args(hints[f.name]) for f in fields(settings) if get_origin(hints[f.name]) is Annotated}
    parameters = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=Annotated[texts[field.name][0], kind_of(field)(**shown(*texts[field.name][1:]))],
        )
        for field in fields(settings)
        if field.name in texts
    ]

    def decorate(function: Callable[[Any], Any]) -> Callable[..., None]:
        def command(**values: Any) -> None:
            try:
                function(settings(**values))
            except SettingsError as error:
                refuse(str(error), USAGE)

        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return command

    return decorate


# ---------------------------------------------------------------------- commands


@app.command()
@options_of(DemoSettings)
def demo(settings: DemoSettings) -> None:
    """Train a small character model on Python's documentation and let it write."""
    need("train", "tensorflow", "keras")
    from keras_rnnkit.demo import pipeline

    pipeline.run(settings)


@app.command()
@options_of(ServeSettings)
def serve(settings: ServeSettings) -> None:
    """Serve bundles over HTTP: the Open Inference Protocol v2, streams, generated text, and a page to try them."""
    need("serve", "onnxruntime", "starlette", "uvicorn", "websockets", "orjson", "prometheus_client")
    from keras_rnnkit import serving

    if not settings.folder.is_dir():
        refuse(
            f"There is no folder {settings.folder}. rnnkit export MODEL.keras {settings.folder}/NAME writes one.", USAGE
        )
    typer.echo(f"http://{settings.host}:{settings.port}/ serves {settings.folder}", err=True)
    if settings.telemetry:
        need("telemetry", "opentelemetry.instrumentation.asgi", "opentelemetry.sdk")
    if settings.ray:
        need("ray", "ray.serve")
        from keras_rnnkit.serving import rays

        rays.serve(settings, settings.ray)
        return
    serving.serve(settings)


@app.command()
@options_of(TritonSettings)
def triton(settings: TritonSettings) -> None:
    """Write a Triton model repository from a bundle: streams with the states kept by Triton's sequence batcher."""
    need("serve", "onnxruntime")
    from keras_rnnkit.runtime import BundleError
    from keras_rnnkit.serving.triton import write

    try:
        for folder in write(settings):
            typer.echo(str(folder))
    except BundleError as error:
        refuse(str(error))


@app.command()
def explain(
    file: Annotated[Path, typer.Argument(help="A model saved by model.save('name.keras').")],
    imports: Annotated[
        list[str] | None, typer.Option("--import", help="A module that registers your own layers; may be repeated.")
    ] = None,
) -> None:
    """Show the kernel that runs each recurrent layer, and why not a faster one."""
    check_file(file)
    need("train", "keras")
    import_modules(imports or [])
    import keras_rnnkit as rk

    if not rk.explain(load(file), print_fn=typer.echo):
        raise typer.Exit(REFUSED)


@app.command()
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


bench_app = typer.Typer(no_args_is_help=True, help="Measure on this machine, side by side.")
app.add_typer(bench_app, name="bench")


@bench_app.command("serve")
@options_of(ServeBench)
def bench_serve(settings: ServeBench) -> None:
    """Steps of streams through the server, as JSON, bytes and WebSocket, beside the bare graph."""
    need("serve", "onnxruntime", "starlette", "uvicorn", "websockets", "orjson", "prometheus_client")
    from keras_rnnkit.bench import serve as measured
    from keras_rnnkit.runtime import BundleError

    try:
        measured.run(settings)
    except BundleError as error:
        refuse(str(error))


@bench_app.command("export")
@options_of(ExportBench)
def bench_export(settings: ExportBench) -> None:
    """Our ONNX files against those of model.export(format="onnx"), in one run."""
    need("train,export", "keras", "tensorflow", "tf2onnx", "onnxruntime")
    from keras_rnnkit.bench import export as table

    with stages("bench export") as progress:
        rows = table.run(settings, progress)
    for line in table.lines(rows, settings):
        typer.echo(line)


@bench_app.command("translate")
@options_of(TranslateBench)
def bench_translate(settings: TranslateBench) -> None:
    """A translation by beam search: loops over the Keras decoder and over step.onnx, and generate.onnx in one run."""
    need("train,export", "keras", "tensorflow", "tf2onnx", "onnxruntime")
    from keras_rnnkit.bench import translate as table

    with stages("bench translate") as progress:
        found = table.run(settings, progress)
    for line in table.lines(found, settings):
        typer.echo(line)


@app.command()
def translate(
    bundle: Annotated[Path, typer.Argument(help="A bundle of an encoder and a decoder.")],
    text: Annotated[
        list[str] | None, typer.Argument(help="What to translate; lines of standard input if left out.")
    ] = None,
    best: Annotated[int, typer.Option(min=1, help="Translations of each, the best first, with their scores.")] = 1,
    steps: Annotated[int, typer.Option(min=1, help="Tokens of a translation, at most.")] = 100,
) -> None:
    """Translate texts with a bundle; no TensorFlow is loaded."""
    need("serve", "onnxruntime")
    from keras_rnnkit import runtime

    try:
        loaded = runtime.load(bundle)
        for line in text or (line.rstrip("\n") for line in sys.stdin):
            for one in loaded.translate(line, steps, best=best):
                typer.echo(one.text if best == 1 else f"{one.score:9.4f}  {one.text}")
    except (runtime.BundleError, runtime.InputError) as error:
        refuse(str(error), USAGE)


@app.command("inspect")
def look_into(
    path: Annotated[Path, typer.Argument(metavar="BUNDLE|FILE.onnx", help="What export wrote.")],
) -> None:
    """Show what a bundle or an ONNX file takes, gives and holds; check a bundle's files."""
    if not path.exists():
        refuse(f"There is no file or folder {path}.", USAGE)
    need("serve", "onnxruntime")
    from keras_rnnkit.inspection import lines
    from keras_rnnkit.runtime import BundleError

    try:
        for line in lines(path):
            typer.echo(line)
    except BundleError as error:
        refuse(str(error))


@contextmanager
def stages(title: str) -> Iterator[Callable[[str], None]]:
    """Shows the stage of long work and its time beside it; one line a stage where nobody watches."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    bar = Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True
    )
    with bar if console.is_terminal else nullcontext():
        task = bar.add_task(title)
        yield lambda stage: bar.update(task, description=stage) if console.is_terminal else console.print(stage)


def check_file(file: Path) -> None:
    if not file.exists():
        refuse(f"There is no file {file}.", USAGE)
    if not zipfile.is_zipfile(file):
        refuse(f"{file} is not a .keras file. Save the model with model.save('name.keras').", USAGE)


def import_modules(names: list[str]) -> None:
    sys.path.insert(0, "")  # a module beside the model, as `python -m` finds it
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            refuse(f"--import {name}: there is no module {error.name!r} here or among the installed ones.", USAGE)


def load(file: Path) -> Any:
    """The model in a .keras file; a refusal where Keras cannot rebuild it."""
    import keras_rnnkit as rk

    try:
        return rk.load_model(file, compile=False)
    except Exception as error:  # Keras raises a dozen kinds, according to where the file disagrees
        refuse(f"{file} cannot be loaded: {why_not_loaded(str(error))}")


def why_not_loaded(message: str) -> str:
    """The sentence in Keras' message that helps; the configs it quotes go on for pages."""
    unknown = re.search(r"Could not locate (?:class|function) '(\w+)'", message)
    if unknown:
        return (
            f"it has {unknown[1]!r}, which is not Keras' or ours. Name the module that registers it with "
            "@keras.saving.register_keras_serializable(): --import your_module"
        )
    if "Python lambda" in message:
        return "it has a Lambda layer, which is code and could do anything. Make it a registered layer of your own."
    return message.strip().splitlines()[0]
