"""Names of the classes of a YOLO data set: `data.yaml`, `classes.txt` or `obj.names`, in any encoding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ...errors import HqsamError
from ...formats.values import integer, text_of
from ...formats.yolo import CLASSES

LISTS = (CLASSES, "obj.names")
YAMLS = ("data.yaml", "data.yml", "dataset.yaml")
LEVELS = 2  # above the labels, as in data/labels/train


def class_names(folder: Path) -> tuple[dict[int, str], tuple[int, int] | None]:
    """Names by class, and how many key points of how many numbers an object has, as far as anything says so.

    Raises:
        HqsamError: the file cannot be read.
    """
    names: dict[int, str] = {}
    shape: tuple[int, int] | None = None
    for place in [folder, *folder.resolve().parents[:LEVELS]]:
        for name in LISTS:
            if not names and (place / name).is_file():
                lines = enumerate(_text(place / name).splitlines())
                names = {number: line.strip() for number, line in lines if line.strip()}
        for name in YAMLS:
            if (place / name).is_file():
                own, known = _read_yaml(place / name)
                names, shape = names or own, shape or known
        if names:
            break
    return names, shape


def _read_yaml(path: Path) -> tuple[dict[int, str], tuple[int, int] | None]:
    """Names and shape of the key points of a data set's YAML, as far as it has them."""
    try:
        document: Any = yaml.load(_text(path).expandtabs(), _Lenient)
    except (yaml.YAMLError, RecursionError):
        return {}, None
    if not isinstance(document, dict):
        return {}, None
    names = document.get("names")
    if isinstance(names, list):
        names = dict(enumerate(names))
    numbered = {integer(key): str(name) for key, name in names.items()} if isinstance(names, dict) else {}
    shape = document.get("kpt_shape")
    pair = [integer(n) for n in shape] if isinstance(shape, list) else []
    known = (pair[0], pair[1]) if len(pair) == 2 and pair[0] and pair[1] else None
    return {key: name for key, name in numbered.items() if key is not None}, known


class _Lenient(yaml.SafeLoader):  # type: ignore[misc]
    """Plain values; tags that it does not know are nothing."""


_Lenient.add_constructor(None, lambda _loader, _node: None)


def _text(path: Path) -> str:
    try:
        return text_of(path.read_bytes())
    except OSError as error:
        raise HqsamError(f"cannot be read ({error.strerror})", file=path, remedy="check its permissions") from None
