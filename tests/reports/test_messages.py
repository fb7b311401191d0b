"""What notifications say."""

from __future__ import annotations

from typing import Any

import pytest

from batchgen.core.events import Notice, RunBroken, RunEnded
from batchgen.core.types import FailureClass, Paid, TaskState
from batchgen.reports.messages import Told, broken_message, end_message
from batchgen.reports.settings import Kind
from tests.reports.samples import failed_event, started, stored_event

NOTHING: dict[str, Any] = {
    "job": "spring", "tasks": 4, "stored": 0, "kept": 0, "failed": 0, "held": 0, "pending": 0,
    "cost_usd": 1.5, "seconds": 90, "stopped_by": None,
}  # fmt: skip


def ended(
    failures: dict[str, int] | None = None, detail: str = "", report: str = "", **said: object
) -> RunEnded:
    """A run of four tasks that ended."""
    return RunEnded({**NOTHING, **said}, failures or {}, detail, report)


@pytest.mark.parametrize(
    ("kinds", "title", "says", "event"),
    [
        (
            {Kind.FINISHED},
            "spring: finished",
            ["4 of 4 images are there (3 stored, 1 kept); $1.50 in 2 min.", "Report: /srv/spring/index.html"],
            ended(report="/srv/spring/index.html", stored=3, kept=1),
        ),
        ({Kind.FINISHED}, "spring: finished", ["0 of 0 images are there (nothing to make)"], ended(tasks=0)),
        (
            {Kind.FAILED},
            "spring: finished with failures",
            ["2 of 4 images are there (2 stored, 1 failed, 1 held)", "1 refused: ", "1 unknown: It may have been made"],
            ended({"unknown": 1, "refused": 1}, stored=2, failed=1, held=1),
        ),
        (
            {Kind.STOPPED},
            "spring: stopped early",
            ["(1 stored, 3 left)", "the account has no credit left.", "Top up the account, then run again."],
            ended(detail="Bearer sk-hush: a prompt about hush", stopped_by="billing", stored=1, pending=3),
        ),
        (
            {Kind.STOPPED, Kind.BUDGET, Kind.FAILED},
            "spring: stopped early",
            ["the budget is used up: this run's budget: $0.01 of $1.00 is left.", "Raise `budget_usd`"],
            ended({"refused": 1}, "this run's budget: $0.01 of $1.00 is left", stopped_by="budget", failed=1, pending=3),
        ),
        (
            {Kind.STOPPED},
            "spring: stopped early",
            ["the rest may only be tried later: the next task may be sent at 2026-01-01", "Run again at that time"],
            ended(detail="the next task may be sent at 2026-01-01", stopped_by="later", pending=4),
        ),
    ],
)  # fmt: skip
def test_the_end(kinds: set[Kind], title: str, says: list[str], event: RunEnded) -> None:
    """Job, counts, money, what to do and where the report is; what a provider said, who may quote a prompt, is left out."""
    message = end_message(event)

    assert (frozenset(kinds), title) == (message.kinds, message.title)
    assert [] == [text for text in says if text not in message.body]
    assert "hush" not in message.body


@pytest.mark.parametrize(
    ("title", "says", "event"),
    [
        ("job: did not run", "`batchgen validate MANIFEST` says what", RunBroken("job", 2, "ProblemsError", "hush")),
        ("job: did not run", "Another run holds the job", RunBroken("job", 4, "JobLockedError", "hush")),
        ("job: broke off", "run it again to go on", RunBroken("job", 3, "ValueError", "hush")),
        ("job: broke off", "output/job: no space left", RunBroken("job", 3, "StorageError", "output/job: no space left")),
    ],
)  # fmt: skip
def test_a_run_without_an_end(title: str, says: str, event: RunBroken) -> None:
    """It is told too; what may quote a manifest is not."""
    message = broken_message(event)

    assert (title, frozenset({Kind.STOPPED})) == (message.title, message.kinds)
    assert says in message.body
    assert "hush" not in message.body


def test_four_fifths_of_the_budget_are_told_once() -> None:
    """Said when 80 % of what the run may spend are spent, paid failures included, and not again."""
    told = Told()
    told.take(started(10, budget_usd=0.1), 0.0)

    assert None is told.take(stored_event(0.04), 1.0)
    message = told.take(
        failed_event(kind=FailureClass.UNKNOWN, state=TaskState.HELD, paid=Paid.MAYBE, bound_usd=0.04), 2.0
    )
    assert message is not None
    assert (frozenset({Kind.BUDGET}), "spring: 80% of the budget are spent") == (message.kinds, message.title)
    assert (
        "$0.08 of the $0.10 that this run may spend are spent, while 1 of 10 images are stored" in message.body
    )
    assert None is told.take(stored_event(0.01), 3.0)


def test_without_a_budget_none_is_told() -> None:
    """Nothing is four fifths of nothing."""
    told = Told()
    told.take(started(10), 0.0)

    assert None is told.take(stored_event(5.0), 1.0)


def test_a_stalled_run() -> None:
    """Nothing came for as long as that, while work is left: not before a run begins, not after it ends, nor when done."""
    told = Told()
    assert None is told.stalled(1000.0, 60.0)
    told.take(started(2), 1000.0)
    assert None is told.stalled(1059.0, 60.0)
    told.take(stored_event(), 1050.0)
    told.take(Notice("nothing that gets on"), 1100.0)

    assert None is told.stalled(1109.0, 60.0)
    message = told.stalled(1110.0, 60.0)
    assert message is not None
    assert "spring: stalled" == message.title
    assert "No image came and no request failed for 1 min, while 1 of 2 images are stored." in message.body
    told.take(stored_event(), 1120.0)
    assert None is told.stalled(2000.0, 60.0)


def test_an_ended_run_does_not_stall() -> None:
    """What a stopped run left is no stall."""
    told = Told()
    told.take(started(2), 0.0)
    told.take(ended(stopped_by="signal", pending=2), 1.0)

    assert None is told.stalled(1000.0, 60.0)
