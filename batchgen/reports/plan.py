"""A plan as people read it, before a cent is spent."""

from __future__ import annotations

from collections.abc import Iterator

from batchgen.core.plain import safe_text
from batchgen.core.summary import Cost, PlanSummary
from batchgen.core.types import Change
from batchgen.reports.text import counted, duration_text, indented, rate_text, usd_text

_MARKS = {
    Change.NEW: "+",
    Change.CHANGED: "~",
    Change.RETRY: "~",
    Change.FAILED: "!",
    Change.HELD: "!",
    Change.MISSING: "!",
    Change.KEPT: "=",
    Change.REMOVED: "-",
}


def render_plan(plan: PlanSummary) -> str:
    """Plain text without a final line end: the diff, the cost by group, money, time and notices.

    `+` is made, `~` is made again, `!` needs a person, `=` stays, `-` is no longer in the manifest.
    """
    parts = [
        _head(plan),
        list(_diff(plan)),
        list(_groups(plan)),
        list(_money_and_time(plan)),
        list(_notices(plan)),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _head(plan: PlanSummary) -> list[str]:
    return [
        f"Plan for {safe_text(plan.job)}: {counted(plan.tasks, 'task')}, {plan.to_send:,} to send",
        indented(f"{safe_text(plan.provider)} at {safe_text(plan.host)}, into {safe_text(plan.folder)}", "  "),
    ]


def _diff(plan: PlanSummary) -> Iterator[str]:
    for change, task_id, reason in plan.lines:
        line = f"  {_MARKS[change]} {change.value:<8} {safe_text(task_id)}"
        yield f"{line}  ({safe_text(reason)})" if reason and reason != change.value else line
    more = sum(count for change, count in plan.changes.items() if change is not Change.KEPT) - len(plan.lines)
    if more > 0:
        yield f"    and {more:,} more"
    if kept := plan.changes[Change.KEPT]:
        yield f"  = {Change.KEPT.value:<8} {counted(kept, 'image')} already made"
    if any(plan.changes[change] for change, mark in _MARKS.items() if mark == "!"):
        yield "    failed, held and missing: left alone; `batchgen retry` orders them again"


def _groups(plan: PlanSummary) -> Iterator[str]:
    """A table of what is sent. Its columns are as wide as their texts, and the cost comes before long names."""
    if not plan.groups:
        return
    rows = [
        (f"{count:,}", cost_text(cost), safe_text(f"{model} {look}"))
        for (model, look), (count, cost) in plan.groups.items()
    ]
    if len(rows) > 1:
        rows.append((f"{plan.to_send:,}", cost_text(plan.cost), "in all"))
    rows.insert(0, ("images", "cost", "model, size, quality"))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for images, cost, model in rows:
        yield f"  {images:>{widths[0]}}  {cost:>{widths[1]}}  {model}"


def cost_text(cost: Cost) -> str:
    """A cost with how sure it is: exact, `~` estimated, `unpriced`; a free provider's with the list price."""
    priced = cost.expected_usd or cost.list_usd or not cost.unpriced
    text = usd_text(cost.expected_usd, estimated=cost.estimated > 0) if priced else ""
    if cost.list_usd and not cost.expected_usd:
        text = f"$0.00 (list price {usd_text(cost.list_usd, estimated=cost.estimated > 0)})"
    unpriced = f"{cost.unpriced:,} unpriced" if cost.unpriced else ""
    return " + ".join(filter(None, (text, unpriced)))


def _money_and_time(plan: PlanSummary) -> Iterator[str]:
    yield f"  cost     {cost_text(plan.cost)}"
    if plan.spent_usd:
        yield f"  spent    {usd_text(plan.spent_usd)} by this job so far"
    if plan.budget_usd is not None:
        left = max(plan.budget_usd - plan.spent_usd, 0.0)
        over = plan.cost.expected_usd > left
        tail = ": less than this plan costs, the run will stop in time" if over else ""
        yield indented(
            f"{usd_text(plan.budget_usd)}, {usd_text(left)} of it left{tail}", " " * 11, first="  budget   "
        )
    yield indented(_time(plan), " " * 11, first="  time     ")


def _time(plan: PlanSummary) -> str:
    at_once = f"{plan.concurrency:,} at once"
    if plan.images_per_minute is None or plan.seconds is None:
        return f"no rate limit, {at_once}"
    rate = f"{rate_text(plan.images_per_minute)} images a minute, {at_once}"
    return (
        f"at least {duration_text(plan.seconds)} ({rate})" if plan.to_send else f"nothing to wait for ({rate})"
    )


def _notices(plan: PlanSummary) -> Iterator[str]:
    for notice in plan.notices:
        yield indented(safe_text(notice), "    ", first="  ! ")
