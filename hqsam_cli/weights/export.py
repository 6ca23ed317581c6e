"""Export of models as ONNX, compared with torch on images; see docs/export.md.

The TorchScript exporter of torch is used: for `lite` it takes a sixth of the time of the newer one, which also needs
`onnxscript`, and its graphs are as exact. Graphs are traced with two images and three prompts, because torch takes
other ways for one image.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ..configs import MaskOutput, ObjectsConfig
from ..errors import HqsamError, UsageError
from ..inference.device import Compute
from ..inference.everything import point_grid
from ..inference.exported import DECODER, ENCODER, ExportedModel, ExportedPredictor
from ..inference.objects import ObjectPredictor
from ..inference.postprocess import mask_crops
from ..inference.predictor import EncodedImages, Predictor
from ..inference.preprocess import ResizeLongestSide
from ..io.atomic import writing
from ..modeling.overlap import iou
from ..modeling.prompt_encoder import ABSENT, BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, FOREGROUND_POINT, PromptBatch
from ..modeling.sam import PIXEL_MEAN, PIXEL_STD, HQSam, auto_weight, weighted_sum
from ..records import MaskCrop, Prompt
from .checkpoints import load_checkpoint
from .exported import write_description
from .hub import file_hash, find_checkpoint, official_name
from .registry import PACKAGED

Precision = Literal["float32", "float16", "int8"]
OPSET = 17  # the first with LayerNormalization
MIN_IOU = {"float32": 0.999, "float16": 0.95, "int8": 0.5}  # mean IoU of an exported model's masks with torch's
LARGEST_FILE = 2**31 - 2**24  # bytes; protobuf files end at 2 GiB, larger weights are stored beside the graph
BOXES, GRID = 6, 3  # prompts in a photo on which masks are compared: boxes of objects, and points per side
HIGH_RES = ("high_res_8", "high_res_4")  # of a SAM 2
DECODER_OUTPUTS = ("sam", "iou", "hq", "weight", "iou_sum", "iou_auto")  # the first two of a plain SAM
PROMPT_INPUTS = ("image_index", "points", "labels", "masks", "has_mask")


@dataclass(frozen=True, slots=True)
class Agreement:
    """IoU of an exported model's masks with torch's.

    Attributes:
        masks: number of masks that are compared.
        mean, least: IoU.
    """

    output: str
    masks: int
    mean: float
    least: float


@dataclass(frozen=True, slots=True)
class Export:
    """An exported model.

    Attributes:
        sizes: bytes of each graph with its weights, in float32 and as written.
        agreements: for each mask output that was compared.
    """

    sizes: dict[str, tuple[int, int]]
    agreements: list[Agreement]


class _Encoder(nn.Module):
    """Images (B, 3, S, S) to their features, those of `feature_names`."""

    def __init__(self, model: HQSam) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        features = self.model.encode(images, hq=self.model.has_hq)
        return tuple(x for x in (features.embedding, features.hq, *features.high_res) if x is not None)


class _Decoder(nn.Module):
    """Features and prompts to the logits (P, 4, S / 4, S / 4) of all SAM's masks and their predicted IoUs (P, 4).

    With HQ also to the logits of the HQ token, (P, 1, S / 4, S / 4), the weights (P, 4) of SAM's logits in `auto`, and
    the predicted IoUs (P, 1) of single masks of `sum` and of `auto`.
    """

    def __init__(self, model: HQSam) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        embedding: Tensor,
        image_index: Tensor,
        points: Tensor,
        labels: Tensor,
        masks: Tensor,
        has_mask: Tensor,
        *features: Tensor,
    ) -> tuple[Tensor, ...]:
        model, encoder = self.model, self.model.prompt_encoder
        hq_features, *high_res = features[:-1] if model.has_hq else (None, *features)
        prompts = PromptBatch(image_index, points, labels, masks, has_mask, ragged=True)
        tokens, valid = encoder.sparse_tokens(prompts)
        sam, hq, iou = model.mask_decoder(
            embedding[image_index] + encoder.dense_embeddings(prompts),
            encoder.pe_layer.grid(*embedding.shape[-2:]),
            hq_features,
            image_index,
            tokens,
            valid,
            pixels_per_image=False,
            mask_tokens=(0, 1, 2, 3),
            high_res=tuple(high_res),
            use_hq=features[-1] if model.has_hq else None,
        )
        chosen = model.chosen(sam, iou, "single")
        if chosen is not None:
            maps = chosen[..., None, None].expand(-1, 1, *sam.shape[2:])
            sam = torch.cat([sam.gather(1, maps), sam[:, 1:]], dim=1)
            iou = torch.cat([iou.gather(1, chosen), iou[:, 1:]], dim=1)
        if hq is None:
            return sam, iou
        single, head = sam[:, :1], model.mask_decoder.hf_iou_head
        sums = single + hq, weighted_sum(single, hq)
        ious = (iou[:, :1] if head is None else head(iou, single, hq, logits) for logits in sums)
        return sam, iou, hq, auto_weight(sam), *ious


def export_model(
    model: str,
    folder: Path,
    photos: Sequence[np.ndarray],
    precision: Precision = "float32",
    say: Callable[[str], None] | None = None,
) -> Export:
    """Export a model to a new folder, and compare its masks with torch's.

    Args:
        model: a name or path; see `find_checkpoint`.
        folder: created; removed again if an error is raised.
        photos: RGB uint8 (H, W, 3), on which masks are compared.
        say: see `find_checkpoint`.
        precision: `int8` quantizes the weights of matrix products to 8 bits, and their inputs as they are computed.

    Raises:
        UsageError: the folder is not empty, or a package of the extra `onnx` is missing.
        HqsamError: the checkpoint cannot be loaded, the masks differ, or files cannot be written.
    """
    _check_packages()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError("already exists", file=folder, remedy="choose a new folder, or delete it")
    checkpoint = find_checkpoint(model, say)
    hq_sam = load_checkpoint(checkpoint)
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=folder.parent) as temporary:
            traced, written = Path(temporary, "traced"), Path(temporary, "written")
            traced.mkdir()
            written.mkdir()
            sizes = {name: _write(traced / name, written / name, precision) for name in _traced(hq_sam, traced)}
            described = _describe(hq_sam, checkpoint, precision, written)
            write_description(written, described)
            result = Export(sizes, _agreements(hq_sam, written, described, photos))
            worst = min(result.agreements, key=lambda own: own.mean)
            if not worst.mean >= MIN_IOU[precision]:
                raise HqsamError(
                    f"masks of the exported model differ from torch's: {worst.output} has a mean IoU of "
                    f"{worst.mean:.4f}, under {MIN_IOU[precision]}",
                    file=folder,
                    remedy="nothing is written; please report it",
                )
            if folder.exists():
                folder.rmdir()
            shutil.move(written, folder)
    return result


def _check_packages() -> None:
    """Raise a UsageError if a package of the extra is missing."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise UsageError(f"export needs {error.name}", remedy="pip install 'hqsam-cli[onnx]'") from None


