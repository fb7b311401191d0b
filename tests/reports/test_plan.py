"""A plan as people read it."""

from __future__ import annotations

import pytest

from batchgen.core.plan import Planned
from batchgen.core.summary import LINES_SHOWN, Cost, PlanSummary
from batchgen.core.types import Change, ImageRequest, Price, PriceKind, Task
from batchgen.reports.plan import cost_text, render_plan


def plan() -> PlanSummary:
    """A plan of one job without tasks."""
    return PlanSummary("spring", "spring.yaml", "cometapi", "api.example.com", "output/spring")


def planned(task_id: str, change: Change, price: Price, *, send: bool = True, reason: str = "") -> Planned:
    """A task of a plan."""
    request = ImageRequest("gpt-image-2", "p", {"size": "1024x1024", "quality": "low"})
    return Planned(Task(task_id, "p", 0, 1, request, "f" * 64, price), change, send, reason)


EXACT = Price(PriceKind.EXACT, 0.4, 0.5, 0.4)


def test_a_plan_reads_like_a_diff() -> None:
    """What differs, what it costs, how long it takes and what to know, before a cent is spent."""
    shown = plan()
    shown.images_per_minute, shown.seconds = 50, 130
    shown.budget_usd, shown.spent_usd = 1, 0.3
    shown.notices.append("Mind\x1b[2J the gap.")
    shown.add(planned("boat--01", Change.NEW, EXACT))
    shown.add(planned("boat--02", Change.CHANGED, EXACT, reason="the request changed"))
    shown.add(planned("boat--03", Change.FAILED, EXACT, send=False, reason="No\nthanks"))
    shown.add(planned("boat--04", Change.KEPT, EXACT, send=False))
    shown.add(planned("boat--05", Change.MISSING, EXACT, send=False, reason="missing"))

    expected = """\
Plan for spring: 5 tasks, 2 to send
  cometapi at api.example.com, into output/spring

  + new      boat--01
  ~ changed  boat--02  (the request changed)
  ! failed   boat--03  (No thanks)
  ! missing  boat--05
  = kept     1 image already made
    failed, held and missing: left alone; `batchgen retry` orders them again

  images   cost  model, size, quality
       2  $0.80  gpt-image-2 1024x1024 low

  cost     $0.80
  spent    $0.30 by this job so far
  budget   $1.00, $0.70 of it left: less than this plan costs, the run will stop
           in time
  time     at least 2 min (50 images a minute, 8 at once)

  ! Mind the gap."""
    assert expected == render_plan(shown)


def test_a_long_diff_says_how_much_more() -> None:
    """Nobody reads 10,000 lines, but the count is never hidden."""
    shown = plan()
    for number in range(LINES_SHOWN + 5):
        shown.add(planned(f"boat--{number}", Change.NEW, EXACT))

    lines = render_plan(shown).splitlines()

    assert "    and 5 more" in lines
    assert sum(line.startswith("  + new") for line in lines) == LINES_SHOWN


@pytest.mark.parametrize(
    ("expected", "prices"),
    [
        ("$0.40", [EXACT]),
        ("~$0.50", [EXACT, Price(PriceKind.ESTIMATE, 0.1, 0.2, 0.1)]),
        ("$0.00 (list price $0.04)", [Price(PriceKind.EXACT, 0.0, 0.0, 0.04)]),
        ("1 unpriced", [Price(PriceKind.UNPRICED)]),
        ("$0.40 + 1 unpriced", [EXACT, Price(PriceKind.UNPRICED)]),
        ("$0.00", []),
    ],
)
def test_a_cost_says_how_sure_it_is(expected: str, prices: list[Price]) -> None:
    """Exact, estimated, unpriced and free are never mixed up."""
    cost = Cost()
    for price in prices:
        cost.add(planned("boat--01", Change.NEW, price))

    assert expected == cost_text(cost)
