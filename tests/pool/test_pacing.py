"""Pacing: what the provider's sliding minute sees."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterator, Sequence
from itertools import pairwise
from random import Random

import pytest

from batchgen.core.limits import LaneLimit, PoolLimits
from batchgen.core.types import Attempt
from batchgen.pool.gates import Gate
from batchgen.pool.pacing import CATCH_UP_S, MARGIN, Pace
from batchgen.pool.stopping import Stop
from tests.ledgers.samples import tasks
from tests.pool.pools import Night
from tests.pool.scripted import Reply, ScriptedEngine
from tests.pool.virtual import simulate

RATES = (5, 7, 50, 60, 120, 500, 1000, 1250, 5000, 12_000)
LATE_S = 0.001
"""How late a real timer fires at worst: the loop's selector counts whole milliseconds."""


def busiest_minute(times: Sequence[float]) -> int:
    """The most requests in any 60 s."""
    first, most = 0, 0
    for number, moment in enumerate(times):
        while times[first] <= moment - 60.0:
            first += 1
        most = max(most, number - first + 1)
    return most


def reached(times: Sequence[float], images_per_minute: float) -> float:
    """The share of the allowed rate that a run reached, from its first request to its last."""
    return (len(times) - 1) * 60.0 / (times[-1] - times[0]) / images_per_minute


async def paced(rates: Sequence[float], seconds: float) -> list[float]:
    """When a lane's permits come, through its own rate (the first) and the common one (the last)."""
    loop, lane = asyncio.get_running_loop(), LaneLimit(("m",), rates[0])
    gate = Gate.alone(PoolLimits(10**9, rates[-1], (lane,)), Stop())
    times = []
    while loop.time() < seconds:
        await gate.enter(lane.models)
        times.append(loop.time())
    return times


@pytest.mark.parametrize("late_s", [1e-6, LATE_S])
@pytest.mark.parametrize("rate", RATES)
def test_no_minute_holds_too_many_and_none_is_wasted(rate: float, late_s: float) -> None:
    """From 5 to 12,000 images a minute: never more than the limit in 60 s, and at least 98.5 % of it used."""
    times = simulate(lambda: paced([rate], max(150.0, 60 * 60.0 / rate)), late_s=late_s)
    assert rate >= busiest_minute(times)
    assert reached(times, rate) >= 0.985


@pytest.mark.parametrize("tick_s", [1e-6, 1e-5, 1e-4, 1e-3])
def test_nobody_waits_for_ever_for_a_moment_that_passes_meanwhile(tick_s: float) -> None:
    """Time goes on while it is decided who may go: a moment that comes in between is not missed."""
    times = simulate(lambda: paced([12_000, 11_000], 20.0), late_s=1e-9, tick_s=tick_s)
    assert len(times) >= 2000


@pytest.mark.parametrize("rates", [(50, 60), (60, 50), (5000, 12_000), (12_000, 5000), (6000, 6000)])
def test_two_limits_hold_at_once_and_the_tighter_is_used(rates: tuple[float, float]) -> None:
    """A model's limit under a job's: the tighter one is kept, and reached, also with late timers."""
    times = simulate(lambda: paced(rates, 150.0), late_s=LATE_S)
    assert min(rates) >= busiest_minute(times)
    assert reached(times, min(rates)) >= 0.985


@pytest.mark.parametrize("window_s", [1.0, 2.0, 10.0])
@pytest.mark.parametrize("rates", [(60,), (300,), (600,), (3000,), (12_000,), (12_000, 12_000)])
def test_a_short_window_holds_as_little_too_much(rates: tuple[float, ...], window_s: float) -> None:
    """A limit that is counted over seconds is kept as well, from the first request on, also with late timers."""
    times = simulate(lambda: paced(rates, 30.0), late_s=LATE_S)
    scaled = [moment * 60.0 / window_s for moment in times]
    assert rates[0] * window_s / 60.0 >= busiest_minute(scaled)
    assert reached(times, rates[0]) >= 0.985


@pytest.mark.parametrize("rate", [5, 60, 600, 12_000])
def test_a_run_does_not_begin_with_a_burst(rate: float) -> None:
    """However many tasks and workers there are, the first requests are spaced as all others are."""
    night = Night(tasks(20), concurrency=20, images_per_minute=rate).run()
    times = night.engine.times()
    assert 20 == len(times)
    gaps = [late - early for early, late in pairwise(times)]
    period_s = MARGIN * 60.0 / rate
    assert all(
        times[last] - times[first] >= (last - first) * period_s - CATCH_UP_S - 1e-6
        for last in range(20)
        for first in range(last)
    )
    assert min(gaps[3:]) >= 60.0 / rate


