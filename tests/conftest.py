"""What tests of several parts share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
import torch

from tests.http_server import HttpServer
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


@pytest.fixture
def http(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HttpServer]:
    """A web server of the folder `www`."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("hqsam_cli.io.addresses.RETRY_DELAYS", (0.01, 0.01))
    (tmp_path / "www").mkdir()
    own = HttpServer(tmp_path / "www")
    yield own
    own.stop()
