"""A plan as people read it."""

from __future__ import annotations

import pytest

from batchgen.core.differences import Difference
from batchgen.core.plan import Planned, removed
from batchgen.core.summary import LINES_SHOWN, Cost, PlanSummary
from batchgen.core.types import Change, FailureClass, ImageRequest, JsonValue, Price, PriceKind, Task
from batchgen.reports.differences import changed_lines
from batchgen.reports.plan import cost_text, render_brief, render_plan, render_planned


def plan() -> PlanSummary:
    """A plan of one job without tasks."""
    return PlanSummary("spring", "spring.yaml", "cometapi", "api.example.com", "output/spring")


EXACT = Price(PriceKind.EXACT, 0.4, 0.5, 0.4)
GUESS = Price(PriceKind.ESTIMATE, 0.1, 0.2, 0.1)
UNPRICED = Price(PriceKind.UNPRICED)


def planned(
    task_id: str,
    change: Change,
    price: Price = EXACT,
    *,
    send: bool = True,
    reason: str = "",
    kind: FailureClass | None = None,
    differences: tuple[Difference, ...] = (),
) -> Planned:
    """A task of a plan."""
    request = ImageRequest("gpt-image-2", "p", {"size": "1024x1024", "quality": "low"})
    task = Task(task_id, "p", 0, 1, request, "f" * 64, price)
    return Planned(task, change, send, reason, failure_class=kind, differences=differences)


SIZE = Difference("size", "1024x1024", "1536x1024")
PROMPT = Difference(
    "prompt", "A red mug on an oak table in the morning sun.", "A blue mug on an oak table in the sun."
)
TASKS = (
    planned("boat--01", Change.NEW),
    planned("boat--02", Change.CHANGED, reason="the request changed", differences=(SIZE,)),
    planned("boat--03", Change.CHANGED, reason="the request changed", differences=(SIZE,)),
    planned("boat--04", Change.CHANGED, reason="the request changed", differences=(PROMPT,)),
    planned("boat--05", Change.FAILED, send=False, reason="No\nthanks", kind=FailureClass.REFUSED),
    planned("boat--06", Change.KEPT, send=False),
    planned("boat--07", Change.MISSING, send=False, reason="missing"),
    planned("boat--08", Change.RETRY, reason="Busy.", kind=FailureClass.TRANSIENT),
)  # fmt: skip


def whole() -> PlanSummary:
    """A plan with something of everything."""
    shown = plan()
    shown.images_per_minute, shown.seconds = 50, 130
    shown.budget_usd, shown.spent_usd = 1, 0.3
    shown.notices.append("Mind\x1b[2J the gap.")
    for one in TASKS:
        shown.add(one)
    shown.changes[Change.REMOVED], shown.shown[Change.REMOVED] = 14, [removed("cat--01"), removed("cat--02")]
    return shown


def test_a_plan_reads_like_a_diff() -> None:
    """What differs and how, what it costs by change and kind, how long it takes and what to know, before a cent is spent."""
    expected = """\
Plan for spring: 8 tasks, 5 to send
  cometapi at api.example.com, into output/spring

  + new       1  $0.40
  ~ changed   3  $1.20  size of 2, prompt of 1
  ~ retry     1  $0.40
  ! failed    1         left alone; `batchgen retry` orders them again
  ! missing   1         left alone; `batchgen retry` orders them again
  = kept      1
  - removed  14         no longer in the manifest; their images stay

  + boat--01
  ~ boat--02, boat--03
      size: 1024x1024 -> 1536x1024
  ~ boat--04
      prompt:
        - A red mug on an oak table in the morning sun.
        + A blue mug on an oak table in the sun.
  ~ boat--08  transient: Busy.
  ! boat--05  refused: No thanks
  ! boat--07
  - cat--01, cat--02
    and 12 more removed (--tasks lists all)

  images   cost  model, size, quality
       5  $2.00  gpt-image-2 1024x1024 low

  cost     $2.00
  spent    $0.30 by this job so far
  budget   $1.00, $0.70 of it left: less than this plan costs, the run will stop
           in time
  time     at least 2 min (50 images a minute, 8 at once)

  ! Mind the gap."""
    assert expected == render_plan(whole())


@pytest.mark.parametrize("width", [40, 80, 100])
def test_a_plan_fits_the_terminal(width: int) -> None:
    """No line is longer than the terminal, and none is lost; colours change no words."""
    shown = render_plan(whole(), width=width)

    assert max(map(len, shown.splitlines())) <= width
    assert "".join(render_plan(whole()).split()) == "".join(shown.split())
    coloured = render_plan(whole(), width=width, colour=True)
    assert "\x1b[32m+\x1b[0m" in coloured
    assert shown == "".join(
        part.partition("m")[2] if place else part for place, part in enumerate(coloured.split("\x1b["))
    )


