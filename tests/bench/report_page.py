"""How fast the page of a large run opens and scrolls in Chromium: 5,000 drawn photos, six masks each.

    python tests/bench/report_page.py [--photos 5000] [--masks 6]

Opening lasts until the first masks are there; frames are those of two seconds of scrolling. Needs chromium and
playwright.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hqsam_cli.cli.reporter import ConsoleReporter
from hqsam_cli.records import MaskCrop
from hqsam_cli.report.page import write_report
from hqsam_cli.report.photos import read_photos
from hqsam_cli.results.stream import open_results

WIDTH, HEIGHT, CATEGORIES = 640, 480, 80
WATCH = """() => {
  window.frames_ms = [];
  let last = performance.now();
  requestAnimationFrame(function note() {
    const now = performance.now();
    frames_ms.push(now - last);
    last = now;
    requestAnimationFrame(note);
  });
}"""


def blob(rng: np.random.Generator) -> np.ndarray:
    """A wavy disc, bool (480, 640)."""
    turn = np.linspace(0, 2 * np.pi, 60)
    radius = rng.uniform(15, 70) * (1 + 0.15 * np.sin(turn * rng.integers(2, 7) + rng.uniform(0, 6)))
    x, y = rng.uniform(80, WIDTH - 80), rng.uniform(80, HEIGHT - 80)
    outline = np.stack([x + radius * np.cos(turn), y + radius * np.sin(turn)], axis=1).astype(np.int32)
    return cv2.fillPoly(np.zeros((HEIGHT, WIDTH), np.uint8), [outline], 1).astype(bool)


def make_run(folder: Path, photos: int, masks: int) -> None:
    """`imgs/` and `instances.json` of a run."""
    rng = np.random.default_rng(0)
    (folder / "imgs").mkdir()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(1, photos + 1):
        pixels = cv2.resize(rng.integers(40, 200, (6, 8, 3), dtype=np.uint8), (WIDTH, HEIGHT))
        for _ in range(masks):
            mask = blob(rng)
            pixels[mask] = rng.integers(0, 256, 3)
            crop = MaskCrop(mask, 0, 0, WIDTH, HEIGHT)
            x, y, w, h = crop.tight_box()
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": int(rng.integers(CATEGORIES)),
                    "segmentation": crop.rle,
                    "area": int(mask.sum()),
                    "bbox": [x, y, w, h],
                    "prompt_box": [x, y, w, h],
                    "score": float(rng.uniform(0.3, 1)),
                    "predicted_iou": float(rng.uniform(0.7, 1)),
                }
            )
        name = f"{number:05d}.jpg"
        cv2.imwrite(str(folder / "imgs" / name), pixels)
        images.append({"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT})
    categories = [{"id": n, "name": f"class {n}"} for n in range(CATEGORIES)]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(document))


def main() -> None:
    """Draw, report, open and scroll."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=5000)
    parser.add_argument("--masks", type=int, default=6, help="a photo")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        make_run(folder, arguments.photos, arguments.masks)
        began, progress = time.monotonic(), ConsoleReporter()
        results = open_results(folder)
        photos = read_photos(results, folder / "imgs")
        page, _ = write_report(results, photos, folder, max_pixels=10**6, workers=4, progress=progress)
        progress.close()
        print(f"report: {time.monotonic() - began:.0f} s")
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(3):
            opened = browser.new_page(viewport={"width": 1400, "height": 900})
            began = time.monotonic()
            opened.goto(page.as_uri(), wait_until="commit")
            opened.locator(".cell").first.wait_for()
            seconds = time.monotonic() - began
            opened.evaluate(WATCH)
            opened.mouse.move(700, 600)
            for _ in range(60):
                opened.mouse.wheel(0, 300)
                opened.wait_for_timeout(30)
            frames = np.array(opened.evaluate("frames_ms"))
            count = opened.locator("#count").inner_text().partition(",")[0]
            middle, late = np.percentile(frames, [50, 95])
            print(f"{count}: opens in {seconds:.2f} s; frames of {middle:.0f} ms, 95 % under {late:.0f} ms")
            opened.close()
        browser.close()


if __name__ == "__main__":
    main()
