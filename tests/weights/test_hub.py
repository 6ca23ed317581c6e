"""Downloads from a local hub."""

from __future__ import annotations

import errno
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hqsam_cli.errors import HqsamError, UsageError
from hqsam_cli.weights.hub import download, file_hash, find_checkpoint, inventory, local_path
from hqsam_cli.weights.registry import WEIGHTS
from tests.local_hub import LocalHub, serving, use_hub

CONTENT = random.Random(0).randbytes(300_000)
REPOSITORY, FILE = "world/model", "checkpoints/small.pth"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A hub with `vit_tiny`, 300 000 random bytes."""
    with serving() as hub:
        use_hub(monkeypatch, hub.url, str(tmp_path / "cache"))
        monkeypatch.setitem(WEIGHTS, "vit_tiny", hub.add(REPOSITORY, FILE, CONTENT))
        yield hub


def failure(model: str = "vit_tiny") -> str:
    """The error message of a failed download."""
    with pytest.raises(HqsamError) as caught:
        find_checkpoint(model)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 1
    return str(caught.value)


def serve_other_bytes(hub: LocalHub) -> None:
    hub.files[f"{REPOSITORY}/{FILE}"] = CONTENT[::-1]


def test_the_registry_is_complete() -> None:
    assert list(WEIGHTS) == [
        *("vit_tiny", "vit_b", "vit_l", "vit_h"),
        *("sam_vit_b", "sam_vit_l", "sam_vit_h", "mobile_sam"),
        *("hq2_l", "sam2_t", "sam2_s", "sam2_b+", "sam2_l"),
    ]
    assert len({weights.sha256 for weights in WEIGHTS.values()}) == len(WEIGHTS)
    assert all(re.fullmatch("[0-9a-f]{64}", weights.sha256) for weights in WEIGHTS.values())


def test_first_use_downloads_with_a_message_and_the_next_is_cached(hub: LocalHub) -> None:
    said: list[str] = []
    path = find_checkpoint("vit_tiny", said.append)
    assert path.read_bytes() == CONTENT
    assert path.name == "small.pth"
    assert len(said) == 1
    assert "small.pth" in said[0]
    assert hub.url in said[0]
    asked = len(hub.tokens)
    assert find_checkpoint("vit_tiny", said.append) == path
    assert len(said) == 1
    assert len(hub.tokens) == asked


def test_an_interrupted_download_is_resumed(hub: LocalHub) -> None:
    hub.cuts = [150_000, 80_000]
    assert find_checkpoint("vit_tiny").read_bytes() == CONTENT
    assert len(hub.transfers) == 3
    assert hub.transfers == sorted(set(hub.transfers))


def test_a_reset_connection_is_retried(hub: LocalHub) -> None:
    hub.cuts, hub.reset = [100_000, 100_000], True
    assert find_checkpoint("vit_tiny").read_bytes() == CONTENT


def test_retries_are_limited(hub: LocalHub, tmp_path: Path) -> None:
    hub.cuts, hub.reset = [0] * 100, True
    assert "connection was lost" in failure()
    assert not list((tmp_path / "cache").rglob("*.incomplete"))


def test_a_wrong_hash_is_an_error_until_repaired(hub: LocalHub) -> None:
    serve_other_bytes(hub)
    text = failure()
    assert "SHA-256" in text
    assert "hqsam weights pull vit_tiny" in text
    assert failure() == text
    with pytest.raises(HqsamError, match="SHA-256"):
        download("vit_tiny", repair=True)
    hub.files[f"{REPOSITORY}/{FILE}"] = CONTENT
    assert download("vit_tiny", repair=True).read_bytes() == CONTENT
    assert find_checkpoint("vit_tiny").read_bytes() == CONTENT


def test_a_damaged_cached_file_is_repaired(hub: LocalHub) -> None:
    path = find_checkpoint("vit_tiny")
    blob = path.resolve()
    blob.write_bytes(CONTENT[:1000])
    assert "1,000 bytes, not 300,000" in failure()
    assert [row["state"] for row in inventory() if row["name"] == "vit_tiny"] == ["damaged"]
    assert download("vit_tiny", repair=True).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("status", "said"), [(404, "no such file (404)"), (401, "HF_TOKEN"), (403, "HF_TOKEN"), (503, "failed (503)")]
)
def test_status_codes_are_explained(hub: LocalHub, status: int, said: str) -> None:
    hub.status = status
    text = failure()
    assert said in text
    for part in (hub.url, FILE, "300,000 bytes", REPOSITORY, "pass its path as `model`"):
        assert part in text


def test_a_server_that_is_not_a_hub_is_explained(hub: LocalHub) -> None:
    hub.commit = None
    assert "HF_ENDPOINT" in failure()


def test_a_missing_network_is_explained(hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_hub(monkeypatch, "http://127.0.0.1:9", str(tmp_path / "cache"))
    text = failure()
    for part in (
        "http://127.0.0.1:9 cannot be reached",
        "small.pth",
        "300,000 bytes",
        REPOSITORY,
        "pass its path as `model`",
    ):
        assert part in text


@pytest.mark.parametrize("cached_before", [False, True])
def test_offline_mode_names_the_path_of_the_cached_file(
    hub: LocalHub, monkeypatch: pytest.MonkeyPatch, cached_before: bool
) -> None:
    if cached_before:  # another file of the repository, so that the cache knows a revision
        monkeypatch.setitem(WEIGHTS, "vit_b", hub.add(REPOSITORY, "other.pth", b"other"))
        find_checkpoint("vit_b")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    text = failure()
    assert "HF_HUB_OFFLINE" in text
    named = re.search(r"put it at (\S+),", text)
    assert named
    place = Path(named[1])
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(CONTENT)
    assert find_checkpoint("vit_tiny") == place


def test_disk_space_is_checked_before_the_download(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 299_999}))
    text = failure()
    assert "no room for 300,000 bytes" in text
    assert "HF_HOME" in text
    assert not hub.transfers


def test_a_disk_full_during_the_download_is_explained(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    assert "no room" in failure()


def test_a_read_only_cache_is_explained(hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    use_hub(monkeypatch, hub.url, str(tmp_path / "file" / "cache"))
    assert "HF_HOME" in failure()


def test_environment_variables_of_the_client_are_used(hub: LocalHub, tmp_path: Path) -> None:
    program = (
        "from hqsam_cli.weights import hub; import sys; "
        f"hub.WEIGHTS['vit_b'] = hub.{WEIGHTS['vit_tiny']!r}; print(hub.find_checkpoint('vit_b')); "
        "assert 'torch' not in sys.modules"
    )
    variables = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "hf_secret"}
    run = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | variables, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    path = Path(run.stdout.strip())
    assert path.read_bytes() == CONTENT
    assert path.is_relative_to(tmp_path / "home")
    assert "Bearer hf_secret" in hub.tokens
    assert "\r" not in run.stderr  # no progress bar without a terminal


def test_names_paths_and_folders(hub: LocalHub, tmp_path: Path) -> None:
    assert find_checkpoint("lite").is_file()
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert find_checkpoint(str(tmp_path)) == tmp_path / "model.safetensors"
    with pytest.raises(UsageError, match=r"vit_giant.*vit_tiny.*mobile_sam"):
        find_checkpoint("vit_giant")
    with pytest.raises(HqsamError, match="hqsam weights pull vit_tiny"):
        local_path("vit_tiny")
    assert not hub.transfers


def test_a_file_that_changes_is_hashed_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    first = file_hash(path)
    path.write_bytes(b"three")
    assert file_hash(path) != first
