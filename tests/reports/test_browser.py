"""The report in a real browser: search, filters, keyboard, failures, hostile texts, accessibility."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it has no annotations
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request, sync_playwright

from batchgen.core.history import Bar, History, Revision, Share
from batchgen.core.records import TaskView, Totals
from batchgen.core.values import replace
from batchgen.reports.gallery import ReportFacts, write_gallery
from tests.reports.samples import in_batches, view

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not on PATH")

ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    '"><svg onload=alert(1)>',
    "javascript:alert(1)",
    "https://evil.example/x.png",
    "__proto__",
    "constructor",
    "\u2028alert(1)\u202e\ud800",
]


@dataclass
class Opened:
    """A page with everything that it did beside being shown."""

    page: Page
    address: str
    heard: list[str] = field(default_factory=list)

    def shown(self) -> list[str]:
        """The ids of the cards in sight, in their order."""
        return self.page.locator("#gallery .card .name").all_text_contents()

    def go(self, hash_: str = "") -> None:
        """Open it, as a shared address."""
        self.page.goto("about:blank")
        self.page.goto(self.address + hash_)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


def paint(folder: Path, views: list[TaskView]) -> None:
    """The files that the tasks name."""
    for one in views:
        if one.file:
            path = folder / one.file
            path.parent.mkdir(exist_ok=True, parents=True)
            Image.new("RGB", (96, 64), "teal").save(path)


def write(folder: Path, views: list[TaskView], history: History | None = None, words: str = "spring") -> Path:
    """A report; written on a thread's own loop, since playwright keeps this one."""
    facts = ReportFacts(
        words, words, words, words, "2026-11-26 06:00 UTC", Totals(), None, None, 25.0, history or History()
    )
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(partial(asyncio.run, write_gallery(folder, facts, in_batches(views, 50)))).result()


def campaign() -> list[TaskView]:
    """Choices with two variables, single ones, failures of two classes, and one still to come."""
    mugs = [
        view(
            f"mug--{color}-{surface}--01",
            prompt_id="mug",
            prompt=f"A {color} mug on a {surface} table.",
            variables={"color": color, "surface": surface},
            tags=("shop", "kitchen"),
        )
        for color in ("red", "blue")
        for surface in ("oak", "marble")
    ]
    return [
        *mugs,
        view("boat--01", model="gpt-image-1-mini"),
        view("boat--02", parameters={"quality": "high", "seed": 7}),
        view("lamp--01", prompt_id="lamp", prompt="A lamp.", tags=("shop",)),
        view("mouse--01", prompt_id="mouse", prompt="A mouse.", state="failed", failure_class="refused", reason="Rejected: a famous mouse."),
        view("cat--01", prompt_id="cat", prompt="A cat.", state="held", failure_class="unknown", reason="The line went dead."),
        view("dog--01", prompt_id="dog", prompt="A dog.", state="pending"),
    ]  # fmt: skip


