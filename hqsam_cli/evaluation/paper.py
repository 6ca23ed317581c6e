"""Results reported in the paper (HQ-SAM, NeurIPS 2023, main paper and supplement), in percent.

Keyed by dataset, architecture and prompt label; values are the metrics of SAM and of HQ-SAM.
"""

from __future__ import annotations

from .refine import REFINED

Figures = dict[str, float]

_FOUR = ("dis", "coift", "hrsod", "thinobject", "hq4")


def _region(sam: tuple[float, float], hq: tuple[float, float]) -> tuple[Figures, Figures]:
    return dict(zip(("mIoU", "mBIoU"), sam, strict=True)), dict(zip(("mIoU", "mBIoU"), hq, strict=True))


def _precision(sam: str, hq: str) -> tuple[Figures, Figures]:
    """Parse strings such as `AP 44.4, AP_B 28.2`."""
    pairs = ([part.rsplit(maxsplit=1) for part in text.split(", ")] for text in (sam, hq))
    sam_figures, hq_figures = ({metric: float(value) for metric, value in own} for own in pairs)
    return sam_figures, hq_figures


def _points(dataset: str, sam: str, hq: str) -> dict[tuple[str, str, str], tuple[Figures, Figures]]:
    labels = ("1 point", "3 points", "5 points", "5+5 points", "10 points", "10+5 points")
    rows = zip(labels, sam.split(), hq.split(), strict=True)
    return {(dataset, "vit_l", label): ({"mBIoU": float(a)}, {"mBIoU": float(b)}) for label, a, b in rows}


PAPER: dict[tuple[str, str, str], tuple[Figures, Figures]] = {
    ("dis", "vit_l", "box"): _region((62.0, 52.8), (78.6, 70.4)),
    ("coift", "vit_l", "box"): _region((92.1, 86.5), (94.8, 90.1)),
    ("hrsod", "vit_l", "box"): _region((90.2, 83.1), (93.6, 86.9)),
    ("thinobject", "vit_l", "box"): _region((73.6, 61.8), (89.5, 79.9)),
    ("hq4", "vit_l", "box"): _region((79.5, 71.1), (89.1, 81.8)),
    ("hq4", "vit_b", "box"): _region((70.6, 62.3), (86.3, 78.1)),
    ("hq4", "vit_h", "box"): _region((75.6, 68.3), (89.3, 81.5)),
    ("hq4", "vit_tiny", "box"): _region((69.0, 58.8), (81.4, 71.6)),
    ("hq4", "vit_l", "box, noise 0.2"): _region((65.7, 57.1), (82.8, 73.4)),
    ("hq4", "vit_l", "box, noise 0.4"): _region((46.4, 39.8), (69.9, 60.3)),
    ("big", "vit_l", "box"): _region((81.1, 70.4), (86.0, 75.3)),
    ("big", "vit_l", "mask"): _region((66.6, 41.8), (86.9, 75.1)),
    **_points("coift", "61.8 81.3 83.9 83.6 86.3 86.4", "62.8 83.5 86.5 86.7 88.6 88.4"),
    **_points("dis", "17.9 50.4 55.3 55.1 56.8 59.6", "18.1 58.3 66.0 66.2 69.3 70.0"),
    ("coco", "vit_b", "detections"): _precision(
        "AP 44.4, AP_B 28.2", "AP 46.7, AP_B 31.3, AP_L 62.9, AP_M 50.5, AP_S 32.0"
    ),
    ("coco", "vit_l", "detections"): _precision(
        "AP 48.5, AP_B 33.3", "AP 49.5, AP_B 34.4, AP_L 66.2, AP_M 53.8, AP_S 33.9"
    ),
    ("coco", "vit_h", "detections"): _precision(
        "AP 48.9, AP_B 34.0", "AP 49.9, AP_B 34.9, AP_L 66.5, AP_M 54.0, AP_S 34.2"
    ),
    ("coco", "vit_tiny", "detections"): _precision("AP 44.3, AP_B 28.6", "AP 45.0, AP_B 29.6"),
    ("uvo", "vit_l", "detections"): _precision(
        "AP 29.7, AP_B 17.3, AP_B strict 8.6", "AP 30.1, AP_B 18.5, AP_B strict 9.9"
    ),
    ("lvis", "vit_l", "detections"): _precision(
        "AP 43.6, AP_B 38.5, AP_B strict 32.1", "AP 43.9, AP_B 38.8, AP_B strict 32.5"
    ),
    ("davis", "vit_l", "boxes of a file"): _precision("J&F 82.0, J 79.0, F 84.9", "J&F 83.2, J 80.3, F 86.1"),
}


CASCADEPSP = {"mIoU": 80.9, "mBIoU": 74.6}  # refined SAM masks: hq4 with vit_l and boxes


def paper_figures(dataset: str, architecture: str, prompt: str, output: str) -> Figures:
    """Return the paper's metrics for a row, or an empty dict.

    The paper's HQ-SAM uses the HQ token alone on datasets with one object per image, and the sum of logits elsewhere.
    """
    found = PAPER.get((dataset, architecture, prompt))
    if found is None:
        return {}
    sam, hq = found
    if output == REFINED:
        return CASCADEPSP if (dataset, architecture, prompt) == ("hq4", "vit_l", "box") else {}
    hq_output = "hq" if dataset in (*_FOUR, "big") else "sum"
    return {"sam": sam, hq_output: hq}.get(output, {})
