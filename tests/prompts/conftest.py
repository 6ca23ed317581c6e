"""Prompts in files, matched to images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hqsam_cli.configs import PromptConfig
from hqsam_cli.io.find import SourceImage
from hqsam_cli.prompts.read import read_prompts
from hqsam_cli.prompts.table import PromptTable, Selection, bind_prompts


@pytest.fixture
def bound(tmp_path: Path) -> Any:
    def table_of(file_names: list[str], **options: Any) -> PromptTable:
        for option in ("boxes", "points", "coarse_masks", "images_json"):
            if isinstance(options.get(option), dict | list):
                path = tmp_path / f"{option}.json"
                path.write_text(json.dumps(options[option]))
                options[option] = str(path)
        selection = Selection(options.pop("score_threshold", None), options.pop("max_det", None))
        images = [SourceImage(str(tmp_path / "photos" / name), name) for name in file_names]
        return bind_prompts(read_prompts(PromptConfig(**options)), images, selection)

    return table_of
