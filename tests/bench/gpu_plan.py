"""What a GPU would do for a group of images, counted without one.

Encoding, decoding and postprocessing run on fake `cuda` tensors, which have shapes and dtypes but no values. A dispatch
mode records each operation: dtype, FLOPs, bytes read and written, copies between host and device, and host syncs, which
make the host wait for the device. The rates of a card then give a lower bound of the time per image: an operation takes
as long as its FLOPs, its bytes or its launch, whichever is longest, and operations run one after the other.

    python tests/bench/gpu_plan.py --architecture vit_l
"""

from __future__ import annotations

import argparse
import inspect
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.nn import functional
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from hqsam_cli.inference.postprocess import mask_crops
from hqsam_cli.inference.predictor import Predictor, prepare_for_inference
from hqsam_cli.inference.preprocess import ResizedImage, ResizeLongestSide
from hqsam_cli.inference.speed import random_boxes
from hqsam_cli.modeling.sam import HQSam
from hqsam_cli.weights.registry import ARCHITECTURES, build_model

GPU = torch.device("cuda")
LAUNCH = 5e-6  # seconds per kernel, if the host waits for nothing else
HALF_RATE, SINGLE_RATE = 790e12, 60e12  # FLOPs per second of an H200, 16 bits measured, float32 by its data sheet
BANDWIDTH = 4.8e12  # bytes per second
VIEWS = ("_unsafe_view", "detach")  # move no bytes, but are not marked as views
SMALL_PRODUCT = 1e7  # FLOPs
PHOTO = 1200, 1600  # height, width
OBJECT = 0.3  # side of an object's mask, as a fraction of the image's


class Operation(NamedTuple):
    """An operation of the device.

    Attributes:
        name: of torch's operator.
        dtype: of its first tensor.
        flops: as counted by torch.
        moved: bytes read and written.
        sync: whether the host waits for it.
        copy: `to host` or `to device`, or empty.
    """

    name: str
    dtype: torch.dtype
    flops: int
    moved: int
    sync: bool = False
    copy: str = ""

    @property
    def seconds(self) -> float:
        """Lower bound of the time on the card."""
        rate = SINGLE_RATE if self.dtype == torch.float32 else HALF_RATE
        return max(self.flops / rate, self.moved / BANDWIDTH, LAUNCH)


@dataclass(slots=True)
class Plan:
    """The operations of each stage: encode, decode, postprocess."""

    stages: dict[str, list[Operation]] = field(default_factory=lambda: defaultdict(list))

    def syncs(self, stage: str) -> list[Operation]:
        """Operations of a stage that the host waits for."""
        return [own for own in self.stages[stage] if own.sync]

    def single_precision_products(self) -> list[Operation]:
        """Matrix products and convolutions in float32, but for the small ones of positional encodings."""
        operations = [own for stage in self.stages.values() for own in stage]
        return [own for own in operations if own.flops > SMALL_PRODUCT and own.dtype == torch.float32]


