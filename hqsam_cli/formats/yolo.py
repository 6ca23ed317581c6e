"""YOLO label files: a text file an image, a line an object, in shares of the image; read as prompts and written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..io.atomic import atomic_file
from ..records import NormalizedPolygon
from .boxes import enclosing_box
from .class_names import CLASSES, class_names
from .label_folder import label_image, read_label
from .label_writer import LabelWriter
from .prompt_file import Contents, FileImage, Notes, note
from .run_records import RunRecords
from .values import Identifier, number_or_none, text_of

ROUNDING = 0.01  # by which a box may leave the image
LARGEST_SHARE = 2  # some tools let objects leave the image
DECIMALS = 8  # less than a thousandth of a pixel of the largest image
NO_LABELS = ("readme", "license", "train", "val", "test", "notes", "requirements")  # .txt, beside labels
POSE = 4 + 17 * 3  # numbers of a person's box and COCO's key points


def read_yolo_folder(folder: Path, paths: list[Path], notes: Notes) -> Contents:
    """Objects of label files of every kind that ultralytics reads or writes; an empty file says that there is nothing.

    A line is the class, then a box (center and size), an oriented box (four corners), a polygon, or a box with key
    points; then maybe a score, and a track id. Categories are classes plus one.
    """
    images: dict[Identifier, FileImage] = {}
    annotations: list[dict[str, Any]] = []
    names, key_point_shape = class_names(folder)
    unread, silent = 0, []
    for path in paths:
        if path.name == CLASSES:
            continue
        content = read_label(path, notes)
        if content is None:
            continue
        image = label_image(folder, path)
        bad = []
        own: list[dict[str, Any]] = []
        lines = text_of(content).splitlines()
        # A coordinate can be 1 at the border, but is never more: then the last number is a track id, in all lines.
        tracked = any(_is_id(line.split()[-1]) for line in lines if len(line.split()) > 5)
        for number, line in enumerate(lines, 1):
            if line.strip():
                found = _read_line(line.split(), key_point_shape, tracked)
                own.append({"image_id": image.key, "id": f"{image.key} line {number}", **(found or {})})
                bad += [] if found else [f"line {number}"]
        if len(bad) == len(own) > 0 and path.stem.lower().startswith(NO_LABELS):
            continue  # a text about the labels
        unread += len(bad)
        silent += [image.key] if bad else []
        images[image.key] = image
        annotations += own
        note(notes.lost, f"{path.name}: lines that are no labels, left out", bad)
    categories = [{"id": number + 1, "name": name} for number, name in names.items()]
    sound = [annotation for annotation in annotations if "bbox" in annotation]
    return Contents(images, sound, categories, numbered=False, unread=unread, box_format="cxcywhn", silent=silent)


def _is_id(field: str) -> bool:
    return field.isdigit() and int(field) > 1


def _read_line(fields: list[str], key_point_shape: tuple[int, int] | None, tracked: bool) -> dict[str, Any] | None:
    """The fields of a COCO annotation, its coordinates in shares; None of what is no label."""
    values = [number_or_none(field) for field in fields]
    if len(values) < 5 or None in values:
        return None
    category, *numbers = (n for n in values if n is not None)
    if category < 0 or category != int(category):
        return None
    numbers, score = _split_score(numbers, fields[-1], key_point_shape, tracked)
    label: dict[str, Any] = {"category_id": int(category) + 1, "score": score}
    if len(numbers) == 4 or _is_pose(numbers, key_point_shape):
        x, y, w, h = numbers[:4]
    else:
        x0, y0, x1, y1 = enclosing_box(numbers)
        x, y, w, h = (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0
        label["segmentation"] = NormalizedPolygon(tuple(numbers))
    is_share = max(map(abs, numbers[:4])) <= LARGEST_SHARE  # else pixels, which a label has not
    return {**label, "bbox": [x, y, w, h]} if w > 0 and h > 0 and is_share else None


def _split_score(
    numbers: list[float], last: str, key_point_shape: tuple[int, int] | None, tracked: bool
) -> tuple[list[float], float | None]:
    """Coordinates, and the score that may follow them; a track id, a whole number after all, goes."""

    def whole(count: int) -> bool:
        """Whether so many numbers are an object without score or id."""
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
    """Whether numbers begin with a box, center and size, that lies in the image."""
    x, y, w, h = numbers[:4]
    return min(x - w / 2, y - h / 2) >= -ROUNDING and max(x + w / 2, y + h / 2) <= 1 + ROUNDING


def _is_pose(numbers: list[float], key_point_shape: tuple[int, int] | None) -> bool:
    """Whether numbers are a box and key points: as the data set says, COCO's, or points with a visibility 0, 1 or 2."""
    points = len(numbers) - 4
    if key_point_shape is not None:
        return points == key_point_shape[0] * key_point_shape[1]
    visible = numbers[6::3]
    return len(numbers) == POSE or (points > 0 and points % 3 == 0 and all(n in (0, 1, 2) for n in visible))


def _has_points_inside(numbers: list[float]) -> bool:
    """Whether numbers are a box and several points x, y, visibility, of which those that are seen lie in it."""
    x, y, w, h = numbers[:4]
    points = [numbers[n : n + 3] for n in range(4, len(numbers), 3)]
    seen = [(px, py) for px, py, visibility in points if visibility and (px or py)] if len(numbers) % 3 == 1 else []
    return len(seen) > 1 and all(abs(px - x) <= w / 2 + ROUNDING and abs(py - y) <= h / 2 + ROUNDING for px, py in seen)


class YoloWriter(LabelWriter):
    """A folder of labels and `classes.txt`, written when a run ends.

    A line is class, center and size, the five columns that training takes, and with `confidence` the score; the class
    is the place of the category.
    """

    suffix = ".txt"
    taken = frozenset({CLASSES})

    def __init__(self, path: Path, run: RunRecords, *, confidence: bool = False) -> None:
        super().__init__(path, run)
        self.confidence = confidence

    def label(self, record: dict[str, Any], path: Path) -> bytes:
        """See `LabelWriter`."""
        size = record["width"], record["height"]
        lines = (_line(a, self.classes[a["category_id"]], *size, self.confidence) for a in record["annotations"])
        return "".join(lines).encode()

    def close(self) -> None:
        """See `Writer`."""
        write_classes(self.path / CLASSES, self.run)
        super().close()


def write_classes(path: Path, run: RunRecords) -> None:
    """The names of the classes, a line each."""
    with atomic_file(path) as file:
        file.write("".join(f"{category['name']}\n" for category in run.categories).encode())


def _line(annotation: dict[str, Any], number: int, width: int, height: int, confidence: bool) -> str:
    x, y, w, h = annotation["bbox"]
    shares = ((x + w / 2) / width, (y + h / 2) / height, w / width, h / height)
    score = f" {annotation['score']:g}" if confidence else ""
    return f"{number} {' '.join(f'{share:.{DECIMALS}f}' for share in shares)}{score}\n"
