"""What one GPU does, in at most 8 minutes: `make gpu`, or `python tests/bench/gpu.py FOLDER`.

Each step writes FOLDER/STEP.json before the next begins, so that stopping loses one step, and a failed step leaves its
error there:

    masks     masks of `lite` beside those of the CPU in float32: mean and lowest IoU
    encoder   matrix products of the device, and encoders as a share of them; a prompt, and a mask to RLE
    files     from JPEG files to COCO's file, beside the authors' loop
    compiled  the same runs with `--compile`
    memory    a run with too little device memory for its batches, whose masks must be equal
    devices   several processes on the device
    training  training steps

`--tiny` does the same on small images and models, on a CPU in seconds. Models other than `lite` have random weights;
their logits are replaced by ellipses after they are computed, since masks of noise would take longer to encode than
those of objects.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, partialmethod
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from files import time_authors, time_hqsam, write_photos
from PIL import Image
from speed import agreement, work_on
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from hqsam_cli import PromptConfig, SegmentConfig, TrainConfig, segment_images, train
from hqsam_cli.inference.predictor import Predictor, prepare_for_inference
from hqsam_cli.inference.speed import matrix_rate, measure_stages
from hqsam_cli.modeling.sam import HQSam
from hqsam_cli.records import Prompt
from hqsam_cli.weights.checkpoints import load_model, read_state, write_checkpoint
from hqsam_cli.weights.registry import PACKAGED, build_model

RADIUS = 0.15  # of the ellipses, as a fraction of the image's sides
TRIALS = 3
DTYPE = torch.bfloat16


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured.

    Attributes:
        side: input size of the models in pixels.
        peers: images of the authors' loop.
        images: of the other runs.
        workers: `--workers` of runs.
        processes: on one device.
        steps: of training, of 4 images each.
        backend: of the compiler.
    """

    side: int = 1024
    photos: int = 12
    megapixels: tuple[float, float] = (1, 12)
    boxes: int = 8
    architectures: tuple[str, ...] = ("vit_tiny", "vit_b", "vit_l", "vit_h")
    large: str = "vit_l"
    batches: tuple[int, ...] = (1, 2, 4, 8, 16)
    peers: int = 8
    images: int = 64
    workers: int = 12
    processes: int = 3
    steps: int = 40
    backend: str = "inductor"


FULL = Sizes()
TINY = Sizes(128, 1, (0.02, 0.03), 2, ("vit_tiny",), "vit_tiny", (1, 2), 1, 2, 1, 2, 2, "aot_eager")


@dataclass(frozen=True, slots=True)
class Bench:
    """Where and how much is measured.

    Attributes:
        folder: temporary.
        lite, large: checkpoints.
        few, many: of JPEG files, `peers` and `images` of them, each with `boxes.json`.
        prompts: those of `few`.
    """

    sizes: Sizes
    device: torch.device
    folder: Path
    lite: Path
    large: Path
    few: Path
    many: Path
    prompts: dict[str, list[Prompt]]

    def segment(self, checkpoint: Path, photos: Path, **options: Any) -> tuple[float, list[dict[str, Any]]]:
        """Run `segment_images`: images per second without loading the model, and the annotations."""
        output = self.folder / "out"
        config = SegmentConfig(
            prompts=PromptConfig(boxes=str(photos / "boxes.json")),
            model=str(checkpoint),
            device=str(self.device),
            dtype="bfloat16",
            format=("coco",),
            windows="off",
            overwrite=True,
            workers=self.sizes.workers,
            **options,
        )
        summary = segment_images(photos / "photos", output, config)
        assert not summary.failed, summary.failed
        return summary.done / summary.seconds, json.loads((output / "instances.json").read_text())["annotations"]


def ellipses(count: int, side: int, device: torch.device) -> Tensor:
    """Logits (count, 1, side, side) of ellipses at different positions."""
    axis = torch.arange(side, device=device) / side
    center = RADIUS + (1 - 2 * RADIUS) * (torch.arange(count, device=device) * 0.382 % 1)
    distance = (axis - center[:, None]) ** 2
    return 20 * (1 - (distance[:, :, None] + distance.flip(0)[:, None]).sqrt() / RADIUS)[:, None]


@contextmanager
def compact_logits() -> Iterator[None]:
    """Replace the logits of all models by ellipses, after they are computed."""
    predict = HQSam.predict

    def replaced(self: HQSam, *args: Any, **kwargs: Any) -> dict[str, tuple[Tensor, Tensor]]:
        found = predict(self, *args, **kwargs)
        return {
            name: (ellipses(len(own), own.shape[-1], own.device).to(own.dtype), iou)
            for name, (own, iou) in found.items()
        }

    with mock.patch.object(HQSam, "predict", replaced):
        yield


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """The shortest time of several trials, after one to warm up."""
    times = []
    for _ in range(TRIALS + 1):
        synchronize(device)
        began = time.perf_counter()
        work()
        synchronize(device)
        times.append(time.perf_counter() - began)
    return min(times[1:])


