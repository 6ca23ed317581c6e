"""How good a mask is, judged without ground truth: stability score, and predicted IoU."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .layers import MLP
from .overlap import mask_iou

STABILITY_OFFSET = 1.0  # logits above and below the mask threshold, as in SAM's automatic mask generator
HIDDEN = 8


def stability_score(logits: Tensor, offset: float = STABILITY_OFFSET) -> Tensor:
    """IoU of the masks of logits (..., h, w) thresholded at plus and minus `offset`: (...)."""
    union = (logits > -offset).sum(dim=(-2, -1)).clamp(min=1)
    return (logits > offset).sum(dim=(-2, -1)) / union


class IoUHead(nn.Module):
    """Predicts the IoU of a mask made from the logits of SAM and of the HQ token.

    SAM's prediction, which does not know the HQ token's logits, is corrected by an MLP of seven measures: SAM's
    prediction for the mask and its best for the others, the stability scores of SAM's mask, of the HQ token's and of
    their combination, the IoU of the latter with SAM's, and its area. The last layer is zero at first: untrained, the
    head predicts what SAM does.
    """

    MEASURES = 7

    def __init__(self) -> None:
        super().__init__()
        self.mlp = MLP(self.MEASURES, HIDDEN, 1, 2)
        for parameter in self.mlp.layers[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, iou: Tensor, sam: Tensor, hq: Tensor, logits: Tensor) -> Tensor:
        """Predict the IoU of one mask per prompt.

        Args:
            iou: (P, 4) predicted IoUs of `sam` and of SAM's mask tokens 1 to 3.
            sam: (P, 1, h, w) logits of SAM's mask.
            hq: (P, 1, h, w) logits of the HQ token.
            logits: (P, 1, h, w) logits of the mask.

        Returns:
            (P, 1), float32, not clamped.
        """
        mask, sam_mask = logits > 0, sam > 0
        area = mask.float().mean(dim=(-2, -1))
        best = iou[:, 1:].amax(dim=1, keepdim=True)
        shares = torch.stack(
            [
                iou[:, :1],
                best,
                stability_score(sam),
                stability_score(hq),
                stability_score(logits),
                mask_iou(mask, sam_mask),
            ],
            dim=-1,
        )
        # Shares are mostly over a half, and areas of all magnitudes: both are scaled to about -1 to 1.
        measures = torch.cat([4 * shares.float() - 3, ((area + 1e-3).log() / 2 + 1.5)[..., None]], dim=-1)
        correction: Tensor = self.mlp(measures)[..., 0]
        return iou[:, :1].float() + correction.float()
