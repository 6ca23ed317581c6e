"""Open-vocabulary detectors, YOLO-World and YOLOE, whose classes are text prompts."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, NamedTuple

import torch

from ..errors import HqsamError, first_line
from .files import ASSETS_URL, download
from .yolo import ultralytics

CLIP_PACKAGE = "git+https://github.com/ultralytics/CLIP.git"  # required by ultralytics
CLIP_SHA256 = "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"


class TextEncoder(NamedTuple):
    """File of a text encoder.

    Attributes:
        file: file name.
        url: download URL.
        sha256: of OpenAI, and as pinned independently by several projects.
    """

    file: str
    url: str
    sha256: str


# Keyed by ultralytics' names.
ENCODERS = {
    "clip:ViT-B/32": TextEncoder(
        "ViT-B-32.pt", f"https://openaipublic.azureedge.net/clip/models/{CLIP_SHA256}/ViT-B-32.pt", CLIP_SHA256
    ),
    "mobileclip:blt": TextEncoder(
        "mobileclip_blt.ts",
        f"{ASSETS_URL}/mobileclip_blt.ts",
        "a67804d1b0f07b8b9a20c1761ec0847f34660f5fa338ec70e8f3fce68ed95e54",
    ),
    "mobileclip2:b": TextEncoder(
        "mobileclip2_b.ts",
        f"{ASSETS_URL}/mobileclip2_b.ts",
        "35d7f213e4d75f38514e4656ad3cb91158bd33e3805d8ac349f23b186f66982f",
    ),
}


def is_open_vocabulary(model: Any) -> bool:
    """Whether a model's classes can be set; not for prompt-free YOLOE or ONNX models."""
    return isinstance(model, ultralytics().nn.tasks.WorldModel) or is_yoloe(model)


def is_yoloe(model: Any) -> bool:
    """Whether a model is a YOLOE that takes prompts: neither prompt-free nor fused with its classes."""
    head = model.model[-1] if isinstance(model, ultralytics().nn.tasks.YOLOEModel) else None
    return head is not None and not hasattr(head, "lrpc") and not getattr(head, "is_fused", False)


def set_classes(model: Any, classes: list[str], *, may_fetch: bool) -> str:
    """Set the classes of an open-vocabulary model to text prompts.

    Args:
        may_fetch: see `download`.

    Returns:
        The SHA-256 of the text encoder.

    Raises:
        HqsamError: it cannot be downloaded, or a package is not installed.
    """
    is_world = isinstance(model, ultralytics().nn.tasks.WorldModel)
    kind = "clip:ViT-B/32" if is_world else getattr(model, "text_model", "mobileclip:blt")
    if find_spec("clip") is None:
        raise HqsamError(
            "text prompts need the package clip",
            option="classes",
            value=classes[0],
            remedy=f"pip install {CLIP_PACKAGE}",
        )
    encoder = ENCODERS[kind]
    path = download(encoder.file, encoder.url, encoder.sha256, may_fetch=may_fetch)
    from ultralytics.nn.text_model import CLIP, MobileCLIPTS

    device = torch.device("cpu")
    try:
        # ultralytics uses a cached encoder; otherwise it would download one itself.
        model.clip_model = CLIP(str(path), device) if is_world else MobileCLIPTS(device, weight=str(path))
        if is_world:
            model.set_classes(classes, cache_clip_model=True)
            model.names = dict(enumerate(classes))
        else:
            model.set_classes(classes, model.get_text_pe(classes, cache_clip_model=True))
    except Exception as error:  # an arbitrary file can raise any exception
        raise HqsamError(
            f"cannot be run as a text encoder ({first_line(error)})", file=path, remedy="download it again"
        ) from None
    finally:
        model.clip_model = None
    return encoder.sha256
