"""Train the saliency head: `python -m hqsam_cli.recipes.saliency DATA OUT`.

DATA holds one folder per dataset, with `images/` and `masks/`; OUT receives the image embedding and the mask of each
photo, at the resolution of the map, and `saliency.safetensors`. An interrupted run is resumed.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from ..data.pairs import read_pair
from ..inference.device import resolve_compute
from ..inference.predictor import Predictor
from ..inference.salient import CELL, saliency_features
from ..io.masks import is_foreground
from ..modeling.saliency import SaliencyHead
from ..weights.checkpoints import load_model
from .sets import evenly_spaced, find_sets

SETS = ("ecssd", "duts_tr", "camo", "ccp_fashion", "balloon")
BATCH, WARMUP = 16, 50  # photos per step; steps
RATE, DECAY, DROPOUT = 2e-3, 0.02, 0.1
MASK_LOSS = 0.5  # weight of the soft IoU loss beside the cross entropy


class Sample(NamedTuple):
    """A photo: its features (C, h, w), and the share of the salient object in each cell, (h, w)."""

    features: Tensor
    target: Tensor


def collect(data: Path, out: Path, *, photos: int, model: str, device: str) -> list[Sample]:
    """The samples of `photos` of each set; those in `out` are not computed again."""
    compute = resolve_compute(device, "auto")
    predictor = Predictor(load_model(model, compute.device, compute.dtype), dtype=compute.dtype)
    sets = find_sets(data, SETS)
    chosen = [(name, pair) for name, pairs in sets.items() for pair in evenly_spaced(pairs, photos)]
    out.mkdir(parents=True, exist_ok=True)
    samples = list[Sample]()
    for name, pair in tqdm(chosen, desc="photos", disable=None):
        path = out / f"{name}-{pair.name}.npz"
        if not path.is_file():
            photo, gray = read_pair(pair)
            encoded = predictor.encode([photo], hq=False)
            mask = encoded.resizes[0].apply_image(is_foreground(gray).astype(np.uint8) * 255)
            features = saliency_features(encoded)[0].cpu().numpy()
            np.savez(path, features=features.astype(np.float16), target=_shares(mask, *features.shape[1:]))
        with np.load(path) as saved:
            samples.append(Sample(*(torch.from_numpy(saved[part]).float() for part in Sample._fields)))
    return samples


def _shares(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """Mean of a mask, uint8 0 to 255, in each cell of (height, width), float32 0 to 1."""
    padded = np.zeros((height * CELL, width * CELL), np.float32)
    padded[: mask.shape[0], : mask.shape[1]] = mask / 255
    shares: np.ndarray = padded.reshape(height, CELL, width, CELL).mean(axis=(1, 3))
    return shares


def loss_of(logits: Tensor, target: Tensor) -> Tensor:
    """Cross entropy and soft IoU loss of a map (h, w)."""
    saliency = logits.sigmoid()
    overlap = (torch.minimum(saliency, target).sum() + 1) / (torch.maximum(saliency, target).sum() + 1)
    return functional.binary_cross_entropy_with_logits(logits, target) + MASK_LOSS * (1 - overlap)


def train(samples: Sequence[Sample], epochs: int, seed: int = 0) -> SaliencyHead:
    """Train a head; photos are mirrored at random, and channels of the embedding dropped."""
    torch.manual_seed(seed)
    head = SaliencyHead(samples[0].features.shape[0])
    optimizer = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=DECAY)
    steps = epochs * math.ceil(len(samples) / BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / WARMUP) * (1 + math.cos(math.pi * step / steps)) / 2
    )
    for _ in tqdm(range(epochs), desc="epochs", disable=None):
        for batch in torch.randperm(len(samples)).split(BATCH):
            optimizer.zero_grad()
            for n in batch.tolist():
                features, target = samples[n]
                if torch.rand(()) < 0.5:
                    features, target = features.flip(2), target.flip(1)
                logits = head(functional.dropout2d(features[None], DROPOUT))[0]
                (loss_of(logits, target) / len(batch)).backward()
            optimizer.step()
            schedule.step()
    return head.eval()


def main() -> None:
    """Collect the samples, train the head, and write it in half precision."""
    from safetensors.torch import save_file

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--photos", type=int, default=60, help="of each set")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--model", default="lite")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    samples = collect(
        options.data, options.out / "samples", photos=options.photos, model=options.model, device=options.device
    )
    head = train(samples, options.epochs)
    save_file({name: values.half() for name, values in head.state_dict().items()}, options.out / "saliency.safetensors")


if __name__ == "__main__":
    main()
