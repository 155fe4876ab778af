"""`rnnkit train NAME` and `python pipelines/NAME.py`: the settings of a pipeline are the options of its command."""

from __future__ import annotations

import dataclasses
import errno
import functools
import importlib.util
import inspect
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import typer
from typer.core import TyperGroup

from keras_rnnkit.cli.options import options_of
from keras_rnnkit.cli.refusals import REFUSED, USAGE, need, refuse

SENTENCES = {
    **dict.fromkeys(("SettingsError", "TextError", "CheckpointError", "DisagreementError"), USAGE),
    **dict.fromkeys(("ExportError", "ClusterError"), REFUSED),
}
"""Errors whose message tells the user what to correct, with the exit code. Importing all their classes would import
TensorFlow."""


FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Errors by which the system says that there is no room for a file."""


def pipelines_folder() -> Path:
    """The folder of the pipelines: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "pipelines"
    return inside if inside.is_dir() else package.parent / "pipelines"


def pipeline_names() -> list[str]:
    return sorted(path.stem for path in pipelines_folder().glob("*.py") if not path.stem.startswith("_"))


def load_pipeline(name: str) -> ModuleType:
    """The module of a pipeline, `keras_rnnkit.pipelines.NAME`, wherever its file is."""
    module_name = f"keras_rnnkit.pipelines.{name}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, pipelines_folder() / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses look up their annotations there
    spec.loader.exec_module(module)
    return module


class PipelineGroup(TyperGroup):
    """The commands of `rnnkit train`, which are imported when they are named."""

    def list_commands(self, ctx: Any) -> list[str]:
        return pipeline_names()

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in pipeline_names():
            return None
        pipeline = load_pipeline(cmd_name)
        command = typer.main.get_command(app_of(pipeline.main, pipeline.Settings))
        command.name = cmd_name
        return command


train_app = typer.Typer(
    cls=PipelineGroup, no_args_is_help=True, help="Train a model on your data or on built-in data, and export it."
)


@train_app.callback()
def train() -> None:
    """Train a model on your data or on built-in data, and export it."""


def start(run: Callable[[Any], None], settings: type) -> None:
    """Run a pipeline as a command of its own: `python pipelines/NAME.py`."""
    app_of(run, settings)()


def app_of(run: Callable[[Any], None], settings: type) -> typer.Typer:
    """The application that has a pipeline as its only command."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's notices are not about what the user does
    names = {"help_option_names": ["-h", "--help"]}
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings=names)

    def command(values: Any) -> None:
        run_command(run, values)

    command.__name__, command.__doc__ = run.__name__, run.__doc__
    app.command()(options_of(settings)(command))
    return app


def run_command(run: Callable[[Any], None], settings: Any) -> None:
    """Run a pipeline. An error that the user can correct is one sentence without a traceback."""
    from keras_rnnkit.runs.errors import Interrupted, RunError
    from keras_rnnkit.runs.packages import check_packages

    check_packages(settings.packages)
    need("train", "keras", "tensorflow")
    try:
        if getattr(settings, "distribute", None) == "ray":
            start_on_ray(Path(inspect.getfile(run)).stem, settings)
        else:
            run(settings)
    except Interrupted as interruption:
        typer.echo(f"Interrupted.{how_to_resume(interruption.checkpoint)}", err=True)
        raise typer.Exit(interruption.exit_code) from None
    except RunError as error:
        refuse(str(error))
    except OSError as error:
        if error.errno not in FULL:
            raise
        refuse(
            f"A file could not be written: {error.strerror}{f', {error.filename}' if error.filename else ''}. What was "
            f"written before is as it was. Make room, then continue.{how_to_resume(checkpoint_of(settings))}"
        )
    except Exception as error:
        if type(error).__name__ not in SENTENCES:
            raise
        refuse(str(error), SENTENCES[type(error).__name__])


def start_on_ray(name: str, settings: Any) -> None:
    """Run a pipeline on the workers of a Ray cluster."""
    need("ray-train", "ray", "pyarrow", "ray.train")
    from keras_rnnkit.cluster.ray_group import run_on_ray
    from keras_rnnkit.runs.together import prepare_for_ray

    workers = prepare_for_ray(settings, name)
    # Ray's workers have a folder of their own, so relative paths would lead elsewhere.
    values = {field.name: absolute(getattr(settings, field.name)) for field in dataclasses.fields(settings)}
    worker_values = {**values, "distribute": "workers", "workers": None}
    sentence = run_on_ray(functools.partial(run_as_worker, name, worker_values), workers)
    if sentence is not None:
        refuse(sentence, USAGE)


def absolute(value: Any) -> Any:
    """Paths, also those of a tuple, as seen from any folder; anything else as it is."""
    if isinstance(value, tuple):
        return tuple(absolute(item) for item in value)
    return value.absolute() if isinstance(value, Path) else value


def run_as_worker(name: str, values: dict[str, Any]) -> str | None:
    """Run a pipeline as one of the workers that Ray has started; the sentence where it refuses its settings."""
    pipeline = load_pipeline(name)
    try:
        pipeline.run(pipeline.Settings(**values))
    except Exception as error:
        if SENTENCES.get(type(error).__name__) != USAGE:
            raise
        return str(error)
    return None


def checkpoint_of(settings: Any) -> Path | None:
    """A checkpoint in the folder of the run, if there is one."""
    return next(iter(sorted(settings.out.glob("training*.ckpt"))), None)


def how_to_resume(checkpoint: Path | None) -> str:
    """The command that continues training, where there is a checkpoint."""
    if checkpoint is None or not checkpoint.exists():
        return ""
    program = Path(sys.argv[0])
    start = [program.name] if program.suffix != ".py" else ["python", sys.argv[0]]
    kept = [argument for argument in sys.argv[1:] if argument not in ("--resume", "--overwrite")]
    command = shlex.join([*start, *kept, "--resume"])
    return f" {checkpoint} has the state of the training. Continue with:\n\n    {command}\n"
