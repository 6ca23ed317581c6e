"""Locate a detector's file by name, and check that it is safe to load.

A `.pt` detector is a pickle, which can execute any code when loaded. It is only accepted if its hash is known or the
user trusts it. ONNX and safetensors hold only tensors.
"""

from __future__ import annotations

import sys
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError

from ..errors import HqsamError, UsageError
from ..weights.hub import file_hash

EMBEDDED = "object"
EMBEDDED_PATH = Path(__file__).parent.parent / "weights" / "object-nano.safetensors"
ASSETS_URL = "https://github.com/ultralytics/assets/releases/download/v8.4.0"

# SHA-256 of the files of that release, as pinned independently by several projects.
ASSETS = {
    "yolov8n.pt": "f59b3d833e2ff32e194b5bb8e08d211dc7c5bdf144b90d2c8412c47ccfc83b36",
    "yolov8s.pt": "1f47a78bf100391c2a140b7ac73a1caae18c32779be7d310658112f7ac9aa78a",
    "yolov8m.pt": "5d4a90cdc7a21786cc59cd19778e9eafff836df9e2da32524737c7ee6efe4fe5",
    "yolov8l.pt": "64c9115303f6a25575f82200d1b22ec409fa6bd7d08d0313884fc20d919478cd",
    "yolov8x.pt": "3df4ada6b4dad6d657868f2fdf7faecfb34dcfccf3a25c4b82079064718524c8",
    "yolo11n.pt": "0ebbc80d4a7680d14987a577cd21342b65ecfd94632bd9a8da63ae6417644ee1",
    "yolo11s.pt": "85a76fe86dd8afe384648546b56a7a78580c7cb7b404fc595f97969322d502d5",
    "yolo11m.pt": "d5ffc1a674953a08e11a8d21e022781b1b23a19b730afc309290bd9fb5305b95",
    "yolo11l.pt": "9ebd0e09d59811db4b1d61e2bc6730649608b1ac47f8dd01e2da6bca7c20023f",
    "yolo11x.pt": "7bc158aa95c0ebfdd87f70f01653c1131b93e92522dbe15c228bcd742e773a24",
    "yolo12n.pt": "419ff3dca37d69bacc93a50fa0c186a1c6f9fe62fae0f108b0872829689e9ca6",
    "yolo12s.pt": "e915c2c4286e3f6f8610ef106fa3f94a7b8c19b30eccede5887e22c33ef75f58",
    "yolo26n.pt": "9b09cc8bf347f0fc8a5f7657480587f25db09b34bf33b0652110fb03a8ad4fef",
    "yolo26s.pt": "646f8bc3fe0a656803d95c294f7852321748cb29d13466a1af8862e2db384a1b",
    "yolo26m.pt": "401cea9ab23ad19246ff7744859816bc599f350e93c9dd30367b6f0a0745d0b7",
    "yolo26l.pt": "9fe3c544f2b19bebad7ea41e76d7ad3d88b7c2f10d11d24430c5311f6b32db26",
    "yolo26x.pt": "9fdd44a31c504547ffb81d2c6d9e6dac3493c8eaa8b0398d3f43bae6c7003e92",
    "yoloe-11s-seg.pt": "8e439445c87338b79d9ce21dec109f4621e26df67e94d26ea1a98c1e64dce3e3",
    "yoloe-11m-seg.pt": "785199b7cc75a5f4041dec15782a4b8a4105e5a34d7ffb287a0a10781724c5bd",
    "yoloe-11l-seg.pt": "a993fb0fc7c8830939ae14e6434a925dd1179428158c2761482eb8a8d8a3699f",
    "yoloe-26n-seg.pt": "1741c1f8da3cea47e2c01829c334a50dc0b9bbd05e685b90a3ce84fae32c8c1b",
    "yoloe-26s-seg.pt": "48f24206bc8680d60cbbfa296b0140da849669b9515058b72f5a945142df0654",
    "yoloe-26m-seg.pt": "585f5ec9028fd358035da8d860c27c56be285a795cba2076fba536a4391c2c83",
    "yoloe-26l-seg.pt": "a612d2d505f24e14d87ec82d688b823b6cb600646664f16125ce6c84ce360da9",
    "yoloe-26x-seg.pt": "d08d390a08f98195f7c87807839fe4ff93a5491645fef1bc3bf0700efafdd639",
}
# Earlier releases of the same models, still in use.
EARLIER = {
    "31e20dde3def09e2cf938c7be6fe23d9150bbbe503982af13345706515f2ef95",  # yolov8n.pt
    "268e5bb54c640c96c3510224833bc2eeacab4135c6deb41502156e39986b562d",  # yolov8s.pt
    "6c25b0b63b1a433843f06d821a9ac1deb8d5805f74f0f38772c7308c5adc55a5",  # yolov8m.pt
}
KNOWN = {*ASSETS.values(), *EARLIER}
SAFE_WAYS = "export it to ONNX in a sandbox, or pass its predictions as `boxes`"


