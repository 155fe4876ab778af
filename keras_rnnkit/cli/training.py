"""A pipeline as a command: its settings are its options."""

from __future__ import annotations

from collections.abc import Callable

import typer

from keras_rnnkit.cli.options import options_of
from keras_rnnkit.cli.refusals import USAGE, refuse


def start(run: Callable, settings: type) -> None:
    """Run a pipeline from the command line. An error that the user can correct is one sentence without a traceback."""
    from keras_rnnkit.text import TextError

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(options_of(settings)(run))
    try:
        app()
    except TextError as error:
        refuse_outside(str(error))
    except Exception as error:
        if type(error).__name__ not in ("CheckpointError", "ExportError"):
            raise
        refuse_outside(str(error))


def refuse_outside(sentence: str) -> None:
    """Like `refuse`, but outside a running command."""
    try:
        refuse(sentence, USAGE)
    except typer.Exit as ending:
        raise SystemExit(ending.exit_code) from None
