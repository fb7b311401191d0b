"""Budgets: never exceeded, whatever is in flight, and used as far as they reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.core.money import usd
from batchgen.core.types import Attempt, FailureClass, Paid, Price, PriceKind, RetryPolicy, StopReason
from batchgen.pool.purse import Purse, Purses
from tests.ledgers.samples import task, tasks
from tests.pool.pools import Night
from tests.pool.scripted import Reply, ScriptedEngine, fault


def flat(bound_usd: float) -> Price:
    """A price of which the bound matters."""
    return Price(PriceKind.EXACT, bound_usd, bound_usd, bound_usd)


def budget(limit_usd: float, spent_usd: float = 0.0) -> Purses:
    """The job's budget alone."""
    return Purses(Purse("the job's budget", limit_usd, spent_usd))


def test_a_budget_ends_the_sending_with_a_reason() -> None:
    """As many images as the budget surely pays for; the rest stays pending, and the reason counts the money."""
    night = Night(
        tasks(20, price=flat(0.05)), ScriptedEngine(lambda _: Reply(cost_usd=0.05)), purses=budget(0.52)
    )
    states = night.run().states()
    assert 10 == list(states.values()).count("stored")
    assert 10 == list(states.values()).count("pending")
    assert StopReason.BUDGET == night.stop.reason
    assert "the job's budget: $0.0200 of $0.52 is left, and t10--01 may cost $0.0500" == night.stop.detail


def test_what_settles_lower_leaves_room_for_more() -> None:
    """Reserved is an upper bound: what an image did not cost buys further ones in the same run."""
    cheaper = ScriptedEngine(lambda _: Reply(cost_usd=0.01))
    night = Night(tasks(40, price=flat(0.05)), cheaper, concurrency=8, purses=budget(0.25)).run()
    assert 21 == len(night.engine.calls)
    assert 0.21 == night.totals.spent_usd


def test_a_full_budget_waits_for_what_is_in_flight() -> None:
    """Nothing is given up while an open reservation may yet be settled lower."""
    free = ScriptedEngine(lambda _: Reply(cost_usd=0.0))
    night = Night(tasks(10, price=flat(1.0)), free, concurrency=4, purses=budget(1.0)).run()
    assert {"stored"} == set(night.states().values())
    assert 1 == night.engine.most


def test_lost_answers_are_paid_from_the_budget() -> None:
    """What may have been paid for counts: a provider that loses everything cannot empty the account."""
    lossy = ScriptedEngine(lambda _: fault(FailureClass.UNKNOWN))
    night = Night(tasks(20, price=flat(0.1)), lossy, purses=budget(0.5)).run()
    assert 5 == len(night.engine.calls)
    assert 0.5 == night.totals.spent_usd


def test_refusals_cost_nothing() -> None:
    """What was not paid for goes back to the budget."""
    busy = ScriptedEngine(lambda _: fault(FailureClass.REFUSED))
    night = Night(tasks(20, price=flat(0.4)), busy, purses=budget(0.5)).run()
    assert {"failed"} == set(night.states().values())
    assert None is night.stop.reason


def test_what_was_spent_earlier_counts() -> None:
    """The job's budget is over all its runs."""
    night = Night(tasks(5, price=flat(0.1)), purses=budget(1.0, spent_usd=0.9)).run()
    assert 1 == len(night.engine.calls)


def test_two_budgets_hold_at_once() -> None:
    """The job's and this run's: the one that ends first is named."""
    purses = Purses(Purse("the job's budget", 10.0), Purse("this run's budget", 0.12))
    night = Night(
        tasks(5, price=flat(0.05)), ScriptedEngine(lambda _: Reply(cost_usd=0.05)), purses=purses
    ).run()
    assert 2 == len(night.engine.calls)
    assert night.stop.detail.startswith("this run's budget")


@dataclass(frozen=True)
class Case:
    """A task's bound, what it comes to as a share of it, how long it takes, and how it ends."""

    bound_micros: int
    share: float
    seconds: float
    kind: FailureClass | None

    @property
    def bound_usd(self) -> float:
        """The bound in USD."""
        return self.bound_micros / 1e6

    def reply(self) -> Reply:
        """The scripted outcome."""
        if self.kind is None:
            return Reply(seconds=self.seconds, cost_usd=usd(self.bound_usd * self.share))
        paid = Paid.YES if self.kind is FailureClass.NO_IMAGE else None
        return fault(self.kind, seconds=self.seconds, paid=paid)


