"""What a run left in its folder, read back: `instances.json` for the masks, the journal for paths and failures."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..batch.journal import read_records
from ..batch.object_journal import has_journal, journal_contents, journal_of, local_journal
from ..configs import JOURNAL
from ..errors import Failure, HqsamError, ImageError, take_apart
from ..formats.coco import INSTANCES
from ..formats.values import identifier
from ..io.copies import LocalCopy, below
from ..io.images import read_image


@dataclass(frozen=True, slots=True)
class ResultImage:
    """One image of a run.

    Attributes:
        path: of the photo, absolute; None where nobody knows it.
        size: (width, height), or None where it could not be read.
        annotations: COCO annotations.
        error: the sentence that says why it failed.
        seconds: that each stage took, where the journal says so.
    """

    file_name: str
    image_id: int
    path: str | None
    size: tuple[int, int] | None
    annotations: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Results:
    """A run.

    Attributes:
        categories: names by id.
        info: what made it; COCO's `info`.
        exif: whether the photos were turned, `apply`, or not, `ignore`.
    """

    images: list[ResultImage]
    categories: dict[Any, str]
    info: Mapping[str, Any]
    exif: str = "apply"


def read_results(folder: Path | str, images: Path | None = None) -> Results:
    """The results in the output folder of `hqsam segment`, or in any folder with COCO's `instances.json`.

    The folder may be an address, as a text, or a copy of what is at one.

    `instances.json` counts unless the journal's last run did not end; without it, the journal does.

    Args:
        images: the folder of the photos, where they are not where the journal says, or there is none.

    Raises:
        HqsamError: there is neither, or one of them is damaged.
    """
    document_file, place = LocalCopy(below(folder, INSTANCES)), journal_of(folder)
    if not has_journal(place) and not document_file.is_there:
        raise HqsamError(
            f"no {INSTANCES} and no {JOURNAL} in it", file=folder, remedy="give the output folder of hqsam segment"
        )
    document = _read_document(document_file) if document_file.is_there else {}
    journal_path, journal = local_journal(place), journal_contents(place)
    entries = journal.entries
    categories = document.get("categories") or (journal.last.categories if journal.last else [])
    names = {identifier(c.get("id")): str(c.get("name")) for c in categories if isinstance(c, dict)}
    # Written when a run ends: what an interrupted one made later, its journal alone knows.
    current = bool(document) and (journal.last is None or journal.outcome == "finished")
    merged: dict[str, dict[str, Any]] = {}
    seconds: dict[str, Mapping[str, float]] = {}
    for origin, record in read_records(journal_path, entries, entries) if entries else ():
        seconds[record["file_name"]] = origin.seconds or {}
        if not current or record["error"] is not None:
            merged[record["file_name"]] = record
    if current:
        merged |= {record["file_name"]: record for record in _of_document(document_file.name, document)}

    def path_of(name: str) -> str | None:
        if images is not None:
            return os.path.abspath(images / name)
        return entries[name].path if name in entries else None

    # In the order of the run, which the journal has.
    order = {name: number for number, name in enumerate(entries)}
    names_in_order = sorted(merged, key=lambda name: order.get(name, len(order)))
    rows = [_image({**merged[name], "seconds": seconds.get(name)}, path_of(name)) for name in names_in_order]
    return Results(rows, names, document.get("info") or journal.info, journal.identity.get("exif", "apply"))


def read_photo(image: ResultImage, *, exif: str, max_pixels: int) -> np.ndarray:
    """The photo of an image, uint8 RGB (H, W, 3).

    Raises:
        ImageError: it is gone, broken, or another one.
    """
    if image.path is None:
        raise ImageError("where its photo is, nobody knows", file=image.file_name, remedy="pass `images`")
    photo = read_image(image.path, exif=exif, max_pixels=max_pixels)
    if photo.shape[1::-1] != image.size:
        reason = "is another photo than the one that was segmented, of another size"
        raise ImageError(reason, file=image.path, remedy="pass `images`, or segment it again")
    return photo


def failure_of(image: ResultImage) -> Failure:
    """What an image failed of, taken apart."""
    return take_apart(image.error or "", image.path or image.file_name)


def _image(record: Mapping[str, Any], path: str | None) -> ResultImage:
    size = (record["width"], record["height"]) if record["width"] else None
    annotations = record["annotations"] if size else []
    seconds = record["seconds"] or {}
    return ResultImage(record["file_name"], record["image_id"], path, size, annotations, record["error"], seconds)


def _read_document(file: LocalCopy) -> dict[str, Any]:
    try:
        document = json.loads(file.path.read_bytes())
        if not isinstance(document, dict) or not isinstance(document.get("images"), list):
            raise ValueError("no COCO instances")
    except (OSError, ValueError) as error:
        raise HqsamError(f"cannot be read ({error})", file=file.name, remedy="run hqsam segment again") from None
    return document


def _of_document(path: Path | str, document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Records as the journal has them, of COCO instances."""
    own: dict[Any, list[dict[str, Any]]] = {}
    try:
        for annotation in document.get("annotations", []):
            own.setdefault(annotation["image_id"], []).append(annotation)
        for image in document["images"]:
            yield {
                "file_name": image["file_name"],
                "image_id": image["id"],
                "width": image["width"],
                "height": image["height"],
                "annotations": own.get(image["id"], []),
                "error": None,
            }
    except (KeyError, TypeError) as error:
        raise HqsamError(f"an entry lacks {error}", file=path, remedy="run hqsam segment again") from None
