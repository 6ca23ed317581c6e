"""Names of images as folders of labels have them: relative, whatever the results call the images."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import HqsamError
from ..io.find import relative_name
from ..io.names import ADDRESS, is_absolute, plain_name, tails


@dataclass(frozen=True, slots=True)
class ImageNames:
    """Names of images below a folder; what is not in the tables is as the results have it.

    Attributes:
        folder: where the images are, absolute.
        names: by what the results call an image.
        places: absolute paths and addresses of images that are elsewhere, by their new names.
    """

    folder: str
    names: dict[str, str]
    places: dict[str, str]

    def name_of(self, name: str) -> str:
        """The name of an image, relative, with `/` and without `..`, by that which the results have."""
        return self.names.get(name, name)

    def path_of(self, name: str) -> str:
        """Where an image is, by its new name."""
        return self.places.get(name) or os.path.join(self.folder, name)


def name_images(names: Iterable[str], images: Path | None) -> ImageNames:
    """What images are called in a folder of labels.

    A path that leads below the folder of the images is relative to it; so is the longest tail of another absolute path
    that is there, when that path itself is not. What is left loses its root, drive, host and `..`.

    Args:
        names: as the results have them.
        images: the folder that relative names are relative to; None for the working directory.

    Raises:
        HqsamError: a name leads nowhere, or two images would have the same.
    """
    folder = os.path.abspath(images or "")
    roots = folder, os.path.realpath(folder)
    found = ImageNames(folder, {}, {})
    given: dict[str, str] = {}
    for name in names:
        safe, place = _named(name, roots)
        if not safe:
            raise HqsamError(f"{name!r} is no name of an image", remedy="fix its file_name")
        if given.get(safe) == name:
            raise HqsamError("two images have this name", file=name, remedy="join them by hqsam results merge")
        if safe in given:
            raise HqsamError(f"would be called {safe}, as {given[safe]} is", file=name, remedy="fix its file_name")
        given[safe] = name
        if safe != name:
            found.names[name] = safe
        if place is not None:
            found.places[safe] = place
    return found


def _named(name: str, roots: tuple[str, str]) -> tuple[str, str | None]:
    """The relative name of an image, "" where it has none, and where the image is, unless it is below the folder.

    Args:
        roots: the folder, and what it is when links are followed.
    """
    is_here = name.startswith("/") or not is_absolute(name)  # rather than at an address or on a disk of Windows
    path = os.path.normpath(os.path.join(roots[0], name))
    plain = relative_name(name if is_here else plain_name(name))
    if "\0" in name + plain:
        return "", None
    for root in roots if is_here else ():
        if path.startswith(os.path.join(root, "")):
            return os.path.relpath(path, root).replace(os.sep, "/"), None
    if is_absolute(name) and not (is_here and os.path.exists(path)):
        for tail in (plain, *tails(plain)):
            if os.path.isfile(os.path.join(roots[0], tail)):
                return tail, None
    if is_here:
        return plain, path
    return plain, name if ADDRESS.match(name) else None
