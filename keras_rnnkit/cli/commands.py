"""The commands of `rnnkit`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from keras_rnnkit import __version__
from keras_rnnkit.cli.bench import bench_app
from keras_rnnkit.cli.exporting import export
from keras_rnnkit.cli.inference import generate, predict
from keras_rnnkit.cli.launching import launch
from keras_rnnkit.cli.model_file import check_file, import_modules, load
from keras_rnnkit.cli.options import options_of
from keras_rnnkit.cli.refusals import REFUSED, USAGE, need, refuse
from keras_rnnkit.cli.training import train_app
from keras_rnnkit.cli.web import web
from keras_rnnkit.demo.settings import Settings as DemoSettings
from keras_rnnkit.serving.settings import Settings as ServeSettings
from keras_rnnkit.serving.settings import TritonSettings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # its notes are not about what was asked

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]}
)


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


@app.command()
@options_of(DemoSettings)
def demo(settings: DemoSettings) -> None:
    """Train a small character model, export it, and let onnxruntime write; about a minute on two cores."""
    need("train,export", "tensorflow", "keras", "tf2onnx", "onnxruntime")
    from keras_rnnkit.demo import pipeline
    from keras_rnnkit.export.errors import ExportError

    try:
        pipeline.run(settings)
    except ExportError as error:
        refuse(str(error))


@app.command()
@options_of(ServeSettings)
def serve(settings: ServeSettings) -> None:
    """Serve bundles over HTTP: the Open Inference Protocol v2, streams, generated text, and a page to try them."""
    need("serve", "onnxruntime", "starlette", "uvicorn", "httptools", "websockets", "orjson", "prometheus_client")
    from keras_rnnkit import serving
    from keras_rnnkit.serving.checks import check_folder, check_providers

    check_folder(settings)
    check_providers(settings)
    if settings.telemetry:
        packages = ("sdk.trace", "instrumentation.asgi", "exporter.otlp.proto.http.trace_exporter")
        need("telemetry", *(f"opentelemetry.{package}" for package in packages))
    if settings.ray:
        need("ray", "ray", "fastapi", "ray.serve")
        from keras_rnnkit.serving import ray_serve

        ray_serve.serve(settings)
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


app.command()(export)
app.command()(generate)
app.command()(launch)
app.command()(predict)
app.command()(web)
app.add_typer(bench_app, name="bench")
app.add_typer(train_app, name="train")


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
