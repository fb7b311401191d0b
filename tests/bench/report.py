"""How long a report of many images takes to write, to open and to scroll, and how fast thumbnails are made.

`python -m tests.bench.report [IMAGES]`: 5,000 by default, of 1024 x 1024 pixels, two of a prompt and then all of one;
Chromium is taken from PATH.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw
from playwright.sync_api import sync_playwright

from batchgen.core.records import TaskView, Totals
from batchgen.core.values import replace
from batchgen.reports.gallery import ReportFacts, write_gallery
from batchgen.reports.thumbs import make_thumbs, thumb_mark
from tests.reports.samples import in_batches, view

DIFFERENT = 40
"""So many different pictures are painted; the others are hard links to them."""

THUMBS = 60
"""So many thumbnails are made and timed; the others are hard links to them."""

STYLE = "Flat vector style, teal and orange, generous white space, no text, soft morning light. " * 4
FRAMES = """() => new Promise((done) => {
  const gaps = [], start = performance.now();
  let last = start;
  const step = (now) => {
    gaps.push(now - last);
    last = now;
    scrollBy(0, 240);
    if (now - start < 4000) requestAnimationFrame(step); else done(gaps.slice(1).sort((a, b) => a - b));
  };
  requestAnimationFrame(step);
})"""


def say(line: str) -> None:
    """A line of output."""
    print(line, flush=True)  # noqa: T201 - this is its output


def paint(folder: Path, images: int, each: int) -> list[TaskView]:
    """A catalogue's images and their tasks, so many of `each` prompt."""
    (folder / "images").mkdir()
    views: list[TaskView] = []
    for number in range(images):
        task_id = f"product-{number // each:05}--{number % each + 1:02}"
        path = folder / "images" / f"{task_id}.png"
        if number < DIFFERENT:
            picture = Image.effect_noise((1024, 1024), 24).convert("RGB")
            ImageDraw.Draw(picture).ellipse((200, 200, 800, 800), fill=(number * 6, 120, 140))
            picture.save(path)
        else:
            path.hardlink_to(folder / str(views[number % DIFFERENT].file))
        task = view(
            task_id,
            prompt_id=f"product-{number // each:05}",
            prompt=f"Product {number // 2}: a bottle with a label that tells {number // 2 * 7919}. {STYLE}",
            variables={"sku": f"product-{number // 2:05}", "size": f"{number % 5} ml"},
            tags=("shop", f"range-{number % 7}"),
            parameters={"size": "1024x1024", "quality": "medium", "output_format": "png"},
        )
        digest = hashlib.sha256(f"{number}".encode()).hexdigest()
        views.append(replace(task, width=1024, height=1024, size_bytes=path.stat().st_size, sha256=digest))
    return views


def write(folder: Path, views: Sequence[TaskView]) -> Path:
    """Thumbnails and page, with how long each took."""
    started = time.perf_counter()
    made = asyncio.run(make_thumbs(folder, in_batches(views[:THUMBS], 500)(), THUMBS))
    seconds = time.perf_counter() - started
    small = sorted((folder / "thumbs").iterdir())
    for number, one in enumerate(views[THUMBS:]):
        (folder / "thumbs" / f"{one.task_id}.{thumb_mark(one)}.webp").hardlink_to(small[number % len(small)])
    say(f"thumbnails: {made} in {seconds:.1f} s, {made / seconds:.0f} images/s")
    facts = ReportFacts("bench", "", "sandbox", "here", "now", Totals())
    started = time.perf_counter()
    path = asyncio.run(write_gallery(folder, facts, in_batches(views, 500)))
    say(f"page: {path.stat().st_size / 1e6:.2f} MB, written in {time.perf_counter() - started:.2f} s")
    return path


def browse(path: Path, images: int) -> None:
    """Open the page three times, then scroll, search and choose."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        for _ in range(3):
            page = browser.new_page(
                viewport={"width": 1280, "height": 900}, bypass_csp=True
            )  # waiting evaluates text
            started = time.perf_counter()
            page.goto(path.as_uri())
            page.wait_for_function("document.querySelector('.card img')?.complete")
            first = time.perf_counter() - started
            page.wait_for_function(f"document.querySelectorAll('.card').length === {images}")
            say(
                f"opened: first images after {first:.2f} s, every card after {time.perf_counter() - started:.2f} s"
            )
        gaps = page.evaluate(FRAMES)
        middle, late = gaps[len(gaps) // 2], gaps[len(gaps) * 99 // 100]
        say(
            f"scrolling: {len(gaps)} frames, {middle:.0f} ms each (median), {late:.0f} ms at the 99th percentile"
        )
        started = time.perf_counter()
        page.fill("#query", "product 1234:")
        page.wait_for_function("document.querySelectorAll('.card').length < 20")
        say(f"search: {time.perf_counter() - started:.2f} s")
        browser.close()


def main(images: int) -> None:
    """Paint, write, browse."""
    for each in (2, images):
        say(f"{images:,} images, {each:,} of a prompt")
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            browse(write(folder, paint(folder, images, each)), images)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
