"""What tests of several parts share."""

from __future__ import annotations

from collections.abc import Iterator

import fsspec
import pytest
import torch

from tests.s3_server import S3Server, s3_server


@pytest.fixture
def one_thread() -> Iterator[None]:
    """How sums are split between threads decides how they round; with one they are the same in every process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    system = fsspec.filesystem("memory")
    yield system
    system.rm("/bucket", recursive=True)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    pytest.importorskip("moto.server", reason="there is no S3 server here: pip install 'moto[server]' s3fs")
    own = s3_server(monkeypatch)
    yield own
    own.kill()