def has_embedded() -> bool:
    """Whether this installation includes the embedded detector."""
    return EMBEDDED_PATH.is_file()


def detector_file(name: str, *, trusted: bool, may_fetch: bool = True) -> Path:
    """Return the file of a detector that is safe to load.

    Args:
        name: `object` for the embedded detector, a path, or an ultralytics model with a known hash, downloaded on first
            use.
        trusted: the user trusts a `.pt` of unknown hash.
        may_fetch: see `download`.

    Raises:
        UsageError: unknown detector, or an untrusted `.pt`.
        HqsamError: the download fails, or a package is not installed.
    """
    if name == EMBEDDED:
        if not has_embedded():
            raise UsageError(
                f"this installation has no {EMBEDDED_PATH.name}",
                option="detector",
                value=name,
                remedy="use another detector",
            )
        return EMBEDDED_PATH
    path = Path(name)
    asset = name if name.endswith(".pt") else f"{name}.pt"
    if not path.is_file():
        if asset not in ASSETS:
            from .yolo import ultralytics

            if asset in ultralytics().utils.downloads.GITHUB_ASSETS_NAMES:
                raise UsageError(
                    "no such file; a model of ultralytics, which publishes no SHA-256 of it",
                    option="detector",
                    value=name,
                    remedy=f"download {ASSETS_URL}/{asset}, and pass its path with `trust_detector`",
                )
            raise UsageError(
                f"no such file, and not a known model ({', '.join(sorted(ASSETS))})",
                option="detector",
                value=name,
                remedy="download it, and pass its path",
            )
        return download(asset, f"{ASSETS_URL}/{asset}", ASSETS[asset], may_fetch=may_fetch)
    if path.suffix == ".pt":
        if not trusted and file_hash(path) not in KNOWN:
            raise UsageError(
                "an unknown .pt, which can run arbitrary code when it is loaded",
                file=path,
                remedy=f"pass `trust_detector` if you trust its author, else {SAFE_WAYS}",
            )
    elif path.suffix == ".onnx":
        missing = [package for package in ("onnx", "onnxruntime") if find_spec(package) is None]
        if missing:
            raise HqsamError(f"needs {' and '.join(missing)}", file=path, remedy=f"pip install {' '.join(missing)}")
    elif path.suffix != ".safetensors":
        raise UsageError("a detector is a .pt, an .onnx, or a .safetensors made by this package", file=path)
    return path


def cache_path(name: str) -> Path:
    """Path of a file in torch's cache, existing or not."""
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints" / name


def download(name: str, url: str, sha256: str, *, may_fetch: bool) -> Path:
    """Return a file from torch's cache, downloaded on first use.

    Args:
        sha256: expected hash.
        may_fetch: False in a dry run, where an uncached file is an error.

    Raises:
        HqsamError: the download fails, or the hash differs.
    """
    import torch

    path = cache_path(name)
    if not may_fetch and not path.is_file():
        raise HqsamError("not downloaded, and a dry run downloads nothing", file=path, remedy="omit `dry_run`")
    try:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), hash_prefix=sha256, progress=sys.stderr.isatty())
    except (URLError, ConnectionError, TimeoutError, HTTPException) as error:
        raise HqsamError(
            f"not downloaded, and {url} cannot be downloaded ({error})",
            file=path,
            remedy="download it elsewhere and put it there",
        ) from None
    except OSError as error:
        raise HqsamError(
            f"cannot be written ({error.strerror})", file=path, remedy="set TORCH_HOME to another folder"
        ) from None
    except RuntimeError:
        raise HqsamError("not the expected file (its SHA-256 differs)", file=url, remedy="try again later") from None
    if file_hash(path) != sha256:
        raise HqsamError("not the expected file (its SHA-256 differs)", file=path, remedy="delete it and run again")
    return path
