"""How far the mask decoder of `transformers`' `sam_hq` is from the authors': `python tests/bench/transformers_gap.py`.

Both get the same random weights, the same embeddings and the same box; needs `pip install transformers` beside the
test extra. `hqsam_cli`'s decoder is a third row, so that the comparison is seen to be able to come out equal.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from hqsam_cli.weights.conversion import transformers_key


def renamed(key: str) -> str:
    """The name `transformers` gives a tensor of the authors' decoder."""
    return transformers_key(f"mask_decoder.{key}").removeprefix("mask_decoder.")


def main() -> None:
    """Print the differences."""
    warnings.filterwarnings("ignore")
    import transformers
    from segment_anything_hq import sam_model_registry
    from transformers.models.sam_hq.configuration_sam_hq import SamHQMaskDecoderConfig
    from transformers.models.sam_hq.modeling_sam_hq import SamHQMaskDecoder

    from hqsam_cli.modeling.mask_decoder import MaskDecoder

    torch.manual_seed(0)
    authors = sam_model_registry["vit_b"](checkpoint=None).eval()
    state = authors.mask_decoder.state_dict()
    theirs = SamHQMaskDecoder(SamHQMaskDecoderConfig(vit_dim=768)).eval()
    theirs.load_state_dict({renamed(key): value for key, value in state.items()})
    ours = MaskDecoder(256, 768).eval()
    ours.load_state_dict(state)

    embedding, early = torch.randn(1, 256, 64, 64), torch.randn(1, 64, 64, 768)
    sparse, dense = authors.prompt_encoder(None, torch.tensor([[200.0, 150.0, 800.0, 700.0]]), None)
    positions = authors.prompt_encoder.get_dense_pe()
    with torch.no_grad():
        expected, iou = authors.mask_decoder(embedding, positions, sparse, dense, False, True, [early])
        masks, scores = theirs(embedding, positions, sparse[:, None], dense, False, True, [early])[:2]
        features = ours.hq_features(embedding, early.permute(0, 3, 1, 2))
        own = ours(
            embedding + dense,
            positions,
            features,
            torch.zeros(1, dtype=torch.long),
            sparse,
            None,
            pixels_per_image=False,
            mask_tokens=(0,),
        )

    def row(name: str, logits: Tensor, estimate: Tensor) -> None:
        print(
            f"{name:22} HQ logits differ by up to {float((logits - expected).abs().max()):.1e} "
            f"on a range of {float(expected.max() - expected.min()):.2f}; "
            f"IoU estimates by {float((estimate - iou).abs().max()):.1e}"
        )

    row(f"transformers {transformers.__version__}", masks.view_as(expected), scores.view_as(iou))
    row("hqsam", own.hq, own.iou[:, :1])


if __name__ == "__main__":
    main()
