"""Classes of files, whatever they are called there."""

from __future__ import annotations

from typing import Any

from hqsam_cli.prompts.categories import Categories
from hqsam_cli.prompts.prompt_file import FileAnnotation, PromptFile


def numbers(*files: tuple[list[Any], list[tuple[Any, str | None]]]) -> tuple[list[int], dict[int, str]]:
    """Ids of the annotations' categories, and the names by id; of files as categories and (category, name)."""
    read = []
    for listed, used in files:
        own = [FileAnnotation(1, "box", (0, 0, 1, 1), None, key, name) for key, name in used]
        read.append(PromptFile("x", "box", {}, own, listed))
    categories = Categories(read)
    found = [categories.number(place, a) for place, file in enumerate(read) for a in file.annotations]
    return found, {category["id"]: category["name"] for category in categories.complete()}


CAT, DOG = {"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}


def test_numbers_are_kept_and_names_find_them() -> None:
    assert numbers(([CAT, DOG], [(7, None), ("cat", None), (None, "dog"), (9, None)])) == (
        [7, 3, 7, 9],
        {3: "cat", 7: "dog", 9: "category 9"},
    )


def test_what_has_no_category_is_no_person() -> None:
    person = {"id": 1, "name": "person"}
    assert numbers(([person, CAT], [(None, None)])) == ([4], {1: "person", 3: "cat", 4: "object"})
    assert numbers(([person], [(None, None)])) == ([1], {1: "person"})
    assert numbers(([], [(None, None)])) == ([1], {1: "object"})


def test_ids_that_are_text_get_free_numbers() -> None:
    listed: list[dict[str, Any]] = [{"id": "c", "name": "cow"}, {"id": 2, "name": "ox"}]
    assert numbers((listed, [("c", None), (2, None), (5, None)])) == ([6, 2, 5], {6: "cow", 2: "ox", 5: "category 5"})


def test_two_files_that_number_differently_keep_their_classes() -> None:
    other = [{"id": 3, "name": "dog"}, {"id": 4, "name": "cat"}]
    found, names = numbers(([CAT, DOG], [(3, None), (7, None)]), (other, [(3, None), (4, None)]))
    assert [names[n] for n in found] == ["cat", "dog", "dog", "cat"]


def test_lines_that_number_differently_keep_their_classes() -> None:
    found, names = numbers(([], [(1, "cat"), (1, "dog"), (2, "cat"), (0, "zebra"), ("fox", None)]))
    assert [names[n] for n in found] == ["cat", "dog", "cat", "zebra", "fox"]
