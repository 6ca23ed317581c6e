"""SHA-256 of files, and numbers derived from it."""

from __future__ import annotations

import hashlib
from pathlib import Path

BLOCK = 1 << 20  # bytes


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits; raises an OSError."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def hash_number(data: bytes) -> int:
    """The first 64 bits of the SHA-256: a pseudorandom number that is the same on every machine."""
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big")


def hash_fraction(key: str) -> float:
    """A pseudorandom number from 0 to 1, the same on every machine; lone surrogates are undecodable bytes."""
    return hash_number(key.encode("utf-8", "surrogateescape")) / 2**64
