"""What tests of several parts share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
import torch
from safetensors.torch import save_file

from hqsam_cli.io.images import read_image
from hqsam_cli.weights.checkpoints import read_state
from hqsam_cli.weights.registry import PACKAGED
from tests.http_server import HttpServer
from tests.s3_server import S3Server, s3_server

SAMPLES = Path(__file__).parents[1] / "sample_data"


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


@pytest.fixture(scope="session")
def small_lite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of the package for squares of 256 pixels, a sixteenth of the work."""
    state, metadata = read_state(PACKAGED["lite"])
    path = tmp_path_factory.mktemp("models") / "lite256.safetensors"
    save_file(state, path, metadata | {"image_size": "256"})
    return path


@pytest.fixture(scope="session")
def exported(small_lite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model as `hqsam export` writes it."""
    pytest.importorskip("onnx", reason="the extra onnx is not installed: pip install onnx onnxruntime")
    from hqsam_cli.weights.export import export_model

    folder = tmp_path_factory.mktemp("exported") / "lite-onnx"
    export_model(str(small_lite), folder, [read_image(str(SAMPLES / "images/bicycle.jpg"))])
    return folder
