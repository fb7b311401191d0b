"""What is sent again in vain, is never accepted, or goes to a wrong address, ends before it becomes a storm."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.events import Notice
from batchgen.core.types import Attempt, FailureClass, OnUnknown, RetryPolicy, StopReason, Task
from batchgen.ledgers.sqlite import memory_ledger
from batchgen.pool.hopeless import INVALID
from batchgen.pool.resends import Resends
from tests.ledgers.samples import LOST, RETRY, fail, known, queue, send, task, tasks
from tests.pool.pools import Night
from tests.pool.scripted import Reply, ScriptedEngine, fault, in_turn, link
from tests.pool.virtual import simulate

HOLD = RetryPolicy(on_unknown=OnUnknown.HOLD)
ELSEWHERE = fault(FailureClass.UNKNOWN, status=301, reason="the base URL seems wrong")


# Resends


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["well", "trouble", "limited"])), max_size=300))
def test_resends_stay_under_a_tenth_and_ten(requests: Sequence[tuple[int, str]]) -> None:
    """Whatever comes: after every request sent, resends are at most 10 % of requests + 10; first requests always go."""
    resends, troubled = Resends(), set[str]()
    for number, outcome in requests:
        task_id = str(number)
        before = (resends.requests, resends.resends)
        if not resends.take(task_id):
            assert task_id in troubled
            assert before == (resends.requests, resends.resends)
            assert 10 * (before[1] + 1) > before[0] + 1 + 100
            continue
        assert 10 * resends.resends <= resends.requests + 100
        assert (before[0] + 1, before[1] + (task_id in troubled)) == (resends.requests, resends.resends)
        troubled.discard(task_id)
        if outcome == "trouble":
            resends.troubled(task_id)
            troubled.add(task_id)
        elif outcome == "limited":
            resends.rate_limited()


def every(number: int, kind: FailureClass) -> ScriptedEngine:
    """An engine whose every so manieth request fails."""
    engine = ScriptedEngine()
    engine.script = lambda _attempt: fault(kind) if len(engine.calls) % number == 0 else Reply()
    return engine


@pytest.mark.parametrize("kind", [FailureClass.TRANSIENT, FailureClass.UNKNOWN])
def test_a_storm_of_resends_stops_the_job(kind: FailureClass) -> None:
    """One failure in four never opens the breaker, but what it sends again does not end: `breaker`, nothing is lost."""
    night = Night(tasks(400), every(4, kind), concurrency=1).run()
    assert StopReason.BREAKER == night.stop.reason
    requests = len(night.engine.calls)
    resends = sum(view.number > 1 for view in night.attempts)
    assert 10 * (resends + 1) > requests + 1 + 100 >= 10 * resends
    assert f"{resends} of {requests} requests were sent again" in night.stop.detail
    states = list(night.states().values())
    assert 400 == states.count("stored") + states.count("pending") + states.count("held")
    waiting = [view for view in night.views.values() if view.state == "pending" and view.attempts]
    assert {kind.value} == {view.failure_class for view in waiting}


def test_a_lost_answer_that_is_not_sent_again_keeps_its_key() -> None:
    """The cap sends nothing twice and forgets nothing: the next run sends it with the key of the first."""

    async def main() -> tuple[Night, Night]:
        async with memory_ledger() as ledger:
            first = Night(tasks(400), every(4, FailureClass.UNKNOWN), concurrency=1)
            await queue(ledger, first.tasks)
            await first.over(ledger)
            second = Night(first.tasks, retry=HOLD)
            await second.over(ledger)
            return first, second

    first, second = simulate(main)
    keys = {call.task.task_id: call.attempt.idempotency_key for call in first.engine.calls}
    again = [call.attempt for call in second.engine.calls if call.task.task_id in keys]
    assert again
    assert {attempt.idempotency_key for attempt in again} == {keys[attempt.task.task_id] for attempt in again}
    assert all(attempt.possible_duplicate for attempt in again)


def test_one_failure_in_eleven_is_no_storm() -> None:
    """A provider that is a little unwell serves the whole night."""
    night = Night(tasks(1000), every(11, FailureClass.TRANSIENT), concurrency=1).run()
    assert None is night.stop.reason
    assert {"stored"} == set(night.states().values())


def test_rate_limits_are_no_storm() -> None:
    """What was asked to slow down is sent again as often as `max_attempts` says."""
    engine = ScriptedEngine(in_turn(*[fault(FailureClass.RATE_LIMITED, seconds=0.1)] * 2, Reply()))
    night = Night(tasks(40), engine).run()
    assert None is night.stop.reason
    assert {"stored"} == set(night.states().values())


@pytest.mark.parametrize("counts_refused", [False, True])
@pytest.mark.parametrize("number", [8, 16])
def test_no_attempts_are_used_up_by_a_limit(number: int, counts_refused: bool) -> None:
    """Five a minute, of which nobody tells: a few tasks are refused often, and all are stored in the end.

    Also where what is refused counts like what is taken, so that asking too often is never answered.
    """
    counted: list[float] = []

    def script(_attempt: Attempt) -> Reply:
        now = asyncio.get_running_loop().time()
        counted[:] = [moment for moment in counted if moment > now - 60.0]
        takes = len(counted) < 5
        if takes or counts_refused:
            counted.append(now)
        return Reply(seconds=10.0) if takes else fault(FailureClass.RATE_LIMITED, status=429, seconds=0.1)

    night = Night(tasks(number), ScriptedEngine(script), jitter=lambda: 0.5).run()
    assert {"stored"} == set(night.states().values())
    assert night.ended_s < 900.0


def test_a_limit_that_takes_nothing_ends_the_night() -> None:
    """Where every request is refused for good, tasks fail after a while, with the reason."""
    limited = fault(FailureClass.RATE_LIMITED, status=429)
    night = Night(tasks(8), ScriptedEngine(lambda _attempt: limited), jitter=lambda: 0.5).run()
    assert {"failed"} == set(night.states().values())
    assert 180.0 < night.ended_s < 1800.0


def test_rate_limits_make_no_room_for_resends() -> None:
    """What the provider did not take is no request by whose number resends are measured."""
    engine = ScriptedEngine()
    limited, trouble = fault(FailureClass.RATE_LIMITED), fault(FailureClass.TRANSIENT)
    engine.script = lambda _attempt: [trouble, *[limited] * 4, *[Reply()] * 3][len(engine.calls) % 8]
    patient = RetryPolicy(max_attempts=50)
    night = Night(tasks(400), engine, concurrency=1, retry=patient, jitter=lambda: 0.0).run()
    assert StopReason.BREAKER == night.stop.reason
    last: dict[str, str | None] = {}
    resends = 0
    for view in night.attempts:
        resends += last.get(view.task_id) == "transient"
        last[view.task_id] = view.failure_class
    requests = sum(view.failure_class != "rate_limited" for view in night.attempts)
    assert 10 * resends <= requests + 100 < 10 * (resends + 2)


def test_what_a_dead_run_lost_is_no_storm() -> None:
    """A run over many lost answers of a killed one sends each again: they are no sign of trouble now."""

    async def main() -> Night:
        async with memory_ledger() as ledger:
            night = Night(tasks(32), concurrency=32)
            await queue(ledger, night.tasks)
            for one in night.tasks:
                await fail(ledger, await send(ledger, one, run_id="dead"), LOST, RETRY)
            await known(ledger, night.tasks)
            await night.over(ledger)
            return night

    night = simulate(main)
    assert None is night.stop.reason
    assert 32 == len(night.engine.calls)


# Requests that are never accepted


def tasks_of(size: str, count: int, *, start: int = 0) -> list[Task]:
    """Tasks of one shape, with prompts of their own."""
    return [
        task(
            f"{size}-{number}--01",
            position=start + number,
            prompt=f"{size} {number}",
            parameters={"size": size, "quality": "low"},
        )
        for number in range(count)
    ]


def sizes_of(night: Night) -> dict[str, set[str]]:
    """The states of the tasks of each size."""
    found: dict[str, set[str]] = {}
    for view in night.views.values():
        found.setdefault(str(view.request.parameters["size"]), set()).add(view.state)
    return found


def by_size(**outcomes: Reply) -> ScriptedEngine:
    """What becomes of requests of each size."""
    return ScriptedEngine(lambda attempt: outcomes[str(attempt.task.request.parameters["size"])])


BAD = fault(FailureClass.INVALID, reason="size is not supported")


def test_a_shape_that_is_always_invalid_is_not_sent_a_fourth_time() -> None:
    """Three invalid answers fail the shape's other tasks unsent, with the reason; another size goes on."""
    of_all = [*tasks_of("bad", 50), *tasks_of("good", 20, start=50)]
    engine = by_size(bad=BAD, good=Reply())
    night = Night(of_all, engine, concurrency=1, images_per_minute=60.0).run()
    assert {"bad": {"failed"}, "good": {"stored"}} == sizes_of(night)
    assert INVALID + 20 == len(night.engine.calls)
    assert night.ended_s < 30.0, "tasks that are not sent take no permits"
    unsent = [view for view in night.views.values() if view.state == "failed" and not view.attempts]
    assert 47 == len(unsent)
    reason = "not sent: 3 requests of gpt-image-2 with these settings were invalid (size is not supported)"
    assert {("invalid", reason)} == {(view.failure_class, view.reason) for view in unsent}
    (notice,) = [event.message for event in night.events if isinstance(event, Notice)]
    assert "gpt-image-2 does not accept their settings, so 47 more tasks fail without a request" == notice
    assert None is night.stop.reason


