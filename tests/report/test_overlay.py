"""Masks over an image."""

from __future__ import annotations

import numpy as np

from hqsam_cli.report.overlay import overlay


def test_masks_are_painted_where_they_are_and_nowhere_else() -> None:
    image = np.full((200, 300, 3), 100, np.uint8)
    mask = np.zeros((200, 300), bool)
    mask[20:60, 30:90] = True
    painted = overlay(image, [mask])
    changed = (painted != image).any(axis=2)
    assert changed[mask].all()
    assert not changed[100:, 150:].any()