def slow_then_fast(attempt: Attempt) -> Reply:
    """Requests that take long first, and no time afterwards."""
    return Reply(seconds=45.0 if attempt.task.position < 30 else 0.01)


def test_permits_do_not_pile_up_behind_busy_workers() -> None:
    """All workers are busy for long, then quick: the minute after holds no more than the limit."""
    night = Night(tasks(300), ScriptedEngine(slow_then_fast), concurrency=6, images_per_minute=60).run()
    assert 300 == len(night.engine.calls)
    assert 60 >= busiest_minute(night.engine.times())


def until_midnight(_attempt: Attempt) -> Reply:
    """Requests that all end in the same instant, 100 s from the start; later ones are quick."""
    return Reply(seconds=max(0.01, 100.0 - asyncio.get_running_loop().time()))


def test_lanes_that_share_a_rate_share_it_when_workers_get_free_together() -> None:
    """Several models under one rate, all workers busy and then free at once: still no more than the limit."""
    lanes = 5
    of_all = [one for lane in range(lanes) for one in tasks(60, model=f"m{lane}", prefix=f"m{lane}-")]
    night = Night(of_all, ScriptedEngine(until_midnight), concurrency=lanes, images_per_minute=30).run()
    times = night.engine.times()
    assert 300 == len(times)
    assert 30 >= busiest_minute(times)
    assert min(late - early for early, late in pairwise(times)) >= 2.0


def test_lanes_that_share_a_rate_get_their_turns() -> None:
    """No model waits for another to finish: of two equal ones each gets half of the shared rate."""
    night = Night([*tasks(60, model="a", prefix="a"), *tasks(60, model="b", prefix="b")], images_per_minute=60)
    first_minute = [call.task.request.model for call in night.run().engine.calls][:60]
    assert 25 <= first_minute.count("a") <= 35


def test_a_slow_lane_does_not_slow_another() -> None:
    """Models with limits of their own: the slow one's waiting costs the fast one nothing, even with one worker."""
    night = Night(
        [*tasks(5, model="slow", prefix="s"), *tasks(200, model="fast", prefix="f")],
        ScriptedEngine(lambda _attempt: Reply(seconds=0.01)),
        concurrency=1,
        lanes=[LaneLimit(("slow",), 5), LaneLimit(("fast",), 300)],
    ).run()
    assert reached(night.engine.times(model="slow"), 5) >= 0.98
    assert reached(night.engine.times(model="fast"), 300) >= 0.97


def test_nothing_is_sent_before_the_run_may_begin() -> None:
    """A request of an earlier run a moment ago counts: the first of this run waits its turn."""
    night = Night(tasks(2), images_per_minute=6, starts_at=7.0).run()
    first, second = night.engine.times()
    assert 7.0 <= first < 7.1
    assert second - first >= MARGIN * 10.0 - CATCH_UP_S


def delayed(rate: float, seconds: float, delays: Iterator[float]) -> list[float]:
    """When requests go out that each follow their permits after some time, as behind a commit."""
    pace, now = Pace(rate), 0.0
    waiting: list[tuple[float, float]] = []
    went = []
    while now < seconds:
        ready = max(now, pace.ready_at) + LATE_S
        if waiting and waiting[0][0] <= ready:
            now, permitted_at = heapq.heappop(waiting)
            pace.went(permitted_at, now)
            went.append(now)
        else:
            now = ready
            pace.take(now)
            heapq.heappush(waiting, (now + next(delays), now))
    return went


@pytest.mark.parametrize("most_s", [0.02, 0.05, 0.2])
@pytest.mark.parametrize("rate", [60, 600, 1200, 12_000])
def test_commits_that_take_longer_at_times_make_no_window_too_full(rate: float, most_s: float) -> None:
    """However late requests follow their permits: counted from when they go out, windows of 2 s or more hold the limit.

    Where they are at most a fiftieth of the shortest window late, the rate is used as well.
    """
    random = Random(1)
    delays = iter(lambda: most_s * random.random() ** 4, None)
    times = delayed(rate, 40.0, delays)
    for window_s in (2.0, 3.0, 5.0, 10.0):
        assert rate * window_s / 60.0 >= busiest_minute([moment * 60.0 / window_s for moment in times])
    assert most_s > 0.04 or reached(times, rate) >= 0.985
