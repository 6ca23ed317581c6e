"""Commands whose options are the fields of a config."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection
from dataclasses import is_dataclass
from typing import Annotated, Any, get_args, get_origin

import typer

from ..configs.option import CHOICES, Declared, Option, build, declared
from ..configs.run import PANELS
from .plain import complete_choices, complete_names


def _model_names() -> list[str]:
    from ..weights.registry import PACKAGED, WEIGHTS

    return [*PACKAGED, *WEIGHTS]


def _detector_names() -> list[str]:
    from ..detection.files import ASSETS, EMBEDDED

    return [EMBEDDED, *sorted(ASSETS)]


COMPLETIONS: dict[str, Callable[[], list[str]]] = {"models": _model_names, "detectors": _detector_names}


def with_options(command: Callable[..., Any], *, only: Collection[str] | None = None) -> Callable[..., Any]:
    """A function for typer with an option for each declared field of the config that `command` takes.

    The parameter of `command` whose annotation is a config is passed one built from these options.

    Args:
        only: names of the fields to make options of; the others keep their defaults.
    """
    signature = inspect.signature(command, eval_str=True)
    (place,) = (p for p in signature.parameters.values() if is_dataclass(p.annotation))
    options = [own for own in declared(place.annotation) if only is None or own.name in only]
    options.sort(key=lambda own: PANELS.index(own.option.panel))
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        of_config = [_parameter(own) for own in options]
        parameters += of_config if parameter is place else [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)]

    @functools.wraps(command)
    def called(**values: Any) -> Any:
        given = {own.name: values.pop(own.name) for own in options}
        return command(**values, **{place.name: build(place.annotation, given)})

    del called.__wrapped__  # typer would read its signature instead
    called.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return called


def option_of(config_type: Any, name: str) -> Any:
    """The option of a field of a config, for another command."""
    return _option(next(own for own in declared(config_type) if own.name == name))


def _completion(option: Option) -> Callable[[str], list[str]] | None:
    if option.complete == CHOICES:
        return complete_choices((option.metavar or "").split("|"))
    return complete_names(COMPLETIONS[option.complete]) if option.complete else None


def _parameter(own: Declared) -> inspect.Parameter:
    kind, default = own.type, own.default
    if get_origin(kind) is tuple:
        kind, default = list[get_args(kind)[0]] | None, None  # type: ignore[misc]
    return inspect.Parameter(
        own.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, _option(own)]
    )


def _option(own: Declared) -> Any:
    option = own.option
    # Without a --no-… for flags.
    flags = option.flags or ((f"--{own.name.replace('_', '-')}",) if own.type is bool else ())
    return typer.Option(
        *flags,
        metavar=option.metavar,
        min=option.min,
        max=option.max,
        envvar=option.envvar,
        rich_help_panel=option.panel,
        help=option.help,
        autocompletion=_completion(option),
    )
