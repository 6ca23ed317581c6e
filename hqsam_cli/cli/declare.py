"""Options of a command whose config is a dataclass: declared in the signature, each named as its field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

import typer

Config = TypeVar("Config")


def options_of(panel: str) -> Callable[..., Any]:
    """`typer.Option` in a panel of the help: the help of the option, its flags if they are not its name, and more."""

    def option(help_text: str, *flags: str, **settings: Any) -> Any:
        return typer.Option(*flags, help=help_text, rich_help_panel=panel, **settings)

    return option


def config_of(kind: type[Config], given: Mapping[str, Any], **others: Any) -> Config:
    """The config whose fields are the options of a command.

    Args:
        given: the options by name, as `locals()` of the command has them.
        others: fields with another value.
    """
    return kind(**{field.name: given[field.name] for field in fields(kind) if field.name not in others}, **others)  # type: ignore[arg-type]
