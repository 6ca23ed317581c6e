"""The text of an answer of a vision-language model, a file per image."""

from __future__ import annotations

from ...formats.values import text_of
from ..prompt_file import PromptFile
from .answers import FENCE, read_answer
from .mapped import FLORENCE_2, GEMINI, GROUNDING_DINO, MOONDREAM, PALIGEMMA, PIPELINE
from .qwen import QWEN

SUFFIXES = (".txt", ".md")


def read_text(content: bytes, file: PromptFile) -> bool:
    """Read JSON in a text, or the location tokens of PaliGemma; a fence with an empty list means no objects."""
    text = text_of(content).strip()
    if not text.startswith((FENCE, "<loc")) and not file.label.endswith(SUFFIXES):
        return False
    found = read_answer(text)
    if found == [[]] and text.startswith(FENCE):
        file.add_label_image()
        return True
    return any(read(found, file) for read in (PALIGEMMA, GEMINI, QWEN, MOONDREAM, GROUNDING_DINO, PIPELINE, FLORENCE_2))
