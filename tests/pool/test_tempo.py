"""After a provider asked to slow down a lane goes slower, and then a little faster again for as long as that works."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.events import Paused
from batchgen.core.types import Attempt, FailureClass, RetryPolicy
from batchgen.pool.tempo import SLOWER_EVERY_S, Tempo
from tests.ledgers.samples import tasks
from tests.pool.pools import Night
from tests.pool.scripted import Reply, ScriptedEngine, fault

PATIENT = RetryPolicy(max_attempts=50)


def slowed(configured: float | None, moments: Sequence[float], sent: Sequence[float] = ()) -> Tempo:
    """A tempo that was told to slow down at these moments, after requests at others."""
    tempo = Tempo(configured)
    for moment in sent:
        tempo.sent(moment)
    for moment in moments:
        tempo.slow_down(moment)
    return tempo


@pytest.mark.parametrize(
    ("configured", "moments", "expected"),
    [
        (60.0, (), None),
        (60.0, (0.0,), 48.0),
        (60.0, (0.0, 14.9), 48.0),
        (60.0, (0.0, 15.0), 38.4),
        (1.1, (0.0, 20.0, 40.0), 1.0),
        (0.5, (0.0, 20.0), 0.5),
    ],
)
def test_a_rate_falls_by_a_fifth_at_most_every_15_s(
    configured: float, moments: Sequence[float], expected: float | None
) -> None:
    """From the configured rate, and never to a standstill."""
    assert expected == (rate := slowed(configured, moments).images_per_minute) or rate == pytest.approx(
        expected
    )


@pytest.mark.parametrize(
    ("sent", "now", "expected"),
    [
        ([0.0] * 8, 0.1, 0.8 * 96),
        ([float(second) for second in range(60)], 59.5, 0.8 * 60 * 60 / 59.5),
        ([0.0, 0.0, 0.0, *(float(second) for second in range(100, 130))], 129.0, 0.8 * 60 * 30 / 29),
        ([], 7.0, 0.8 * 12),
    ],
)
def test_without_a_configured_rate_the_last_minute_is_where_it_starts(
    sent: Sequence[float], now: float, expected: float
) -> None:
    """What went out in the last minute, or since the first of it; a first burst counts as five seconds' requests."""
    assert pytest.approx(expected) == slowed(None, [now], sent).images_per_minute


def test_a_clean_round_is_a_minute_of_images() -> None:
    """48 images at 48 a minute bring a twentieth more, not 47; at the configured rate nothing holds it any more."""
    tempo = slowed(60.0, [0.0])
    for _ in range(47):
        tempo.succeeded()
    assert 48.0 == tempo.images_per_minute
    tempo.succeeded()
    assert pytest.approx(50.4) == tempo.images_per_minute
    for _ in range(51 + 53 + 56 + 59):
        tempo.succeeded()
    assert None is tempo.images_per_minute
    assert 0.0 == tempo.next_at


def test_a_rate_limit_ends_a_round() -> None:
    """A round that was not clean does not count."""
    tempo = slowed(60.0, [0.0])
    for _ in range(40):
        tempo.succeeded()
    tempo.slow_down(1.0)
    for _ in range(40):
        tempo.succeeded()
    assert 48.0 == tempo.images_per_minute


@given(
    st.none() | st.floats(0.1, 10_000),
    st.lists(st.tuples(st.floats(0, 30), st.sampled_from(["sent", "succeeded", "limited"])), max_size=200),
)
def test_a_tempo_stays_within_its_bounds(configured: float | None, steps: Sequence[tuple[float, str]]) -> None:
    """Never above the configured rate, never below one a minute (or the configured rate if that is less)."""
    tempo, now, slowed_at = Tempo(configured), 0.0, -SLOWER_EVERY_S
    for wait_s, step in steps:
        now += wait_s
        before = tempo.images_per_minute
        if step == "sent":
            tempo.sent(now)
        elif step == "succeeded":
            tempo.succeeded()
        else:
            tempo.slow_down(now)
        rate = tempo.images_per_minute
        if rate is not None:
            assert min(1.0, configured or 1.0) <= rate <= (configured or rate)
        if before is not None and rate is not None and rate < before:
            assert now >= slowed_at + SLOWER_EVERY_S
        if step == "limited" and now >= slowed_at + SLOWER_EVERY_S:
            slowed_at = now


