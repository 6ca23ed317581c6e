"""The text in which a vision-language model answers: JSON, often in a markdown fence, or location tokens."""

from __future__ import annotations

import re
from json import JSONDecodeError, JSONDecoder
from typing import Any, Final

FENCE = "```"
TOKENS = "<loc>"  # key of the box of an object that was written as location tokens
CUT: Final = object()  # stands for the objects after the end of an answer that was cut off
OPENING = re.compile(r"[\[{]")
# Top, left, bottom and right, in 1024 bins; tokens of a mask may follow, then the class.
DETECTED = re.compile(r"<loc(\d{4})><loc(\d{4})><loc(\d{4})><loc(\d{4})>\s*(?:<seg\d{3}>)*\s*([^;<]*)")
_decoder = JSONDecoder(parse_constant=lambda _name: None)


def read_answer(text: str) -> list[Any]:
    """The JSON values in a text, an object for each box in PaliGemma's tokens, and `CUT` if the text was cut off."""
    found: list[Any] = []
    for *numbers, label in DETECTED.findall(text):
        top, left, bottom, right = (int(n) / 1024 for n in numbers)
        found.append({TOKENS: [left, top, right, bottom], "label": label.strip() or None})
    end, is_cut = 0, False
    while opening := OPENING.search(text, end):
        try:
            value, end = _decoder.raw_decode(text, opening.start())
            found.append(value)
        except JSONDecodeError as error:
            end = opening.end()
            is_cut = is_cut or error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
        except RecursionError:
            break
    return [*found, CUT] if is_cut else found