def test_one_success_shows_that_a_shape_is_accepted() -> None:
    """Then every further task is sent, however many prompts are invalid."""
    good_first = ScriptedEngine(lambda attempt: BAD if attempt.task.position else Reply())
    night = Night(tasks_of("big", 20), good_first, concurrency=1).run()
    assert 20 == len(night.engine.calls)
    assert 19 == list(night.states().values()).count("failed")


def test_two_invalid_requests_condemn_nobody() -> None:
    """The third decides, and a success in between is one."""
    engine = ScriptedEngine(lambda attempt: BAD if attempt.task.position < 2 else Reply())
    night = Night(tasks_of("big", 20), engine, concurrency=1).run()
    assert 18 == list(night.states().values()).count("stored")


def test_what_is_under_way_does_not_outlive_its_shape() -> None:
    """A request that was out when its shape was condemned, and would be sent again, fails with the others."""
    slow = fault(FailureClass.TRANSIENT, seconds=5.0)
    engine = ScriptedEngine(lambda attempt: slow if attempt.task.position == 0 else BAD)
    night = Night(tasks_of("bad", 10), engine, concurrency=2).run()
    assert {"failed"} == set(night.states().values())
    assert 1 + INVALID == len(night.engine.calls)
    assert "invalid" == night.views["bad-0--01"].failure_class


