"""Whether `SamHQModel.from_pretrained` of a folder made by `hqsam weights convert` has the authors' logits.

    python tests/bench/transformers_folder.py

Random weights of `vit_b`, one random image, one box, through the whole model. Needs `pip install transformers==4.53.3`
beside the test extra, in a place of its own, as it wants another `huggingface_hub`; later ones differ, see
`transformers_gap.py`.
"""

from __future__ import annotations

import subprocess
import tempfile
import warnings
from pathlib import Path

import torch


def main() -> None:
    """Print the difference."""
    warnings.filterwarnings("ignore")
    import transformers
    from segment_anything_hq import sam_model_registry
    from transformers import SamHQModel

    torch.manual_seed(0)
    authors = sam_model_registry["vit_b"](checkpoint=None).eval()
    with tempfile.TemporaryDirectory() as name:
        official, folder = Path(name, "official.pth"), Path(name, "folder")
        torch.save(authors.state_dict(), official)
        subprocess.run(["hqsam", "weights", "convert", official, folder], check=True)
        theirs = SamHQModel.from_pretrained(folder).eval()
    image, box = torch.randn(1, 3, 1024, 1024), torch.tensor([[200.0, 150.0, 800.0, 700.0]])
    with torch.no_grad():
        embedding, early = authors.image_encoder(image)
        sparse, dense = authors.prompt_encoder(None, box, None)
        positions = authors.prompt_encoder.get_dense_pe()
        expected, _ = authors.mask_decoder(embedding, positions, sparse, dense, False, True, early)
        found = theirs(pixel_values=image, input_boxes=box[None], multimask_output=False, hq_token_only=True)
    difference = float((found.pred_masks.view_as(expected) - expected).abs().max())
    extent = float(expected.max() - expected.min())
    print(f"transformers {transformers.__version__}: HQ logits differ by {difference:.1e} on a range of {extent:.2f}")


if __name__ == "__main__":
    main()