def synchronize(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def masks(bench: Bench) -> dict[str, Any]:
    """Masks of `lite` on the device in two precisions, beside the CPU's in float32."""
    work = work_on(bench.sizes.photos, bench.sizes.boxes, bench.sizes.megapixels)

    def made(device: torch.device, dtype: torch.dtype) -> list[Any]:
        predictor = Predictor(load_model(bench.lite, device, dtype), dtype=dtype)
        results = predictor.predict_batch([photo for photo, _ in work], [prompts for _, prompts in work])
        return [[instance.mask.rle for instance in own] for own in results]

    wanted = made(torch.device("cpu"), torch.float32)
    return {str(dtype): agreement(made(bench.device, dtype), wanted) for dtype in (torch.float32, torch.bfloat16)}


@torch.inference_mode()
def encoder(bench: Bench) -> dict[str, Any]:
    """Matrix rate in FLOPs per second; of each encoder, images per second and the share of that rate."""
    sizes, device, dtype = bench.sizes, bench.device, DTYPE
    rate = matrix_rate(device, dtype)
    found: dict[str, Any] = {"matrix_rate": rate}
    photos = [photo for photo, _ in work_on(2, sizes.boxes, sizes.megapixels)]
    for architecture in sizes.architectures:
        model = build_model(architecture, image_size=sizes.side, device=str(device))
        predictor = Predictor(prepare_for_inference(model, device, dtype), mask_output="sum", dtype=dtype)
        image = predictor.resize(photos[0])
        with FlopCounterMode(display=False) as counter:
            predictor.encode([image])
        flops = counter.get_total_flops()
        row: dict[str, Any] = {"gflop": flops / 1e9}
        for batch in sizes.batches:
            took = seconds(partial(predictor.encode, [image] * batch), device)
            row[f"batch {batch}"] = {"images_per_second": batch / took, "share": batch * flops / took / rate}
        with compact_logits():
            stages = measure_stages(predictor, photos, sizes.boxes)
        row |= {"prompt_ms": 1e3 * stages.decode, "rle_ms": 1e3 * stages.write}
        found[architecture] = row
        del model, predictor
        release(device)
    return found


def files(bench: Bench) -> dict[str, Any]:
    """Images per second from JPEG files to COCO's file, and of the authors' loop in float32."""
    found: dict[str, Any] = {}
    for name, checkpoint in (("lite", bench.lite), ("large", bench.large)):
        bench.segment(checkpoint, bench.few)  # warm-up
        with compact_logits():
            own, _ = bench.segment(checkpoint, bench.many)
        release(bench.device)
        with authors_compact_logits():
            peer = 1 / time_authors(for_authors(checkpoint), str(bench.device), bench.few, bench.prompts)
        release(bench.device)
        found[name] = {"images_per_second": own, "authors": peer, "ratio": own / peer}
    return found


def compiled(bench: Bench) -> dict[str, Any]:
    """Seconds until the first images of a run with a compiled encoder, and images per second after them."""
    found: dict[str, Any] = {}
    compile_with = partialmethod(nn.Module.compile, backend=bench.sizes.backend)
    for name, checkpoint in (("lite", bench.lite), ("large", bench.large)):
        times = []
        with compact_logits(), mock.patch.object(nn.Module, "compile", compile_with):
            for photos in (bench.few, bench.few, bench.many):  # the first run also fills the compiler's cache on disk
                began = time.perf_counter()
                bench.segment(checkpoint, photos, compile=True)
                times.append(time.perf_counter() - began)
                release(bench.device)
        images = bench.sizes.images - bench.sizes.peers
        rate = images / max(times[2] - times[1], 1e-9)
        found[name] = {"first_run_seconds": times[0], "start_seconds": times[1], "images_per_second": rate}
    return found


@contextmanager
def authors_compact_logits() -> Iterator[None]:
    """The same as `compact_logits` for the authors' decoder."""
    from segment_anything_hq.modeling import MaskDecoderHQ

    forward = MaskDecoderHQ.forward

    def replaced(self: nn.Module, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        own, iou = forward(self, *args, **kwargs)
        return ellipses(len(own), own.shape[-1], own.device), iou

    with mock.patch.object(MaskDecoderHQ, "forward", replaced):
        yield


def memory(bench: Bench) -> dict[str, Any]:
    """A run with half of the device memory that its batches take; they are halved, and the masks are equal."""
    device, batch = bench.device, max(bench.sizes.batches)
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("hqsam_cli.inference").addHandler(handler)
    is_gpu = device.type == "cuda"
    if is_gpu:
        release(device)
        torch.cuda.reset_peak_memory_stats(device)
    _, wanted = bench.segment(bench.lite, bench.many, batch_size=batch)
    if is_gpu:
        total = torch.cuda.get_device_properties(device).total_memory
        peak = torch.cuda.max_memory_reserved(device)
        release(device)
        torch.cuda.set_per_process_memory_fraction(peak / 2 / total, device)
    try:
        rate, own = bench.segment(bench.lite, bench.many, batch_size=batch)
    finally:
        if is_gpu:
            torch.cuda.set_per_process_memory_fraction(1.0, device)
        logging.getLogger("hqsam_cli.inference").removeHandler(handler)
    same = agreement(*([[each["segmentation"] for each in some]] for some in (own, wanted)))
    return {"batch": batch, "images_per_second": rate, "messages": messages, **same}


def devices(bench: Bench) -> dict[str, Any]:
    """Images per second of several processes on the device, without their start."""
    names = ",".join([str(bench.device.index or 0) if bench.device.type == "cuda" else "cpu"] * bench.sizes.processes)
    options = ["--devices", names, "--workers", str(bench.sizes.workers), "--dtype", "bfloat16"]
    times = [time_hqsam(str(bench.lite), str(bench.device), folder, options) for folder in (bench.few, bench.many)]
    images = bench.sizes.images - bench.sizes.peers
    return {"devices": names, "start_seconds": times[0], "images_per_second": images / (times[1] - times[0])}


def training(bench: Bench) -> dict[str, Any]:
    """Training steps per second, with reading and augmentation, of HQ modules on `lite`."""
    folder, batch = bench.folder / "pairs", 4
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    megapixels = tuple(min(size, 1) for size in bench.sizes.megapixels)
    for n, (photo, _) in enumerate(work_on(2 * batch, 1, megapixels)):
        height, width = photo.shape[:2]
        inside = ellipses(1, min(height, width), torch.device("cpu"))[0, 0].numpy() > 0
        shape = np.zeros((height, width), np.uint8)
        shape[: len(inside), : len(inside)] = 255 * inside
        Image.fromarray(photo).save(folder / "images" / f"{n}.jpg")
        Image.fromarray(shape).save(folder / "masks" / f"{n}.png")
    config = TrainConfig(
        model=str(bench.lite),
        epochs=bench.sizes.steps // 2,
        batch_size=batch,
        dtype="bfloat16",
        device=str(bench.device),
        workers=min(bench.sizes.workers, 4),
    )
    began = time.perf_counter()
    train([folder], bench.folder / "trained", config)
    took = time.perf_counter() - began
    records = [json.loads(line) for line in (bench.folder / "trained" / "metrics.jsonl").read_text().splitlines()]
    return {
        "steps": bench.sizes.steps,
        "seconds": took,
        "steps_per_second": bench.sizes.steps / took,
        "last": records[-1],
    }


STEPS: tuple[Callable[[Bench], dict[str, Any]], ...] = (masks, encoder, files, compiled, memory, devices, training)


def release(device: torch.device) -> None:
    """Free the device memory of models that are no longer used."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def write_models(folder: Path, sizes: Sizes) -> tuple[Path, Path]:
    """Checkpoints of `lite`, and of random weights of the large architecture; beside each, one for the authors."""
    lite, _ = read_state(PACKAGED["lite"])
    torch.manual_seed(0)
    large = build_model(sizes.large, image_size=sizes.side, device="cpu").state_dict()
    paths = folder / "lite.safetensors", folder / "large.safetensors"
    for path, state in zip(paths, (lite, large), strict=True):
        whole = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
        for own, metadata in ((path, {"image_size": str(sizes.side)}), (for_authors(path), {})):
            with open(own, "wb") as file:
                write_checkpoint(file, whole, metadata, safetensors=own == path)
    return paths


def for_authors(checkpoint: Path) -> Path:
    """The same weights as a file that the authors' package reads."""
    return checkpoint.with_suffix(".pth")


def main() -> None:
    """Do all steps; exits with 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("gpu-results"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small images and models")
    parser.add_argument("--steps", nargs="+", choices=[step.__name__ for step in STEPS], help="only these")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    sizes, failed = TINY if arguments.tiny else FULL, False
    with tempfile.TemporaryDirectory() as place:
        lite, large = write_models(Path(place), sizes)
        few, many = Path(place, "few"), Path(place, "many")
        prompts, _ = (
            write_photos(folder, count, sizes.boxes, sizes.megapixels)
            for folder, count in ((few, sizes.peers), (many, sizes.images))
        )
        bench = Bench(sizes, torch.device(arguments.device), Path(place), lite, large, few, many, prompts)
        for step in STEPS:
            if arguments.steps and step.__name__ not in arguments.steps:
                continue
            began = time.perf_counter()
            try:
                found = step(bench)
            except Exception:
                found, failed = {"error": traceback.format_exc()}, True
            found["step_seconds"] = time.perf_counter() - began
            text = json.dumps(found, indent=2)
            (arguments.folder / f"{step.__name__}.json").write_text(f"{text}\n")
            print(step.__name__, text, flush=True)
            release(bench.device)
    sys.exit(failed)


if __name__ == "__main__":
    main()
