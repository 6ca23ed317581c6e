"""Copy or link the files of a shard to the merged output, locally or at URLs."""

from __future__ import annotations

import errno
import os
import posixpath
import shutil
from pathlib import Path

from ..formats.png import MASK_NAME
from ..io.address_folder import AddressFolder
from ..io.atomic import write_file

NO_LINKS = (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS)


def names_of_files(shard: Path | str, name: str, suffix: str | None) -> list[str]:
    """Names of the files of an image in a format, relative to the shard.

    Args:
        name: of the image, below the folder of the format.
        suffix: see `Writer.suffix`.
    """
    if suffix is not None:
        name = f"{name}{suffix}"
    if isinstance(shard, Path):
        place = shard / name
        found = [f"{name}/{file.name}" for file in place.glob("*.png")] if suffix is None else [name]
        found = [own for own in found if (shard / own).is_file()]
    else:
        found = list(AddressFolder(shard).names(name))
    if suffix is not None:
        return [own for own in found if own == name]
    return [own for own in found if posixpath.dirname(own) == name and MASK_NAME.fullmatch(posixpath.basename(own))]


def put_in_place(name: str, shard: Path | str, whole: Path | str) -> None:
    """Link or copy a file; an existing file is kept.

    Raises:
        OSError, HqsamError: it cannot be read or written.
    """
    if isinstance(shard, Path) and isinstance(whole, Path):
        _link(shard / name, whole / name)
        return
    content = (shard / name).read_bytes() if isinstance(shard, Path) else AddressFolder(shard).read([name])[0]
    if isinstance(whole, str):
        AddressFolder(whole).put_new(name, content)
    elif not (whole / name).exists():
        write_file(whole / name, content)


def _link(source: Path, target: Path) -> None:
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        shutil.copy2(source, target, follow_symlinks=False)
