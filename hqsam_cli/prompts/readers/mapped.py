"""Formats that differ only in the keys of objects, with their box, class and score, in the record of an image."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from ...configs import BoxFormat
from ...formats.values import Identifier, JsonObject, first_of, numbers_of, read_numbers
from ..boxes import Size, divided
from ..prompt_file import PromptFile
from .answers import CUT, TOKENS, read_answer
from .records import add_record_image, records

LABELS = (
    *("label", "text_labels", "labels", "bboxes_labels", "displayName", "class_name", "class", "category"),
    *("categories", "name", "description", "tagName", "object", "bbox_label"),
)
SCORES = ("score", "scores", "confidence", "conf", "probability")
ASKED = ("object", "label", "class_name", "class")  # keys of the class of all objects of a record
# Keys of a box that is an object: corners; a corner and sizes; the center and sizes.
CORNERS = (("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"))
SIZES = (("x", "y", "w", "h"), ("left", "top", "width", "height"))
CENTERED = ("center_x", "center_y", "width", "height")
# Texts that a model wrote; others, such as a prompt with an example, are not searched.
ANSWER = re.compile(
    r"(?!.*(prompt|input|query|question|instruct|context))"
    r".*(response|answer|output|text|content|result|predict|complet|generat|repl|detect|object|box)",
    re.IGNORECASE,
)
ASKING = ("user", "system", "human")  # roles in a conversation
DEEPEST = 16  # levels of a record that are searched
RECOGNIZED = 1000  # records in which an object is sought to recognize a format
Place: TypeAlias = tuple[str, ...]  # the keys that lead to a value in a record


class Mapped(NamedTuple):
    """A format by its keys; called, it is its reader.

    Attributes:
        box: key of four numbers, or the key of each number.
        box_format: order and unit of the numbers.
        is_open: whether these are a default, which `--box-format` replaces.
        under: keys of the objects; if empty, they are wherever `box` and `beside` are.
        beside: keys required beside `box`.
        absent: value of a missing key of `box`.
        classed: whether it is recognized only if objects have a class, since its keys are common ones.
    """

    box: tuple[str, ...]
    box_format: BoxFormat
    is_open: bool = False
    under: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    absent: float | None = None
    classed: bool = False

    def __call__(self, document: Any, file: PromptFile) -> bool:
        """Read the objects of each record; an image may have several records."""
        entries = list(records(document))
        first = (found for _, record in entries[:RECOGNIZED] for found in self._find(record))
        if not any(map(self._is_own, first)):
            return False
        found = [(where, record, list(self._find(record))) for where, record in entries]
        places = {own[0] for _, _, objects in found for own in objects if self._is_own(own)}
        file.box_format = self.box_format
        for where, record, objects in found:
            key = add_record_image(file, record, where)
            if key is None:
                file.skip("records that name no image, skipped", where)
                continue
            # An empty list where other records have their objects states that the image has none.
            if not any(place in places for place, _ in objects):
                file.skip("records without boxes or an empty list of them, skipped", where or str(key), key)
            box_format = self.format_of(record, file)
            asked = first_of(record, ASKED)
            for item in (item for _, item in objects if item is not None):
                self._add(file, key, item, box_format, asked)
        return True

    def _is_own(self, found: tuple[Place, JsonObject | None]) -> bool:
        """Whether an object has the keys of the format."""
        keys = (found[1] or {}).keys()
        return not keys.isdisjoint(self.box) and not (self.classed and keys.isdisjoint(LABELS))

    def format_of(self, record: Any, file: PromptFile) -> BoxFormat | Size | None:
        """The format of the boxes of a record, or the width and height that its corners are for; None if it is open."""
        return None if self.is_open else self.box_format

    def _find(self, value: Any, place: Place = (), depth: int = 0) -> Iterator[tuple[Place, JsonObject | None]]:
        """Yield each object in a value with its place, and None for an empty list."""
        depth += 1
        if depth > DEEPEST:
            return
        if value is CUT:
            yield place, {}
        elif isinstance(value, str) and place and ANSWER.match(place[-1]):
            for part in read_answer(value):
                yield from self._find(part, place, depth)
        elif isinstance(value, list):
            for item in value:
                yield from self._find(item, place, depth)
            if not value:
                yield place, None
        elif isinstance(value, dict) and value.get("role", value.get("from")) not in ASKING:
            if self._is_object(value, place):
                items: list[JsonObject | None] = [*_split(value, self.box[0])]
                yield from ((place, item) for item in items or [None])
            else:
                for key, item in value.items():
                    yield from self._find(item, (*place, key), depth)

    def _is_object(self, value: JsonObject, place: Place) -> bool:
        return bool(place) and place[-1] in self.under if self.under else {*self.box, *self.beside} <= value.keys()

    def _add(
        self, file: PromptFile, key: Identifier, item: JsonObject, box_format: BoxFormat | Size | None, asked: object
    ) -> None:
        box = item.get(self.box[0]) if len(self.box) == 1 else [item.get(name, self.absent) for name in self.box]
        if isinstance(box, dict):
            box = _corners_of(box)
        if isinstance(box_format, tuple):
            x0, y0, x1, y1 = read_numbers(box, 4) or [0] * 4
            box, box_format = divided((x0, y0, x1, y1), box_format), "xyxyn"
        label = first_of({**item, "": asked}, (*LABELS, ""))
        if isinstance(label, int):  # beside its name
            label = next((item[key] for key in LABELS if isinstance(item.get(key), str)), label)
        name = label.strip() if isinstance(label, str) else None
        file.add(
            key,
            category_name=name,
            category=None if name else label,
            box=box,
            box_format=box_format,
            score=first_of(item, SCORES),
        )


def _corners_of(box: JsonObject) -> list[float] | None:
    """x0, y0, x1, y1 of a box that is an object."""
    if corners := next(filter(None, (numbers_of(box, names) for names in CORNERS)), None):
        return corners
    if centered := numbers_of(box, CENTERED):
        x, y, w, h = centered
        return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
    x, y, w, h = next(filter(None, (numbers_of(box, names) for names in SIZES)), [0.0] * 4)
    return [x, y, x + w, y + h]


def _split(item: JsonObject, key: str) -> list[JsonObject]:
    """The objects of a list per field, if the value of a key is a list of lists; else the object itself."""
    column = item.get(key)
    if not isinstance(column, list) or not all(isinstance(value, list) for value in column):
        return [item]
    columns = {name: own for name, own in item.items() if isinstance(own, list) and len(own) == len(column)}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


GEMINI = Mapped(("box_2d",), "yxyx1000")
PALIGEMMA = Mapped((TOKENS,), "xyxyn")
MOONDREAM = Mapped(("x_min", "y_min", "x_max", "y_max"), "xyxyn", under=("objects",))
GROUNDING_DINO = Mapped(("boxes",), "xyxy", is_open=True, beside=("scores",))
PIPELINE = Mapped(("box",), "xyxy", beside=("score", "label"))
FLORENCE_2 = Mapped(
    ("bboxes",),
    "xyxy",
    under=(
        "<OD>",
        "<DENSE_REGION_CAPTION>",
        "<REGION_PROPOSAL>",
        "<CAPTION_TO_PHRASE_GROUNDING>",
        "<OPEN_VOCABULARY_DETECTION>",
    ),
)
HUGGING_FACE = Mapped(("bbox",), "xywh", is_open=True, under=("objects",), classed=True)
VERTEX_AI = Mapped(("xMin", "yMin", "xMax", "yMax"), "xyxyn", under=("boundingBoxAnnotations",), absent=0)
MMDETECTION = Mapped(("bboxes",), "xyxy", beside=("scores", "labels"))
ULTRALYTICS = Mapped(("box",), "xyxy", beside=("confidence", "class", "name"))
DARKNET = Mapped(("relative_coordinates",), "xyxyn")
SUPERVISION = Mapped(("x_min", "y_min", "x_max", "y_max"), "xyxy", beside=("class_id", "confidence"))
AZURE_VISION = Mapped(("rectangle",), "xyxy", beside=("object",))
CUSTOM_VISION = Mapped(("boundingBox",), "xyxyn", beside=("probability", "tagName"))
BDD100K = Mapped(("box2d",), "xyxy", beside=("category",))
ODVG = Mapped(("bbox",), "xyxy", is_open=True, under=("instances",))
