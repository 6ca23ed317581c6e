"""YOLO labels as prompts: one text file per image, one line per object, in normalized coordinates."""

from __future__ import annotations

from ...formats.segmentation import enclosing_box
from ...formats.values import read_numbers, text_of
from ...records import NormalizedPolygon
from ..boxes import TOLERANCE
from ..prompt_file import PromptFile

LARGEST = 2  # largest coordinate; some tools let objects leave the image
SUFFIX = ".txt"
POSE = 4 + 17 * 3  # numbers of a box and COCO key points


def read_yolo(content: bytes, file: PromptFile) -> bool:
    """Read labels of every kind that ultralytics reads or writes; an empty `.txt` means no objects.

    A line is the class; a box (center and size), an oriented box (four corners), a polygon, or a box with key points;
    and optionally a score and a track id. Category ids are class indices plus one.
    """
    lines = [(n, line.split()) for n, line in enumerate(text_of(content).splitlines(), 1) if line.strip()]
    if not lines and not file.label.endswith(SUFFIX):
        return False
    # Coordinates are at most 1, so a larger last number is a track id, in all lines.
    tracked = any(_is_id(fields[-1]) for _, fields in lines if len(fields) > 5)
    shape = file.classes.key_point_shape
    found = [(n, _read_line(fields, shape, tracked)) for n, fields in lines]
    if found and not any(label for _, label in found):
        return False
    file.numbered, file.box_format, file.categories = False, "cxcywhn", file.classes.categories
    key = file.add_label_image()
    for n, label in found:
        if label is None:
            file.skip("lines that are not labels, skipped", f"line {n}", key)
            continue
        number, box, polygon, score = label
        file.add(key, f"line {n}", category=number + 1, box=box, segmentation=polygon, score=score)
    return True


def _is_id(field: str) -> bool:
    return field.isdigit() and int(field) > 1


def _read_line(
    fields: list[str], key_point_shape: tuple[int, int] | None, tracked: bool
) -> tuple[int, list[float] | None, NormalizedPolygon | None, float | None] | None:
    """Class, box or polygon, and score; None if it is not a label."""
    values = read_numbers(fields, len(fields))
    if values is None or len(values) < 5 or values[0] < 0 or values[0] % 1:
        return None
    numbers, score = _split_score(values[1:], fields[-1], key_point_shape, tracked)
    if max(map(abs, numbers[:4])) > LARGEST:
        return None  # pixels, not normalized
    if len(numbers) == 4 or _is_pose(numbers, key_point_shape):
        return (int(values[0]), numbers[:4], None, score) if min(numbers[2:4]) > 0 else None
    x0, y0, x1, y1 = enclosing_box(numbers)
    return (int(values[0]), None, NormalizedPolygon(tuple(numbers)), score) if x0 < x1 and y0 < y1 else None


def _split_score(
    numbers: list[float], last: str, key_point_shape: tuple[int, int] | None, tracked: bool
) -> tuple[list[float], float | None]:
    """Split off an optional score from the coordinates, and remove a track id, an integer at the end."""

    def whole(count: int) -> bool:
        """Whether `count` numbers are an object without score or id."""
        points = count - 4
        if key_point_shape is not None and points > 0:
            return points == key_point_shape[0] * key_point_shape[1]
        return count == 4 or count == POSE or (count >= 6 and count % 2 == 0)

    if _is_pose(numbers, key_point_shape):
        return numbers, None
    if _is_pose(numbers[:-1], key_point_shape) and 0 <= numbers[-1] <= 1 and _has_points_inside(numbers[:-1]):
        return numbers[:-1], numbers[-1]
    is_id = last.isdigit() and (tracked or (len(numbers) == 6 and _is_within(numbers)))
    if len(numbers) > 4 and is_id:
        if whole(len(numbers) - 2) and 0 <= numbers[-2] <= 1:
            return numbers[:-2], numbers[-2]
        if whole(len(numbers) - 1):
            return numbers[:-1], None
    if len(numbers) > 4 and not whole(len(numbers)) and whole(len(numbers) - 1):
        return numbers[:-1], numbers[-1]
    return numbers, None


def _is_within(numbers: list[float]) -> bool:
    """Whether numbers begin with a box, center and size, within the image."""
    x, y, w, h = numbers[:4]
    return min(x - w / 2, y - h / 2) >= -TOLERANCE and max(x + w / 2, y + h / 2) <= 1 + TOLERANCE


def _is_pose(numbers: list[float], key_point_shape: tuple[int, int] | None) -> bool:
    """Whether numbers are a box and key points: of the dataset's shape, COCO's, or with a visibility of 0, 1 or 2."""
    points = len(numbers) - 4
    if key_point_shape is not None:
        return points == key_point_shape[0] * key_point_shape[1]
    visible = numbers[6::3]
    return len(numbers) == POSE or (points > 0 and points % 3 == 0 and all(n in (0, 1, 2) for n in visible))


def _has_points_inside(numbers: list[float]) -> bool:
    """Whether numbers are a box and several points x, y, visibility, whose visible ones are within it."""
    x, y, w, h = numbers[:4]
    points = [numbers[n : n + 3] for n in range(4, len(numbers), 3)]
    seen = [(px, py) for px, py, visibility in points if visibility and (px or py)] if len(numbers) % 3 == 1 else []
    return len(seen) > 1 and all(
        abs(px - x) <= w / 2 + TOLERANCE and abs(py - y) <= h / 2 + TOLERANCE for px, py in seen
    )
