"""A plan as people read it, before a cent is spent: like a diff."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from batchgen.core.plain import safe_text
from batchgen.core.plan import Planned
from batchgen.core.summary import Cost, PlanSummary
from batchgen.core.types import Change, PriceKind
from batchgen.reports.columns import WIDTH, cells, painted
from batchgen.reports.differences import changed_lines, in_line
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
_COLOURS = {"+": "green", "~": "yellow", "!": "red", "=": "dim", "-": "dim"}
_ALONE = (Change.FAILED, Change.HELD, Change.MISSING)
_NOTE_NEEDS = 24
"""Columns that a note beside a row is worth; in fewer it gets lines of its own."""


def render_plan(plan: PlanSummary, *, width: int = WIDTH, colour: bool = False) -> str:
    """Text without a final line end: changes with their costs, the first tasks of each, money, time and notices.

    `+` is made, `~` is made again, `!` needs a person, `=` stays, `-` is no longer in the manifest.
    """
    parts = [
        _head(plan, width, colour=colour),
        list(_changes(plan, width, colour=colour)),
        list(_tasks(plan, width, colour=colour)),
        list(_groups(plan, width)),
        list(_money_and_time(plan, width)),
        list(_notices(plan, width)),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def render_brief(plan: PlanSummary, *, width: int = WIDTH, colour: bool = False) -> list[str]:
    """The same in a few lines, for a run that goes on at once."""
    first = painted(_title(plan), "bold", wanted=colour)
    return [first, *_changes(plan, width, colour=colour), *_money_and_time(plan, width)]


def render_planned(page: Sequence[Planned]) -> str:
    """One line a task: what becomes of it, its cost, its id, and why or what differs."""
    return "\n".join(map(_planned_line, page))


def _planned_line(one: Planned) -> str:
    mark = f"{_MARKS[one.change]} {one.change.value:<8}"
    return f"{mark}  {_price(one):>9}  {safe_text(one.task.task_id):<30}  {_why(one)}".rstrip()


def _price(one: Planned) -> str:
    price = one.task.price
    if not one.send:
        return ""
    if price.kind is PriceKind.UNPRICED:
        return "unpriced"
    return usd_text(price.expected_usd or 0.0, estimated=price.kind is PriceKind.ESTIMATE)


def _why(one: Planned) -> str:
    if one.differences:
        return "; ".join(map(in_line, one.differences))
    reason = "" if one.reason == one.change.value else safe_text(one.reason)
    return ": ".join(filter(None, (one.failure_class and one.failure_class.value, reason)))


def _title(plan: PlanSummary) -> str:
    return f"Plan for {safe_text(plan.job)}: {counted(plan.tasks, 'task')}, {plan.to_send:,} to send"


def _head(plan: PlanSummary, width: int, *, colour: bool) -> list[str]:
    where = f"{safe_text(plan.provider)} at {safe_text(plan.host)}, into {safe_text(plan.folder)}"
    return [painted(_title(plan), "bold", wanted=colour), indented(where, "  ", width=width)]


def _changes(plan: PlanSummary, width: int, *, colour: bool) -> Iterator[str]:
    """A row a kind of change: how many tasks, what they cost, and what to know of them."""
    kinds = [change for change in _MARKS if plan.changes[change]]
    rows = [
        (change, f"{plan.changes[change]:,}", _sum(plan.costs.get(change)), _note(plan, change))
        for change in kinds
    ]
    tasks, costs = (max((len(row[column]) for row in rows), default=0) for column in (1, 2))
    for change, count, cost, note in rows:
        mark = painted(_MARKS[change], _COLOURS[_MARKS[change]], wanted=colour)
        row = f"  {mark} {change.value:<8} {count:>{tasks}}  {cost:>{costs}}"
        yield from _beside(row, len(f"  + {change.value:<8} ") + tasks + 2 + costs, note, width)


def _beside(row: str, length: int, note: str, width: int) -> Iterator[str]:
    if not note:
        yield row.rstrip()
    elif width - length - 2 >= min(len(note), _NOTE_NEEDS):
        hanging = indented(note, " " * (length + 2), width=width).lstrip()
        yield f"{row}  {hanging}"
    else:
        yield row.rstrip()
        yield indented(note, " " * 6, width=width)


def _sum(cost: Cost | None) -> str:
    return "" if cost is None else cost_text(cost, list_price=False)


def _note(plan: PlanSummary, change: Change) -> str:
    free = plan.changes[change] - (plan.costs[change].images if change in plan.costs else 0)
    match change:
        case Change.CHANGED:
            return ", ".join(
                field if count == plan.changes[change] else f"{field} of {count:,}"
                for field, count in ((safe_text(name), count) for name, count in plan.fields.most_common(6))
            )
        case Change.RETRY if free:
            return f"{free:,} of them paid and only to be fetched"
        case Change.KEPT if plan.moved_back:
            return f"{plan.moved_back:,} of them moved to another name"
        case Change.REMOVED:
            return "no longer in the manifest; their images stay"
        case _ if change in _ALONE:
            return "left alone; `batchgen retry` orders them again"
        case _:
            return ""


def _tasks(plan: PlanSummary, width: int, *, colour: bool) -> Iterator[str]:
    """The first tasks of each kind, with what differs or why; neighbours of whom the same is said stand together."""
    for change, mark in _MARKS.items():
        shown = plan.shown.get(change, ())
        for _, alike in groupby(shown, lambda one: (one.differences, _why(one))):
            yield from _alike(list(alike), painted(mark, _COLOURS[mark], wanted=colour), width)
        if plan.changes[change] > len(shown) > 0:
            more = f"and {plan.changes[change] - len(shown):,} more {change.value} (--tasks lists all)"
            yield indented(more, "    ", width=width)


def _alike(tasks: Sequence[Planned], mark: str, width: int) -> Iterator[str]:
    names = ", ".join(safe_text(one.task.task_id) for one in tasks)
    why = "" if tasks[0].differences else _why(tasks[0])
    if why and cells(names) + 4 <= width - _NOTE_NEEDS:
        yield from _beside(f"  {mark} {names}", cells(names) + 4, why, width)
        return
    yield f"  {mark} {indented(names, '    ', width=width).lstrip()}"
    if why:
        yield indented(why, " " * 6, width=width)
    for difference in tasks[0].differences:
        yield from changed_lines(difference, width)


def _groups(plan: PlanSummary, width: int) -> Iterator[str]:
    """A table of what is sent. Its columns are as wide as their texts, and the cost comes before long names."""
    if not plan.groups:
        return
    rows = [
        (f"{cost.images:,}", cost_text(cost), safe_text(f"{model} {look}"))
        for (model, look), cost in plan.groups.items()
    ]
    if len(rows) > 1:
        rows.append((f"{plan.to_send:,}", cost_text(plan.cost), "in all"))
    rows.insert(0, ("images", "cost", "model, size, quality"))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for images, cost, model in rows:
        yield from _beside(f"  {images:>{widths[0]}}  {cost:>{widths[1]}}", sum(widths) + 4, model, width)


def cost_text(cost: Cost, *, list_price: bool = True) -> str:
    """A cost with how sure it is: exact, `~` estimated, `unpriced`; a free provider's with the list price."""
    priced = cost.expected_usd or cost.list_usd or not cost.unpriced
    text = usd_text(cost.expected_usd, estimated=cost.estimated > 0) if priced else ""
    if list_price and cost.list_usd and not cost.expected_usd:
        text = f"$0.00 (list price {usd_text(cost.list_usd, estimated=cost.estimated > 0)})"
    unpriced = f"{cost.unpriced:,} unpriced" if cost.unpriced else ""
    return " + ".join(filter(None, (text, unpriced)))


