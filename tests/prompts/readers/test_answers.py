"""Answers of vision-language models and open-vocabulary detectors, as they are saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hqsam_cli.errors import HqsamError
from hqsam_cli.prompts.boxes import smart_resize
from hqsam_cli.prompts.read import read_prompt_file
from tests.prompts.readers.pixels import SIZE, TRUTH, Photos

WIDTH, HEIGHT = SIZE
LABELS = [label for label, _ in TRUTH]
CORNERS = [list(box) for _, box in TRUTH]
SHARES = [[x0 / WIDTH, y0 / HEIGHT, x1 / WIDTH, y1 / HEIGHT] for x0, y0, x1, y1 in CORNERS]
EXACT = [[round(n * 1000, 6) for n in box] for box in SHARES]
GEMINI = [{"box_2d": [y0, x0, y1, x1], "label": own} for (x0, y0, x1, y1), own in zip(EXACT, LABELS, strict=True)]
QWEN_3 = [{"bbox_2d": box, "label": label} for box, label in zip(EXACT, LABELS, strict=True)]
# The photo is resized to 644 x 476.
QWEN_2 = [
    {"bbox_2d": [x0 * 644, y0 * 476, x1 * 644, y1 * 476], "label": own}
    for (x0, y0, x1, y1), own in zip(SHARES, LABELS, strict=True)
]
FLORENCE = {"<OD>": {"bboxes": CORNERS, "labels": LABELS}}
DINO = {"scores": [0.9, 0.5], "labels": LABELS, "text_labels": LABELS, "boxes": CORNERS}
MOONDREAM = [dict(zip(("x_min", "y_min", "x_max", "y_max"), box, strict=True)) for box in SHARES]
PIPELINE = [
    {"score": 0.5, "label": label, "box": dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))}
    for box, label in zip(CORNERS, LABELS, strict=True)
]


def fenced(answer: Any) -> str:
    return f"Here are the objects:\n```json\n{json.dumps(answer, indent=2)}\n```"


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    return Photos(tmp_path)


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("Gemini", GEMINI),
        ("Gemini", {"boxes": GEMINI}),
        ("Qwen-VL", {"model": "Qwen/Qwen3-VL-8B-Instruct", "objects": QWEN_3}),
        ("Qwen-VL", {"model": "Qwen/Qwen2.5-VL-7B-Instruct", "objects": QWEN_2}),
        ("Florence-2", FLORENCE),
        ("Grounding DINO", DINO),
        ("Transformers pipeline", PIPELINE),
    ],
)
@pytest.mark.parametrize("image", ["image", "image_path", "file_name", "image_id"])
def test_a_line_for_each_image(photos: Photos, kind: str, answer: Any, image: str) -> None:
    name = "a" if image == "image_id" else "/data/photos/a.jpg"
    lines = [{image: name, "answer": answer}, {image: name, "response": fenced(answer)}]
    for line in [*lines, {image: name, **answer}] if isinstance(answer, dict) else lines:
        assert photos.read([line]) == TRUTH
        assert read_prompt_file(str(photos.folder / "prompts.jsonl"), "box").kind == kind
        assert photos.read([line], "answers.json") == TRUTH
    assert photos.read({"a.jpg": answer, "b.jpg": answer}, "answers.json") == TRUTH


@pytest.mark.parametrize(("text", "suffix"), [("{}", "json"), ("```json\n{}\n```", "txt")])
@pytest.mark.parametrize("answer", [GEMINI, FLORENCE, DINO, PIPELINE], ids=["Gemini", "Florence-2", "DINO", "pipeline"])
def test_a_file_for_each_image(photos: Photos, answer: Any, text: str, suffix: str) -> None:
    folder = photos.folder / "answers"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.{suffix}").write_text(text.replace("{}", json.dumps(answer)))
    table = photos.bound_path(folder)
    assert photos.boxes(table, "a.jpg") == photos.boxes(table, "b.jpg") == TRUTH
    assert photos.boxes(photos.bound_path(folder / f"a.{suffix}")) == TRUTH


def test_a_folder_of_answers_of_which_one_is_empty(photos: Photos) -> None:
    folder = photos.folder / "qwen2.5-vl"
    folder.mkdir()
    (folder / "a.txt").write_text(fenced(QWEN_2)[len("Here are the objects:\n") :])
    (folder / "b.txt").write_text("```json\n[]\n```")
    table = photos.bound_path(folder)
    assert photos.boxes(table) == TRUTH
    assert table.for_image("b.jpg").mentioned is True and table.notes.lost == []


def test_an_object_per_line(photos: Photos) -> None:
    assert photos.read([{"image": "a.jpg", **own} for own in GEMINI]) == TRUTH


def test_requests_of_batches(photos: Photos) -> None:
    asked = [{"box_2d": [0, 0, 500, 500], "label": "example"}]
    openai = {
        "custom_id": "a.jpg",
        "response": {"body": {"model": "qwen3-vl-plus", "choices": [{"message": {"content": fenced(QWEN_3)}}]}},
    }
    gemini = {
        "key": "a.jpg",
        "request": {"contents": [{"role": "user", "parts": [{"text": f"Detect all, such as {json.dumps(asked)}"}]}]},
        "response": {"candidates": [{"content": {"role": "model", "parts": [{"text": fenced(GEMINI)}]}}]},
    }
    own = {"image": "a.jpg", "prompt": f"Answer like {json.dumps(asked)}", "output": fenced(GEMINI)}
    assert photos.read([openai]) == photos.read([gemini]) == photos.read([own]) == TRUTH


def test_moondream(photos: Photos) -> None:
    line = {"image": "a.jpg", "object": "cat", "objects": MOONDREAM}
    assert photos.read([line]) == [("cat", box) for _, box in TRUTH]
    assert photos.read({"objects": MOONDREAM}, "a.json") == [("object", box) for _, box in TRUTH]


def test_paligemma(photos: Photos) -> None:
    bins = [[round(n * 1024) for n in box] for box in SHARES]
    text = " ; ".join(
        f"<loc{y0:04}><loc{x0:04}><loc{y1:04}><loc{x1:04}> {label}"
        for (x0, y0, x1, y1), label in zip(bins, LABELS, strict=True)
    )
    segmented = text.replace("> ", ">" + "<seg012>" * 16 + " ")
    expected = [
        (label, tuple(round(n / 1024 * side, 1) for n, side in zip(box, SIZE * 2, strict=True)))
        for box, label in zip(bins, LABELS, strict=True)
    ]
    for answer in (text, segmented):
        assert photos.read([{"image": "a.jpg", "text": answer}]) == expected
        assert photos.read(answer, "a.txt") == expected


def test_scores_and_classes_of_grounding_dino(photos: Photos) -> None:
    line = {"image": "a.jpg", "scores": [0.9, 0.5], "labels": [3, 4], "boxes": CORNERS}
    table = photos.bound([line])
    assert [(p.score, p.category_id) for p in table.for_image("a.jpg").prompts] == [(0.9, 3), (0.5, 4)]
    with pytest.raises(HqsamError, match="between 0 and 1"):
        photos.bound([{**line, "boxes": SHARES}])
    assert [box for _, box in photos.read([{**line, "boxes": SHARES}], box_format="xyxyn")] == [box for _, box in TRUTH]


def test_an_empty_list_states_that_there_is_none_and_prose_does_not(photos: Photos) -> None:
    good = {"image": "a.jpg", "response": fenced(GEMINI)}
    for answer, mentioned in (("```json\n[]\n```", True), ("I cannot see the image.", False), ("", False)):
        table = photos.bound([good, {"image": "b.jpg", "response": answer, "tags": []}])
        assert table.for_image("b.jpg").mentioned is mentioned
        assert bool(table.notes.lost) is not mentioned
    with pytest.raises(HqsamError, match="JSON, an object with the keys image, response"):
        photos.bound([{"image": "b.jpg", "response": "I cannot see the image."}])


@pytest.mark.parametrize("end", [-3, -12, -30])
def test_an_answer_that_was_cut_off(photos: Photos, end: int) -> None:
    table = photos.bound([{"image": "a.jpg", "response": "```json\n" + json.dumps(GEMINI)[:end]}])
    assert photos.boxes(table) == TRUTH[:1]
    assert any("annotations without bbox, skipped: 1" in text for text in table.notes.lost)


def test_objects_that_cannot_be_read_are_counted(photos: Photos) -> None:
    table = photos.bound([{"image": "a.jpg", "answer": [*GEMINI, {"box_2d": [1, 2, 3], "label": "x"}]}, [], {"no": 1}])
    assert photos.boxes(table) == TRUTH
    reasons = [text.split(": ")[1] for text in table.notes.lost]
    assert reasons == [
        "annotations whose bbox is not four finite numbers, skipped",
        "records that name no image, skipped",
    ]


def test_the_input_size_of_qwen(photos: Photos) -> None:
    resized = [
        {"bbox_2d": [x0 * 1288, y0 * 952, x1 * 1288, y1 * 952], "label": own}
        for (x0, y0, x1, y1), own in zip(SHARES, LABELS, strict=True)
    ]
    assert photos.read([{"image": "a.jpg", "input_width": 1288, "input_height": 952, "objects": resized}]) == TRUTH
    assert photos.read([{"image": "a.jpg", "objects": QWEN_2}], box_format="qwen2.5") == TRUTH
    assert photos.read([{"image": "a.jpg", "objects": QWEN_2}], "qwen2.5-vl.jsonl") == TRUTH
    assert photos.read([{"image": "a.jpg", "objects": QWEN_3}], box_format="xyxy1000") == TRUTH
    # As the `smart_resize` of transformers.
    sizes = {(640, 480): (644, 476), (6000, 4000): (4368, 2912), (30, 20): (84, 56), (100, 80): (112, 84)}
    assert {size: smart_resize(*size) for size in sizes} == sizes


def test_the_unit_of_qwen_is_decided_by_all_numbers(tmp_path: Path) -> None:
    photos = Photos(tmp_path, a=SIZE, b=SIZE, c=(2000, 1400))
    table = photos.bound([{"image": "a.jpg", "objects": QWEN_3}])
    assert photos.boxes(table) == TRUTH  # beyond the input of 644 x 476
    assert any("boxes read as xyxy1000" in text for text in table.notes.remarks)
    several = [{"image": "a.jpg", "objects": QWEN_2}, {"image": "b.jpg", "objects": QWEN_2}]
    assert photos.read(several) == TRUTH  # four boxes within 644 x 476 are hardly of 1000 x 1000
    large = photos.bound([{"image": "c.jpg", "objects": [{"bbox_2d": [994, 700, 1491, 1050], "label": "cat"}]}])
    assert photos.boxes(large, "c.jpg") == [("cat", (1000, 700, 1500, 1050))]  # the input is 1988 x 1400
    with pytest.raises(HqsamError, match=r"pixels of the input of Qwen2.5-VL, or thousandths.*qwen2\.5 or xyxy1000"):
        photos.bound([{"image": "a.jpg", "objects": QWEN_2[:1]}])


def test_answers_are_as_supervision_reads_them(photos: Photos) -> None:
    supervision = pytest.importorskip("supervision")
    tokens = "<loc0100><loc0200><loc0300><loc0400> cat"
    answers: list[tuple[str, Any, dict[str, Any], Any]] = [
        ("qwen_2_5_vl", fenced(QWEN_2), {"input_wh": (644, 476)}, {"model": "qwen2.5", "text": fenced(QWEN_2)}),
        ("qwen_3_vl", fenced(QWEN_3), {}, {"model": "qwen3", "text": fenced(QWEN_3)}),
        ("gemini_2_5", fenced(GEMINI), {}, {"text": fenced(GEMINI)}),
        ("florence_2", FLORENCE, {}, FLORENCE),
        ("moondream", {"objects": MOONDREAM}, {}, {"objects": MOONDREAM}),
        ("paligemma", tokens, {}, {"text": tokens}),
    ]
    for model, answer, options, line in answers:
        found = supervision.Detections.from_vlm(model, answer, resolution_wh=SIZE, **options)
        boxes = [box for _, box in photos.read([{"image": "a.jpg", **line}])]
        assert boxes == [pytest.approx(box, abs=0.06) for box in found.xyxy.tolist()], model
