"""`index.html`."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from batchgen.core.history import Bar, History, Revision, Share
from batchgen.core.plain import safe_text
from batchgen.core.records import TaskView, Totals
from batchgen.core.summary import RunSummary
from batchgen.core.types import JsonObject, StopReason
from batchgen.core.values import replace
from batchgen.reports import gallery
from batchgen.reports.data import FIELDS
from batchgen.reports.gallery import ReportFacts, write_gallery
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
    "<!--<script>",
    "\u2028alert(1)\u2029",
    "\ud800half\udfff",
    "\\u003c/script\\u003e\\",
]


class Page(HTMLParser):
    """A page as a browser takes it apart: elements with their attributes, texts, inline blocks."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open = ""
        self.blocks: dict[str, list[str]] = {"style": [], "script": [], "data": []}
        self.feed(path.read_text("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self._open = "data" if ("type", "application/json") in attrs else tag
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
    def data(self) -> dict[str, Any]:
        """What the gallery's script reads."""
        found: dict[str, Any] = json.loads("".join(self.blocks["data"]))
        return found

    @property
    def tasks(self) -> list[dict[str, Any]]:
        """The rows, with what one leaves to the row before it, as the script puts them together."""
        tasks, group, prompt = [], "", ""
        for row in self.data["tasks"]:
            task = dict(zip(FIELDS, row, strict=True))
            group, told = task["group"] or group, task["prompt"]
            if isinstance(told, list):
                start, end, middle = told
                prompt = prompt[:start] + middle + prompt[len(prompt) - end :]
            elif told != 0:
                prompt = told
            tasks.append({**task, "group": group, "prompt": prompt})
        return tasks

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
    shown = safe_text(words)
    assert shown in hostile.text
    assert {" ".join((safe_text(words * length, keep_lines=True)).split())} == {
        " ".join(task["prompt"].split()) for task in hostile.tasks
    }
    assert not set("<>&\u2028\u2029").intersection("".join(hostile.blocks["data"]))


async def test_the_policy_allows_exactly_the_own_style_and_script(tmp_path: Path) -> None:
    """The hashes are those of the one style and the one script, so nothing else runs; images load from disk."""
    page = Page(await write_gallery(tmp_path, facts(), in_batches([view("boat--01")])))
    policy = (
        next(attributes for tag, attributes in page.elements if "http-equiv" in attributes)["content"] or ""
    )

    found = {
        kind: [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
        for kind, texts in page.blocks.items()
        if kind != "data"
    }
    allowed = {kind: re.findall(rf"{kind}-src 'sha256-([^']+)'", policy) for kind in found}

    assert found == allowed
    assert [len(hashes) for hashes in found.values()] == [1, 1]
    assert policy.startswith("default-src 'none'; img-src 'self' file:; ")
    assert not [
        names for _, names in page.shape if any(name == "style" or name.startswith("on") for name in names)
    ]


async def test_every_image_with_its_prompt_parameters_and_cost(tmp_path: Path) -> None:
    """The page knows all that is shown of an image, and tells what neighbours share once."""
    look: JsonObject = {"size": "768x512", "quality": "high", "stream": True, "seed": 7}
    long = "Catalogue photo on white, soft shadow, centred, no text."
    views = [
        view("boat--01", parameters=look),
        view("boat--02", parameters=look, cost_usd=None),
        view("mug--red--01", prompt_id="mug", prompt=f"A red mug. {long}", variables={"color": "red"}),
        view("mug--blue--01", prompt_id="mug", prompt=f"A blue mug. {long}", tags=("shop",)),
        view("cat--01", prompt_id="cat", prompt=f"A \U0001f408. {long}"),
    ]

    page = Page(await write_gallery(tmp_path, facts(), in_batches(views)))

    assert [(each.task_id, each.prompt_id, each.request.prompt) for each in views] == [
        (task["id"], task["group"], task["prompt"]) for task in page.tasks
    ]
    assert 0 == page.data["tasks"][1][FIELDS.index("prompt")]
    assert "blue" == page.data["tasks"][3][FIELDS.index("prompt")][2]
    assert [0, 0, 1, 1, 1] == [task["look"] for task in page.tasks]
    assert [
        ["gpt-image-2", {"size": "768x512", "quality": "high", "seed": "7"}],
        ["gpt-image-2", {}],
    ] == page.data["looks"]
    assert [0.041, None] == [task["usd"] for task in page.tasks[:2]]
    assert ("png", 768, 512, 1000) == tuple(
        page.tasks[0][name] for name in ("file", "width", "height", "bytes")
    )
    assert ({"color": "red"}, ["shop"]) == (page.tasks[2]["vars"], page.tasks[3]["tags"])


async def test_a_page_of_5000_images_stays_small(tmp_path: Path) -> None:
    """Under 5 MB at 5,000 images, each with a prompt of its own inside a long template, variables and tags."""
    style = "Flat vector style, teal and orange, generous white space, no text, soft morning light. " * 8
    views = [
        view(
            f"product-{number:05}--01",
            prompt_id=f"product-{number:05}",
            prompt=f"Product {number}: a {number % 97} ml bottle with a label that tells {number * 7919}. {style}",
            variables={"sku": f"product-{number:05}", "name": f"Product {number}", "size": f"{number % 97} ml"},
            tags=("shop", "spring"),
            parameters={"size": "1024x1024", "quality": "medium", "output_format": "webp"},
        )
        for number in range(5000)
    ]

    path = await write_gallery(tmp_path, facts(), in_batches(views, 500))

    assert 5000 == len(Page(path).data["tasks"])
    assert path.stat().st_size < 5_000_000


async def test_thumbnails_that_are_there_are_shown(tmp_path: Path) -> None:
    """Only a thumbnail of the image's present bytes is named."""
    (tmp_path / "thumbs").mkdir()
    (tmp_path / "thumbs" / f"boat--01.{'a' * 12}.webp").touch()
    (tmp_path / "thumbs" / f"boat--02.{'b' * 12}.webp").touch()

    page = Page(await write_gallery(tmp_path, facts(), in_batches([view("boat--01"), view("boat--02")])))

    assert ["a" * 12, ""] == [task["thumb"] for task in page.tasks]


async def test_what_the_last_run_did(tmp_path: Path) -> None:
    """Changed tasks say how, a replaced image stays beside the new one, money and time are drawn."""
    history = History(
        "r2",
        "2026-11-25T01:02:03.000Z",
        90.0,
        (Bar(0, 2, 0), Bar(59, 0, 1)),
        (
            Revision("boat--01", "replaced", "superseded/boat--01.ffffffff.png", 768, 512),
            Revision("boat--02", "newly failed", None, None, None),
        ),
        (Share("model", "gpt-image-2", 2, 0.5),),
    )
    views = [view("boat--01"), view("boat--02", state="failed", failure_class="refused")]

    page = Page(await write_gallery(tmp_path, replace(facts(), history=history), in_batches(views)))

    assert ["replaced", "newly failed"] == [task["change"] for task in page.tasks]
    assert {"boat--01": ["superseded/boat--01.ffffffff.png", 768, 512]} == page.data["old"]
    assert "2 images in 2 min, 1 failed request" in page.text
    assert "The run before began 2026-11-25 01:02 UTC 1 replaced 1 newly failed" in page.text
    assert "gpt-image-2 2 $0.50" in page.text


async def test_every_failure_with_its_reason_and_what_to_do(tmp_path: Path) -> None:
    """Failures are grouped by class, with advice for both readers; what is still to come is listed too."""
    views = [
        view("boat--01", state="failed", failure_class="refused", reason="Rejected: a famous mouse."),
        view("boat--02", state="held", failure_class="unknown", reason="The line went dead."),
        view("boat--03", state="pending"),
    ]

    page = Page(await write_gallery(tmp_path, facts(), in_batches(views)))

    assert "No image is here yet." in page.text
    assert "Refused by the provider's content rules 1 task Reword the prompt" in page.text
    assert "To order it again: batchgen retry --class refused" in page.text
    assert "boat--01 Rejected: a famous mouse. A paper boat." in page.text
    assert "boat--02 The line went dead. (held until someone decides)" in page.text
    assert "Still to come The next run goes on with these. 1 task boat--03 A paper boat." in page.text


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


async def test_a_page_of_a_huge_job_stays_usable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first tasks are shown, all are counted, and the page says where the others are."""
    monkeypatch.setattr(gallery, "TASKS_SHOWN", 5)
    views = [view(f"boat--{number:02}") for number in range(1, 9)]

    page = Page(await write_gallery(tmp_path, facts(), in_batches(views, 3)))

    assert [f"boat--{number:02}" for number in range(1, 6)] == [task["id"] for task in page.tasks]
    assert "The first 5 of 8 tasks are shown here. results.csv lists them all" in page.text


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

    assert [("stored", "", "png"), ("failed", "missing", "")] == [
        (task["state"], task["kind"], task["file"]) for task in page.tasks
    ]
    assert "The image's file is gone or was changed" in page.text