# A wrong address


@pytest.mark.parametrize(("policy", "state"), [(RetryPolicy(), "pending"), (HOLD, "held")])
def test_a_first_answer_that_leads_elsewhere_stops_the_job(policy: RetryPolicy, state: str) -> None:
    """The base URL is wrong: nothing more is sent; what was sent is unknown, and follows the policy."""
    night = Night(tasks(20), ScriptedEngine(lambda _attempt: ELSEWHERE), concurrency=1, retry=policy).run()
    assert (StopReason.BREAKER, "the base URL seems wrong") == (night.stop.reason, night.stop.detail)
    assert 1 == len(night.engine.calls)
    assert [("failed", "unknown")] == [(view.state.value, view.failure_class) for view in night.attempts]
    assert state == night.states()["t0--01"]
    assert 19 <= list(night.states().values()).count("pending")


@pytest.mark.parametrize(
    "first",
    [
        Reply(),
        fault(FailureClass.REFUSED, status=400),
        fault(FailureClass.TRANSIENT, status=500),
        fault(FailureClass.RATE_LIMITED, status=429),
    ],
)
def test_a_later_redirect_is_a_lost_answer(first: Reply) -> None:
    """The address was right before: the redirect concerns one request."""
    engine = ScriptedEngine(lambda _attempt: {1: first, 2: ELSEWHERE}.get(len(engine.calls), Reply()))
    night = Night(tasks(5), engine, concurrency=1).run()
    assert None is night.stop.reason
    assert "unknown" in {view.failure_class for view in night.attempts}


def test_a_link_is_an_answer() -> None:
    """An image that could not be fetched yet was made all the same: the address is right, and so was the request."""
    engine = ScriptedEngine(fetched=lambda _attempt: fault(FailureClass.TRANSIENT))
    engine.script = lambda _attempt: [link(), ELSEWHERE, *[BAD] * 4][min(len(engine.calls), 5) - 1]
    night = Night(tasks(12), engine, concurrency=1).run()
    assert None is night.stop.reason
    assert len(night.engine.calls) >= 12


def test_trouble_on_the_way_is_no_first_answer() -> None:
    """A connection that failed answered nothing: the redirect after it is the first answer."""
    engine = ScriptedEngine(
        lambda _attempt: fault(FailureClass.TRANSIENT) if len(engine.calls) < 3 else ELSEWHERE
    )
    night = Night(tasks(20), engine, concurrency=1).run()
    assert StopReason.BREAKER == night.stop.reason
    assert 3 == len(night.engine.calls)