@torch.no_grad()
def _traced(model: HQSam, folder: Path) -> list[str]:
    """Write the float32 graphs of a model, and return their names."""
    side, hq = model.image_size, model.has_hq
    images = torch.zeros(2, 3, side, side)
    encoder = _Encoder(model)
    features = encoder(images)
    outputs = ["embedding", *(["hq_features"] if hq else []), *HIGH_RES][: len(features)]
    dynamic = {name: {0: "images"} for name in ("images", *outputs)}
    _trace(encoder, (images,), folder / ENCODER, ["images"], outputs, dynamic)

    # Two rows with padding, so that nothing depends on the number of tokens.
    labels = torch.tensor([[BOX_TOP_LEFT, BOX_BOTTOM_RIGHT, ABSENT], [FOREGROUND_POINT, -1, ABSENT], [1, 2, 3]])
    masks = torch.zeros(3, 1, side // 4, side // 4)
    prompts = (
        torch.tensor([0, 1, 1]),
        torch.full((3, 3, 2), side / 2),
        labels,
        masks,
        torch.tensor([True, False, True]),
    )
    given = (features[0], *prompts, *features[1:], *([torch.tensor(True)] if hq else []))
    names = [outputs[0], *PROMPT_INPUTS, *outputs[1:], *(["use_hq"] if hq else [])]
    made = DECODER_OUTPUTS if hq else DECODER_OUTPUTS[:2]
    dynamic |= {name: {0: "prompts"} for name in (*PROMPT_INPUTS, *made)}
    dynamic |= {name: {0: "prompts", 1: "points"} for name in ("points", "labels")}
    _trace(_Decoder(model), given, folder / DECODER, names, made, dynamic)
    return [ENCODER, DECODER]


def _trace(
    module: nn.Module,
    given: tuple[Tensor, ...],
    path: Path,
    inputs: Sequence[str],
    outputs: Sequence[str],
    dynamic: dict[str, dict[int, str]],
) -> None:
    """Write the graph of a module."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of shapes that are constants, and of the exporter itself
        torch.onnx.export(
            module.eval(),  # else the exporter leaves its parts in training mode
            given,
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: dynamic[name] for name in (*inputs, *outputs) if name in dynamic},
            opset_version=OPSET,
            dynamo=False,
        )


def _write(source: Path, path: Path, precision: Precision) -> tuple[int, int]:
    """Convert a traced graph, `source`, to a precision, and return its size in bytes before and after."""
    import onnx

    traced = onnx.load(source)
    before = _size(traced)
    if precision == "int8":
        traced = _quantized(traced, source)
    if precision == "float16":
        from onnxruntime.transformers.float16 import convert_float_to_float16

        traced = convert_float_to_float16(traced, keep_io_types=True, node_block_list=_positional(traced.graph))
        _remove_repeated_nodes(traced.graph)
    after = _size(traced)
    onnx.save(traced, path, save_as_external_data=after > LARGEST_FILE, location=f"{path.name}.data")
    return before, after


def _quantized(traced: Any, path: Path) -> Any:
    """A graph whose matrix products are quantized; also written to the path."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.disable(logging.WARNING)  # it recommends a step that makes no difference here
    try:
        quantize_dynamic(
            traced,
            path,
            op_types_to_quantize=["MatMul", "Gemm"],
            nodes_to_exclude=_positional(traced.graph) + _by_vector(traced.graph),
            per_channel=True,
            weight_type=QuantType.QInt8,
            use_external_data_format=_size(traced) > LARGEST_FILE,
        )
    finally:
        logging.disable(logging.NOTSET)
    return onnx.load(path)


def _remove_repeated_nodes(graph: Any) -> None:
    """Keep the first of equal casts, which ONNX Runtime 1.28 inserts for each use of an output, and then refuses."""
    made, repeated = set[str](), list[int]()
    for number, node in enumerate(graph.node):
        if made.issuperset(node.output):
            repeated.append(number)
        made.update(node.output)
    for number in reversed(repeated):
        del graph.node[number]


def _size(graph: Any) -> int:
    """Bytes of the weights of a graph."""
    return sum(len(own.raw_data) for own in graph.graph.initializer)


def _by_vector(graph: Any) -> list[str]:
    """Names of products with a constant vector, which ONNX Runtime quantizes, and then cannot run."""
    vectors = {own.name for own in graph.initializer if len(own.dims) == 1}
    return [node.name for node in graph.node if node.op_type == "MatMul" and node.input[1] in vectors]


def _positional(graph: Any) -> list[str]:
    """Names of the nodes that encode coordinates, which need float32: halves would be off by half a pixel."""
    made_by = {name: node for node in graph.node for name in node.output}
    pending = [node for node in graph.node if node.op_type in ("Sin", "Cos")]
    found: dict[str, Any] = {}
    while pending:
        node = pending.pop()
        if node.name not in found:
            found[node.name] = node
            pending += [made_by[name] for name in node.input if name in made_by]
    return list(found)


def _describe(model: HQSam, checkpoint: Path, precision: Precision, folder: Path) -> ExportedModel:
    sha256 = file_hash(checkpoint)
    packaged = next((name for name, path in PACKAGED.items() if path == checkpoint), None)
    name = packaged or official_name(sha256)
    outputs: tuple[MaskOutput, ...] = ("auto", "sum", "hq", "sam") if model.has_hq else ("sam",)
    return ExportedModel(
        image_size=model.image_size,
        square_input=model.square_input,
        mean=PIXEL_MEAN,
        std=PIXEL_STD,
        precision=precision,
        mask_outputs=outputs,
        mask_output=model.mask_output if model.has_hq else "sam",
        # All models of the registry have this license; that of others is not known here.
        source={"name": name or checkpoint.name, "sha256": sha256, "license": "Apache-2.0" if name else None},
        files={path.name: file_hash(path) for path in sorted(folder.iterdir())},
    )


def _agreements(model: HQSam, folder: Path, described: ExportedModel, photos: Sequence[np.ndarray]) -> list[Agreement]:
    """Compare the single and the three masks of prompts in photos, in all mask outputs."""
    outputs = described.mask_outputs
    theirs = Predictor(model, mask_output=outputs[0])
    ours = ExportedPredictor(folder, described, Compute("cpu", described.precision))
    found: dict[str, list[float]] = {output: [] for output in outputs}
    for photo in photos:
        encoded = theirs.encode([photo]), ours.encode([photo])
        resize = encoded[0].resizes[0]
        prompts = [(0, prompt) for prompt in _prompts(theirs, encoded[0], photo)]
        for theirs.choice in ("single", "all"):
            ours.choice = theirs.choice
            made = theirs.logits(encoded[0], prompts, outputs), ours.logits(encoded[1], prompts, outputs)
            for (_, expected), (_, actual) in zip(*made, strict=True):
                for output in outputs:
                    pairs = zip(*(_masks(own[output][0], resize) for own in (expected, actual)), strict=True)
                    found[output] += [iou(one.full(), other.full()) for one, other in pairs]
    return [Agreement(name, len(own), float(np.mean(own)), min(own)) for name, own in found.items()]


def _prompts(predictor: Predictor, encoded: EncodedImages, photo: np.ndarray) -> list[Prompt]:
    """Boxes of objects in a photo, one of them with a coarse mask, and points."""
    height, width = photo.shape[:2]
    boxes = ObjectPredictor(predictor, ObjectsConfig(), None).propose(encoded)[:BOXES]
    middle = np.zeros((height, width), bool)
    middle[height // 4 : -(height // 4) or None, width // 4 : -(width // 4) or None] = True
    points = point_grid(GRID) * [width, height]
    return [
        *(Prompt(box=box) for box in boxes),
        Prompt(box=(width / 4, height / 4, width * 3 / 4, height * 3 / 4), mask=middle),
        *(Prompt(points=np.array([[x, y, 1.0]])) for x, y in points),
    ]


def _masks(logits: Any, resize: ResizeLongestSide) -> list[MaskCrop]:
    """Masks of logits (P, K, S / 4, S / 4) of one photo."""
    flat: Any = logits.reshape(-1, *logits.shape[2:])
    return mask_crops(flat, [resize] * len(flat))