class Meter:
    """A provider that takes so many requests in any minute, and refuses the others."""

    def __init__(self, a_minute: int) -> None:
        self._a_minute = a_minute
        self._taken: deque[float] = deque()
        self.refused: list[float] = []

    def __call__(self, _attempt: Attempt) -> Reply:
        """Take a request or refuse it."""
        now = asyncio.get_running_loop().time()
        while self._taken and self._taken[0] <= now - 60.0:
            self._taken.popleft()
        if len(self._taken) < self._a_minute:
            self._taken.append(now)
            return Reply(seconds=2.0)
        self.refused.append(now)
        return fault(FailureClass.RATE_LIMITED, seconds=0.1)


@pytest.mark.parametrize("rate", [None, 240.0])
def test_a_night_settles_at_what_the_provider_takes(rate: float | None) -> None:
    """Asked four times too much, a provider soon refuses little, and gets nearly what it takes; all is stored."""
    meter = Meter(60)
    night = Night(
        tasks(900),
        ScriptedEngine(meter),
        concurrency=16,
        images_per_minute=rate,
        retry=PATIENT,
        jitter=lambda: 0.5,
    )
    night.run()
    assert {"stored"} == set(night.states().values())
    assert night.ended_s < 1.5 * 900
    settled = [moment for moment in meter.refused if moment > 300.0]
    assert len(settled) < 0.1 * (night.ended_s - 300.0)


def test_a_configured_rate_comes_back() -> None:
    """One rate limit slows the lane by a fifth; some clean minutes later it is as fast as it was told."""
    limited = fault(FailureClass.RATE_LIMITED, retry_after_s=10.0)
    engine = ScriptedEngine()
    engine.script = lambda _attempt: limited if len(engine.calls) == 100 else Reply()
    night = Night(tasks(600), engine, images_per_minute=60.0, jitter=lambda: 0.0).run()
    times = night.engine.times()
    gaps = [round(late - early, 2) for early, late in pairwise(times)]
    assert {1.01} == set(gaps[1:98])
    assert 1.25 == max(gaps[105:140])
    assert {1.01} == set(gaps[-100:])
    assert {"stored"} == set(night.states().values())


def test_answers_within_a_pause_slow_down_no_further() -> None:
    """What was under way when the pause began says nothing of the new rate, however long after it comes back."""

    def script(attempt: Attempt) -> Reply:
        if attempt.number > 1 or attempt.task.position >= 4:
            return Reply()
        after_s = 20.0 * attempt.task.position
        return fault(FailureClass.RATE_LIMITED, seconds=10.0 + after_s, retry_after_s=100.0 - after_s)

    night = Night(
        tasks(20), ScriptedEngine(script), concurrency=4, images_per_minute=60.0, jitter=lambda: 0.0
    ).run()
    resumed = [moment for moment in night.engine.times() if moment > 100.0]
    gaps = [round(late - early, 2) for early, late in pairwise(resumed)]
    assert 1.25 == max(gaps)


def test_one_lane_slows_down_alone() -> None:
    """A provider that limits one model does not slow another."""
    limited = fault(FailureClass.RATE_LIMITED, retry_after_s=1.0)
    engine = ScriptedEngine(
        lambda attempt: limited if attempt.task.task_id == "a0--01" and attempt.number == 1 else Reply()
    )
    of_all = [*tasks(50, model="a", prefix="a"), *tasks(50, model="b", prefix="b")]
    night = Night(of_all, engine, concurrency=2, jitter=lambda: 0.0).run()
    assert engine.times(model="b")[-1] < 80.0 < engine.times(model="a")[-1]
    assert {"stored"} == set(night.states().values())


@pytest.mark.parametrize(("told_s", "gap_s"), [(20.0, 20.0), (7200.0, 60.0)])
def test_a_limit_that_is_used_up_is_waited_for(told_s: float, gap_s: float) -> None:
    """Where no rate is set, an answer that says that nothing is left spares a 429; an hour is not waited for."""
    engine = ScriptedEngine(
        script=lambda attempt: Reply(exhausted_s=told_s if attempt.task.position == 4 else None)
    )
    night = Night(tasks(10), engine, concurrency=1).run()
    gaps = [round(later - earlier, 1) for earlier, later in pairwise(engine.times())]
    assert 10 == len(night.engine.calls)
    assert [1.0] * 4 + [gap_s + 1.0] + [1.0] * 4 == gaps
    assert [gap_s] == [event.seconds for event in night.events if isinstance(event, Paused)]


def test_a_lane_with_a_rate_keeps_to_it() -> None:
    """Who goes at the limit's own rate uses it up all the time, and would only lose by waiting."""
    engine = ScriptedEngine(script=lambda _attempt: Reply(exhausted_s=60.0))
    Night(tasks(6), engine, concurrency=1, images_per_minute=30).run()
    assert all(later - earlier < 3 for earlier, later in pairwise(engine.times()))
