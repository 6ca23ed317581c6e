"""Digests of prompts, by which a run tells whether an image is done."""

from __future__ import annotations

import numpy as np

from hqsam_cli.batch.fingerprint import prompts_digest
from hqsam_cli.records import ImagePrompts, RawPrompt


def test_digests_of_prompts_stay_equal_across_versions() -> None:
    both = RawPrompt(
        annotation_id=3, category_id=2, box=(1.0, 2.0, 30.5, 40.0), points=np.array([[5, 6, 1]], np.float32), score=0.5
    )
    other = RawPrompt(annotation_id=4, xyxyn=(0.1, 0.2, 0.3, 0.4), mask=[[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    prompts = ImagePrompts("a.jpg", 7, (64, 48), [both, other])
    assert prompts_digest(prompts) == "b24a162236fbafb2"  # of version 0.1.0: another one would repeat every run
    assert prompts_digest(ImagePrompts("a.jpg", 7, (64, 48), [both])) != prompts_digest(prompts)
