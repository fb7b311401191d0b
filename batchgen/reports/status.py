"""`status` for people: where a job stands, and its tasks, attempts and failures a line each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from batchgen.core.advice import Advice
from batchgen.core.plain import safe_text
from batchgen.core.records import AttemptView, RunRecord, TaskView, Totals
from batchgen.core.types import TaskState
from batchgen.reports.money import money_notes
from batchgen.reports.tally import OpenTask, Tally
from batchgen.reports.text import counted, duration_text, indented, rate_text, usd_text
from batchgen.system.clock import moment_words
from batchgen.system.lock import Holder

_INDENT = " " * 11


@dataclass(frozen=True, slots=True)
class JobStatus:
    """What `status` says of one job. Money is in USD; `ended` and `stopped_by` are of the last run.

    `manifest` is relative to `folder`, "" before the first run; `store` is the object store's address of the images, "" where
    they lie in the folder.
    `last_run` is None before the first one; `ended` is None while it runs, or when it was killed: `worker` tells, if it
    can. `rate_per_minute` is of the images stored in the last minute of a run that works, `waits_until` (UTC) the first
    moment before which a task is not sent again.
    """

    job: str
    manifest: str
    folder: str
    tally: Tally
    totals: Totals
    budget_usd: float | None = None
    last_run: RunRecord | None = None
    ended: str | None = None
    stopped_by: str | None = None
    worker: Holder | None = None
    rate_per_minute: float | None = None
    limit_per_minute: float | None = None
    waits_until: str | None = None
    store: str = ""

    @property
    def working(self) -> Holder | None:
        """Who works on the job right now; None when nobody does, or only another host could tell."""
        return self.worker if self.worker is not None and self.worker.holds else None


def render_status(status: JobStatus) -> str:
    """Plain text without a final line end: counts by state, money, the last run."""
    tally = status.tally
    lines = [
        f"{safe_text(status.job)} ({safe_text(_manifest(status))})",
        f"  tasks    {tally.stored:,} of {tally.total:,} stored",
        *(
            f"{_INDENT}{tally.states[state]:,} {state}"
            for state in TaskState
            if state != TaskState.STORED and tally.states[state]
        ),
        *(f"{_INDENT}{count:,} {name or 'no class'}: {say.title}" for name, count, say, _ in tally.by_class()),
        *_pace(status),
        *_money(status),
        *_last_run(status),
        *([f"  images   {safe_text(status.store)}"] if status.store else []),
        f"  folder   {safe_text(status.folder)}",
    ]
    return "\n".join(lines)


def _manifest(status: JobStatus) -> str:
    """The manifest's path from where the folder's is from: the ledger has it from the folder itself."""
    return os.path.normpath(Path(status.folder, status.manifest)) if status.manifest else "no manifest"


def _pace(status: JobStatus) -> Iterator[str]:
    if status.rate_per_minute is not None:
        limit = status.limit_per_minute
        of = "" if limit is None else f" of {rate_text(limit)}"
        yield f"  rate     {rate_text(round(status.rate_per_minute, 1))}/min{of}"
    if status.waits_until:
        yield f"  next     a task waits until {moment_words(status.waits_until)}"


def _money(status: JobStatus) -> Iterator[str]:
    totals = status.totals
    budget = "" if status.budget_usd is None else f" of {usd_text(status.budget_usd)}"
    yield f"  spent    {usd_text(totals.spent_usd)}{budget}"
    for note in money_notes(totals):
        yield f"{_INDENT}{note}"


def _last_run(status: JobStatus) -> Iterator[str]:
    run = status.last_run
    if run is None:
        yield "  last run none"
        return
    end = f"ended {moment_words(status.ended)}" if status.ended else f"not ended: {_worker(status.worker)}"
    stopped = f", stopped by {status.stopped_by}" if status.stopped_by else ""
    yield indented(
        f"{moment_words(run.started)} with {safe_text(run.provider)}, {end}{stopped}",
        _INDENT,
        first="  last run ",
    )


def _worker(worker: Holder | None) -> str:
    if worker is None:
        return "it is running, or was killed"
    who = safe_text(f"process {worker.pid} on {worker.host} since {moment_words(worker.started)}")
    match worker.holds:
        case None:
            return f"it is running, or was killed ({who})"
        case True:
            return f"it is running ({who})"
        case False:
            return f"it was killed ({who}); run again to go on"


def render_tasks(views: Sequence[TaskView]) -> str:
    """One aligned line a task: state, attempts, cost, id, then its file or why it has none."""
    return "\n".join(map(_task_line, views))


def _task_line(view: TaskView) -> str:
    cost = "" if view.cost_usd is None else usd_text(view.cost_usd)
    tail = (
        view.file
        if view.state == TaskState.STORED and not view.lost
        else _why(view.failure_class, view.reason, view.not_before)
    )
    return f"{view.state:<8}  {view.attempts:>2}  {cost:>8}  {safe_text(view.task_id):<30}  {safe_text(tail or '')}".rstrip()


def _why(failure_class: str | None, reason: str | None, not_before: str | None) -> str:
    why = ": ".join(filter(None, (failure_class, reason)))
    return " ".join(filter(None, (why, not_before and f"(not before {moment_words(not_before)})")))


def render_attempts(views: Sequence[AttemptView]) -> str:
    """One aligned line an attempt: start, state, seconds, cost, task and number, HTTP status, why, ids."""
    return "\n".join(map(_attempt_line, views))


def _attempt_line(view: AttemptView) -> str:
    took = "" if view.seconds is None else duration_text(view.seconds)
    cost = "" if view.cost_usd is None else usd_text(view.cost_usd)
    status = f"HTTP {view.http_status}" if view.http_status else ""
    facts = (
        None if (view.reason or "").startswith(status) else status,
        _why(view.failure_class, view.reason, None),
        "maybe paid twice" if view.possible_duplicate else None,
        f"attempt {view.attempt_id}",
        f"request {view.request_id}" if view.request_id else None,
    )
    task = f"{safe_text(view.task_id)} #{view.number}"
    return f"{view.started}  {view.state:<8}  {took:>10}  {cost:>8}  {task:<33}  {safe_text(', '.join(filter(None, facts)))}"


def render_failed(tally: Tally) -> str:
    """The retry ledger: failed and held tasks by class, with what the writer and the operator can do."""
    groups = ["\n".join(_group(*group)) for group in tally.by_class()]
    if tally.waiting:
        rows = [_row(row) for row in tally.waiting]
        groups.append(
            "\n".join(
                [f"{counted(tally.waits, 'task')} left for the next run", *rows, *_more(tally.waits, rows)]
            )
        )
    return "\n\n".join(groups) or "Nothing failed, nothing is left to do."


def _group(name: str, count: int, say: Advice, rows: Sequence[OpenTask]) -> Iterator[str]:
    yield f"{say.title} ({name or 'no class'}): {counted(count, 'task')}"
    yield indented(say.writer, " " * 12, first="  writer    ")
    yield indented(say.operator, " " * 12, first="  operator  ")
    yield from map(_row, rows)
    yield from _more(count, rows)


def _row(row: OpenTask) -> str:
    tried = counted(row.attempts, "attempt") if row.attempts else "not sent"
    held = "held" if row.state == TaskState.HELD else None
    facts = ", ".join(
        filter(None, (tried, held, row.not_before and f"not before {moment_words(row.not_before)}"))
    )
    return f"    {row.task_id:<30}  {' '.join(filter(None, (row.reason, f'({facts})')))}"


def _more(count: int, rows: Sequence[object]) -> list[str]:
    return [f"    and {count - len(rows):,} more"] if count > len(rows) else []