def _money_and_time(plan: PlanSummary, width: int) -> Iterator[str]:
    cost = plan.cost
    yield f"  cost     {cost_text(cost)}"
    if 0 < cost.estimated < cost.images - cost.unpriced:
        exact_usd = usd_text(cost.expected_usd - cost.estimated_usd)
        guess_usd = usd_text(cost.estimated_usd, estimated=True)
        apart = f"{exact_usd} by known prices, {guess_usd} estimated for {counted(cost.estimated, 'image')}"
        yield indented(apart, " " * 11, width=width)
    if plan.spent_usd:
        yield f"  spent    {usd_text(plan.spent_usd)} by this job so far"
    if plan.budget_usd is not None:
        left = max(plan.budget_usd - plan.spent_usd, 0.0)
        over = cost.expected_usd > left
        tail = ": less than this plan costs, the run will stop in time" if over else ""
        told = f"{usd_text(plan.budget_usd)}, {usd_text(left)} of it left{tail}"
        yield indented(told, " " * 11, first="  budget   ", width=width)
    yield indented(_time(plan), " " * 11, first="  time     ", width=width)


def _time(plan: PlanSummary) -> str:
    at_once = f"{plan.concurrency:,} at once"
    if plan.images_per_minute is None:
        least = f"at least {duration_text(plan.seconds)}, " if plan.seconds and plan.to_send else ""
        return f"{least}no rate limit of the whole, {at_once}" if least else f"no rate limit, {at_once}"
    rate = f"{rate_text(plan.images_per_minute)} images a minute, {at_once}"
    if not plan.to_send or plan.seconds is None:
        return f"nothing to wait for ({rate})"
    return f"at least {duration_text(plan.seconds)} ({rate})"


def _notices(plan: PlanSummary, width: int) -> Iterator[str]:
    for notice in plan.notices:
        yield indented(safe_text(notice), "    ", first="  ! ", width=width)
