"""Download of official weights from the Hugging Face Hub by name, with hash verification.

`huggingface_hub` downloads, retries and caches, so its environment variables apply. The hash pins the content, so a
cached file is used without a request to the hub. It is hashed once per process: a run needs the hash for its identity
anyway, and it takes a second or two per gigabyte, less than loading. Does not import torch.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import HqsamError, UsageError, first_line
from ..io.digest import file_digest
from .registry import PACKAGED, WEIGHTS, WeightsFile

TRANSFORMERS_FILE = "model.safetensors"
EXPORTED_FILE = "model.json"  # the description of an exported model
ATTEMPTS = 3  # the client resumes truncated downloads, but not after a connection reset
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)

Say = Callable[[str], None]


def find_checkpoint(model: str, say: Say | None = None) -> Path:
    """Return the file of a model name or path; official weights are downloaded on first use and verified.

    Args:
        model: a name, a checkpoint, or a folder in `transformers` layout or of an exported model.
        say: called with a message before a download with a progress bar; None downloads silently.

    Raises:
        UsageError: neither a name nor a file.
        HqsamError: the download fails, or the file is not the official one.
    """
    return download(model, say) if model in WEIGHTS else local_path(model)


def local_path(model: str) -> Path:
    """Local file of a model name or path, not downloaded or verified. Raises a UsageError or an HqsamError."""
    if model in PACKAGED:
        return PACKAGED[model]
    if model in WEIGHTS:
        path = cache_path(WEIGHTS[model])
        if path.is_file():
            return path
        reason = f"{WEIGHTS[model].file} is not downloaded"
        raise HqsamError(reason, value=model, remedy=f"download it: hqsam weights pull {model}")
    path = Path(model)
    for name in (TRANSFORMERS_FILE, EXPORTED_FILE):
        if (path / name).is_file():
            return path / name
    if not path.is_file():
        raise UsageError(f"neither a checkpoint nor one of {', '.join((*PACKAGED, *WEIGHTS))}", value=model)
    return path


def official_sha256(model: str) -> str | None:
    """Hash of official weights that are not in the cache; None for local files."""
    return WEIGHTS[model].sha256 if model in WEIGHTS and not cache_path(WEIGHTS[model]).is_file() else None


def cache_path(weights: WeightsFile) -> Path:
    """Path in the `huggingface_hub` cache, or where to place the file there manually."""
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.file_download import repo_folder_name

    cached = try_to_load_from_cache(weights.repository, weights.path)
    if isinstance(cached, str):
        return Path(cached)
    folder = repo_folder_name(repo_id=weights.repository, repo_type="model")
    return Path(constants.HF_HUB_CACHE, folder, "snapshots/main", weights.path)


def download(name: str, say: Say | None = None, *, repair: bool = False) -> Path:
    """Return the verified file of a name in `WEIGHTS`, from the cache or the hub; errors as in `find_checkpoint`.

    Args:
        repair: download a cached file again if it is not the official one, instead of raising.
    """
    weights = WEIGHTS[name]
    path = cache_path(weights)
    if repair and path.is_file() and mismatch(path, weights):
        # The client does not replace an existing file; it is kept until the download succeeds.
        aside = path.replace(path.with_name(f"{path.name}.damaged"))
        try:
            path = _download(name, say, force=True)
        except BaseException:
            aside.replace(path)
            raise
        aside.unlink()
    elif not path.is_file():
        path = _download(name, say)
    if problem := mismatch(path, weights):
        remedy = f"download it again with hqsam weights pull {name}, or from elsewhere and pass its path as `model`"
        raise HqsamError(f"not the official {weights.file}: {problem}", file=path, remedy=remedy)
    return path


def mismatch(path: Path, weights: WeightsFile) -> str | None:
    """Describe how a file differs from the official one; None if it does not."""
    size = path.stat().st_size
    if size != weights.size:
        return f"it has {size:,} bytes, not {weights.size:,}"
    actual = file_hash(path)
    return None if actual == weights.sha256 else f"its SHA-256 is {actual[:12]}…, not {weights.sha256[:12]}…"


def official_name(sha256: str) -> str | None:
    """Name of the official weights with a hash, or None."""
    return next((name for name, weights in WEIGHTS.items() if weights.sha256 == sha256), None)


def inventory() -> list[dict[str, Any]]:
    """List all named weights files and their local state.

    Returns:
        Rows with `name`, `repository` (None if bundled), `file`, `bytes`, `sha256` (None if bundled), `state` (`here`,
        `damaged` or `absent`, by size, without hashing) and `path` (None if absent).
    """
    rows: list[dict[str, Any]] = []
    for name in (*PACKAGED, *WEIGHTS):
        weights = WEIGHTS.get(name)
        path = cache_path(weights) if weights else PACKAGED[name]
        size = path.stat().st_size if path.is_file() else None
        official = (weights.repository, weights.file, weights.size, weights.sha256) if weights else None
        repository, file, expected, sha256 = official or (None, path.name, size, None)
        row = {"name": name, "repository": repository, "file": file, "bytes": expected, "sha256": sha256}
        state = "absent" if size is None else "here" if size == expected else "damaged"
        rows.append({**row, "state": state, "path": None if size is None else str(path)})
    return rows


def file_hash(path: Path) -> str:
    """SHA-256 of a file, cached until the file changes."""
    status = os.stat(path)
    return _hash_of_state(path, status.st_size, status.st_mtime_ns)


@cache
def _hash_of_state(path: Path, size: int, mtime_ns: int) -> str:
    return file_digest(path)


def _download(name: str, say: Say | None, *, force: bool = False) -> Path:
    """Download a file into the cache; `force` replaces a cached one."""
    from huggingface_hub import constants, hf_hub_download, utils
    from huggingface_hub.utils.tqdm import disable_progress_bars

    weights = WEIGHTS[name]
    if "HF_HUB_VERBOSITY" not in os.environ:
        utils.logging.set_verbosity_error()
    if say is None:
        disable_progress_bars()
    else:
        say(f"downloading {weights.file} ({weights.size / 1e6:,.0f} MB) from {constants.ENDPOINT}/{weights.repository}")
    for left in reversed(range(ATTEMPTS)):
        try:
            folder = next(parent for parent in cache_path(weights).parents if parent.exists())
            if shutil.disk_usage(folder).free < weights.size:  # the client only warns
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
            return Path(hf_hub_download(weights.repository, weights.path, force_download=force))
        except Exception as error:  # e.g. connection resets, raised by the client's HTTP library
            if not left or isinstance(error, OSError | ValueError):
                raise _download_error(name, error) from None
        time.sleep(1)
    raise AssertionError


def _download_error(name: str, error: Exception) -> HqsamError:
    """Error of a failed download: what, why, and where to place the file manually."""
    from huggingface_hub import constants
    from huggingface_hub.errors import FileMetadataError, OfflineModeIsEnabled

    weights, cause = WEIGHTS[name], error.__cause__ or error
    if isinstance(error, OSError) and error.errno in (*NO_SPACE, *NOT_WRITABLE):
        kind = f"has no room for {weights.size:,} bytes"
        kind = kind if error.errno in NO_SPACE else f"cannot be written ({error.strerror})"
        return HqsamError(
            f"{weights.file} cannot be stored: {constants.HF_HUB_CACHE} {kind}",
            value=name,
            remedy="free space or fix permissions, or set HF_HOME to a folder on another disk",
        )
    status = getattr(getattr(cause, "response", None), "status_code", None)
    refused = f"denies access ({status}); set HF_TOKEN to a token with read access"
    known = {401: refused, 403: refused, 404: "has no such file (404)"}
    if isinstance(cause, OfflineModeIsEnabled):
        reason = "offline mode is on (HF_HUB_OFFLINE)"
    elif isinstance(cause, FileMetadataError):
        reason = f"{constants.ENDPOINT} is not a Hugging Face hub; check HF_ENDPOINT"
    elif status is not None:
        reason = f"{constants.ENDPOINT} {known.get(status, f'failed ({status})')}"
    else:
        detail = f"{type(cause).__name__}: {first_line(cause)}"
        reason = f"{constants.ENDPOINT} cannot be reached, or the connection was lost ({detail})"
    return HqsamError(
        f"{weights.file} is not in the cache, and {reason}",
        value=name,
        remedy=f"download {weights.path} ({weights.size:,} bytes) of {weights.repository} elsewhere, "
        f"and put it at {cache_path(weights)}, or pass its path as `model`",
    )
