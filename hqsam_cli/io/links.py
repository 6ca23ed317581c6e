"""Links to images, for data sets with a folder of images."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def link_image(link: Path, path: str) -> None:
    """Link to the image at `path`, or copy it if the file system has no links; files that are no links are kept."""
    if link.is_symlink():
        if os.readlink(link) == path:
            return
        link.unlink()
    elif link.exists():
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    try:
        link.symlink_to(path)
    except OSError:
        shutil.copyfile(path, link)


def hard_link_image(link: Path, path: str) -> None:
    """The same by a hard link, for readers that refuse symbolic links; an existing file is replaced."""
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    try:
        os.link(os.path.realpath(path), link)
    except OSError:  # on another file system
        shutil.copyfile(path, link)
