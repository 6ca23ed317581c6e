"""Masks over an image."""

from __future__ import annotations

import cv2
import numpy as np

from hqsam_cli.formats.overlay import overlay, titled


def test_masks_are_painted_where_they_are_and_nowhere_else() -> None:
    image = np.full((200, 300, 3), 100, np.uint8)
    mask = np.zeros((200, 300), bool)
    mask[20:60, 30:90] = True
    painted = overlay(image, [mask])
    changed = (painted != image).any(axis=2)
    assert changed[mask].all()
    assert not changed[100:, 150:].any()


def test_boxes_and_labels_are_seen_on_light_and_dark() -> None:
    mask = np.zeros((200, 300), bool)
    mask[80:120, 100:200] = True
    for shade in (0, 255):
        image = np.full((200, 300, 3), shade, np.uint8)
        plain = overlay(image, [mask])
        boxed = overlay(image, [mask], boxes=[[90, 70, 120, 60]])
        assert (boxed[70, 95:200] != plain[70, 95:200]).any(axis=1).all()
        labeled = overlay(image, [mask], ["Löwe 0.93"])
        plate = labeled[60:80, 98:170].astype(int)
        assert plate.max() - plate.min() > 200
    assert (overlay(image, [mask], [""], [None]).shape) == image.shape


def test_an_empty_mask_draws_nothing() -> None:
    image = np.full((20, 30, 3), 100, np.uint8)
    assert np.array_equal(overlay(image, [np.zeros((20, 30), bool)], ["none"]), image)


def plates(shown: np.ndarray, plain: np.ndarray) -> int:
    """The number of connected changes."""
    changed = (shown != plain).any(axis=2).astype(np.uint8)
    return cv2.connectedComponents(cv2.morphologyEx(changed, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)))[0] - 1


def test_labels_do_not_cover_each_other() -> None:
    image = np.full((300, 400, 3), 100, np.uint8)
    nested = np.zeros((30, 300, 400), bool)
    for number, mask in enumerate(nested):
        mask[100 + number : 200 - number, 100 + number : 300 - number] = True
    plain = overlay(image, list(nested))
    labeled = overlay(image, list(nested), [f"thing 0.{n}" for n in range(30)])
    assert 3 <= plates(labeled, plain) <= 8
    apart = np.zeros((3, 300, 400), bool)
    for number, mask in enumerate(apart):
        mask[20 + 100 * number : 60 + 100 * number, 50:150] = True
    assert plates(overlay(image, list(apart), ["a 0.9", "b 0.8", "c 0.7"]), overlay(image, list(apart))) == 3


def test_a_long_title_of_a_narrow_image_fits() -> None:
    assert titled(np.zeros((200, 4, 3), np.uint8), "a title " * 20).shape[1] == 10
