"""Registry of architectures and official weights files; torch is imported when a model is built.

To add an encoder, implement it in `modeling` and add it to `ARCHITECTURES`; add its weights files to `WEIGHTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..modeling.sam import HQSam


class ViTConfig(NamedTuple):
    """Arguments of `ViTImageEncoder`."""

    dim: int
    depth: int
    heads: int
    global_blocks: tuple[int, ...]


def _hq_sam(encoder: nn.Module, interm_dim: int, **options: Any) -> HQSam:
    from ..modeling.sam import HQSam

    return HQSam(encoder, interm_dim, **options)


def _hq_sam2(encoder: nn.Module, interm_dim: int, **options: Any) -> HQSam:
    from ..modeling.sam2.model import HQSam2

    return HQSam2(encoder, interm_dim, **options)


@dataclass(frozen=True, slots=True)
class Architecture:
    """An image encoder, used with the prompt encoder and mask decoder of SAM or SAM 2.

    Attributes:
        build: builds the encoder for an input size in pixels.
        interm_dim: channels of the early features that HQ-SAM fuses, at stride 16; 0 for HQ-SAM 2, which fuses none.
        marker: state key that identifies the architecture, together with `width` unless that is None.
        width: last dimension of the marker's tensor.
        vit: arguments of the encoder if it is a ViT, else None.
        model: builds the model around the encoder; arguments as in `HQSam`.
    """

    build: Callable[[int], nn.Module]
    interm_dim: int
    marker: str
    width: int | None = None
    vit: ViTConfig | None = None
    model: Callable[..., HQSam] = _hq_sam

    @property
    def fixed_size(self) -> bool:
        """Whether the positional embeddings fit a single input size."""
        return self.vit is not None

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether the state of a full model, with official keys, has this architecture."""
        tensor = state.get(self.marker)
        return tensor is not None and (self.width is None or tensor.shape[-1:] == (self.width,))


def vit_architecture(dim: int, depth: int, heads: int, global_blocks: tuple[int, ...]) -> Architecture:
    """Create a ViT; arguments as in `ViTImageEncoder`."""
    config = ViTConfig(dim, depth, heads, global_blocks)

    def build(image_size: int) -> nn.Module:
        from ..modeling.vit import ViTImageEncoder

        return ViTImageEncoder(*config, image_size)

    return Architecture(build, dim, "image_encoder.pos_embed", dim, vit=config)


def _tiny_vit(_image_size: int) -> nn.Module:
    from ..modeling.tiny_vit import TinyViTImageEncoder

    return TinyViTImageEncoder()


def hiera_architecture(
    dim: int, heads: int, stages: tuple[int, ...], global_blocks: tuple[int, ...], **options: Any
) -> Architecture:
    """Create a Hiera of SAM 2; arguments as in `HieraConfig`. The last block tells the depth and the width."""

    def build(_image_size: int) -> nn.Module:
        from ..modeling.sam2.hiera import HieraConfig, HieraImageEncoder

        return HieraImageEncoder(HieraConfig(dim, heads, stages, global_blocks, **options))

    marker = f"image_encoder.trunk.blocks.{sum(stages) - 1}.norm2.weight"
    return Architecture(build, 0, marker, 8 * dim, model=_hq_sam2)


ARCHITECTURES = {
    "vit_tiny": Architecture(_tiny_vit, 160, "image_encoder.patch_embed.seq.0.c.weight"),
    "vit_b": vit_architecture(768, 12, 12, (2, 5, 8, 11)),
    "vit_l": vit_architecture(1024, 24, 16, (5, 11, 17, 23)),
    "vit_h": vit_architecture(1280, 32, 16, (7, 15, 23, 31)),
    "hiera_t": hiera_architecture(96, 1, (1, 2, 7, 2), (5, 7, 9)),
    "hiera_s": hiera_architecture(96, 1, (1, 2, 11, 2), (7, 10, 13)),
    "hiera_b+": hiera_architecture(112, 2, (2, 3, 16, 3), (12, 16, 20), pos_side=14),
    "hiera_l": hiera_architecture(144, 2, (2, 6, 36, 4), (23, 33, 43), windows=(8, 4, 16, 8)),
}


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """An official file on the hub.

    Attributes:
        repository: owner and name on the hub.
        path: path in the repository.
        size: in bytes.
        sha256: identifies the official file, whatever its source.
        has_hq: False for a plain SAM.
    """

    repository: str
    path: str
    size: int
    sha256: str
    has_hq: bool = True

    @property
    def file(self) -> str:
        """File name."""
        return self.path.rpartition("/")[2]


