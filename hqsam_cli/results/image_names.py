"""Names of images as folders of labels have them: relative, whatever the results call the images."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import HqsamError
from ..io.names import ADDRESS, is_absolute, plain_name, relative_name, tails


@dataclass(frozen=True, slots=True)
class ImageNames:
    """Names of images below a folder; names that are not in the tables stay.

    Attributes:
        folder: of the images, absolute.
        names: by the names in the results.
        places: absolute paths and addresses of images that are elsewhere, by their new names.
    """

    folder: str
    names: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)

    def name_of(self, name: str) -> str:
        """The relative name of an image, with `/` and without `..`, by that in the results."""
        return self.names.get(name, name)

    def path_of(self, name: str) -> str:
        """Where an image is, by its new name."""
        return self.places.get(name) or os.path.join(self.folder, name)


def name_images(names: Iterable[str], images: Path | None) -> ImageNames:
    """Names of images for a folder of labels.

    A path below the folder of the images is made relative to it; so is the longest tail of another absolute path that
    is there, when that path itself is not. Other names lose their root, drive, host and `..`.

    Args:
        names: as in the results.
        images: the folder that relative names are relative to; None for the working directory.

    Raises:
        HqsamError: a name is none, or two images would have the same.
    """
    folder = os.path.abspath(images or "")
    roots = folder, os.path.realpath(folder)
    found = ImageNames(folder)
    given: dict[str, str] = {}
    for name in names:
        safe, place = _relative(name, roots)
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


def _relative(name: str, roots: tuple[str, str]) -> tuple[str, str | None]:
    """The relative name of an image, "" where it has none, and where the image is, unless it is below the folder.

    Args:
        roots: the folder, and where its links lead.
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
    return plain, path if is_here else name if ADDRESS.match(name) else None
