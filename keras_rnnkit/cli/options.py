"""A settings object as the options of a command."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from keras_rnnkit.cli.refusals import USAGE, refuse
from keras_rnnkit.settings import SettingsError


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