KINDS = (None, FailureClass.UNKNOWN, FailureClass.TRANSIENT, FailureClass.NO_IMAGE, FailureClass.REFUSED)
CASES = st.builds(
    Case,
    bound_micros=st.integers(0, 500_000),
    share=st.floats(0, 1),
    seconds=st.sampled_from([0.0, 0.1, 1.0, 7.0]),
    kind=st.sampled_from(KINDS),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(CASES, min_size=1, max_size=12), st.integers(0, 2_000_000), st.integers(1, 6))
def test_no_mix_of_outcomes_exceeds_a_budget(cases: list[Case], limit_micros: int, concurrency: int) -> None:
    """At every request: what is settled, what may be paid and what is in flight together stay within the budget.

    And when the run stops for it, the next task did not fit in what was left.
    """
    limit_usd = limit_micros / 1e6
    of_all = [
        task(f"t{number}--01", position=number, prompt=str(number), price=flat(case.bound_usd))
        for number, case in enumerate(cases)
    ]
    purse = Purse("the job's budget", limit_usd)
    engine = ScriptedEngine(lambda attempt: cases[attempt.task.position].reply())
    most = 0.0

    async def look(_attempt: Attempt) -> None:
        nonlocal most
        most = max(most, purse.spent_usd)

    engine.on_perform = look
    night = Night(
        of_all,
        engine,
        concurrency=concurrency,
        purses=Purses(purse),
        retry=RetryPolicy(max_attempts=2),
        jitter=lambda: 0.5,
    ).run()
    assert most <= limit_usd
    assert usd(purse.spent_usd) == night.totals.spent_usd
    assert night.totals.spent_usd <= limit_usd
    if night.stop.reason is None:
        assert "pending" not in night.states().values()
    elif (
        night.stop.reason is not StopReason.BREAKER
    ):  # so many may have failed that the provider was left alone
        assert StopReason.BUDGET == night.stop.reason
        left_usd = limit_usd - night.totals.spent_usd
        pending = [one for one in of_all if night.states()[one.task_id] == "pending"]
        assert any((one.price.bound_usd or 0.0) > left_usd for one in pending)


@pytest.mark.parametrize(
    ("spent_usd", "amount_usd", "fits"), [(0.9, 0.1, True), (0.9, 0.100001, False), (1.0, 0.0, True)]
)
def test_a_purse_counts_to_the_micro_dollar(spent_usd: float, amount_usd: float, *, fits: bool) -> None:
    """Float noise neither opens nor closes a budget."""
    assert fits == Purse("a budget", 1.0, spent_usd).has(amount_usd)


MICROS = st.integers(0, 3_000_000)


@given(
    st.lists(MICROS, min_size=1, max_size=3),
    st.lists(st.tuples(MICROS, st.integers(0, 100), st.integers(0, 9)), max_size=60),
)
def test_no_interleaving_breaks_a_budget(limits: Sequence[int], steps: Sequence[tuple[int, int, int]]) -> None:
    """Reservations and settlements in any order: all purses hold the exact sum, and none is ever above its limit.

    Each step reserves an amount; then, at will, an open reservation settles at a share of what was reserved.
    """
    each = [Purse(f"purse {number}", limit / 1e6) for number, limit in enumerate(limits)]
    purses = Purses(*each)
    settled, open_now = 0, list[int]()
    for amount, share, which in steps:
        short = purses.reserve(amount / 1e6)
        fits = settled + sum(open_now) + amount <= min(limits)
        assert fits == (short is None)
        if fits:
            open_now.append(amount)
        elif short is not None:
            assert settled + sum(open_now) + amount > limits[each.index(short)]
        if which < len(open_now):
            reserved = open_now.pop(which)
            cost = reserved * share // 100
            purses.settle(reserved / 1e6, cost / 1e6)
            settled += cost
        for purse in each:
            assert (settled + sum(open_now)) / 1e6 == purse.spent_usd <= purse.limit_usd
