"""`rnnkit bench`."""

from __future__ import annotations

import typer

from keras_rnnkit.bench.settings import (
    DistributeBench,
    ExportBench,
    ServeBench,
    TrainBench,
    TranslateBench,
    WebBench,
)
from keras_rnnkit.cli.options import options_of
from keras_rnnkit.cli.refusals import REFUSED, need, refuse
from keras_rnnkit.settings import SettingsError
from keras_rnnkit.stages import stages

bench_app = typer.Typer(no_args_is_help=True, help="Measure on this machine, side by side.")


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


@bench_app.command("web")
@options_of(WebBench)
def bench_web(settings: WebBench) -> None:
    """A step of a stream in a browser, beside the same step in Python."""
    need("train,export", "keras", "tensorflow", "tf2onnx", "onnxruntime")
    from keras_rnnkit.bench import web as measured
    from keras_rnnkit.web.errors import SiteError

    try:
        times = measured.run(settings)
    except SiteError as error:
        refuse(str(error))
    for line in measured.lines(times, settings):
        typer.echo(line)


@bench_app.command("train")
@options_of(TrainBench)
def bench_train(settings: TrainBench) -> None:
    """Training steps of our layers against those of stock Keras, torch and plain JAX, gradients compared first."""
    need("train", "keras")
    if settings.cells:
        compare_cells(settings)
        return
    from keras_rnnkit.bench import train as table

    try:
        with stages("bench train") as progress:
            result = table.run(settings, progress)
    except ValueError as error:
        refuse(str(error))
    for line in table.lines(result):
        typer.echo(line)
    if any(row.refusal for row in result.rows):
        raise typer.Exit(REFUSED)


def compare_cells(settings: TrainBench) -> None:
    need("train,export", "keras", "tensorflow", "tf2onnx", "onnxruntime")
    from keras_rnnkit.bench import cell_results, train_cells

    try:
        with stages("bench train --cells") as progress:
            result = train_cells.run(settings, progress)
    except SettingsError as error:
        refuse(str(error))
    for line in cell_results.lines(result):
        typer.echo(line)


@bench_app.command("distribute")
@options_of(DistributeBench)
def bench_distribute(settings: DistributeBench) -> None:
    """Training on one and on two workers of this machine, one thread each, and a model of more workers."""
    need("train", "keras", "tensorflow")
    from keras_rnnkit.bench import distribute as table
    from keras_rnnkit.cluster import ClusterError

    try:
        rows = table.run(settings)
    except ClusterError as error:
        refuse(str(error))
    for line in table.lines(rows):
        typer.echo(line)
