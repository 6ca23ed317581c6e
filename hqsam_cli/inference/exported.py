"""Mask prediction with an exported model (docs/export.md), in ONNX Runtime and numpy; does not import torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..configs import MaskOutput
from ..errors import HqsamError, UsageError, first_line
from ..records import Prompt
from .device import Compute
from .prediction import AnyImage, BasePredictor
from .preprocess import ResizedImage, ResizeLongestSide, ResizeSquare, prompt_arrays

ENCODER, DECODER = "encoder.onnx", "decoder.onnx"


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """Description of an exported model, in the `model.json` of its folder.

    Attributes:
        image_size: input size S in pixels.
        square_input: whether images are resized to (S, S), as in SAM 2; otherwise the longest side is resized to S.
        mean, std: of pixels 0 to 255, RGB.
        precision: of the computation: `float32`, `float16` or `int8`.
        mask_outputs: the supported ones; `mask_output` is the default.
        source: name, SHA-256 and license of the checkpoint.
        files: SHA-256 of each file of the folder.
    """

    image_size: int
    square_input: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    precision: str
    mask_outputs: tuple[MaskOutput, ...]
    mask_output: MaskOutput
    source: dict[str, str | None]
    files: dict[str, str]


def resolve_exported(model: ExportedModel, device: str, dtype: str) -> Compute:
    """Resolve `--device` and `--dtype` for an exported model; `auto` is CUDA if this ONNX Runtime supports it.

    Raises:
        UsageError: ONNX Runtime is missing or does not support the device, or the model has another precision.
    """
    providers = _onnxruntime().get_available_providers()
    if dtype not in ("auto", model.precision):
        remedy = "omit it, or export the model again"
        raise UsageError(f"the model was exported in {model.precision}", option="dtype", value=dtype, remedy=remedy)
    has_cuda = "CUDAExecutionProvider" in providers
    name = ("cuda" if has_cuda else "cpu") if device == "auto" else device
    if name.partition(":")[0] not in (("cpu", "cuda") if has_cuda else ("cpu",)):
        remedy = "use `device` cpu" + ("" if has_cuda else ", or install onnxruntime-gpu for cuda")
        raise UsageError("not available in this ONNX Runtime", option="device", value=device, remedy=remedy)
    return Compute(name, model.precision)


class EncodedArrays(NamedTuple):
    """Outputs of the encoder for B images by name, and each image's resize to the model's input."""

    features: dict[str, np.ndarray]
    resizes: list[ResizeLongestSide]


class ExportedPredictor(BasePredictor):
    """Predicts masks with an exported model; arguments as in `BasePredictor`.

    Args:
        folder: with the files of the model.
        compute: from `resolve_exported`.

    Raises:
        HqsamError: ONNX Runtime cannot load a file.
    """

    def __init__(
        self,
        folder: Path,
        model: ExportedModel,
        compute: Compute,
        *,
        mask_output: MaskOutput | None = None,
        **options: Any,
    ) -> None:
        super().__init__(model.image_size, mask_output=mask_output or model.mask_output, **options)
        self.model, self.compute = model, compute
        if model.square_input:
            self.resize_type = ResizeSquare
        self.encoder, self.decoder = (_session(folder / name, compute) for name in (ENCODER, DECODER))

    @property
    def on_cpu(self) -> bool:
        """See `BasePredictor`."""
        return self.compute.type == "cpu"

    def encode(self, images: Sequence[AnyImage]) -> EncodedArrays:
        """See `BasePredictor`."""
        resized = [image if isinstance(image, ResizedImage) else self.resize(image) for image in images]
        side = self.image_size
        batch = np.zeros((len(images), 3, side, side), np.float32)
        mean, std = np.array(self.model.mean, np.float32), np.array(self.model.std, np.float32)
        for row, (pixels, _, _) in zip(batch, resized, strict=True):
            row[:, : pixels.shape[0], : pixels.shape[1]] = ((pixels - mean) / std).transpose(2, 0, 1)
        return EncodedArrays(_run(self.encoder, {"images": batch}), [image.resize for image in resized])

    def logits(
        self,
        encoded: EncodedArrays,
        prompts: list[tuple[int, Prompt]],
        outputs: Sequence[MaskOutput],
        *,
        mask_logits: np.ndarray | None = None,
    ) -> Iterator[tuple[list[tuple[int, Prompt]], dict[MaskOutput, tuple[np.ndarray, np.ndarray]]]]:
        """See `BasePredictor`."""
        columns = slice(0, 1) if self.choice == "single" else slice(1, 4)
        side = self.image_size // 4
        for start in range(0, len(prompts), self.prompts_per_batch):
            chunk = prompts[start : start + self.prompts_per_batch]
            first, last = chunk[0][0], chunk[-1][0]
            arrays = prompt_arrays([prompt for _, prompt in chunk], [encoded.resizes[row] for row, _ in chunk])
            given = {
                **{name: features[first : last + 1] for name, features in encoded.features.items()},
                **arrays._asdict(),
                "image_index": np.array([row - first for row, _ in chunk]),
            }
            if mask_logits is not None:
                given |= {"masks": mask_logits[start : start + len(chunk)], "has_mask": np.ones(len(chunk), bool)}
            elif arrays.masks is None:
                given["masks"] = np.zeros((len(chunk), 1, side, side), np.float32)
            found: dict[MaskOutput, tuple[np.ndarray, np.ndarray]] = {}
            for use_hq in sorted({output != "sam" for output in outputs}):
                made = _run(self.decoder, {**given, "use_hq": np.array(use_hq)})
                sam, iou = made["sam"][:, columns], made["iou"][:, columns]
                if not use_hq:
                    found["sam"] = sam, iou
                    continue
                weights = {"hq": np.float32(0), "sum": np.float32(1), "auto": made["weight"][:, columns, None, None]}
                single = {} if self.choice == "all" else {name: made.get(f"iou_{name}", iou) for name in outputs}
                found |= {
                    name: (weights[name] * sam + made["hq"], single.get(name, iou)) for name in outputs if name != "sam"
                }
            yield chunk, found


def _session(path: Path, compute: Compute) -> Any:
    """An inference session of a file."""
    device_id = int(compute.name.partition(":")[2] or 0)
    on_gpu = [] if compute.type == "cpu" else [("CUDAExecutionProvider", {"device_id": device_id})]
    onnxruntime = _onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # its optimizer warns of each node that it does not change
    try:
        return onnxruntime.InferenceSession(path, options, providers=[*on_gpu, "CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common class
        raise HqsamError(f"ONNX Runtime cannot load it ({first_line(error)})", file=path) from None


def _run(session: Any, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs of a session by name; inputs that it does not have are ignored."""
    names = [own.name for own in session.get_outputs()]
    inputs = {own.name: given[own.name] for own in session.get_inputs()}
    return dict(zip(names, session.run(names, inputs), strict=True))


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise UsageError(
            "an exported model needs ONNX Runtime", option="model", remedy="pip install onnxruntime"
        ) from None
    return onnxruntime
