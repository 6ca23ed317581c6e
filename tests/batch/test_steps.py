"""Steps from predicted masks to annotations."""

from __future__ import annotations

from typing import Any

import numpy as np

from hqsam_cli.batch.steps import Segment, WorkItem
from hqsam_cli.configs import CleanConfig, SegmentConfig
from hqsam_cli.formats.segmentation import decode_segmentation
from hqsam_cli.io.find import SourceImage
from hqsam_cli.io.output_folder import ImageFiles
from hqsam_cli.prompts.categories import DEFAULT_CATEGORY
from hqsam_cli.records import ImagePrompts, Instance, MaskCrop, Prompt
from tests.batch.boxes_as_masks import BoxPredictor


def test_masks_of_sam_are_cleaned_as_those_compared_with_them() -> None:
    bits = np.zeros((60, 80), bool)
    bits[5:45, 5:55] = bits[58, 78] = True
    mask = MaskCrop.whole(bits)
    instance = Instance(Prompt(), mask, 0.9, sam=Instance(Prompt(), mask, 0.8))
    item = WorkItem(SourceImage("a.jpg", "a.jpg"), ImagePrompts("a.jpg", 1), ImageFiles())

    def areas(**options: Any) -> list[int]:
        config = SegmentConfig(cleaning=CleanConfig(**options))
        _, (annotation,) = Segment(BoxPredictor(), [DEFAULT_CATEGORY], config).finish(item, [instance])
        both = annotation["segmentation"], annotation["sam"]["segmentation"]
        return [int(decode_segmentation(own, 80, 60).sum()) for own in both]

    assert areas() == [2000, 2000]
    assert areas(raw=True) == [2001, 2001]
