"""A provider that fails is left alone, probed, and given up; what answers is not bothered by what does not."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.events import Paused
from batchgen.core.limits import LaneLimit, PoolLimits
from batchgen.core.records import Due
from batchgen.core.types import Attempt, FailureClass, OnUnknown, RetryPolicy, StopReason
from batchgen.ledgers.sqlite import memory_ledger
from batchgen.pool.breaker import IN_A_ROW, PROBES, TROUBLED, WINDOW, Breaker, opens
from batchgen.pool.gates import Gate
from batchgen.pool.judge import Judge
from batchgen.pool.lanes import Lane
from batchgen.pool.stopping import Stop
from tests.ledgers.samples import RUN, task, tasks
from tests.pool.pools import Night
from tests.pool.scripted import Call, Reply, Script, ScriptedEngine, fault, in_turn
from tests.pool.virtual import simulate, wall_clock

HOLD = RetryPolicy(on_unknown=OnUnknown.HOLD)
DOWN = fault(FailureClass.TRANSIENT, seconds=0.5)
CALM = [FailureClass.REFUSED, FailureClass.INVALID, FailureClass.NO_IMAGE, FailureClass.DOWNLOAD]


# Decisions


@pytest.mark.parametrize(
    ("recent", "expected"),
    [
        ("", False),
        ("xxxx", False),
        ("xxxxx", True),
        ("xxxx.x", False),
        ("....xxxxx", True),
        ("xxxxx.", False),
        ("x..x..x..x..x..", False),
        ("x.x.x.x.x.x.x.x.x.x", False),
        ("x..x..x..x..x.......", False),
        ("x..x..x..x..x..x....", True),
    ],
)
def test_five_in_a_row_or_six_of_twenty_are_too_many(recent: str, *, expected: bool) -> None:
    """The share needs all twenty: two failures of the first three say little."""
    assert expected == opens([outcome == "x" for outcome in recent])


@given(st.lists(st.booleans(), max_size=80))
def test_it_opens_exactly_when_too_many_fail(outcomes: Sequence[bool]) -> None:
    """For any outcomes: at the first moment when five in a row or 30 % of the last twenty are trouble."""
    breaker, seen = Breaker(), 0
    for outcome in outcomes:
        seen += 1
        if breaker.learn(trouble=outcome, probe=False):
            break
    runs = [
        number
        for number in range(1, len(outcomes) + 1)
        if (number >= IN_A_ROW and all(outcomes[number - IN_A_ROW : number]))
        or (number >= WINDOW and sum(outcomes[number - WINDOW : number]) >= TROUBLED)
    ]
    assert (runs[0] if runs else len(outcomes)) == seen
    assert bool(runs) == breaker.is_open


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60))
def test_only_probes_move_an_open_breaker(outcomes: Sequence[tuple[bool, bool]]) -> None:
    """Pauses double with every failed probe, the third gives up for good, a success closes and forgets."""
    breaker, failed = Breaker(), 0
    for trouble, probe in outcomes:
        was_open, had_given_up = breaker.is_open, breaker.gave_up
        pause_s = breaker.learn(trouble=trouble, probe=probe and was_open and not had_given_up)
        if not was_open:
            failed = 0
            assert pause_s == (60.0 if breaker.is_open else 0.0)
        elif not probe or had_given_up:
            assert (0.0, True) == (pause_s, breaker.is_open)
        elif trouble:
            failed += 1
            assert pause_s == {1: 120.0, 2: 240.0, 3: math.inf}[failed]
        else:
            assert (0.0, False) == (pause_s, breaker.is_open)
        assert breaker.gave_up == (breaker.is_open and failed == PROBES)


def test_a_closed_breaker_has_forgotten_why_it_opened() -> None:
    """The outage that is over counts no more: one failure among the next twenty is just one."""
    breaker = Breaker()
    for _ in range(IN_A_ROW):
        breaker.learn(trouble=True, probe=False)
    breaker.learn(trouble=False, probe=True)
    for number in range(WINDOW):
        assert 0.0 == breaker.learn(trouble=number == 0, probe=False)
    assert not breaker.is_open


# Nights


def after(seconds: float, then: Reply, first: Reply = DOWN) -> Script:
    """A provider that changes at a moment."""
    return lambda _attempt: first if asyncio.get_running_loop().time() < seconds else then


@pytest.mark.parametrize("count", [5, 40])
@pytest.mark.parametrize("kind", [FailureClass.TRANSIENT, FailureClass.UNKNOWN])
def test_a_provider_that_is_down_stops_the_job(kind: FailureClass, count: int) -> None:
    """After 60, 120 and 240 s one probe each, then the end with `breaker`: no task is failed because of it."""
    night = Night(tasks(count), ScriptedEngine(lambda _attempt: fault(kind, seconds=0.5)), concurrency=5).run()
    assert StopReason.BREAKER == night.stop.reason
    assert "gpt-image-2: 3 probes failed as well, the last one: as scripted" == night.stop.detail
    times = night.engine.times()
    probes = times[-PROBES:]
    assert [60.0, 120.0, 240.0] == [round(late - early - 0.5) for early, late in pairwise([times[-4], *probes])]
    assert len(times) <= 2 * IN_A_ROW + PROBES
    states = list(night.states().values())
    # A lost answer that was sent again as a probe, and lost again, is held as ever.
    assert "failed" not in states
    assert states.count("held") <= (PROBES if kind is FailureClass.UNKNOWN and count == 5 else 0)


def test_what_is_held_at_once_feeds_the_breaker_too() -> None:
    """With `on_unknown: hold` five lost answers are held, the three probes as well; the rest stays pending."""
    night = Night(
        tasks(100), ScriptedEngine(lambda _: fault(FailureClass.UNKNOWN)), concurrency=1, retry=HOLD
    ).run()
    assert StopReason.BREAKER == night.stop.reason
    assert 8 == list(night.states().values()).count("held")
    assert 92 == list(night.states().values()).count("pending")


def test_an_internal_error_is_trouble_too() -> None:
    """Four faults of ours and one of the network open it: a lost answer counts whatever lost it."""
    replies = iter([*[Reply(KeyError("size"))] * 4, fault(FailureClass.TRANSIENT)])
    night = Night(tasks(30), ScriptedEngine(lambda _attempt: next(replies, Reply())), concurrency=1, retry=HOLD)
    night.run()
    assert [60.0] == [event.seconds for event in night.events if isinstance(event, Paused)]
    assert None is night.stop.reason


@pytest.mark.parametrize(("lost", "pauses"), [(1, []), (IN_A_ROW, [60.0])])
def test_a_worker_that_is_lost_counts_once(lost: int, pauses: list[float]) -> None:
    """However many requests it had: no pause, and no bound on what is sent again; five that are lost in a row are too many."""
    each = [fault(FailureClass.UNKNOWN), *[fault(FailureClass.UNKNOWN, same_cause=True)] * 39]
    replies = iter(each * lost)
    night = Night(tasks(250), ScriptedEngine(lambda _attempt: next(replies, Reply())), concurrency=40).run()
    assert pauses == [event.seconds for event in night.events if isinstance(event, Paused)]
    assert None is night.stop.reason


def test_a_probe_that_succeeds_ends_the_pause() -> None:
    """One request alone after the pause; when it brings its image, everybody goes on, and all is stored."""
    engine = ScriptedEngine(after(30.0, Reply(seconds=10.0)))
    night = Night(tasks(30), engine, concurrency=4).run()
    assert None is night.stop.reason
    assert {"stored"} == set(night.states().values())
    late = [moment for moment in engine.times() if moment > 30.0]
    assert [] == [moment for moment in late if moment < 60.0]
    assert [] == [moment for moment in late[1:] if moment < late[0] + 10.0]
    assert 4 == len([moment for moment in late if late[0] + 10.0 <= moment < late[0] + 11.0])
    (paused,) = [event for event in night.events if isinstance(event, Paused)]
    assert (("gpt-image-2",), 60.0) == (paused.models, paused.seconds)
    assert paused.reason.endswith("the last one: as scripted")


def test_what_comes_back_late_from_before_does_not_count_as_a_probe() -> None:
    """Requests that were under way when it opened neither close it nor use up its probes."""

    def script(attempt: Attempt) -> Reply:
        number = attempt.task.position
        if number < 5:
            return DOWN
        return Reply(seconds=20.0) if number < 7 else fault(FailureClass.TRANSIENT, seconds=30.0)

    night = Night(tasks(8), ScriptedEngine(script), concurrency=8)
    night.run()
    assert [] == [moment for moment in night.engine.times() if 1.0 < moment < 60.0]
    assert [60.0, 120.0, 240.0] == [event.seconds for event in night.events if isinstance(event, Paused)]


@pytest.mark.parametrize("kind", [*CALM, FailureClass.RATE_LIMITED])
def test_a_provider_that_answers_is_not_left_alone(kind: FailureClass) -> None:
    """Refusals, invalid requests, answers without an image and rate limits are no outage, however many there are."""
    night = Night(
        [task(f"t{n}--01", position=n, prompt=str(n), parameters={"seed": n}) for n in range(30)],
        ScriptedEngine(lambda _attempt: fault(kind)),
        retry=RetryPolicy(max_attempts=1),
    ).run()
    assert {"failed"} == set(night.states().values())
    assert 30 == len(night.engine.calls)
    assert None is night.stop.reason


def test_a_dead_model_does_not_stop_another() -> None:
    """The lane that fails is given up after its probes; the other one goes on, and only then the job ends so."""
    engine = ScriptedEngine(
        lambda attempt: DOWN if attempt.task.request.model == "dead" else Reply(seconds=20.0)
    )
    of_all = [*tasks(20, model="dead", prefix="d"), *tasks(200, model="well", prefix="w")]
    night = Night(of_all, engine, concurrency=6).run()
    assert 200 == list(night.states().values()).count("stored")
    assert 20 == list(night.states().values()).count("pending")
    assert StopReason.BREAKER == night.stop.reason
    assert night.stop.detail.startswith("dead: ")
    assert engine.times(model="well")[-1] > engine.times(model="dead")[-1]
    gaps = [late - early for early, late in pairwise(engine.times(model="well"))]
    assert max(gaps) < 30.0


def test_a_model_given_up_with_nothing_left_stops_nothing() -> None:
    """Where the last probe used up the last attempts there is no work left to stop."""
    night = Night(tasks(1), ScriptedEngine(lambda _attempt: DOWN), retry=RetryPolicy(max_attempts=8)).run()
    assert {"t0--01": "failed"} == night.states()
    assert 8 == len(night.engine.calls)
    assert None is night.stop.reason


def test_a_deadline_holds_while_it_is_open() -> None:
    """A pause does not outlast the night: nothing is probed after it, and the job ends with `deadline`."""
    night = Night(tasks(50), ScriptedEngine(lambda _attempt: DOWN), ends_at=90.0).run()
    assert StopReason.DEADLINE == night.stop.reason
    assert night.ended_s < 91.0
    assert max(night.engine.times()) < 62.0
    assert {"pending"} == set(night.states().values())


def test_nothing_is_marked_sent_while_it_is_open() -> None:
    """The ledger knows of no attempt that the provider did not see, nor does an observer."""
    night = Night(tasks(50), ScriptedEngine(after(100.0, Reply())), concurrency=8).run()
    assert len(night.engine.calls) == len(night.attempts)
    assert "sent" not in night.states().values()


def test_a_permit_from_before_it_opened_is_not_used() -> None:
    """Asked once more right before the request: the last failure may have come between permit and worker."""

    async def main() -> tuple[list[bool], float]:
        async with memory_ledger() as ledger:
            limit, stop = LaneLimit(("m",)), Stop()
            gate = Gate.alone(PoolLimits(IN_A_ROW + 2, None, (limit,)), stop)
            lane = Lane(limit, ledger, RUN, wall_clock, gate)
            judge = Judge(RUN, ledger, stop, lambda _event: None, math.inf, 0.0)
            allowed = []
            one, *others = [Due(each, 1, 0, 0, 1, None) for each in tasks(IN_A_ROW + 1, model="m")]
            await lane.permit(one)
            for due in others:
                await lane.permit(due)
                allowed.append(judge.allows(lane, due))
                lane.learn(due, trouble=True)
            allowed.append(judge.allows(lane, one))
            lane.done(one)
            await lane.permit(one)
            allowed.append(judge.allows(lane, one))
            return allowed, asyncio.get_running_loop().time()

    allowed, probed_at = simulate(main)
    assert [*[True] * IN_A_ROW, False, True] == allowed
    assert 60.0 == pytest.approx(probed_at, abs=0.01)


def test_an_outage_within_a_night_costs_no_task() -> None:
    """Ten minutes without the provider, in the middle: probes wait for it, and all images are made."""

    def script(_attempt: Attempt) -> Reply:
        return DOWN if 100.0 <= asyncio.get_running_loop().time() < 400.0 else Reply(seconds=10.0)

    night = Night(tasks(200), ScriptedEngine(script), concurrency=4).run()
    assert {"stored"} == set(night.states().values())
    assert None is night.stop.reason


def test_an_intermittent_provider_is_used_as_far_as_it_works() -> None:
    """One failure in five is below both bounds of the breaker."""
    seen: list[Call] = []
    engine = ScriptedEngine()

    def script(_attempt: Attempt) -> Reply:
        seen.append(engine.calls[-1])
        return DOWN if len(seen) % 5 == 0 else Reply()

    engine.script = script
    night = Night(tasks(60), engine, concurrency=1).run()
    assert [] == [event for event in night.events if isinstance(event, Paused)]
    assert {"stored"} == set(night.states().values())


def test_a_probe_may_be_asked_to_slow_down() -> None:
    """A rate limit is an answer: it closes the breaker, and its own pause holds."""
    script = in_turn(DOWN, fault(FailureClass.RATE_LIMITED, retry_after_s=100.0), Reply())
    night = Night(tasks(5), ScriptedEngine(script), concurrency=5, jitter=lambda: 0.0).run()
    times = night.engine.times()
    assert [60.0, 160.0] == [round(moment - 0.5, -1) for moment in times[5:7]]
    assert {"stored"} == set(night.states().values())
