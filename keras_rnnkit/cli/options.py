"""A settings object as the options of a command."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from keras_rnnkit.cli.refusals import USAGE, refuse
from keras_rnnkit.settings import SettingsError


def kind_of(field: Field) -> Callable[..., Any]:
    """A field without a default is an argument of the command, the others are options."""
    return typer.Argument if field.default is MISSING else typer.Option


def panel_of(name: str, settings: type) -> str | None:
    """What the class that first had a setting is about, where it is not the settings' own."""
    first = next(kind for kind in reversed(settings.__mro__) if name in inspect.get_annotations(kind))
    return None if first is settings else inspect.getdoc(first).splitlines()[0].rstrip(".")  # type: ignore[union-attr]


def parameter_of(field: Field, settings: type, hint: Any, text: str, variable: str | None = None) -> inspect.Parameter:
    shown: dict[str, Any] = {"help": text, "rich_help_panel": panel_of(field.name, settings)}
    names, look = look_of(field, hint, text)
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if field.default is MISSING else field.default,
        annotation=Annotated[hint, kind_of(field)(*names, **shown | look, envvar=variable)],
    )


def look_of(field: Field, hint: Any, text: str) -> tuple[list[str], dict[str, Any]]:
    """(names, how the help shows the option). The columns of the help are narrow: only what is needed stands there.

    A switch that is off has one name, without its opposite. Choices stand in the text.
    """
    if field.default is False:
        return ["--" + field.name.replace("_", "-")], {"metavar": "", "show_default": False}
    if hint in (bool, bool | None):
        return [], {"metavar": ""}
    choices = [
        str(choice) for kind in (hint, *get_args(hint)) if get_origin(kind) is Literal for choice in get_args(kind)
    ]
    return [], {"metavar": "<name>", "help": f"{text} One of {', '.join(choices)}."} if choices else {}


def options_of(settings: type) -> Callable[[Callable[[Any], Any]], Callable[..., None]]:
    """Gives a command that takes a settings object an option for each field with a text beside its type.

    A second text names a variable of the environment that says it too, for what a list of processes should not show.
    """
    hints = get_type_hints(settings, include_extras=True)
    parameters = [
        parameter_of(field, settings, *get_args(hints[field.name]))
        for field in fields(settings)
        if get_origin(hints[field.name]) is Annotated
    ]
    parameters.sort(key=lambda parameter: panel_of(parameter.name, settings) is not None)

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