HISTORY = History(
    "r2",
    "2026-11-25T01:02:03.000Z",
    90.0,
    (Bar(0, 2, 0), Bar(40, 1, 3)),
    (
        Revision("boat--01", "replaced", "superseded/boat--01.ffffffff.png", 96, 64),
        Revision("mouse--01", "newly failed", None, None, None),
    ),
    (Share("model", "gpt-image-2", 2, 0.5), Share("tag", "shop", 2, 0.2)),
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The campaign's report with its files."""
    folder = tmp_path_factory.mktemp("report")
    views = campaign()
    paint(folder, [*views, replace(views[0], file="superseded/boat--01.ffffffff.png")])
    return write(folder, views, HISTORY)


def opened(context: BrowserContext, path: Path) -> Opened:
    """A page that notes what it says, asks and loads."""
    one = Opened(context.new_page(), path.as_uri())

    def said(message: ConsoleMessage) -> None:
        one.heard.append(f"console: {message.text}")

    def failed(error: Exception) -> None:
        one.heard.append(f"error: {error}")

    def asked(dialog: Dialog) -> None:
        one.heard.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def loaded(request: Request) -> None:
        if not request.url.startswith("file:"):
            one.heard.append(f"request: {request.url}")

    one.page.on("console", said)
    one.page.on("pageerror", failed)
    one.page.on("dialog", asked)
    one.page.on("request", loaded)
    one.go()
    return one


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A desktop's window."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as window:
        yield window


@pytest.fixture
def here(context: BrowserContext, report: Path) -> Iterator[Opened]:
    """The report, open; whatever a test does, it says no error and asks nothing of the network."""
    one = opened(context, report)
    yield one
    assert [] == one.heard


def test_search_filters_and_address(here: Opened) -> None:
    """Search and filters work together, are counted aloud, stand in the address, and are cleared at once."""
    page = here.page
    assert 9 == len(here.shown())  # what is still to come has its own list

    page.fill("#query", "MUG oak")
    page.locator("#count", has_text="2 of 10 shown").wait_for()
    assert ["mug--red-oak--01", "mug--blue-oak--01"] == here.shown()

    page.click("summary:text-is('Filters')")
    page.click("fieldset:has(legend:text-is('color')) button:has-text('blue')")
    assert ["mug--blue-oak--01"] == here.shown()
    shared = page.evaluate("location.hash")
    assert "#q=MUG+oak&v.color=blue" == shared

    page.click("#clear")
    assert (9, "") == (len(here.shown()), page.evaluate("location.hash"))

    here.go(shared)
    assert ["mug--blue-oak--01"] == here.shown()
    assert "true" == page.get_attribute("button:has-text('blue')", "aria-pressed")


FACETS = [
    ("State", "Failed", ["mouse--01"]),
    ("State", "To come", ["dog--01"]),
    ("In the last run", "replaced", ["boat--01"]),
    ("Model", "gpt-image-1-mini", ["boat--01"]),
    ("Tag", "kitchen", [f"mug--{each}--01" for each in ("red-oak", "red-marble", "blue-oak", "blue-marble")]),
    ("surface", "oak", ["mug--red-oak--01", "mug--blue-oak--01"]),
]


def test_every_facet(here: Opened) -> None:
    """Each facet chooses by what the tasks say, with a count on the button."""
    here.page.click("summary:text-is('Filters')")
    for facet, value, expected in FACETS:
        button = here.page.locator(f"fieldset:has(legend:text-is('{facet}')) button", has_text=value)
        assert f"{value} {len(expected)}" == button.text_content()
        button.click()
        assert expected == here.shown()
        here.page.click("#clear")


def test_two_values_of_a_facet_are_either(here: Opened) -> None:
    """Values of one facet add up; a search without a hit says so."""
    for value in ("Failed", "Held"):
        here.page.click(f"button:has-text('{value}')")
    assert ["mouse--01", "cat--01"] == here.shown()
    here.page.fill("#query", "no such thing")
    here.page.locator("#gallery", has_text="Nothing fits").wait_for()


def test_keyboard_alone(here: Opened) -> None:
    """Skip link, a card by Enter, arrows through the images, Escape back to the card it came from."""
    page = here.page
    page.keyboard.press("Tab")
    assert "Skip to the images" == page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    assert "images" == page.evaluate("document.activeElement.id")

    page.focus(".card a")
    page.keyboard.press("Enter")
    bar = page.locator("#viewer output")
    assert "1 of 9: mug--red-oak--01" == bar.text_content()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")  # there is none before the first
    page.keyboard.press("ArrowRight")
    assert "2 of 9: mug--red-marble--01" == bar.text_content()
    assert page.evaluate("document.getElementById('viewer').contains(document.activeElement)")
    page.keyboard.press("Escape")
    assert not page.locator("#viewer").is_visible()
    assert page.evaluate("document.activeElement === document.querySelector('.card a')")


def test_one_image_with_everything_about_it(here: Opened) -> None:
    """The large view has the whole prompt, all parameters and the file, to open and to download."""
    here.go("#task=boat--02")
    about = " ".join(here.page.locator("#viewer .about dl > div").all_inner_texts())
    for told in ("boat--02", "gpt-image-2", "high", "7", "768 × 512", "$0.041", "images/boat--02.png"):
        assert told in about.replace("\n", " ")
    assert "./images/boat--02.png" == here.page.get_attribute("#viewer a[download]", "href")
    assert "boat--02.png" == here.page.get_attribute("#viewer a[download]", "download")


def test_a_replaced_image_stands_beside_the_new_one(here: Opened) -> None:
    """Before and now are seen together."""
    here.go("#task=boat--01")
    assert ["Before", "Now"] == here.page.locator("#viewer figcaption").all_text_contents()
    widths = here.page.locator("#viewer img").evaluate_all(
        "images => Promise.all(images.map(image => image.decode().then(() => image.naturalWidth)))"
    )
    assert [96, 96] == widths


def test_choices_side_by_side(here: Opened) -> None:
    """Two varied values make a table: one down, one across, and every image opens from there."""
    here.page.click("#gallery button:has-text('Side by side')")
    board = here.page.locator("#compare")
    assert ["oak", "marble"] == board.locator("thead th").all_text_contents()
    assert ["red", "blue"] == board.locator("tbody th").all_text_contents()
    assert "mug--blue-oak--01" == board.locator("tr:nth-child(2) td:nth-child(2) .name").text_content()
    board.locator("a.image").first.click()
    assert here.page.locator("#viewer").is_visible()
    here.page.keyboard.press("Escape")
    assert board.is_visible()


def test_what_failed_and_what_to_do_without_a_click(here: Opened) -> None:
    """Class, sentence for the writer, task and reason are in sight when the page opens; the command is one click away."""
    trouble = here.page.locator(".trouble", has_text="Refused by the provider's content rules")
    for told in ("Reword the prompt, then run again", "mouse--01", "Rejected: a famous mouse.", "A mouse."):
        assert trouble.get_by_text(told).first.is_visible()
    trouble.get_by_text("For the operator").click()
    assert trouble.get_by_text("batchgen retry --class refused").is_visible()


def test_what_changed_leads_to_the_images(here: Opened) -> None:
    """A count of the last run's changes is a link to what it counts."""
    here.page.click("#run a:has-text('1 replaced')")
    here.page.locator("#count", has_text="1 of 10 shown").wait_for()
    assert ["boat--01"] == here.shown()


def test_a_missing_thumbnail_falls_back_to_the_image(context: BrowserContext, tmp_path: Path) -> None:
    """A thumbnail that vanished leaves no hole."""
    one = view("boat--01")
    paint(tmp_path, [one])
    thumb = tmp_path / "thumbs" / f"boat--01.{'a' * 12}.webp"
    thumb.parent.mkdir()
    thumb.touch()
    page = opened(context, write(tmp_path, [one])).page
    # Waiting in the page itself: its policy lets nobody evaluate text.
    width = page.evaluate(
        "() => new Promise((done) => { const look = () => { const found = document.querySelector('.card img').naturalWidth;"
        " if (found) done(found); else requestAnimationFrame(look); }; look(); })"
    )
    assert 96 == width


@pytest.mark.parametrize("many", [HOSTILE[:5], HOSTILE[5:]], ids=["markup", "names"])
def test_hostile_texts_do_nothing(context: BrowserContext, tmp_path: Path, many: list[str]) -> None:
    """Whatever prompts, reasons, names, tags and values hold, nothing runs, asks, loads or breaks."""
    views: list[TaskView] = []
    for place, words in enumerate(many):
        for number in (1, 2):
            task_id, values = f"boat-{place}--0{number}", {words: f"{words}{number}", "b": words}
            views.append(
                view(
                    task_id,
                    prompt_id=words,
                    prompt=words,
                    model=words,
                    variables=values,
                    tags=(words,),
                    parameters={words: words},
                )
            )
        views.append(
            view(
                f"lost-{place}--01",
                prompt_id="c",
                prompt=words,
                state="failed",
                failure_class="refused",
                reason=words,
                variables={words: words},
            )
        )
    paint(tmp_path, views)
    shares = tuple(Share("tag", words, 1, 0.1) for words in many)
    history = History("r", "2026-11-25T01:02:03.000Z", 1.0, (Bar(0, 1, 1),), (), shares)
    here = opened(context, write(tmp_path, views, history, " ".join(many)))
    page = here.page

    for place in range(len(many)):
        page.click(f"#gallery button:has-text('Side by side') >> nth={place}")
        page.locator("#compare a.image").first.click()
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
    page.fill("#query", "boat-2--02")
    page.locator("#count", has_text=f"1 of {len(views)} shown").wait_for()

    assert ["boat-2--02"] == here.shown()
    assert [] == here.heard
    assert 2 == page.locator("script").count()
    assert 0 == page.locator("svg:not(.timeline svg), iframe, object, embed, img[onerror]").count()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (360, "light")])
def test_no_accessibility_violation(browser: Browser, report: Path, scheme: str, width: int) -> None:
    """Axe finds nothing: the page, its failures opened, filters, the large view, side by side; nothing is cut off."""
    with browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce"
    ) as window:  # fmt: skip
        page = opened(window, report).page
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert width == page.evaluate("document.documentElement.scrollWidth")
        _find_nothing(page)
        page.click("#gallery a.image >> nth=0")
        _find_nothing(page)
        page.keyboard.press("Escape")
        page.click("#gallery button:has-text('Side by side')")
        _find_nothing(page)


def _find_nothing(page: Page) -> None:
    results = Axe().run(page)
    assert 0 == results.violations_count, results.generate_report()


def test_without_javascript(browser: Browser, report: Path) -> None:
    """Failures are there, and the page says where the images are."""
    with browser.new_context(java_script_enabled=False) as window:
        page = window.new_page()
        page.goto(report.as_uri())
        assert page.locator("noscript p", has_text="The gallery needs JavaScript").is_visible()
        assert page.get_by_text("Rejected: a famous mouse.").is_visible()
