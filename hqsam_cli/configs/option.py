"""An option of a command, declared once: on the field of the config that it sets.

The command line (`cli.from_config`), its reference (`docs/cli.md`) and the identity of a run
(`configs.run_identity`) are derived from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from typing import Any, NamedTuple, get_type_hints

OPTION = "option"  # in the metadata of a field
CHOICES = "choices"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """The command-line option of a field.

    Attributes:
        help: one sentence; shown by `--help`.
        panel: of the help.
        flags: `--name` and short forms; derived from the name of the field if empty.
        metavar: placeholder of the value in the help; derived from the type if None.
        min, max: bounds of a number, inclusive.
        envvar: environment variable that sets it too.
        complete: shell completion: a key of `cli.from_config.COMPLETIONS`, whose names are completed beside file names,
            or `CHOICES` for the values in `metavar`.
        compared: part of the identity of a run; see `configs.run_identity`.
    """

    help: str
    panel: str | None = None
    flags: tuple[str, ...] = ()
    metavar: str | None = None
    min: float | None = None
    max: float | None = None
    envvar: str | None = None
    complete: str | None = None
    compared: bool = False


def option(default: Any, help_text: str, panel: str | None = None, **more: Any) -> Any:
    """A field of a config with an option; `more` are the other attributes of `Option`."""
    return field(default=default, metadata={OPTION: Option(help=help_text, panel=panel, **more)})


def part(config_type: Any) -> Any:
    """A field that is a config itself, with its defaults."""
    return field(default_factory=config_type)


class Declared(NamedTuple):
    """A field with an option.

    Attributes:
        name: of the field.
        type: of its values.
    """

    name: str
    type: Any
    default: Any
    option: Option


def declared(config_type: Any) -> Iterator[Declared]:
    """All fields of a config and of its parts that have options, in order."""
    hints = get_type_hints(config_type)
    for own in fields(config_type):
        if is_dataclass(hints[own.name]):
            yield from declared(hints[own.name])
        elif OPTION in own.metadata:
            yield Declared(own.name, hints[own.name], own.default, own.metadata[OPTION])


def build(config_type: Any, values: dict[str, Any]) -> Any:
    """Build a config from option values by name; options that are None get their defaults."""
    hints = get_type_hints(config_type)
    given: dict[str, Any] = {}
    for own in fields(config_type):
        if is_dataclass(hints[own.name]):
            given[own.name] = build(hints[own.name], values)
        elif OPTION in own.metadata and values.get(own.name) is not None:
            value = values[own.name]
            given[own.name] = tuple(value) if isinstance(value, list) else value
    return config_type(**given)


def is_default(config: Any) -> bool:
    """Whether all fields of a config have their defaults."""
    return all(getattr(config, own.name) == _default(own) for own in fields(config))


def changed(config: Any) -> list[str]:
    """Names of the fields of a config that differ from their defaults."""
    return [own.name for own in fields(config) if getattr(config, own.name) != _default(own)]


def _default(own: Field[Any]) -> Any:
    return own.default if own.default is not MISSING else own.default_factory()  # type: ignore[operator]
