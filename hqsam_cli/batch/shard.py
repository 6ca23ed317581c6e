"""Shards of a run; the shard of an image depends only on its name."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import UsageError
from ..io.digest import hash_number
from ..io.find import SourceImage


@dataclass(frozen=True, slots=True)
class Shard:
    """Shard `index` of `count`, starting at 1.

    The shard of an image depends only on its name and the count, so adding images does not move others.
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Parse `2/8`. Raises a UsageError."""
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise UsageError("not a shard", option="shard", value=text, remedy="pass I/N, such as 1/8 to 8/8")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def has(self, file_name: str) -> bool:
        """Whether an image belongs to this shard."""
        return hash_number(file_name.encode("utf-8", "surrogateescape")) % self.count == self.index - 1

    def images(self, images: Iterable[SourceImage]) -> list[SourceImage]:
        """The images of this shard."""
        return [image for image in images if self.has(image.file_name)]


def inputs_digest(images: Iterable[SourceImage]) -> str:
    """Digest of the ordered names of all images of a run: equal for shards with the same inputs."""
    digest = hashlib.sha256()
    for image in images:
        digest.update(image.file_name.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()[:16]
