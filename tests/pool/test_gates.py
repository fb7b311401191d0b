"""Jobs at the same time: what the provider and the budget see of all of them together."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise

import anyio
import pytest

from batchgen.core.limits import LaneLimit, PoolLimits
from batchgen.core.types import FailureClass, StopReason
from batchgen.pool.gates import Gate, ProviderGate
from batchgen.pool.night import Night
from batchgen.pool.pacing import Bound
from batchgen.pool.purse import Purse, Purses
from batchgen.pool.stopping import Stop
from tests.ledgers.samples import tasks
from tests.pool.pools import Night as Job
from tests.pool.scripted import Reply, ScriptedEngine, fault, in_turn, only
from tests.pool.test_pacing import LATE_S, busiest_minute, reached
from tests.pool.virtual import simulate


def jobs_at(provider: ProviderGate, *jobs: Job) -> list[Job]:
    """Run jobs that share a gate, the first one with the lowest rank."""

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for rank, job in enumerate(jobs):
                job.gate = partial(_gate, provider, rank)
                group.start_soon(job.alone)

    simulate(main, late_s=LATE_S)
    return list(jobs)


def _gate(provider: ProviderGate, rank: int, limits: PoolLimits, stop: Stop) -> Gate:
    return Gate(provider, stop, rank, limits)


def job(count: int, engine: ScriptedEngine, **keys: object) -> Job:
    """A job whose requests go to a common engine."""
    return Job(tasks(count), engine, **keys)  # type: ignore[arg-type]  # names of its fields


def most_at_once(times: list[float], seconds: float) -> int:
    """The most requests in flight that each take so long."""
    return max(sum(moment - seconds < other <= moment for other in times) for moment in times)


@pytest.mark.parametrize("rate", [30, 60, 600, 6000])
def test_jobs_together_keep_the_providers_rate(rate: float) -> None:
    """Three jobs at once: no minute sees more than the rate, it is used, and requests are evenly spaced."""
    engine, each = ScriptedEngine(lambda _attempt: Reply(seconds=0.5)), max(30, int(rate / 10))
    jobs_at(ProviderGate(LaneLimit((), rate)), *(job(each, engine, concurrency=60) for _ in range(3)))
    times = sorted(engine.times())
    assert 3 * each == len(times)
    assert rate >= busiest_minute(times)
    assert reached(times, rate) >= 0.97
    assert rate > 240 or min(late - early for early, late in pairwise(times)) >= 60.0 / rate


def test_jobs_together_keep_the_providers_concurrency() -> None:
    """Five at once are allowed: three jobs of eight each never have a sixth in flight, and use the five."""
    engine = ScriptedEngine(lambda _attempt: Reply(seconds=10.0))
    jobs_at(ProviderGate(LaneLimit((), None, 5)), *(job(20, engine) for _ in range(3)))
    assert 60 == len(engine.calls)
    assert 5 == most_at_once(sorted(engine.times()), 9.9)


def test_models_that_share_a_ceiling_share_it_over_jobs() -> None:
    """The operator's ceiling of a model holds over all jobs; another model is not slowed by it."""
    engine = ScriptedEngine(lambda _attempt: Reply(seconds=0.1))
    slow = [Job(tasks(15, model="slow"), engine) for _ in range(2)]
    fast = Job(tasks(100, model="fast"), engine)
    jobs_at(ProviderGate(LaneLimit(()), [LaneLimit(("slow", "other"), 10)]), *slow, fast)
    assert 10 >= busiest_minute(sorted(engine.times(model="slow")))
    assert max(engine.times(model="fast")) < 5.0


def test_an_earlier_job_goes_first_and_later_ones_use_what_it_leaves() -> None:
    """The first job takes the whole rate; one with a lower rate of its own leaves the rest to the next."""
    first, second = ScriptedEngine(), ScriptedEngine()
    jobs_at(ProviderGate(LaneLimit((), 60)), job(30, first), job(30, second))
    assert max(first.times()) < sorted(second.times())[2]

    first, second = ScriptedEngine(), ScriptedEngine()
    jobs_at(ProviderGate(LaneLimit((), 60)), job(20, first, images_per_minute=20), job(30, second))
    assert 20 >= busiest_minute(first.times())
    assert reached(first.times(), 20) >= 0.9
    assert reached(sorted([*first.times(), *second.times()]), 60) >= 0.7
    assert max(second.times()) < max(first.times())


def test_a_pause_that_the_provider_asks_of_one_job_holds_for_all() -> None:
    """After a 429 that asks for 100 s, no job sends that model anything until then."""
    limited = in_turn(fault(FailureClass.RATE_LIMITED, retry_after_s=100.0), Reply())
    first, second = ScriptedEngine(only("t0--01", limited)), ScriptedEngine()
    jobs_at(ProviderGate(LaneLimit((), 30)), job(10, first), job(10, second))
    times = sorted([*first.times(), *second.times()])
    assert 100.0 <= max(late - early for early, late in pairwise(times))
    assert 20 < len(times)


