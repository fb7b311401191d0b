"""The last lines of a run: what was made, what it cost, what failed, and how to go on."""

from __future__ import annotations

from collections.abc import Iterator

from batchgen.core.plain import safe_text
from batchgen.core.summary import RunSummary
from batchgen.core.types import StopReason
from batchgen.reports.money import money_notes
from batchgen.reports.tally import advice
from batchgen.reports.text import counted, duration_text, indented, rate_text, usd_text

_INDENT = " " * 11
STOPS = {
    StopReason.BUDGET: "the budget is used up",
    StopReason.DEADLINE: "the time is up",
    StopReason.LATER: "the rest may only be tried later",
    StopReason.AUTH: "the provider did not accept the key",
    StopReason.BILLING: "the account has no credit left",
    StopReason.BREAKER: "more requests would only do harm",
    StopReason.SIGNAL: "it was interrupted",
    StopReason.STORAGE: "the disk, the output folder or the object store failed",
}
"""Why a run ended with work left, to follow `because`."""


def render_summary(summary: RunSummary, *, resume: str, retry: str) -> str:
    """Plain text without a final line end.

    `resume` is the exact command that goes on with what is left, `retry` the one that orders failed and held
    tasks again; both are shown only when they would do something.
    """
    lines = [_headline(summary), *_made(summary), *_cost(summary), *_failures(summary, retry)]
    lines += _left(summary, resume)
    if summary.report:
        lines.append(f"  report   {safe_text(summary.report)}")
    return "\n".join(lines)


def _headline(summary: RunSummary) -> str:
    there = summary.stored + summary.kept
    job = safe_text(summary.job)
    if there == summary.tasks:
        return (
            f"{job}: done, all {counted(summary.tasks, 'image')} are there"
            if there != 1
            else f"{job}: done, the image is there"
        )
    how = "stopped early" if summary.stopped_by else "finished"
    return f"{job}: {how}, {there:,} of {counted(summary.tasks, 'image')} are there"


def _made(summary: RunSummary) -> Iterator[str]:
    speed = f", {rate_text(summary.images_per_minute)} a minute" if summary.images_per_minute else ""
    attempts = f", {counted(summary.attempts, 'request')}" if summary.attempts != summary.stored else ""
    yield indented(
        f"{counted(summary.stored, 'image')} in {duration_text(summary.seconds)}{speed}{attempts}",
        _INDENT,
        first="  made     ",
    )
    if summary.kept:
        yield f"  kept     {counted(summary.kept, 'image')} from before"


def _cost(summary: RunSummary) -> Iterator[str]:
    listed = "" if summary.list_usd is None else f" (list price {usd_text(summary.list_usd)})"
    job = (
        f", {usd_text(summary.job_cost_usd)} by the job in all"
        if summary.job_cost_usd != summary.cost_usd
        else ""
    )
    yield f"  cost     {usd_text(summary.cost_usd)}{listed}{job}"
    for note in money_notes(summary.totals):
        yield indented(note, _INDENT)


def _failures(summary: RunSummary, retry: str) -> Iterator[str]:
    if not summary.failed and not summary.held:
        return
    if summary.failed:
        held = f", {summary.held:,} more held" if summary.held else ""
        yield f"  failed   {counted(summary.failed, 'task')}{held}"
    else:
        yield f"  held     {counted(summary.held, 'task')}"
    for name, count in summary.failures.most_common():
        say = advice(name)
        yield indented(f"{count:,} {safe_text(name)}: {say.title}", _INDENT + "  ", first=_INDENT)
        yield indented(say.operator, _INDENT + "  ", first=_INDENT + "  ")
    yield f"{_INDENT}order the same again with: {retry}"


def _left(summary: RunSummary, resume: str) -> Iterator[str]:
    if summary.stopped_by is not None:
        yield indented(stop_text(summary), _INDENT, first="  stopped  ")
    if summary.pending:
        yield f"  left     {counted(summary.pending, 'task')}"
        yield f"{_INDENT}go on with: {resume}"


def stop_text(summary: RunSummary) -> str:
    """Why a run ended with work left, "" when it did not."""
    if summary.stopped_by is None:
        return ""
    detail = f": {safe_text(summary.stop_detail)}" if summary.stop_detail else ""
    return STOPS[summary.stopped_by] + detail
