"""Reading and writing the description of an exported model; does not import torch."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path

from ..errors import HqsamError
from ..inference.exported import DECODER, ENCODER, ExportedModel
from .hub import EXPORTED_FILE, file_hash
from .registry import PACKAGED, WEIGHTS

REMEDY = "export the model again: hqsam export MODEL DIR"


def find_exported(model: str) -> ExportedModel | None:
    """The description of the exported model in a folder; None if `model` is a name, or not such a folder.

    Raises:
        HqsamError: a file is damaged or missing.
    """
    path = Path(model, EXPORTED_FILE)
    if model in PACKAGED or model in WEIGHTS or not path.is_file():
        return None
    try:
        values = json.loads(path.read_bytes())
        found = ExportedModel(**{own.name: values[own.name] for own in fields(ExportedModel)})
        files = {path.with_name(name): found.files[name] for name in (ENCODER, DECODER, *found.files)}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HqsamError(f"not the description of an exported model ({error!r})", file=path, remedy=REMEDY) from None
    for file, sha256 in files.items():
        if not file.is_file():
            raise HqsamError("missing file of an exported model", file=file, remedy=REMEDY)
        if file_hash(file) != sha256:
            raise HqsamError("not the file that was exported: damaged or replaced", file=file, remedy=REMEDY)
    return found


def write_description(folder: Path, model: ExportedModel) -> None:
    """Write the `model.json` of a folder."""
    (folder / EXPORTED_FILE).write_text(json.dumps(asdict(model), indent=2) + "\n", "utf-8")