PACKAGED = {"lite": Path(__file__).parent / "lite.safetensors"}
OBJECTNESS, SALIENCY = (PACKAGED["lite"].with_name(f"{name}.safetensors") for name in ("objectness", "saliency"))
_HQ_SAM, _SAM, _MOBILE_SAM = "lkeab/hq-sam", "ybelkada/segment-anything", "dhkim2810/MobileSAM"
WEIGHTS = {
    "vit_tiny": WeightsFile(
        _HQ_SAM, "sam_hq_vit_tiny.pth", 42_526_881, "0f32c075ccdd870ae54db2f7630e7a0878ede5a2b06d05d6fe02c65a82fb7196"
    ),
    "vit_b": WeightsFile(
        _HQ_SAM, "sam_hq_vit_b.pth", 379_335_069, "14a9d662cd6f5a9c2dba6d40ab0058d88d287e4a18fd6fdc6ad5fb1a3fdeaa57"
    ),
    "vit_l": WeightsFile(
        _HQ_SAM, "sam_hq_vit_l.pth", 1_254_865_805, "e1a6c385d62bf005ded91a54d5ec55c985cfc4103ef89c08d90f39f04934c343"
    ),
    "vit_h": WeightsFile(
        _HQ_SAM, "sam_hq_vit_h.pth", 2_570_940_653, "a7ac14a085326d9fa6199c8c698c4f0e7280afdbb974d2c4660ec60877b45e35"
    ),
    "sam_vit_b": WeightsFile(
        _SAM,
        "checkpoints/sam_vit_b_01ec64.pth",
        375_042_383,
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
        has_hq=False,
    ),
    "sam_vit_l": WeightsFile(
        _SAM,
        "checkpoints/sam_vit_l_0b3195.pth",
        1_249_524_607,
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
        has_hq=False,
    ),
    "sam_vit_h": WeightsFile(
        _SAM,
        "checkpoints/sam_vit_h_4b8939.pth",
        2_564_550_879,
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
        has_hq=False,
    ),
    "mobile_sam": WeightsFile(
        _MOBILE_SAM,
        "mobile_sam.pt",
        40_728_226,
        "6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
        has_hq=False,
    ),
    "hq2_l": WeightsFile(
        _HQ_SAM,
        "sam2.1_hq_hiera_large.pt",
        898_844_313,
        "03b8be4b4f282c3d7365715a033918d9ac67cbc597660ccc274448aa1c8cdb05",
    ),
    "sam2_t": WeightsFile(
        "facebook/sam2.1-hiera-tiny",
        "sam2.1_hiera_tiny.pt",
        156_008_466,
        "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69",
        has_hq=False,
    ),
    "sam2_s": WeightsFile(
        "facebook/sam2.1-hiera-small",
        "sam2.1_hiera_small.pt",
        184_416_285,
        "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38",
        has_hq=False,
    ),
    "sam2_b+": WeightsFile(
        "facebook/sam2.1-hiera-base-plus",
        "sam2.1_hiera_base_plus.pt",
        323_606_802,
        "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5",
        has_hq=False,
    ),
    "sam2_l": WeightsFile(
        "facebook/sam2.1-hiera-large",
        "sam2.1_hiera_large.pt",
        898_083_611,
        "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318",
        has_hq=False,
    ),
}


def build_model(
    architecture: str,
    *,
    has_hq: bool = True,
    has_iou_head: bool = False,
    image_size: int = 1024,
    device: str = "meta",
) -> HQSam:
    """Build a model without trained weights.

    Args:
        device: `meta` for weights that are loaded afterwards, since initializing up to 637 million takes longer than
            loading them; on other devices the weights are random.

    Raises:
        ValueError: unknown architecture.
    """
    import torch

    from ..modeling.uninitialized import Uninitialized

    if architecture not in ARCHITECTURES:
        raise ValueError(f"no architecture {architecture!r}, only {', '.join(ARCHITECTURES)}")
    entry = ARCHITECTURES[architecture]
    with torch.device(device), Uninitialized() if device == "meta" else nullcontext():
        encoder, dim = entry.build(image_size), entry.interm_dim
        return entry.model(encoder, dim, image_size=image_size, has_hq=has_hq, has_iou_head=has_iou_head)


def infer_architecture(state: Mapping[str, Tensor]) -> str | None:
    """Infer the architecture from the state of a full model, with official keys, or None."""
    return next((name for name, entry in ARCHITECTURES.items() if entry.matches(state)), None)


def architecture_of_hq(interm_dim: int) -> str | None:
    """Architecture of HQ modules that fuse early features of `interm_dim` channels, or None."""
    return next((name for name, entry in ARCHITECTURES.items() if entry.interm_dim == interm_dim), None)


def has_tiny_encoder(model: HQSam) -> bool:
    """Whether a model has the image encoder of MobileSAM, to whose embedding the embedded heads were fitted."""
    return model.interm_dim == ARCHITECTURES["vit_tiny"].interm_dim


def check_hq(model: str, output: str) -> None:
    """Raise a UsageError, before any download, if a named model is a plain SAM without such masks."""
    if output != "sam" and model in WEIGHTS and not WEIGHTS[model].has_hq:
        raise UsageError(no_hq_message(model, output))


def no_hq_message(checkpoint: Path | str, output: str) -> str:
    """Error message for a mask output that a plain SAM does not have."""
    return (
        f"{checkpoint} is a plain SAM without the HQ token, so it has no {output} masks: "
        "pass `mask_output` sam, or an HQ-SAM checkpoint"
    )
