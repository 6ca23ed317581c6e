"""Boxes of prompt files in pixels of photos, as a run gets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

from hqsam_cli.configs import PromptConfig
from hqsam_cli.io.find import SourceImage
from hqsam_cli.prompts.fit import fit_prompts
from hqsam_cli.prompts.read import read_prompts
from hqsam_cli.prompts.table import PromptTable, bind_prompts

SIZE = (640, 480)  # of each photo, in pixels
# A class, and corners in pixels.
TRUTH: list[tuple[str, tuple[float, ...]]] = [("cat", (64, 48, 320, 240)), ("red bag", (480, 120, 600, 468))]


class Photos:
    """A folder of photos, and prompt files for them.

    Args:
        folder: of the photos.
        sizes: width and height of each photo.
    """

    def __init__(self, folder: Path, **sizes: tuple[int, int]) -> None:
        self.folder = folder
        self.sizes = {f"{name}.jpg": size for name, size in (sizes or {"a": SIZE, "b": SIZE}).items()}
        for name, size in self.sizes.items():
            (folder / "photos").mkdir(exist_ok=True)
            Image.new("RGB", size).save(folder / "photos" / name)

    def bound(self, content: Any, name: str = "prompts.jsonl", **options: Any) -> PromptTable:
        """The prompts in a file of this name: bytes, text, lines of JSON documents, or a document."""
        if isinstance(content, list) and not name.endswith(".json"):
            content = "".join(f"{json.dumps(line)}\n" for line in content)
        if not isinstance(content, str | bytes):
            content = json.dumps(content)
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return self.bound_path(path, **options)

    def bound_path(self, path: Path, **options: Any) -> PromptTable:
        """The prompts in a file or folder."""
        images = [SourceImage(str(self.folder / "photos" / name), name) for name in self.sizes]
        return bind_prompts(read_prompts(PromptConfig(boxes=str(path), **options)), images)

    def boxes(self, table: PromptTable, name: str = "a.jpg") -> list[tuple[str, tuple[float, ...]]]:
        """The class and the corners of each box of a photo, rounded to tenths of a pixel."""
        names = {category["id"]: category["name"] for category in table.categories}
        fitted, problems = fit_prompts(table.for_image(name), *self.sizes[name])
        assert problems == []
        return [(names[p.category_id], tuple(round(n, 1) for n in p.box)) for p in fitted if p.box is not None]

    def read(self, content: Any, name: str = "prompts.jsonl", **options: Any) -> list[tuple[str, tuple[float, ...]]]:
        """The boxes of `a.jpg` in a file."""
        return self.boxes(self.bound(content, name, **options))