class Recorder(TorchDispatchMode):
    """Appends the operations on fake `cuda` tensors to a list."""

    def __init__(self, operations: list[Operation]) -> None:
        super().__init__()
        self.operations = operations

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation and record it; views cost nothing."""
        out = func(*args, **(kwargs or {}))
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        made = [x for x in tree_leaves(out) if isinstance(x, Tensor)]
        on_device = any(x.device.type == "cuda" for x in (*given, *made))
        name = func.overloadpacket.__name__
        if not on_device or func.is_view or name in VIEWS or not made:
            return out
        count = flop_registry.get(func.overloadpacket)
        flops = count(*args, **(kwargs or {}), out_val=out) if count is not None else 0
        moved = sum(x.numel() * x.element_size() for x in (*given, *made))
        places = {x.device.type for x in given}, {x.device.type for x in made}
        copy = ""
        if name in ("_to_copy", "copy_") and "cpu" in places[0] | places[1]:
            copy = "to host" if given and given[-1].device.type == "cuda" else "to device"
        self.operations.append(Operation(name, (given or made)[0].dtype, flops, moved, copy == "to host", copy))
        return out

    def wait(self, name: str) -> None:
        """Record a host sync that torch does not dispatch."""
        self.operations.append(Operation(name, torch.int64, 0, 0, sync=True))


@contextmanager
def fake_gpu() -> Iterator[None]:
    """Fake `cuda` tensors on a machine without a GPU, and autocast as on one."""
    common = torch.cuda.amp.common
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(common, "amp_definitely_not_available", lambda: False))
        stack.enter_context(mock.patch.object(torch.cuda, "is_bf16_supported", lambda *_, **__: True))
        stack.enter_context(mock.patch.object(functional, "scaled_dot_product_attention", _fused_attention))
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        yield


def _fused_attention(
    q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """The kernel that torch selects on a GPU; without one it would decompose attention into matrix products."""
    aten = torch.ops.aten
    if attn_mask is None:
        out: Tensor = aten._scaled_dot_product_flash_attention(q, k, v, scale=scale)[0]
        return out
    bias = attn_mask.expand(*q.shape[:3], k.shape[2])
    out = aten._scaled_dot_product_efficient_attention(q, k, v, bias, compute_log_sumexp=False, scale=scale)[0]
    return out


def fake_model(architecture: str, dtype: torch.dtype) -> HQSam:
    """A model on the fake device, prepared as for inference: on `meta`, since torch cannot copy fake modules."""
    with no_dispatch():
        model = prepare_for_inference(build_model(architecture), "meta", dtype)
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, own in tensors.items():
                if own is not None:
                    tensors[name] = torch.empty_strided(own.shape, own.stride(), dtype=own.dtype, device=GPU)  # type: ignore[assignment]
    return model


def make_plan(architecture: str, dtype: torch.dtype, images: int, boxes: int) -> Plan:
    """Record the operations for a group of images with boxes of one size each.

    Masks have no values here, so all are taken to fill `OBJECT` of the width and height of their image.
    """
    plan, (height, width) = Plan(), PHOTO
    # In inference mode, composite operations such as `linear` would arrive whole; FLOPs are counted of their parts.
    encode, logits = (inspect.unwrap(own) for own in (Predictor.encode, Predictor.logits))
    with fake_gpu(), torch.no_grad():
        predictor = Predictor(fake_model(architecture, dtype), dtype=dtype)
        side = predictor.model.image_size
        resize = ResizeLongestSide.of(height, width, side)
        pixels = np.zeros((resize.input_height, resize.input_width, 3), np.uint8)
        photo = ResizedImage(pixels, resize, pixels)
        with Recorder(plan.stages["encode"]):
            encoded = encode(predictor, [photo] * images, hq=True)
        prompts = [(row, prompt) for row in range(images) for prompt in random_boxes(width, height, boxes)]
        with Recorder(plan.stages["decode"]):
            batches = list(logits(predictor, encoded, prompts, ["sum"]))
        recorder = Recorder(plan.stages["postprocess"])
        with recorder, _stand_ins(recorder):
            for chunk, found in batches:
                mask_crops(found["sum"][0].flatten(0, 1), [resize] * len(chunk))
    return plan


@contextmanager
def _stand_ins(recorder: Recorder) -> Iterator[None]:
    """Values for what the host reads from the device in `postprocess`, each read recorded as a sync."""

    def bounds(tensor: Tensor) -> list[list[int]]:
        recorder.wait("tolist")
        end = int(OBJECT * 256) + 1
        return [[0, end, 0, end]] * len(tensor)

    def values(tensor: Tensor) -> np.ndarray:
        return np.zeros(tuple(tensor.shape), np.uint8)

    empty = torch.empty

    def unpinned(*args: Any, pin_memory: bool = False, **kwargs: Any) -> Tensor:
        return empty(*args, **kwargs)

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(FakeTensor, "tolist", bounds))
        stack.enter_context(mock.patch.object(FakeTensor, "numpy", values, create=True))
        stack.enter_context(mock.patch.object(torch, "empty", unpinned))
        yield


def largest_parts(operations: Sequence[Operation], count: int = 10) -> list[tuple[str, int, float]]:
    """Operators by their total time: name with dtype, number, seconds."""
    groups: dict[str, list[Operation]] = defaultdict(list)
    for own in operations:
        groups[f"{own.name} {str(own.dtype).removeprefix('torch.')}"].append(own)
    totals = [(name, len(own), sum(one.seconds for one in own)) for name, own in groups.items()]
    return sorted(totals, key=lambda row: -row[2])[:count]


def main() -> None:
    """Print the predicted time per image and its largest parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="vit_l", choices=list(ARCHITECTURES))
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--images", type=int, default=4, help="images per batch")
    parser.add_argument("--boxes", type=int, default=8, help="boxes per image")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    plan = make_plan(arguments.architecture, getattr(torch, arguments.dtype), arguments.images, arguments.boxes)
    console = Console()
    stages = Table(title=f"{arguments.architecture}, {arguments.dtype}, per image of a batch of {arguments.images}")
    for column in ("stage", "kernels", "GFLOP", "GB", "host syncs", "copies", "ms"):
        stages.add_column(column, justify="right" if column != "stage" else "left")
    number: Callable[[float], str] = lambda value: f"{value / arguments.images:,.2f}"  # noqa: E731
    for name, own in plan.stages.items():
        stages.add_row(
            name,
            number(len(own)),
            number(sum(one.flops for one in own) / 1e9),
            number(sum(one.moved for one in own) / 1e9),
            str(len(plan.syncs(name))),
            str(sum(bool(one.copy) for one in own)),
            number(1e3 * sum(one.seconds for one in own)),
        )
    console.print(stages)
    parts = Table(title="largest parts, per image")
    for column in ("operation", "number", "ms"):
        parts.add_column(column, justify="right" if column != "operation" else "left")
    for name, count, seconds in largest_parts([one for own in plan.stages.values() for one in own]):
        parts.add_row(name, number(count), number(1e3 * seconds))
    console.print(parts)


if __name__ == "__main__":
    main()
