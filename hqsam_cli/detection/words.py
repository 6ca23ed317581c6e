"""Words as classes: detectors that find what a text says, YOLO-World and YOLOE."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..errors import HqsamError, UsageError
from ..weights.hub import file_hash
from .engine import ultralytics
from .files import ASSETS_URL, cached, fetched

CLIP_PACKAGE = "git+https://github.com/ultralytics/CLIP.git"  # what ultralytics itself asks for
CLIP_SHA256 = "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"


class TextEncoder(NamedTuple):
    """What turns words into the numbers a detector looks for.

    Attributes:
        file: its name.
        url: where it is published.
        sha256: as its publisher gives it; None where nobody does, and the user has to vouch for it.
    """

    file: str
    url: str
    sha256: str | None = None


# By what ultralytics calls them.
ENCODERS = {
    "clip:ViT-B/32": TextEncoder(
        "ViT-B-32.pt", f"https://openaipublic.azureedge.net/clip/models/{CLIP_SHA256}/ViT-B-32.pt", CLIP_SHA256
    ),
    "mobileclip:blt": TextEncoder("mobileclip_blt.ts", f"{ASSETS_URL}/mobileclip_blt.ts"),
    "mobileclip2:b": TextEncoder("mobileclip2_b.ts", f"{ASSETS_URL}/mobileclip2_b.ts"),
}


def takes_words(model: Any) -> bool:
    """Whether a model of ultralytics can be told its classes; a YOLOE without prompts cannot, nor an ONNX."""
    tasks = ultralytics().nn.tasks
    if isinstance(model, tasks.WorldModel):
        return True
    head = model.model[-1] if isinstance(model, tasks.YOLOEModel) else None
    return head is not None and not hasattr(head, "lrpc") and not getattr(head, "is_fused", False)


def set_words(model: Any, words: list[str], *, trusted: bool, may_fetch: bool) -> str:
    """Tell a model its classes.

    Args:
        model: one that `takes_words`.
        trusted: the user vouches for a text encoder of unknown hash.
        may_fetch: an encoder that is not on this machine is fetched.

    Returns:
        The SHA-256 of the text encoder.

    Raises:
        UsageError: an encoder that nobody vouches for.
        HqsamError: it is not here and cannot be fetched, or what it needs is not installed.
    """
    is_world = isinstance(model, ultralytics().nn.tasks.WorldModel)
    kind = "clip:ViT-B/32" if is_world else getattr(model, "text_model", "mobileclip:blt")
    if find_spec("clip") is None:
        raise HqsamError(
            "words need the package clip", option="classes", value=words[0], remedy=f"pip install {CLIP_PACKAGE}"
        )
    path = _encoder_file(ENCODERS[kind], trusted=trusted, may_fetch=may_fetch)
    from ultralytics.nn.text_model import CLIP, MobileCLIPTS

    device = torch.device("cpu")
    try:
        # What is cached in the model is used; without it ultralytics would fetch the encoder by itself.
        model.clip_model = CLIP(str(path), device) if is_world else MobileCLIPTS(device, weight=str(path))
        if is_world:
            model.set_classes(words, cache_clip_model=True)
            model.names = dict(enumerate(words))
        else:
            model.set_classes(words, model.get_text_pe(words, cache_clip_model=True))
    except Exception as error:  # of a file that is anything
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise HqsamError(f"cannot be run as a text encoder ({reason})", file=path, remedy="fetch it again") from None
    finally:
        model.clip_model = None
    return file_hash(path)


def _encoder_file(encoder: TextEncoder, *, trusted: bool, may_fetch: bool) -> Path:
    """The file of a text encoder, from where detectors are kept."""
    path = cached(encoder.file)
    if not path.is_file() and not may_fetch:
        raise HqsamError(
            "a text encoder that is not on this machine, and a dry run fetches nothing",
            file=path,
            remedy="leave `dry_run` out",
        )
    if encoder.sha256 is None and not trusted:
        raise UsageError(
            "a text encoder whose SHA-256 nobody publishes",
            file=path,
            remedy=f"pass `trust_detector` if you trust {encoder.url}",
        )
    return fetched(encoder.file, encoder.url, encoder.sha256)
