"""`index.html`: the images of a job, what failed and why, and what it cost; opens from disk without a server."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import jinja2
from anyio import to_thread

from batchgen.core.history import History
from batchgen.core.plain import safe_text
from batchgen.core.records import TaskView, Totals
from batchgen.core.summary import RunSummary
from batchgen.reports.atomic import Sink, replacing
from batchgen.reports.data import task_data
from batchgen.reports.history import changes, shares, timeline
from batchgen.reports.money import money_notes
from batchgen.reports.summary import stop_text
from batchgen.reports.tally import KNOWN_CLASSES, Tally, take_tally
from batchgen.reports.text import counted, duration_text, usd_text
from batchgen.reports.thumbs import thumb_names

TASKS_SHOWN = 10_000
"""A page with more tasks is slow to open and to search; `results.csv` lists them all."""

_HERE = Path(__file__).parent
_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """What the page says beside the tasks themselves. `generated` is UTC text for people, money is in USD.

    `summary` is the last run's, None when the page is made without a run. `list_usd` is what the model makers
    would charge for the job's images, given where the provider itself is free (the sandbox). `command` is the
    `batchgen retry` that orders images of this job again. `store` is the address of the object store that has the images, "" for the
    folder itself. `tally` counts the tasks; without one they are read once more to be counted.
    """

    job: str
    description: str
    provider: str
    host: str
    generated: str
    totals: Totals
    summary: RunSummary | None = None
    list_usd: float | None = None
    budget_usd: float | None = None
    history: History = field(default_factory=History)
    command: str = "batchgen retry"
    store: str = ""
    tally: Tally | None = None


async def write_gallery(
    folder: Path, facts: ReportFacts, batches: Callable[[], AsyncIterator[Sequence[TaskView]]]
) -> Path:
    """Write `folder/index.html` and return its path; the tasks are read twice, once to be counted.

    The page is written as it is rendered and put in place at the end: memory holds one batch of tasks, the listed
    failures and what the last run changed. Prompts, reasons and names are text and never markup. It shows the thumbnails
    that are there, and the images themselves where there is none. Raises `OSError`; the old page is then still there.
    """
    path = folder / "index.html"
    tally = facts.tally or await take_tally(batches())
    thumbs = await to_thread.run_sync(thumb_names, folder)
    history = facts.history
    style, script = _asset("gallery.css"), _asset("gallery.js")
    page = _environment().get_template("gallery.html")
    chunks = page.generate_async(
        facts=_safe(facts),
        tally=tally,
        money=_money(facts),
        run_lines=list(_run(facts.summary)),
        timeline=timeline(history),
        changes=changes(history),
        shares=shares(history),
        command=partial(_command, facts.command),
        data=task_data(batches(), TASKS_SHOWN, thumbs, {one.task_id: one for one in history.revisions}),
        tasks_shown=TASKS_SHOWN,
        counted=counted,
        policy=content_policy(style, script),
        style=style,
        script=script,
    )
    async with replacing(path) as sink:
        await _pour(chunks, sink)
    return path


def _command(retry: str, failure_class: str) -> str:
    """What orders the tasks of a class again; a row without a class is named by no option."""
    named = failure_class in KNOWN_CLASSES
    return safe_text(f"{retry} --class {failure_class}" if named else retry)


@cache
def _environment() -> jinja2.Environment:
    """Kept, since compiling the page takes longer than rendering a small job's."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        enable_async=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def _asset(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def content_policy(style: str, script: str) -> str:
    """A policy that runs exactly this style and this script and loads images of the page's own place only.

    `file:` stands beside `'self'` because a page opened from disk has an opaque origin, which `'self'` need not
    match (github.com/w3c/webappsec-csp/issues/459); on a web server `'self'` does.
    """
    return (
        f"default-src 'none'; img-src 'self' file:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


async def _pour(chunks: AsyncIterator[str], sink: Sink) -> None:
    """Templates yield words; disks like blocks."""
    block = bytearray()
    async for chunk in chunks:
        block += chunk.encode("utf-8", "replace")
        if len(block) >= _CHUNK_BYTES:
            await sink.write(bytes(block))
            block.clear()
    await sink.write(bytes(block))


def _safe(facts: ReportFacts) -> dict[str, str]:
    names = ("job", "description", "provider", "host", "generated", "store")
    return {name: safe_text(getattr(facts, name)) for name in names}


def _money(facts: ReportFacts) -> dict[str, object]:
    totals, notes = facts.totals, []
    if facts.list_usd is not None:
        notes.append(f"list price {usd_text(facts.list_usd)}")
    notes += money_notes(totals)
    budget = "" if facts.budget_usd is None else usd_text(facts.budget_usd)
    return {"spent": usd_text(totals.spent_usd), "budget": budget, "notes": notes}


def _run(summary: RunSummary | None) -> Iterator[str]:
    if summary is None:
        return
    yield f"The last run made {counted(summary.stored, 'image')} in {duration_text(summary.seconds)}."
    if summary.stopped_by is not None:
        yield f"It stopped early: {stop_text(summary)}."
