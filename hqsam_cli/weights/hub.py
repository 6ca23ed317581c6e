"""Weights by name: the official files, where the Hugging Face hub has them, and the hash each must have.

Fetching is left to `huggingface_hub`, so its cache, mirrors, tokens and offline mode work as people know them.
The hash pins what a file holds; a file that is in the cache is therefore used without asking the hub again. It
is hashed in every process that uses it: a run needs the hash anyway, to know its own results again, and it
costs a second or two a gigabyte, less than loading does. Nothing here needs torch.
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

from ..errors import HqsamError, UsageError
from ..io.digest import file_digest
from .registry import PACKAGED, WEIGHTS, WeightsFile

TRANSFORMERS_FILE = "model.safetensors"
ATTEMPTS = 3  # the client goes on after most broken transfers by itself; this is for those that it gives up
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)

Say = Callable[[str], None]


def find_checkpoint(model: str, say: Say | None = None) -> Path:
    """The file of a model name or path; official weights are fetched on first use and their hash is checked.

    Args:
        model: a name, a checkpoint, or a folder in the layout of `transformers`.
        say: told what is fetched, with a bar on a terminal; None fetches without a word.

    Raises:
        UsageError: neither a name nor a file.
        HqsamError: the weights cannot be fetched, or are not the official ones.
    """
    if model in WEIGHTS:
        return fetched(model, say)
    return local_path(model)


def local_path(model: str) -> Path:
    """The file of a model name or path where it is on this machine; nothing is fetched or checked.

    Raises:
        UsageError: neither a name nor a file.
        HqsamError: official weights that are not in the cache.
    """
    if model in PACKAGED:
        return PACKAGED[model]
    if model in WEIGHTS:
        path = cache_path(WEIGHTS[model])
        if not path.is_file():
            raise HqsamError(
                f"{WEIGHTS[model].file} is not on this machine",
                value=model,
                remedy=f"get it: hqsam weights pull {model}",
            )
        return path
    path = Path(model)
    if (path / TRANSFORMERS_FILE).is_file():
        return path / TRANSFORMERS_FILE
    if not path.is_file():
        raise UsageError(f"neither a checkpoint nor one of {', '.join((*PACKAGED, *WEIGHTS))}", value=model)
    return path


def official_sha256(model: str) -> str | None:
    """The hash of official weights that are not on this machine; None of what is here, and of other models."""
    return WEIGHTS[model].sha256 if model in WEIGHTS and not cache_path(WEIGHTS[model]).is_file() else None


def cache_path(weights: WeightsFile) -> Path:
    """Where the hub client keeps the file, and where it is looked for, whether it is there or not."""
    from huggingface_hub import constants

    repository = Path(constants.HF_HUB_CACHE).expanduser() / f"models--{weights.repository.replace('/', '--')}"
    try:
        revision = (repository / "refs" / "main").read_text().strip()
    except OSError:
        revision = "main"
    return repository / "snapshots" / revision / weights.path


def fetched(name: str, say: Say | None = None, *, repair: bool = False) -> Path:
    """The official file of a name, from the cache or else from the hub, after its hash was checked.

    Args:
        name: one of `WEIGHTS`.
        say: as in `find_checkpoint`.
        repair: fetch a file of the cache that is not the official one anew, rather than refuse it.

    Raises:
        HqsamError: it cannot be fetched, or what came is not the official file.
    """
    weights = WEIGHTS[name]
    path = cache_path(weights)
    if repair and path.is_file() and difference(path, weights):
        # The client would keep what it finds under this name; a user keeps it until there is something better.
        aside = path.replace(path.with_name(f"{path.name}.damaged"))
        try:
            path = _downloaded(name, say, anew=True)
        except BaseException:
            aside.replace(path)
            raise
        aside.unlink()
    elif not path.is_file():
        path = _downloaded(name, say)
    if problem := difference(path, weights):
        raise HqsamError(
            f"not the official {weights.file}: {problem}",
            file=path,
            remedy=f"fetch it again with hqsam weights pull {name}, or from another place and pass its path as `model`",
        )
    return path


def difference(path: Path, weights: WeightsFile) -> str | None:
    """What tells a file from the official one, or None where nothing does."""
    size = path.stat().st_size
    if size != weights.size:
        return f"it has {size:,} bytes, not {weights.size:,}"
    actual = file_hash(path)
    return None if actual == weights.sha256 else f"its SHA-256 is {actual[:12]}…, not {weights.sha256[:12]}…"


def official_name(sha256: str) -> str | None:
    """The name of the official file with that hash."""
    return next((name for name, weights in WEIGHTS.items() if weights.sha256 == sha256), None)


def inventory() -> list[dict[str, Any]]:
    """Every weights file there is a name for, and what of it is on this machine.

    Returns:
        Rows with `name`, `repository` (None in the package), `file`, `bytes`, `sha256` (None in the package),
        `state` (`here`, `damaged` or `absent`; sizes are compared, nothing is hashed) and `path` (None where absent).
    """
    rows: list[dict[str, Any]] = []
    for name, path in PACKAGED.items():
        size = path.stat().st_size if path.is_file() else None
        rows.append({"name": name, "repository": None, "file": path.name, "bytes": size, "sha256": None})
        rows[-1] |= {"state": "absent" if size is None else "here", "path": None if size is None else str(path)}
    for name, weights in WEIGHTS.items():
        path = cache_path(weights)
        size = path.stat().st_size if path.is_file() else None
        state = "absent" if size is None else "here" if size == weights.size else "damaged"
        rows.append({"name": name, "repository": weights.repository, "file": weights.file, "bytes": weights.size})
        rows[-1] |= {"sha256": weights.sha256, "state": state, "path": None if size is None else str(path)}
    return rows


def file_hash(path: Path) -> str:
    """SHA-256 of a file, read once a process unless the file changes."""
    status = os.stat(path)
    return _hash_of_state(path, status.st_size, status.st_mtime_ns)


@cache
def _hash_of_state(path: Path, size: int, mtime_ns: int) -> str:
    return file_digest(path)


def _downloaded(name: str, say: Say | None, *, anew: bool = False) -> Path:
    """Let the hub client fetch a file into its cache; `anew` whatever the cache holds."""
    from huggingface_hub import constants, hf_hub_download, utils
    from huggingface_hub.utils.tqdm import disable_progress_bars

    weights = WEIGHTS[name]
    if "HF_HUB_VERBOSITY" not in os.environ:
        utils.logging.set_verbosity_error()
    if say is None:
        disable_progress_bars()
    else:
        say(f"fetching {weights.file} ({weights.size / 1e6:,.0f} MB) from {constants.ENDPOINT}/{weights.repository}")
    for left in reversed(range(ATTEMPTS)):
        try:
            _check_space(weights)
            return Path(hf_hub_download(weights.repository, weights.path, force_download=anew))
        except (OSError, ValueError) as error:
            raise _explained(name, error) from None
        except Exception as error:  # a connection that broke: the class is that of the client's HTTP library
            if not left:
                raise _explained(name, error) from None
        time.sleep(1)
    raise AssertionError


def _check_space(weights: WeightsFile) -> None:
    folder = next(parent for parent in cache_path(weights).parents if parent.exists())
    if shutil.disk_usage(folder).free < weights.size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def _explained(name: str, error: Exception) -> HqsamError:
    """The one line about a file that cannot be fetched: what, why, and where to put it by hand."""
    from huggingface_hub import constants
    from huggingface_hub.errors import FileMetadataError, OfflineModeIsEnabled

    weights, cause = WEIGHTS[name], error.__cause__ or error
    if isinstance(error, OSError) and error.errno in (*NO_SPACE, *NOT_WRITABLE):
        kind = f"has no room for {weights.size:,} bytes"
        kind = kind if error.errno in NO_SPACE else f"cannot be written ({error.strerror})"
        return HqsamError(
            f"{weights.file} cannot be kept: {constants.HF_HUB_CACHE} {kind}",
            value=name,
            remedy="mend that, or set HF_HOME to a folder on another disk",
        )
    status = getattr(getattr(cause, "response", None), "status_code", None)
    first = (str(cause).splitlines() or [""])[0][:120]
    if isinstance(cause, OfflineModeIsEnabled):
        reason = "offline mode is on (HF_HUB_OFFLINE)"
    elif isinstance(cause, FileMetadataError):
        reason = f"{constants.ENDPOINT} does not answer as a hub does; check HF_ENDPOINT"
    elif status in (401, 403):
        reason = f"{constants.ENDPOINT} refuses it ({status}); HF_TOKEN must be a token that may read it"
    elif status == 404:
        reason = f"{constants.ENDPOINT} has no such file (404)"
    elif status is not None:
        reason = f"{constants.ENDPOINT} fails ({status})"
    else:
        reason = f"{constants.ENDPOINT} cannot be reached, or broke off ({type(cause).__name__}: {first})"
    return HqsamError(
        f"{weights.file} is not in the cache, and {reason}",
        value=name,
        remedy=f"fetch {weights.path} ({weights.size:,} bytes) of {weights.repository} elsewhere, "
        f"and put it at {cache_path(weights)}, or anywhere and pass `model` PATH",
    )
