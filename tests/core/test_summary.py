"""What a plan and a run come to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.differences import Difference
from batchgen.core.plan import Planned
from batchgen.core.summary import GROUPS_SHOWN, LINES_SHOWN, OTHERS, Cost, PlanSummary, RunSummary, in_all
from batchgen.core.types import Change, JsonValue, Price, PriceKind, StopReason
from tests.ledgers.samples import task, tasks

EXACT = Price(PriceKind.EXACT, 0.006, 0.008, 0.006)
GUESS = Price(PriceKind.ESTIMATE, 0.04, 0.05, 0.04)
UNPRICED = Price(PriceKind.UNPRICED)


def summary() -> PlanSummary:
    """A plan without tasks."""
    return PlanSummary("spring", "spring.yaml", "cometapi", "api.cometapi.com", "output/spring")


def test_a_plan_counts_tasks_changes_and_money() -> None:
    """Only what is sent costs; estimates and unpriced tasks are counted apart."""
    plan = summary()
    for price, change, send in (
        (EXACT, Change.NEW, True),
        (GUESS, Change.CHANGED, True),
        (UNPRICED, Change.RETRY, True),
        (EXACT, Change.KEPT, False),
        (EXACT, Change.MISSING, False),
    ):
        plan.add(Planned(task(price=price), change, send))
    assert (5, 3) == (plan.tasks, plan.to_send)
    assert {"new": 1, "changed": 1, "retry": 1, "kept": 1, "missing": 1} == {
        change.value: count for change, count in plan.changes.items()
    }
    assert (0.046, 0.046, 1, 1) == (
        plan.cost.expected_usd,
        plan.cost.list_usd,
        plan.cost.estimated,
        plan.cost.unpriced,
    )
    assert [Change.NEW, Change.CHANGED, Change.RETRY, Change.MISSING] == list(plan.shown)
    assert {"new": 0.006, "changed": 0.04, "retry": 0} == {
        change.value: cost.expected_usd for change, cost in plan.costs.items()
    }
    assert 0.04 == plan.cost.estimated_usd


def test_costs_are_grouped_by_what_they_depend_on() -> None:
    """Model, size and quality: the table that `plan` prints."""
    plan = summary()
    for parameters in (
        {"size": "1024x1024", "quality": "low"},
        {"size": "1024x1024", "quality": "low"},
        {"n": 1},
    ):
        plan.add(Planned(task(parameters=dict(parameters), price=EXACT), Change.NEW, send=True))
    assert {("gpt-image-2", "1024x1024 low"): (2, 0.012), ("gpt-image-2", ""): (1, 0.006)} == {
        key: (cost.images, cost.expected_usd) for key, cost in plan.groups.items()
    }


def test_a_long_diff_is_cut() -> None:
    """Memory does not grow with the manifest: counts go on, lines do not."""
    plan = summary()
    for one in tasks(LINES_SHOWN + 50):
        plan.add(Planned(one, Change.NEW, send=True))
    assert (LINES_SHOWN, LINES_SHOWN + 50) == (len(plan.shown[Change.NEW]), plan.changes[Change.NEW])


def test_a_thousand_sizes_are_no_thousand_groups() -> None:
    """Memory does not grow with what is varied either: the rest is summed up, and the sum is whole."""
    plan = summary()
    for number in range(GROUPS_SHOWN + 50):
        parameters: dict[str, JsonValue] = {"size": f"{number}x16"}
        plan.add(Planned(task(parameters=parameters, price=EXACT), Change.NEW, send=True))
    assert (GROUPS_SHOWN + 1, 50) == (len(plan.groups), plan.groups[OTHERS, ""].images)
    assert plan.to_send == sum(cost.images for cost in plan.groups.values())


def test_costs_add_up() -> None:
    """Several plans have one cost, as sure as the least sure of them."""
    costs = [Cost(), Cost()]
    for cost, price in zip(costs, (EXACT, GUESS), strict=True):
        cost.add(Planned(task(price=price), Change.NEW, send=True))
    assert Cost(2, 0.046, 0.046, 0.04, 1, 0) == in_all(costs)


@given(st.lists(st.integers(0, 10**6).map(lambda micros: micros / 1e6), max_size=40))
def test_many_prices_add_up_without_noise(prices: list[float]) -> None:
    """Whole micro-dollars, however many."""
    plan = summary()
    for each in prices:
        plan.add(Planned(task(price=Price(PriceKind.EXACT, each, each, each)), Change.NEW, send=True))
    assert round(sum(round(each * 1e6) for each in prices) / 1e6, 6) == plan.cost.expected_usd


def test_changed_fields_keep_their_order() -> None:
    """Two plans of one edit say the same, whatever the hashes of their words: as the fields came, the prompt first."""
    fields = ["prompt", "model", "size", "quality", "background", "moderation", "provider"]
    plan = summary()
    for _ in range(2):
        changed = tuple(Difference(field, None, "x") for field in fields)
        plan.add(Planned(task(price=EXACT), Change.CHANGED, send=True, differences=changed))
    assert dict.fromkeys(fields, 2) == plan.fields
    assert fields == list(plan.fields)


def test_a_plan_as_json_names_every_change() -> None:
    """All eight kinds of change are there, also those that did not occur."""
    shown = summary().as_json()
    assert [0] * 8 == [shown[change.value] for change in Change]


def test_a_run_as_json_has_the_fields_of_the_contract_in_order() -> None:
    """The one line that scripts read."""
    run = RunSummary("spring", "r1", tasks=3, stored=2, kept=1, stopped_by=StopReason.BUDGET, list_usd=0.1)
    fields = "job,run_id,tasks,stored,kept,failed,held,pending,attempts,images_per_minute,cost_usd,job_cost_usd"
    assert f"{fields},maybe_paid_twice_usd,stopped_by,seconds" == ",".join(run.as_json())
    assert "budget" == run.as_json()["stopped_by"]
    assert None is RunSummary("spring", "r1").as_json()["stopped_by"]
