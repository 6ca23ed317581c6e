"""The page of a run, in a real browser."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from hqsam_cli.progress import Silent
from hqsam_cli.report.page import write_report
from hqsam_cli.report.photos import read_photos
from hqsam_cli.results.stream import open_results

from .conftest import ATTACK, NAMES

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page, Request

MASKS = 10


def report_on(run: Path, images: Path | None = None) -> Path:
    results = open_results(run)
    photos = read_photos(results, images)
    page, _ = write_report(results, photos, run, max_pixels=10**6, workers=2, progress=Silent())
    return page


@pytest.fixture
def page(run: Path, browser: Browser) -> Iterator[Page]:
    """The page of the run, opened from disk; whatever it loads from elsewhere or complains of fails the test."""
    wrong: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        wrong.append(dialog.message)
        dialog.dismiss()

    def see(request: Request) -> None:
        if not request.url.startswith((run.parent.as_uri(), "data:", "blob:")):
            wrong.append(request.url)

    context = browser.new_context(viewport={"width": 1000, "height": 700}, accept_downloads=True)
    opened = context.new_page()
    opened.set_default_timeout(10_000)
    opened.on("console", lambda message: wrong.append(message.text))
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("dialog", dismiss)
    opened.on("request", see)
    opened.on("requestfailed", lambda request: wrong.append(request.url))
    opened.goto(report_on(run).as_uri())
    opened.locator(".cell").first.wait_for()
    yield opened
    context.close()
    assert wrong == []


def captions(page: Page) -> list[str]:
    return page.locator(".cell .caption").all_inner_texts()


def exported(page: Page, button: str) -> Any:
    with page.expect_download() as download:
        page.click(button)
    return Path(download.value.path()).read_bytes()


def test_the_most_suspicious_comes_first_and_names_are_names(page: Page) -> None:
    shown = captions(page)
    assert "sub/b.jpg" in shown[0] and "</script><b>ring" in shown[0]
    assert any(ATTACK in text for text in shown)
    assert page.locator("main img, main b").count() == 0
    assert page.locator("#count").inner_text().startswith(f"{MASKS + 3} of {MASKS + 3}")
    page.click("#failures summary")
    failures = page.locator("#failures .body").inner_text()
    assert "broken image (1)" in failures and "torn.jpg it ends too soon" in failures
    assert failures.count("What to do: fetch it again") == 2
    page.click("#distributions summary")
    page.locator("#distributions svg").first.wait_for()
    assert page.locator("#distributions svg").count() == 8


def test_filters_and_sorts(page: Page) -> None:
    def count() -> int:
        return int(page.locator("#count").inner_text().split()[0])

    page.fill("#search", "ONERROR")
    assert count() == 2
    page.fill("#search", "")
    page.select_option("#category", label="</script><b>ring (1)")
    assert count() == 1
    page.click("#tools button[type=reset]")
    page.wait_for_function(f"document.getElementById('count').textContent.startsWith('{MASKS + 3} ')")
    page.select_option("#state", "failed")
    assert count() == 2
    page.select_option("#state", "empty")
    assert count() == 1
    page.select_option("#state", "")
    page.fill("#score-to", "0.34")
    assert count() == 1
    page.fill("#score-to", "")
    page.select_option("#sort", "score")
    assert "score 0.30" in captions(page)[0]
    page.fill("#area-from", "99")
    assert count() == 0
    assert page.locator("#nothing").is_visible()
    page.click("#reset-too")
    page.select_option("#unit", "photos")
    page.wait_for_function(f"document.getElementById('count').textContent.startsWith('{len(NAMES) + 2} ')")


def test_marks_by_keyboard_and_exports_of_them(page: Page, run: Path) -> None:
    page.keyboard.press("m")
    assert page.locator(".cell[aria-selected=true]").count() == 1
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.locator("#viewer").is_visible()
    page.keyboard.press("ArrowRight")
    title = page.locator("#viewer-title").inner_text()
    page.keyboard.press("m")
    assert page.locator("#mark").get_attribute("aria-pressed") == "true"
    page.keyboard.press("Escape")
    assert page.locator("#marks").inner_text() == "2 marked"

    paths = exported(page, "#export-list").decode().splitlines()
    assert sorted(paths) == sorted(str(run.parent / "imgs" / name) for name in {"sub/b.jpg", title})
    subset = json.loads(exported(page, "#export-coco"))
    assert len(subset["annotations"]) == 2
    original = {a["id"]: a for a in json.loads((run / "instances.json").read_text())["annotations"]}
    for annotation in subset["annotations"]:
        before = original[annotation["id"]]
        assert annotation["segmentation"] == before["segmentation"]
        assert annotation["category_id"] == before["category_id"]
    rows = list(csv.DictReader(exported(page, "#export-csv").decode().splitlines()))
    assert {row["file_name"] for row in rows} == {"sub/b.jpg", title}

    page.reload()
    assert page.locator("#marks").inner_text() == "2 marked"
    page.click("#clear")
    assert page.locator("#exports").is_hidden()


def test_toggles_draw_and_take_away(page: Page) -> None:
    def pixels() -> bytes:
        page.wait_for_timeout(200)
        return page.locator("#viewer canvas").screenshot()

    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#viewer canvas').dataset.drawn")
    seen = [pixels()]
    for key in ("4", "z", "1", "2", "3"):
        page.keyboard.press(key)
        seen.append(pixels())
    assert all(a != b for a, b in pairwise(seen))


def test_a_mask_is_drawn_where_it_is(page: Page, run: Path) -> None:
    annotations = json.loads((run / "instances.json").read_text())["annotations"]
    assert page.evaluate("shapesOf(run.photos[0].masks[0])") == [annotations[0]["segmentation"]["counts"]]
    for annotation in annotations[:4]:
        height, width = annotation["segmentation"]["size"]
        script = """([counts, width, height]) =>
            Array.from(rasterize(decodeRuns(counts), {width, height}, {x: 0, y: 0, scale: 1}, width, height))"""
        drawn = page.evaluate(script, [annotation["segmentation"]["counts"], width, height])
        assert np.array_equal(np.reshape(drawn, (width, height)).T, coco_mask.decode(annotation["segmentation"]))


def test_only_what_is_in_sight_is_there(run: Path, browser: Browser) -> None:
    document = json.loads((run / "instances.json").read_text())
    many = [{**a, "id": 1000 * n + a["id"]} for n in range(60) for a in document["annotations"]]
    (run / "instances.json").write_text(json.dumps({**document, "annotations": many}))
    context = browser.new_context(viewport={"width": 390, "height": 800})
    opened = context.new_page()
    opened.goto(report_on(run).as_uri())
    opened.locator(".cell").first.wait_for()
    assert opened.locator(".cell").count() < 40
    assert opened.evaluate("document.documentElement.scrollWidth") == 390
    opened.keyboard.press("End")
    opened.wait_for_selector(".cell.active")
    assert opened.locator(".cell.active").get_attribute("aria-posinset") == str(60 * MASKS + 3)
    assert opened.locator(".cell").count() < 40
    context.close()