def test_a_pause_that_is_not_worth_waiting_for_ends_all_jobs() -> None:
    """After a 429 that asks for an hour, no job of the night waits for it: each leaves its tasks to a later run."""
    limited = ScriptedEngine(lambda _attempt: fault(FailureClass.RATE_LIMITED, retry_after_s=3600.0))
    jobs = jobs_at(ProviderGate(LaneLimit((), 30)), job(10, limited), job(10, limited))
    assert 2 >= len(limited.calls)
    assert all(one.later and one.ended_s < 60.0 for one in jobs)


@pytest.mark.parametrize("reason", [StopReason.AUTH, StopReason.BILLING])
def test_a_key_that_was_refused_stops_the_other_jobs(reason: StopReason) -> None:
    """One job finds it out; those at work end, and one that begins later sends nothing."""
    provider, finder, other, later = ProviderGate(LaneLimit(())), Stop(), Stop(), Stop()
    found, _ = Gate(provider, finder), Gate(provider, other, 1)
    finder.ask(reason, "no")
    found.end_sending()
    Gate(provider, later, 2)
    assert [(reason, "no")] * 2 == [(one.reason, one.detail) for one in (other, later)]


def test_what_stops_one_job_only_stops_no_other() -> None:
    """A job that ends at its own budget leaves the others at work."""
    provider, one, other = ProviderGate(LaneLimit(())), Stop(), Stop()
    gate, _ = Gate(provider, one), Gate(provider, other, 1)
    one.ask(StopReason.BUDGET)
    gate.end_sending()
    assert other.reason is None


def test_the_nights_budget_is_never_passed_and_used_up() -> None:
    """Three jobs at full concurrency under one purse: it is never passed, and what is left is too little for one."""
    purse, engine = Purse("the night's budget", 1.0), ScriptedEngine(lambda _attempt: Reply(seconds=5.0))
    jobs = [job(200, engine, purses=Purses(purse)) for _ in range(3)]
    bound_usd = jobs[0].tasks[0].price.bound_usd
    assert bound_usd
    jobs_at(ProviderGate(LaneLimit(())), *jobs)
    assert [StopReason.BUDGET] * 3 == [one.stop.reason for one in jobs]
    assert 1.0 - bound_usd < purse.spent_usd <= 1.0
    assert 0 == purse.reservations


def test_a_cancelled_wait_leaves_the_gate_as_it_was() -> None:
    """Whoever stops waiting holds nothing, and the next one goes."""

    async def main() -> float:
        provider = ProviderGate(LaneLimit((), None, 1))
        first, second = Gate(provider, Stop()), Gate(provider, Stop(), 1)
        await first.enter(("m",))
        with anyio.move_on_after(1.0):
            await second.enter(("m",))
        first.leave(("m",))
        await second.enter(("m",))
        return anyio.current_time()

    assert simulate(main) < 1.1


def test_a_job_that_is_cut_off_gives_back_what_it_holds() -> None:
    """What its requests did not leave, since they were cut or never went out, is free for the other jobs."""

    async def main() -> float:
        provider = ProviderGate(LaneLimit((), None, 2), [LaneLimit(("m", "n"), None, 1)])
        cut, other = Gate(provider, Stop()), Gate(provider, Stop(), 1)
        await cut.enter(("m",))
        await cut.enter(("x",))
        cut.leave(("x",))
        cut.close()
        for models in (("n",), ("x",)):
            await other.enter(models)
        return anyio.current_time()

    assert simulate(main) < 0.1


def test_a_stopped_job_leaves_its_place_in_flight_to_the_others() -> None:
    """One job's requests hang until it is cut; the other job of the same provider, two at once, is still done."""
    hanging = ScriptedEngine(lambda _attempt: Reply(seconds=10_000.0))
    engine = ScriptedEngine(lambda _attempt: Reply(seconds=1.0))
    short, other = job(2, hanging, ends_at=5.0, overtime_s=10.0), job(10, engine)
    jobs_at(ProviderGate(LaneLimit((), None, 2)), short, other)
    assert StopReason.DEADLINE is short.stop.reason
    assert 10 == len(engine.calls)
    assert other.ended_s < 30.0


def test_a_bound_without_limits_is_always_ready() -> None:
    """None bounds nothing; no free slot is a wait without a known end."""
    free, full = Bound(), Bound(slots=1)
    for _ in range(3):
        free.take(0.0)
    full.take(0.0)
    assert (-math.inf, math.inf) == (free.ready_at, full.ready_at)


def test_the_nights_flags_bound_each_provider_beside_its_ceiling() -> None:
    """The tighter of both holds, and a provider has one gate in a night."""
    night = Night(LaneLimit((), 60.0, 20))
    gate = night.gate("p", LaneLimit((), 120.0, 5), ())
    assert gate is night.gate("p", LaneLimit((), 120.0, 5), ())
    assert gate is not night.gate("q", LaneLimit(()), ())
    engine = ScriptedEngine(lambda _attempt: Reply(seconds=30.0))
    jobs_at(gate, job(12, engine, concurrency=12))
    assert 5 == most_at_once(sorted(engine.times()), 29.9)
    assert min(late - early for early, late in pairwise(sorted(engine.times()))) >= 1.0
