"""What is plain about prompts before any model is loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hqsam_cli.configs import Exif, PromptConfig
from hqsam_cli.errors import HqsamError
from hqsam_cli.io.find import SourceImage, find_images
from hqsam_cli.prompts.fit import check_fits
from hqsam_cli.prompts.read import read_prompts
from hqsam_cli.prompts.table import PromptTable, Selection, bind_prompts

ORIENTATION = 0x0112


def table_of(folder: Path) -> tuple[PromptTable, list[SourceImage]]:
    """One photo that stands on its side, with a mask of its stored pixels."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    (folder / "imgs").mkdir()
    Image.new("RGB", (40, 30)).save(folder / "imgs/a.jpg", exif=exif)
    mask = np.zeros((30, 40), np.uint8)
    mask[5:20, 3:9] = 255
    (folder / "masks/a.jpg").mkdir(parents=True)
    Image.fromarray(mask).save(folder / "masks/a.jpg/1.png")
    images = find_images([str(folder / "imgs")]).images
    return bind_prompts(
        read_prompts(PromptConfig(coarse_masks=str(folder / "masks"))), images, Selection(None, None)
    ), images


@pytest.mark.parametrize("exif", ["apply", "ignore"])
def test_a_mask_that_turns_with_its_photo_fits(tmp_path: Path, exif: Exif) -> None:
    check_fits(*table_of(tmp_path), exif, None)


def test_a_mask_of_another_size_does_not(tmp_path: Path) -> None:
    table, images = table_of(tmp_path)
    Image.new("L", (20, 30), 255).save(tmp_path / "masks/a.jpg/1.png")
    with pytest.raises(HqsamError, match="no prompt lies inside its image"):
        check_fits(table, images, "apply", None)
