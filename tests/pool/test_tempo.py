"""After a provider asked to slow down a lane finds what it takes, and goes nearly as fast as that."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.events import Paused
from batchgen.core.types import Attempt, FailureClass, RetryPolicy
from batchgen.pool.pacing import MARGIN
from batchgen.pool.tempo import BELOW, KEPT_AT_LEAST, Tempo
from tests.ledgers.samples import tasks
from tests.pool.limiters import Fixed, InFlight, Limiter, Sliding, Tokens, settle
from tests.pool.pools import Night
from tests.pool.scripted import Reply, ScriptedEngine, fault

PATIENT = RetryPolicy(max_attempts=50)


def true_limit(limiter: Limiter) -> float:
    """Images a minute that a limiter takes at most: a window takes whole ones."""
    if isinstance(limiter, Sliding | Fixed):
        return math.floor(limiter.a_minute * limiter.window_s / 60.0 + 1e-9) * 60.0 / limiter.window_s
    assert isinstance(limiter, Tokens)
    return limiter.a_minute


LIMITERS: tuple[Callable[[], Limiter], ...] = (
    lambda: Sliding(5),
    lambda: Sliding(60),
    lambda: Sliding(250),
    lambda: Sliding(1200),
    lambda: Sliding(60, 2.0),
    lambda: Sliding(250, 2.0),
    lambda: Sliding(1200, 10.0),
    lambda: Sliding(12_000, 2.0),
    lambda: Fixed(20),
    lambda: Fixed(250),
    lambda: Fixed(250, 2.0),
    lambda: Fixed(1200, 10.0),
    lambda: Tokens(5, 1),
    lambda: Tokens(60, 60),
    lambda: Tokens(250, 1),
    lambda: Tokens(1200, 1),
)


@pytest.mark.parametrize("tells", [False, True])
@pytest.mark.parametrize("too_high", [None, 1.2, 4.0])
@pytest.mark.parametrize("number", range(len(LIMITERS)))
def test_a_lane_settles_within_a_twentieth_of_a_limit(number: int, too_high: float | None, tells: bool) -> None:
    """Whatever a limiter counts, with a rate that is unset or too high: 95 % of its limit, few refusals.

    A few more may be refused, since each time that it tries for more costs one or two.
    """
    limiter = LIMITERS[number]()
    limit = true_limit(limiter)
    seconds = 3600.0 if limit < 20 else 900.0 if limit < 2000 else 200.0
    settled = settle(
        limiter,
        Tempo(configured := too_high and too_high * limit),
        seconds=seconds,
        later_s=seconds / 2,
        configured=configured,
        tells=tells,
        latency_s=2.0,
        slots=max(16, round(limit / 10)),
    )
    assert settled.a_minute >= 0.95 * limit - 60.0 / (seconds / 2)
    assert settled.refused <= 0.08 + 8 / settled.requests


@pytest.mark.parametrize("window_s", [2.0, 10.0, 60.0])
def test_the_first_storm_tells_the_limit(window_s: float) -> None:
    """Refusals say for how long to wait, and the lane comes back later than that: the limit is what it was all the same."""
    tempo = Tempo(None)
    settle(
        Sliding(1200, window_s),
        tempo,
        seconds=1.8 * window_s,
        later_s=0.0,
        tells=True,
        latency_s=0.05,
        slots=1250,
    )
    assert 0.95 * 1200 <= (tempo.images_per_minute or 0.0) <= 1.05 * 1200


@pytest.mark.parametrize("latency_s", [0.5, 10.0, 60.0])
@pytest.mark.parametrize("tells", [False, True])
@pytest.mark.parametrize(
    "limiter",
    [
        lambda: Sliding(120),
        lambda: Fixed(120),
        lambda: Fixed(120, by_the_clock=False),
        lambda: Tokens(120, 1),
        lambda: Tokens(120, 30),
    ],
)
def test_quick_and_slow_images_settle_at_the_same(
    limiter: Callable[[], Limiter], tells: bool, latency_s: float
) -> None:
    """An image may take half a second or a minute."""
    settled = settle(limiter(), Tempo(None), seconds=1800, later_s=900, tells=tells, latency_s=latency_s)
    assert settled.a_minute >= 0.95 * 120
    assert settled.refused <= 0.08


@pytest.mark.parametrize("tells", [False, True])
@pytest.mark.parametrize("most", [4, 20, 100])
def test_places_in_flight_are_used(most: int, tells: bool) -> None:
    """A provider that takes so many at a time, of more that are sent: nine tenths of its places are filled."""
    limiter = InFlight(most, 10.0)
    settled = settle(limiter, Tempo(None), seconds=1800, later_s=900, tells=tells, slots=2 * most)
    assert settled.a_minute >= 0.9 * most * 6


@pytest.mark.parametrize("configured", [None, 240.0, 50.0])
def test_a_limit_that_answers_tell_is_followed(configured: float | None) -> None:
    """Once refused the lane rests just below what headers tell, tries for no more, and goes along when that changes.

    What is configured is never passed.
    """

    def change(now: float) -> float:
        return 2.0 if now > 900 else 1.0

    tempo = Tempo(configured)
    settled = settle(
        Sliding(60, change=change),
        tempo,
        seconds=1800,
        later_s=1200,
        configured=configured,
        headers=lambda now: 60 * change(now),
    )
    assert settled.a_minute >= 0.975 * min(120.0, (configured or 120.0) / MARGIN)
    assert 0.0 == settled.refused
    assert (tempo.images_per_minute or 0.0) <= (configured or 120.0)


@pytest.mark.parametrize("lie", [1.0, 6.0, 40.0, 90.0, 600.0, 1e6])
def test_a_limit_that_is_none_is_not_believed(lie: float) -> None:
    """Headers that tell another limit than the provider has (another unit, an old one, nonsense) slow no lane."""
    settled = settle(Sliding(60), Tempo(None), seconds=1800, later_s=900, headers=lambda _now: lie)
    assert settled.a_minute >= 0.95 * 60


def test_after_slow_down_a_lane_rises_slowly() -> None:
    """Half of what was accepted for 15 minutes, then at most half as much again in each quarter of an hour."""
    rates = [
        settle(
            Sliding(600, 10.0), Tempo(None), seconds=until_s, later_s=until_s - 60, sudden=True, slots=300
        ).a_minute
        for until_s in (300.0, 890.0, 1790.0)
    ]
    assert pytest.approx(rates[0], rel=0.1) == rates[1]
    assert rates[0] <= 0.6 * 600
    assert rates[1] < rates[2] <= 1.6 * rates[1]


@pytest.mark.parametrize("window_s", [10.0, 60.0])
@pytest.mark.parametrize("change", [0.5, 2.0])
def test_a_limit_that_moves_is_found_again(change: float, window_s: float) -> None:
    """Half or twice as much from a moment on: within twenty minutes the lane is there."""
    limiter = Sliding(120, window_s, change=lambda now: change if now > 600 else 1.0)
    found = settle(limiter, Tempo(None), seconds=2100, later_s=1800, slots=240)
    assert found.a_minute >= 0.95 * 120 * change


@dataclass
class Scattered:
    """A provider that refuses some requests for no reason that a rate could mend, also of those that its limit takes."""

    share: float
    limit: Limiter | None = None
    random: Random = field(default_factory=lambda: Random(1))

    def take(self, now: float) -> float | None:
        """None when it is taken."""
        if self.random.random() < self.share:
            return 0.5
        return None if self.limit is None else self.limit.take(now)


@pytest.mark.parametrize("share", [0.01, 0.03])
@pytest.mark.parametrize("rate", [20.0, 60.0, 300.0, 600.0, 1200.0, 6000.0])
def test_scattered_refusals_do_not_strangle_a_run(rate: float, share: float) -> None:
    """A rate that refusals by chance have nothing to do with stays: 95 % of what can come of it is taken."""
    settled = settle(
        Scattered(share), Tempo(rate), seconds=600, later_s=100, configured=rate, slots=round(rate)
    )
    assert settled.a_minute >= 0.95 * (1.0 - share) * rate / MARGIN


@pytest.mark.parametrize(("rate", "least"), [(20.0, 0.95), (60.0, 0.95), (300.0, 0.9), (600.0, 0.85)])
def test_scattered_refusals_that_name_a_time_to_wait_cost_hardly_more_than_that(
    rate: float, least: float
) -> None:
    """Each is waited for, three quarters of a second; beside that the rate stays nearly what it was."""
    settled = settle(
        Scattered(0.01), Tempo(rate), seconds=600, later_s=100, configured=rate, slots=round(rate), tells=True
    )
    assert settled.a_minute >= least * rate / MARGIN


@pytest.mark.parametrize("too_high", [1.5, 2.0, 3.0])
def test_pauses_that_are_told_do_not_hide_a_limit(too_high: float) -> None:
    """One refusal of twenty, each with a wait: the rate is twice too high, and the waits cost more than a slower one."""
    settled = settle(
        Sliding(600, 2.0),
        Tempo(too_high * 600),
        seconds=120,
        later_s=60,
        configured=too_high * 600,
        tells=True,
        latency_s=0.3,
    )
    assert settled.a_minute >= 0.95 * 600


@dataclass
class WholeSeconds:
    """A limiter whose refusals name whole seconds to wait, as `Retry-After` does."""

    limiter: Limiter

    def take(self, now: float) -> float | None:
        """None when it is taken."""
        wait_s = self.limiter.take(now)
        return None if wait_s is None else float(max(1, math.ceil(wait_s)))


@pytest.mark.parametrize("too_high", [1.5, 3.0])
@pytest.mark.parametrize(
    "limiter",
    [
        lambda: Sliding(3000, 2.0),
        lambda: WholeSeconds(Sliding(3000, 2.0)),
        lambda: WholeSeconds(Tokens(12_000, 10)),
    ],
)
def test_a_limit_that_refuses_one_of_hundreds_is_none_to_wait_out(
    limiter: Callable[[], Limiter], too_high: float
) -> None:
    """A refusal that comes at once stops all after it for as long as it says: few are refused, and much time is lost."""
    strict = limiter()
    limit = true_limit(strict.limiter if isinstance(strict, WholeSeconds) else strict)
    settled = settle(
        strict,
        Tempo(too_high * limit),
        seconds=240,
        later_s=120,
        configured=too_high * limit,
        tells=True,
        latency_s=0.3,
        refusal_s=0.005,
    )
    assert settled.a_minute >= 0.94 * limit


@pytest.mark.parametrize("share", [0.01, 0.03])
@pytest.mark.parametrize("slots", [4, 50, 200, 1000])
def test_scattered_refusals_do_not_slow_a_lane_without_a_rate(slots: int, share: float) -> None:
    """As many as may be in flight, each ten seconds: none waits for what was refused by chance."""
    settled = settle(Scattered(share), Tempo(None), seconds=600, later_s=100, slots=slots)
    assert settled.a_minute >= 0.95 * (1.0 - share) * 6 * slots


@pytest.mark.parametrize("rate", [60.0, 300.0, 1200.0, 6000.0])
def test_a_limit_is_found_among_scattered_refusals(rate: float) -> None:
    """One in a hundred is refused for nothing, and there is a limit as well: nine tenths of it and more are used."""
    limiter = Scattered(0.01, Sliding(rate))
    settled = settle(limiter, Tempo(None), seconds=1200, later_s=600, slots=round(rate / 3))
    assert settled.a_minute >= 0.9 * rate
    assert settled.refused <= 0.06


def test_what_is_sent_at_once_without_a_rate_is_measured_by_when_there_is_room_again() -> None:
    """60 at once, then nothing until a minute is over: 60 a minute, less the rest below it."""
    tempo = Tempo(None)
    for number in range(60):
        tempo.sent(number / 100)
    for number in range(3):
        tempo.sent(0.6 + number / 100)
        tempo.refused(0.6 + number / 100, 0.7)
    tempo.slow_down(0.7)
    tempo.sent(60.0)
    tempo.sent(61.0)
    assert pytest.approx(60.0 * BELOW) == tempo.images_per_minute
    assert not tempo.is_free


def test_a_first_burst_is_a_minutes_however_long_nothing_follows() -> None:
    """Refused requests count as well at some providers, so that five are taken in an instant and none for two minutes."""
    tempo = Tempo(None)
    for number in range(8):
        tempo.sent(number / 100)
    for number in range(5, 8):
        tempo.refused(number / 100, 0.1)
    tempo.slow_down(0.1)
    for number in range(1, 7):
        tempo.sent(20.0 * number)
        tempo.refused(20.0 * number, 20.0 * number + 0.1)
        tempo.slow_down(20.0 * number + 0.1)
    tempo.sent(140.0)
    tempo.sent(160.0)
    assert pytest.approx(5.0 * BELOW, rel=0.01) == tempo.images_per_minute


def after_refusals(configured: float | None, refusals: int, times: int = 1) -> Tempo:
    """A tempo that sent a hundred, one a second; the last ones were refused, and the next was taken."""
    tempo = Tempo(configured)
    for number in range(100):
        tempo.sent(float(number))
    for number in range(100 - refusals, 100):
        for _ in range(times):
            tempo.refused(float(number), number + 0.1)
            tempo.slow_down(99.1)
    for number in range(3):
        tempo.sent(100.1 + number)
    return tempo


@pytest.mark.parametrize("configured", [None, 60.0])
@pytest.mark.parametrize("refusals", [1, 2])
def test_a_lone_refusal_slows_nothing(configured: float | None, refusals: int) -> None:
    """What refused one request of many, or two, and took the next, is no storm: whatever rate there was stays."""
    assert None is after_refusals(configured, refusals).images_per_minute


def test_a_lone_refusal_that_tells_a_long_wait_is_no_chance() -> None:
    """A provider that says when there is room again has a limit."""
    tempo = Tempo(60.0)
    tempo.sent(0.0)
    tempo.sent(1.0)
    assert not tempo.refused(0.0, 1.1, 1.0)
    assert tempo.refused(1.0, 1.1, 40.0)


def test_one_pause_slows_a_lane_once() -> None:
    """However many answers to what was under way come back within it."""
    once = after_refusals(None, 3).images_per_minute
    assert once == pytest.approx(60.0, rel=0.1)
    assert after_refusals(None, 8).images_per_minute == pytest.approx(once, rel=0.1)
    assert once == after_refusals(None, 3, times=5).images_per_minute


@given(
    st.none() | st.floats(0.1, 10_000),
    st.lists(st.tuples(st.floats(0, 30), st.sampled_from(["sent", "sent", "limited"])), max_size=200),
)
def test_a_tempo_stays_within_its_bounds(configured: float | None, steps: Sequence[tuple[float, str]]) -> None:
    """Never above the configured rate, never below one a minute (or the configured rate if that is less)."""
    tempo, now, last = Tempo(configured), 0.0, 0.0
    for wait_s, step in steps:
        now += wait_s
        if step == "sent":
            tempo.sent(last := now)
        else:
            tempo.refused(last, now)
            tempo.slow_down(now)
        rate = tempo.images_per_minute
        if rate is not None:
            assert min(1.0, configured or 1.0) <= rate * (1 + 1e-9)
            assert rate <= (configured or rate)


class Meter:
    """A provider that takes so many requests in any minute, and refuses the others."""

    def __init__(self, a_minute: int) -> None:
        self._a_minute = a_minute
        self._taken: deque[float] = deque()
        self.accepted: list[float] = []
        self.refused: list[float] = []

    def __call__(self, _attempt: Attempt) -> Reply:
        """Take a request or refuse it."""
        now = asyncio.get_running_loop().time()
        while self._taken and self._taken[0] <= now - 60.0:
            self._taken.popleft()
        if len(self._taken) < self._a_minute:
            self._taken.append(now)
            self.accepted.append(now)
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
    assert night.ended_s < 1.1 * 900
    settled = [moment for moment in meter.refused if moment > 300.0]
    assert len(settled) < 0.03 * (night.ended_s - 300.0)


def test_models_with_different_limits_find_each_its_own() -> None:
    """No rate is configured: one model gets 240 a minute, the other 30, at the same time and from the same pool."""
    fast, slow = Meter(240), Meter(30)
    engine = ScriptedEngine(lambda attempt: (fast if attempt.task.request.model == "fast" else slow)(attempt))
    of_all = [*tasks(2000, model="fast", prefix="f"), *tasks(250, model="slow", prefix="s")]
    Night(of_all, engine, concurrency=32, retry=PATIENT, jitter=lambda: 0.5).run()
    for meter, limit in ((fast, 240), (slow, 30)):
        taken = sum(180.0 <= moment < 480.0 for moment in meter.accepted)
        assert taken >= 0.9 * limit * 5


def test_a_configured_rate_comes_back() -> None:
    """One pause slows the lane; some clean minutes later it is as fast as it was told."""
    limited = fault(FailureClass.RATE_LIMITED, retry_after_s=10.0)
    engine = ScriptedEngine()
    engine.script = lambda _attempt: limited if len(engine.calls) == 100 else Reply()
    night = Night(tasks(600), engine, images_per_minute=60.0, jitter=lambda: 0.0).run()
    times = night.engine.times()
    gaps = [round(late - early, 2) for early, late in pairwise(times)]
    assert {1.01} == set(gaps[1:98])
    assert 1.1 < max(gaps[105:120]) < 1.3
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
    gaps = [late - early for early, late in pairwise(resumed)]
    assert max(gaps) <= 1.01 / KEPT_AT_LEAST


def test_one_lane_slows_down_alone() -> None:
    """A provider that limits one model does not slow another."""
    limited = fault(FailureClass.RATE_LIMITED, retry_after_s=10.0)
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
