"""`status` for people."""

from __future__ import annotations

import pytest

from batchgen.core.records import AttemptView, RunRecord, Totals
from batchgen.core.types import AttemptState
from batchgen.core.values import replace
from batchgen.reports.status import JobStatus, render_attempts, render_failed, render_status, render_tasks
from batchgen.reports.tally import ROWS_KEPT, Tally, take_tally
from batchgen.system.lock import Holder
from tests.reports.samples import in_batches, view

pytestmark = pytest.mark.anyio

VIEWS = [
    view("boat--01"),
    view("boat--02", state="failed", failure_class="refused", reason="No\x1b[0m,\nthanks."),
    view("boat--03", state="held", failure_class="unknown", reason="Lost."),
    view("boat--04", state="pending"),
]


async def test_a_job_at_a_glance() -> None:
    """Counts by state and class, money, the last run, the folder."""
    run = RunRecord("r1", "spring", "m", "cometapi", "h", "2026-01-02T03:04:05.000Z")
    status = JobStatus(
        "spring",
        "../../jobs/spring.yaml",
        "output/spring",
        await take_tally(in_batches(VIEWS)()),
        Totals(spent_usd=1.5),
        25,
        run,
    )

    expected = """\
spring (jobs/spring.yaml)
  tasks    1 of 4 stored
           1 pending
           1 failed
           1 held
           1 refused: Refused by the provider's content rules
           1 unknown: The answer was lost
  spent    $1.50 of $25.00
  last run 2026-01-02 03:04:05 UTC with cometapi, not ended: it is running, or
           was killed
  folder   output/spring"""
    assert expected == render_status(status)


@pytest.mark.parametrize(
    ("expected", "holds"),
    [
        ("it is running (process 7 on h since 2026-01-02 03:04:00 UTC)", True),
        ("it was killed (process 7 on h since 2026-01-02 03:04:00 UTC); run again to go on", False),
        ("it is running, or was killed (process 7 on h since 2026-01-02 03:04:00 UTC)", None),
    ],
)
def test_a_run_that_did_not_end(expected: str, holds: bool | None) -> None:
    """Whether it works, by what its lock tells; how fast, and until when a task waits."""
    run = RunRecord("r1", "spring", "m", "cometapi", "h", "2026-01-02T03:04:05.000Z")
    status = JobStatus(
        "spring",
        "m",
        "output/spring",
        Tally(),
        Totals(),
        last_run=run,
        worker=Holder(7, "h\x07", "2026-01-02T03:04:00.000Z", holds),
        rate_per_minute=37.6 if holds else None,
        limit_per_minute=50,
        waits_until="2026-01-02T04:00:00.000Z",
    )

    shown = " ".join(render_status(status).split())

    assert f"with cometapi, not ended: {expected} folder" in shown
    assert bool(holds) == ("rate 37.6/min of 50" in shown)
    assert "next a task waits until 2026-01-02 04:00:00 UTC" in shown


def test_a_line_a_task() -> None:
    """Columns stand under each other, and a task without an image says why."""
    expected = """\
stored     1    $0.041  boat--01                        images/boat--01.png
failed     1            boat--02                        refused: No, thanks.
held       1            boat--03                        unknown: Lost.
pending    1            boat--04"""
    assert expected == render_tasks(VIEWS)


def test_a_line_an_attempt() -> None:
    """An attempt's line has the ids that a provider's support asks for."""
    attempt = AttemptView(
        "a1", "boat--01", 2, AttemptState.FAILED, "transient", "Bad gateway", 502, "req_9", "T", 3.2, None, True
    )

    expected = (
        "T  failed         3.2 s            boat--01 #2                        "
        "HTTP 502, transient: Bad gateway, maybe paid twice, attempt a1, request req_9"
    )
    assert expected == render_attempts([attempt])
    told = replace(attempt, reason="HTTP 502 Bad Gateway: Try later.")
    assert expected.replace(
        "HTTP 502, transient: Bad gateway", "transient: HTTP 502 Bad Gateway: Try later."
    ) == (render_attempts([told]))


async def test_the_retry_ledger() -> None:
    """Failures by class with a sentence for each reader, then what the next run goes on with."""
    expected = """\
Refused by the provider's content rules (refused): 1 task
  writer    Reword the prompt, then run again; nothing was charged for the
            refusal.
  operator  The refusal is final for this prompt; the reason and the request id
            are on the ledger.
    boat--02                        No, thanks. (1 attempt)

The answer was lost (unknown): 1 task
  writer    It may have been made and paid for; ask the operator whether to
            order it again.
  operator  It may have been charged; ask the provider with the attempt's id,
            then use `batchgen retry`.
    boat--03                        Lost. (1 attempt, held)

1 task left for the next run
    boat--04                        (1 attempt)"""
    assert expected == render_failed(await take_tally(in_batches(VIEWS)()))


def test_memory_does_not_grow_with_failures() -> None:
    """All failures are counted, the first 2,000 are kept, and the rest is named as a number."""
    tally = Tally()
    for _ in range(ROWS_KEPT + 7):
        tally.add(VIEWS[1])

    assert (tally.troubles, len(tally.troubled)) == (ROWS_KEPT + 7, ROWS_KEPT)
    assert render_failed(tally).endswith("    and 7 more")
