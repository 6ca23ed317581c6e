"""Relative image names for label folders."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import HqsamError
from ..io.names import ADDRESS, is_absolute, plain_name, relative_name, tails


@dataclass(frozen=True, slots=True)
class ImageNames:
    """Names of images relative to a folder; names not in the tables are unchanged.

    Attributes:
        folder: absolute path of the image folder.
        names: new names by names in the results.
        places: absolute paths and URLs of images outside the folder, by new name.
    """

    folder: str
    names: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)

    def name_of(self, name: str) -> str:
        """The relative name of an image, with `/` and without `..`, by its name in the results."""
        return self.names.get(name, name)

    def path_of(self, name: str) -> str:
        """The path or URL of an image, by its new name."""
        return self.places.get(name) or os.path.join(self.folder, name)


def name_images(names: Iterable[str], images: Path | None) -> ImageNames:
    """Determine image names for a label folder.

    Paths below the image folder are made relative to it. Of an absolute path that does not exist, the longest tail that
    exists in the image folder is used. Other names lose their root, drive, host and `..`.

    Args:
        names: names in the results.
        images: image folder that names are relative to; None for the working directory.

    Raises:
        HqsamError: a name is invalid, or two images would have the same name.
    """
    folder = os.path.abspath(images or "")
    roots = folder, os.path.realpath(folder)
    found = ImageNames(folder)
    given: dict[str, str] = {}
    for name in names:
        safe, place = _relative(name, roots)
        if not safe:
            raise HqsamError(f"{name!r} is not an image name", remedy="fix its file_name")
        if given.get(safe) == name:
            raise HqsamError("two images have this name", file=name, remedy="join them by hqsam results merge")
        if safe in given:
            raise HqsamError(f"would get the name {safe}, like {given[safe]}", file=name, remedy="fix its file_name")
        given[safe] = name
        if safe != name:
            found.names[name] = safe
        if place is not None:
            found.places[safe] = place
    return found


def _relative(name: str, roots: tuple[str, str]) -> tuple[str, str | None]:
    """The relative name of an image, or "", and its path or URL if it is not below the folder.

    Args:
        roots: the folder, and its real path.
    """
    is_here = name.startswith("/") or not is_absolute(name)  # not a URL or a Windows path
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
