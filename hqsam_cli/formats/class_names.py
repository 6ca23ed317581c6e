"""Names of the classes of a YOLO data set: `data.yaml`, `classes.txt` or `obj.names`, in any encoding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ..errors import HqsamError
from .values import integer, text_of

CLASSES = "classes.txt"
LISTS = (CLASSES, "obj.names")
YAMLS = ("data.yaml", "data.yml", "dataset.yaml")
LEVELS = 2  # above the labels, as in data/labels/train


def class_names(folder: Path) -> tuple[dict[int, str], tuple[int, int] | None]:
    """Names by class, and how many key points of how many numbers an object has, as far as anything says so.

    Raises:
        HqsamError: the file cannot be read.
    """
    for place in [folder, *folder.resolve().parents[:LEVELS]]:
        for name in LISTS:
            if (place / name).is_file():
                lines = enumerate(_text(place / name).splitlines())
                return {number: line.strip() for number, line in lines if line.strip()}, None
        for name in YAMLS:
            if (place / name).is_file() and (found := _read_yaml(place / name)):
                return found
    return {}, None


def _read_yaml(path: Path) -> tuple[dict[int, str], tuple[int, int] | None] | None:
    """Names and shape of the key points of a data set's YAML; None where it has no names."""
    try:
        document: Any = yaml.safe_load(_text(path))
    except (yaml.YAMLError, RecursionError):
        raise HqsamError(f"{path}: is not YAML; mend it, or give names in {CLASSES}") from None
    names = document.get("names") if isinstance(document, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict):
        return None
    numbered = {integer(key): str(name) for key, name in names.items()}
    shape = document.get("kpt_shape")
    pair = [integer(n) for n in shape] if isinstance(shape, list) else []
    known = (pair[0], pair[1]) if len(pair) == 2 and pair[0] and pair[1] else None
    return {key: name for key, name in numbered.items() if key is not None}, known


def _text(path: Path) -> str:
    try:
        return text_of(path.read_bytes())
    except OSError as error:
        raise HqsamError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