def test_a_run_shows_its_plan_in_a_few_lines() -> None:
    """What a run is about to do, without the tasks."""
    lines = render_brief(whole())

    assert "Plan for spring: 8 tasks, 5 to send" == lines[0]
    assert "  ~ changed   3  $1.20  size of 2, prompt of 1" in lines
    assert "  cost     $2.00" in lines
    assert not any("boat" in line for line in lines)
    assert len(lines) <= 15


def test_a_long_diff_says_how_much_more() -> None:
    """Nobody reads 10,000 lines, but the count is never hidden, and where the rest is."""
    shown = plan()
    for number in range(LINES_SHOWN + 988):
        shown.add(planned(f"boat--{number}", Change.NEW))

    text = render_plan(shown)

    assert LINES_SHOWN == text.count("boat--")
    assert "    and 988 more new (--tasks lists all)" in text.splitlines()


def test_a_line_for_each_task() -> None:
    """`--tasks` says of each task on one line what becomes of it, for how much, and why."""
    lines = render_planned(
        [*TASKS, planned("x--01", Change.NEW, UNPRICED), planned("y--01", Change.NEW, GUESS)]
    )

    def line(mark: str, cost: str, task_id: str, why: str) -> str:
        return f"{mark:<10}  {cost:>9}  {task_id:<30}  {why}".rstrip()

    assert [
        line("+ new", "$0.40", "boat--01", ""),
        line("~ changed", "$0.40", "boat--02", "size: 1024x1024 -> 1536x1024"),
    ] == lines.splitlines()[:2]
    assert line("! failed", "", "boat--05", "refused: No thanks") in lines.splitlines()
    assert [line("+ new", "unpriced", "x--01", ""), line("+ new", "~$0.10", "y--01", "")] == lines.splitlines()[
        -2:
    ]


@pytest.mark.parametrize(
    ("expected", "before", "now"),
    [
        (["      f: low -> none"], "low", None),
        (["      f: only spaces or line ends differ"], "two\nlines", "two lines"),
        (['      f: 1 -> {"a": [2]}'], 1, {"a": [2]}),
        (["      f: a -> evil\u00e9"], "a\x1b[2J", "evil\u00e9\x07\u202e"),
    ],
)  # fmt: skip
def test_old_and_new(expected: list[str], before: JsonValue, now: JsonValue) -> None:
    """Short values stand beside each other, and nothing in them acts."""
    shown = list(changed_lines(Difference("f", before, now), 80))

    assert expected == shown


def test_of_long_texts_only_what_differs() -> None:
    """What both prompts share at both ends is left out."""
    before = "Over there floats a paper boat on the calm water of a mountain lake, at sunrise and in soft light"

    field, old, new = changed_lines(Difference("prompt", before, before.replace("calm", "wild")), 80)

    assert "      prompt:" == field
    assert "        - …floats a paper boat on the calm water of a mountain lake,…" == old
    assert "        + …floats a paper boat on the wild water of a mountain lake,…" == new


@pytest.mark.parametrize(
    ("expected", "prices"),
    [
        ("$0.40", [EXACT]),
        ("~$0.50", [EXACT, GUESS]),
        ("$0.00 (list price $0.04)", [Price(PriceKind.EXACT, 0.0, 0.0, 0.04)]),
        ("1 unpriced", [UNPRICED]),
        ("$0.40 + 1 unpriced", [EXACT, UNPRICED]),
        ("$0.00", []),
    ],
)
def test_a_cost_says_how_sure_it_is(expected: str, prices: list[Price]) -> None:
    """Exact, estimated, unpriced and free are never mixed up."""
    cost = Cost()
    for price in prices:
        cost.add(planned("boat--01", Change.NEW, price))

    assert expected == cost_text(cost)


def test_known_and_estimated_prices_are_kept_apart() -> None:
    """A sum of both is marked as a guess, and says how much of it is none."""
    shown = plan()
    for price in (EXACT, EXACT, GUESS, UNPRICED):
        shown.add(planned("boat--01", Change.NEW, price))

    lines = render_plan(shown).splitlines()

    assert "  cost     ~$0.90 + 1 unpriced" in lines
    assert "           $0.80 by known prices, ~$0.10 estimated for 1 image" in lines
    told = shown.as_json()
    assert (0.9, 0.8, 0.1, 1, 1) == tuple(
        told[name] for name in ("cost_usd", "exact_usd", "estimated_usd", "estimated", "unpriced")
    )
