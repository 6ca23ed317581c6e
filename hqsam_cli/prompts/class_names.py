"""Class names of a YOLO dataset: `classes.txt`, `obj.names` or a YAML such as `data.yaml`, in any encoding."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from ..errors import HqsamError
from ..formats.values import FileCategory, integer, text_of
from ..formats.yolo import CLASSES

LISTS = (CLASSES, "obj.names")
YAMLS = ("data.yaml", "data.yml", "dataset.yaml")
LEVELS = 2  # parent folders searched, as in data/labels/train


class ClassNames:
    """The class names of a dataset, read when first asked for; an HqsamError if their file cannot be read.

    Args:
        folder: of the labels; None of labels that are in no folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder

    @property
    def key_point_shape(self) -> tuple[int, int] | None:
        """Number of points, and numbers per point, if known."""
        return self._found[1]

    @cached_property
    def categories(self) -> list[FileCategory]:
        """COCO categories, whose ids are class indices plus one."""
        return [{"id": number + 1, "name": name} for number, name in self._found[0].items()]

    @cached_property
    def _found(self) -> tuple[dict[int, str], tuple[int, int] | None]:
        return ({}, None) if self.folder is None else _find(self.folder)


def _find(folder: Path) -> tuple[dict[int, str], tuple[int, int] | None]:
    """Class names by index, and the key point shape, as far as known."""
    names: dict[int, str] = {}
    shape: tuple[int, int] | None = None
    for place in [folder, *folder.resolve().parents[:LEVELS]]:
        for path in (place / name for name in LISTS if (place / name).is_file()):
            names = names or {n: line.strip() for n, line in enumerate(_text(path).splitlines()) if line.strip()}
        known = [_read_yaml(_text(place / name)) for name in YAMLS if (place / name).is_file()]
        if not names and not any(own for own, _ in known):
            others = [path for path in sorted(place.glob("*.y*ml")) if path.name not in YAMLS and path.is_file()]
            found = [own for own in map(_read_yaml, map(_text, others)) if own[0]]
            known += found if len(found) == 1 else []
        for own, key_points in known:
            names, shape = names or own, shape or key_points
        if names:
            break
    return names, shape


def _text(path: Path) -> str:
    try:
        return text_of(path.read_bytes())
    except OSError as error:
        raise HqsamError(f"cannot be read ({error.strerror})", file=path, remedy="check its permissions") from None


def _read_yaml(text: str) -> tuple[dict[int, str], tuple[int, int] | None]:
    """Class names and key point shape of a dataset YAML, as far as it has them."""
    try:
        document: Any = yaml.load(text.expandtabs(), _Lenient)
    except (yaml.YAMLError, RecursionError):
        return {}, None
    names, shape = (document.get(key) if isinstance(document, dict) else None for key in ("names", "kpt_shape"))
    entries = enumerate(names) if isinstance(names, list) else names.items() if isinstance(names, dict) else ()
    numbered = ((integer(key), str(name)) for key, name in entries)
    points, numbers = map(integer, shape) if isinstance(shape, list) and len(shape) == 2 else (None, None)
    known = (points, numbers) if points and numbers else None
    return {key: name for key, name in numbered if key is not None}, known


class _Lenient(yaml.SafeLoader):  # type: ignore[misc]
    """Loads plain values; unknown tags become None."""


_Lenient.add_constructor(None, lambda _loader, _node: None)
