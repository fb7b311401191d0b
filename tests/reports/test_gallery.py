"""`index.html`."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from batchgen.core.records import TaskView, Totals
from batchgen.core.summary import RunSummary
from batchgen.core.types import JsonObject, StopReason
from batchgen.reports.gallery import IMAGES_SHOWN, ReportFacts, write_gallery
from tests.reports.samples import broken_after, contents, in_batches, view

pytestmark = pytest.mark.anyio

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "</style><style>*{display:none}</style>",
    '" onload="alert(1)" x=\'',
    "javascript:alert(1)",
    "\u202egnp.exe{{ 7*7 }}{% raw %}",
    "<!-- &lt;b&gt; ]]>",
]


class Page(HTMLParser):
    """A page as a browser takes it apart: elements with their attributes, texts, inline blocks."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open = ""
        self.blocks: dict[str, list[str]] = {"style": [], "script": []}
        self.feed(path.read_text("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self._open = tag
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the base class names it
        """Leave an element."""
        self._open = ""

    def handle_data(self, data: str) -> None:
        """Note a text, or what is inside an inline block."""
        self.blocks.get(self._open, self.texts).append(data)

    def values(self, tag: str, name: str) -> list[str | None]:
        """An attribute of every element of a kind."""
        return [attributes[name] for each, attributes in self.elements if each == tag and name in attributes]

    @property
    def text(self) -> str:
        """All that is to be read."""
        return " ".join(" ".join(self.texts).split())

    @property
    def shape(self) -> list[tuple[str, list[str]]]:
        """Elements and the names of their attributes: what text may never change."""
        return [(tag, sorted(attributes)) for tag, attributes in self.elements]


def facts(
    words: str = "Spring", summary: RunSummary | None = None, totals: Totals | None = None
) -> ReportFacts:
    """A job's facts, all of whose texts are `words`."""
    return ReportFacts(words, words, words, words, words, totals or Totals(), summary)


def job(words: str) -> list[TaskView]:
    """Tasks of every kind, all of whose texts are `words`."""

    def of(
        prompt_id: str, state: str = "stored", *, kind: str | None = None, look: JsonObject | None = None
    ) -> TaskView:
        return view(
            words,
            prompt_id=prompt_id,
            prompt=words,
            model=words,
            parameters=look,
            state=state,
            failure_class=kind,
            reason=words,
            variables={"v": words},
            tags=(words,),
        )

    return [
        of("a"),
        of("a", look={"quality": words, words: words}),
        of("b"),
        of("c", "failed", kind="refused"),
        of("d", "held", kind=words),
        of("e", "pending"),
    ]


@pytest.mark.parametrize("words", HOSTILE)
@pytest.mark.parametrize("length", [1, 400])
async def test_texts_are_never_markup(tmp_path: Path, words: str, length: int) -> None:
    """Prompts, reasons, models and names are text: the page has the elements of a harmless one, no more."""
    (tmp_path / "calm").mkdir()
    summary = RunSummary("s", "r", stopped_by=StopReason.BUDGET, stop_detail=words)
    calm = "calm words" * (length * len(words) // 10 or 1)

    harmless = Page(await write_gallery(tmp_path / "calm", facts(calm, summary), in_batches(job(calm))))
    hostile = Page(
        await write_gallery(tmp_path, facts(words * length, summary), in_batches(job(words * length)))
    )

    assert harmless.shape == hostile.shape
    assert " ".join(words.replace("\u202e", "").split()) in hostile.text


async def test_no_link_leaves_the_folder(tmp_path: Path) -> None:
    """Every address is relative to the page, whatever a file is called."""
    names = ["javascript:alert(1)", "//evil.example/x", "a b?c#d%e"]

    page = Page(await write_gallery(tmp_path, facts(), in_batches([view(name) for name in names])))

    expected = [
        "./images/javascript%3Aalert%281%29.png",
        "./images///evil.example/x.png",
        "./images/a%20b%3Fc%23d%25e.png",
    ]
    addresses = page.values("a", "href") + page.values("img", "src")
    own = {"#images", "results.csv", "results.jsonl", *expected}
    assert expected == page.values("img", "src")
    assert not set(addresses) - own


async def test_the_policy_allows_exactly_the_own_style_and_script(tmp_path: Path) -> None:
    """The hashes are those of the one style and the one script, so nothing else runs; images load from disk."""
    page = Page(await write_gallery(tmp_path, facts(), in_batches([view("boat--01")])))
    policy = (
        next(attributes for tag, attributes in page.elements if "http-equiv" in attributes)["content"] or ""
    )

    found = {
        kind: [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
        for kind, texts in page.blocks.items()
    }
    allowed = {kind: re.findall(rf"{kind}-src 'sha256-([^']+)'", policy) for kind in page.blocks}

    assert found == allowed
    assert [len(hashes) for hashes in found.values()] == [1, 1]
    assert policy.startswith("default-src 'none'; img-src 'self' file:; ")
    assert not [
        names for _, names in page.shape if any(name == "style" or name.startswith("on") for name in names)
    ]


async def test_every_image_with_its_prompt_parameters_and_cost(tmp_path: Path) -> None:
    """Samples stand under one prompt, varied values each have theirs; single prompts share a shelf."""
    look: JsonObject = {"size": "768x512", "quality": "high", "output_format": "png", "stream": True, "seed": 7}
    views = [
        view("boat--01", parameters=look),
        view("boat--02", parameters=look, cost_usd=None),
        view("mug--red--01", prompt_id="mug", prompt="A red mug."),
        view("mug--blue--01", prompt_id="mug", prompt="A blue mug."),
        view("lamp--01", prompt_id="lamp", prompt="A lamp."),
        view("chair--01", prompt_id="chair", prompt="A chair.", parameters={"size": "auto"}),
    ]

    page = Page(await write_gallery(tmp_path, facts(), in_batches(views)))

    expected = (
        "Images boat A paper boat. 2 images gpt-image-2 768 × 512 px high png seed 7 boat--01 $0.041 boat--02 no price "
        "mug 2 images gpt-image-2 768 × 512 px A red mug. mug--red--01 $0.041 A blue mug. mug--blue--01 $0.041 "
        "A lamp. lamp--01 gpt-image-2 768 × 512 px $0.041 "
        "A chair. chair--01 gpt-image-2 768 × 512 px asked for auto $0.041 Every task"
    )
    assert expected in page.text
    assert [each.request.prompt for each in views] == page.values("img", "alt")
    assert {"768"} == set(page.values("img", "width"))


async def test_first_screens_load_at_once(tmp_path: Path) -> None:
    """The first 24 images are there when the page is, for printing and screenshots; the others wait for the scroll."""
    views = [view(f"boat-{number}--01", prompt_id=f"boat-{number}", prompt="A boat.") for number in range(30)]

    page = Page(await write_gallery(tmp_path, facts(), in_batches(views)))

    assert 30 == len(page.values("img", "alt"))
    assert 6 == page.values("img", "loading").count("lazy")


async def test_every_failure_with_its_reason_and_what_to_do(tmp_path: Path) -> None:
    """Failures are grouped by class, with advice for both readers; what is still to come is listed too."""
    views = [
        view("boat--01", state="failed", failure_class="refused", reason="Rejected: a famous mouse."),
        view("boat--02", state="held", failure_class="unknown", reason="The line went dead."),
        view("boat--03", state="pending"),
    ]

    page = Page(await write_gallery(tmp_path, facts(), in_batches(views)))

    assert "No image is here yet." in page.text
    assert "Refused by the provider's content rules 1 task For the writer: Reword the prompt" in page.text
    assert "boat--01 Rejected: a famous mouse. A paper boat." in page.text
    assert "boat--02 The line went dead. (held until someone decides)" in page.text
    assert "Still to come The next run goes on with these. boat--03 A paper boat." in page.text


async def test_money_is_told_honestly(tmp_path: Path) -> None:
    """Paid for images, for nothing, perhaps, perhaps twice, and refused for free are told apart."""
    totals = Totals(
        spent_usd=1.25,
        unknown_usd=0.08,
        maybe_twice_usd=0.04,
        images=9,
        images_usd=1.1,
        useless_usd=0.07,
        refused=2,
    )
    told = ReportFacts("s", "", "p", "h", "now", totals, list_usd=2.5, budget_usd=25)

    page = Page(await write_gallery(tmp_path, told, in_batches([view("boat--01")])))

    expected = (
        "Spent $1.25 of $25.00 list price $2.50 $1.10 of it paid for 9 images "
        "$0.07 of it for answers without a usable image up to $0.08 of it for answers that were lost "
        "up to $0.04 may have been paid twice 2 requests refused by the provider's rules, free"
    )
    assert expected in page.text


async def test_a_page_of_a_huge_job_stays_usable(tmp_path: Path) -> None:
    """The first 2,000 images are shown, all are counted, and the page says where the others are."""
    views = [view(f"boat--{number:02}") for number in range(1, IMAGES_SHOWN + 4)]

    page = Page(await write_gallery(tmp_path, facts(), in_batches(views, 500)))

    assert len(page.values("img", "src")) == IMAGES_SHOWN
    assert "The first 2,000 of 2,003 images are shown here. results.csv lists them all" in page.text
    assert "2,003 images gpt-image-2" in page.text


@pytest.mark.parametrize("good_readings", [0, 1])
async def test_an_error_midway_leaves_the_old_page(tmp_path: Path, good_readings: int) -> None:
    """Nobody opens half a report in the morning."""
    (tmp_path / "index.html").write_text("yesterday's")

    with pytest.raises(OSError, match="went away"):
        await write_gallery(tmp_path, facts(), broken_after([view("boat--01")], good_readings))

    assert contents(tmp_path) == {"index.html": "yesterday's"}


async def test_a_lost_file_is_a_failure_and_not_a_broken_picture(tmp_path: Path) -> None:
    """An image whose file is gone is listed with what to do, and not shown as a card without a picture."""
    views = [view("boat--01"), view("boat--02", reason="missing")]

    page = Page(await write_gallery(tmp_path, facts(), in_batches(views)))

    assert ["./images/boat--01.png"] == page.values("img", "src")
    assert "The image's file is gone or was changed" in page.text
