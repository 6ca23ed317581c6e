"""The contents of a run's output folder, to recognize it among inputs."""

from __future__ import annotations

import os
import re

JOURNAL = "journal.ndjson"
JOURNAL_FOLDER = "journal"  # of journal objects, if the output is a URL
JOURNAL_OBJECT = re.compile(r"(\d{9})(?:-(\d{9}))?\.ndjson")
OUTPUTS = (
    "masks",
    "idmaps",
    "yolo-seg",
    "yolo-obb",
    "cutouts",
    "crops",
    "overlays",
    "thumbnails",
    "report",
)  # with images


def is_run_folder(path: str) -> bool:
    """Whether a folder is the output of a run, written locally or downloaded."""
    if os.path.isfile(os.path.join(path, JOURNAL)):
        return True
    try:
        return any(map(JOURNAL_OBJECT.fullmatch, os.listdir(os.path.join(path, JOURNAL_FOLDER))))
    except OSError:
        return False


def run_of_journal(name: str) -> str | None:
    """The output folder of a journal, or of an object of one; None for any other file."""
    *folders, last = name.split("/")
    if last == JOURNAL:
        return "/".join(folders)
    is_object = folders[-1:] == [JOURNAL_FOLDER] and JOURNAL_OBJECT.fullmatch(last)
    return "/".join(folders[:-1]) if is_object else None
