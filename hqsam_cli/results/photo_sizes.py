"""Comparison of the image sizes in results with the photos."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from ..batch.object_journal import local_journal
from ..errors import HqsamError
from ..io.images import read_header
from ..records import Annotation, CocoImage
from .check import size_of
from .stream import Results


def fit_photos(results: Results, path_of: Callable[[str], str]) -> Results:
    """Fail the images whose photo has another size; images without a size get that of their photo.

    Images that failed before, and photos that do not exist or cannot be read, are not compared.

    Args:
        path_of: path or URL of the photo of an image, by its name in the results.

    Raises:
        HqsamError: all images would fail.
    """
    exif = _exif(results)
    sizes: dict[Any, tuple[int, int]] = {}
    errors: dict[Any, str] = {}
    has_others = False
    for image in results.images():
        path, size = path_of(image["file_name"]), size_of(image)
        header = read_header(path) if os.path.isfile(path) and image.get("error") is None else None
        photo = None if header is None else header.size(exif)
        if photo is None or photo == size:
            has_others = True
        elif size is None:
            sizes[image["id"]], has_others = photo, True
        else:
            text = f"is {photo[0]} x {photo[1]} pixels, but its annotations are for {size[0]} x {size[1]}"
            errors[image["id"]] = f"{path}: {text}"
            results.problems[0].add("images of another size than their photo, left out", f"{image['file_name']} {text}")
    if errors and not has_others:
        raise HqsamError(next(iter(errors.values())), remedy="pass the photos of these results as `images`")

    def images() -> Iterator[CocoImage]:
        for image in results.images():
            if (error := errors.get(image["id"])) is not None:
                yield {"id": image["id"], "file_name": image["file_name"], "error": error}
            else:
                size = sizes.get(image["id"])
                yield image if size is None else {**image, "width": size[0], "height": size[1]}

    def annotations() -> Iterator[Annotation]:
        return (own for own in results.annotations() if own["image_id"] not in errors)

    return replace(results, images=images, annotations=annotations) if errors or sizes else results


def _exif(results: Results) -> str:
    """How the run treated EXIF orientation, `apply` or `ignore`, by its identity on the first line of its journal."""
    if results.journal is None:
        return "apply"
    with open(local_journal(results.journal), "rb") as file:
        return str(json.loads(file.readline() or b"{}").get("identity", {}).get("exif", "apply"))
