"""The pool: who is sent when, what each outcome means for the others, and how a run ends."""

from __future__ import annotations

import math
import tracemalloc
from datetime import timedelta
from itertools import pairwise

import anyio
import pytest

from batchgen.core.errors import StorageError
from batchgen.core.events import AttemptFailed, AttemptSent, Notice, Paused, TaskStored
from batchgen.core.limits import LaneLimit
from batchgen.core.retry_after import RETRY_AFTER_CAP_S
from batchgen.core.types import (
    Attempt,
    FailureClass,
    OnUnknown,
    Paid,
    Price,
    PriceKind,
    RetryPolicy,
    StopReason,
)
from batchgen.ledgers.sqlite import memory_ledger
from batchgen.pool.judge import INTERNAL_ERRORS_IN_A_ROW
from batchgen.pool.purse import Purse, Purses
from batchgen.system.clock import moment_text
from tests.ledgers.samples import BUSY, RETRY, RUN, fail, queue, send, states, task, tasks
from tests.pool.pools import Night
from tests.pool.scripted import Reply, ScriptedEngine, fault, in_turn, link, only
from tests.pool.virtual import EPOCH, simulate

ONCE = RetryPolicy(max_attempts=1)
HOLD = RetryPolicy(on_unknown=OnUnknown.HOLD)


def always(reply: Reply) -> ScriptedEngine:
    """An engine whose every answer is this one."""
    return ScriptedEngine(lambda _attempt: reply)


# The plain night


def test_every_task_is_sent_once_and_stored() -> None:
    """A night without trouble: one request a task, in manifest order, all stored, and nothing stops it."""
    night = Night(tasks(30)).run()
    assert [f"t{number}--01" for number in range(30)] == night.engine.ids
    assert {"stored"} == set(night.states().values())
    assert (None, None) == (night.stop.reason, night.later)
    assert 30 == sum(isinstance(event, TaskStored) for event in night.events)


@pytest.mark.parametrize("concurrency", [1, 3, 16])
def test_no_more_requests_are_in_flight_than_allowed_and_no_fewer(concurrency: int) -> None:
    """Concurrency is a ceiling that is reached."""
    night = Night(tasks(50), concurrency=concurrency).run()
    assert concurrency == night.engine.most


def test_a_lane_keeps_its_own_concurrency() -> None:
    """A model's ceiling holds under the job's, and leaves the other workers to other models."""
    lanes = [LaneLimit(("a",), concurrency=2), LaneLimit(("b",))]
    of_all = [*tasks(20, model="a", prefix="a"), *tasks(20, model="b", prefix="b")]
    most = {"a": 0, "b": 0}
    flying = {"a": 0, "b": 0}
    engine = ScriptedEngine()

    async def count(attempt: Attempt) -> None:
        model = attempt.task.request.model
        flying[model] = 1 + sum(
            call.task.request.model == model and call.at_s > engine.calls[-1].at_s - 1.0
            for call in engine.calls[:-1]
        )
        most[model] = max(most[model], flying[model])

    engine.on_perform = count
    night = Night(of_all, engine, concurrency=6, lanes=lanes).run()
    assert {"stored"} == set(night.states().values())
    assert 2 == most["a"]
    assert most["b"] >= 4
    assert 6 == night.engine.most


def test_an_attempt_is_on_the_ledger_before_its_request() -> None:
    """When the engine is called, the ledger says `sent` already, with the very id that goes out."""
    seen: list[tuple[bool, str]] = []

    async def main() -> None:
        async with memory_ledger() as ledger:
            night = Night(tasks(5))

            async def look(attempt: Attempt) -> None:
                open_now = [found.attempt for found in await ledger.unfinished()]
                seen.append((attempt in open_now, attempt.attempt_id))

            night.engine.on_perform = look
            await queue(ledger, night.tasks)
            await night.over(ledger)

    simulate(main)
    assert [True] * 5 == [known for known, _ in seen]
    assert 5 == len({attempt_id for _, attempt_id in seen})


def test_observers_hear_of_a_request_before_of_its_image() -> None:
    """Sent, then stored, with the same attempt and the time it took."""
    night = Night(tasks(1), always(Reply(seconds=7.5))).run()
    sent, stored = night.events
    assert isinstance(sent, AttemptSent)
    assert isinstance(stored, TaskStored)
    assert (sent.attempt_id, 7.5) == (stored.attempt_id, stored.seconds)


def test_the_night_is_not_held_in_memory() -> None:
    """5,000 tasks are rows, not coroutines: the pool's own memory does not grow with them."""

    async def main() -> int:
        async with memory_ledger() as ledger:
            await queue(ledger, tasks(5_000))
            engine = ScriptedEngine(lambda _attempt: Reply(seconds=0.0))
            night = Night([task()], engine, concurrency=32)

            async def forget(_attempt: Attempt) -> None:
                engine.calls.clear()
                night.events.clear()

            engine.on_perform = forget
            tracemalloc.start()
            try:
                await night.over(ledger)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert {("stored", ""): 5_000} == dict(await ledger.outcome(RUN))
            return peak

    assert simulate(main) < 1_500_000


# Trouble that passes


def test_a_transient_failure_waits_alone() -> None:
    """With one worker, others go on while a task waits for its backoff; no worker is held."""
    engine = ScriptedEngine(only("t0--01", in_turn(fault(FailureClass.TRANSIENT), Reply())))
    night = Night(tasks(4), engine, concurrency=1).run()
    assert ["t0--01", "t1--01", "t0--01", "t2--01", "t3--01"] == engine.ids or [
        "t0--01",
        "t1--01",
        "t2--01",
        "t3--01",
        "t0--01",
    ] == engine.ids
    assert {"stored"} == set(night.states().values())
    again = [call.at_s for call in engine.calls if call.task.task_id == "t0--01"]
    assert again[1] - again[0] >= 2.0


def test_backoff_grows() -> None:
    """Waits double from a second: 1, 2, 4, 8 with the jitter at its most."""
    engine = always(fault(FailureClass.TRANSIENT, seconds=0.0))
    times = Night(tasks(1), engine).run().engine.times()
    waits = [round(late - early, 1) for early, late in pairwise(times)]
    assert [1.0, 2.0, 4.0, 8.0] == waits


def test_attempts_are_used_up() -> None:
    """After `max_attempts` the task is failed with its last reason, and every attempt is on the ledger."""
    night = Night(tasks(2), always(fault(FailureClass.TRANSIENT)), retry=RetryPolicy(max_attempts=3)).run()
    assert {"t0--01": "failed", "t1--01": "failed"} == night.states()
    assert [1, 2, 3] == night.numbers("t0--01")
    view = night.views["t0--01"]
    assert ("transient", "as scripted") == (view.failure_class, view.reason)
    assert 0.0 == night.totals.spent_usd


def test_a_rate_limit_pauses_the_whole_lane() -> None:
    """After a 429 with Retry-After nobody of that lane is sent before it has passed; other lanes go on."""
    engine = ScriptedEngine(
        only("a0--01", in_turn(fault(FailureClass.RATE_LIMITED, retry_after_s=30.0), Reply()))
    )
    of_all = [*tasks(8, model="a", prefix="a"), *tasks(40, model="b", prefix="b")]
    night = Night(of_all, engine, concurrency=3, jitter=lambda: 0.0).run()
    assert [] == [moment for moment in engine.times(model="a") if 2.0 < moment < 31.0]
    assert [moment for moment in engine.times(model="b") if 2.0 < moment < 31.0]
    assert {"stored"} == set(night.states().values())
    (paused,) = [event for event in night.events if isinstance(event, Paused)]
    assert (("a",), 30.0) == (paused.models, paused.seconds)


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    """Two answers ask for different waits: the longer one holds."""
    waits = {0: 60.0, 1: 5.0}

    def script(attempt: Attempt) -> Reply:
        wait_s = waits.pop(attempt.task.position, None)
        return Reply() if wait_s is None else fault(FailureClass.RATE_LIMITED, retry_after_s=wait_s)

    engine = ScriptedEngine(script)
    Night(tasks(6), engine, concurrency=2, jitter=lambda: 0.0).run()
    assert [] == [moment for moment in engine.times() if 0.5 < moment < 61.0]


def test_a_rate_limit_without_a_wait_pauses_too() -> None:
    """Without Retry-After the lane pauses for the backoff, once three in a row show that it is no chance."""
    limited = fault(FailureClass.RATE_LIMITED, seconds=0.5)
    engine = ScriptedEngine(lambda attempt: limited if attempt.task.position < 3 else Reply())
    Night(tasks(20), engine, concurrency=1, jitter=lambda: 0.5).run()
    first, _, third, fourth, *_ = engine.times()
    assert third - first < 1.1
    assert fourth >= 2.0


def test_a_wait_of_nothing_is_tried_again() -> None:
    """Retry-After: 0 is at once, or nearly: the run neither ends without the task nor hangs."""
    engine = always(Reply())
    engine.script = in_turn(fault(FailureClass.TRANSIENT, retry_after_s=0.0), Reply())
    night = Night(tasks(3), engine, concurrency=1, jitter=lambda: 0.0).run()
    assert {"stored"} == set(night.states().values())
    assert night.ended_s < 60.0


def test_a_long_wait_holds_the_whole_lane() -> None:
    """Up to 10 minutes the run waits, with all tasks of the models, and is as long as it must be."""
    engine = ScriptedEngine(
        only("t0--01", in_turn(fault(FailureClass.RATE_LIMITED, retry_after_s=300.0), Reply()))
    )
    night = Night(tasks(10), engine, concurrency=1, jitter=lambda: 0.0).run()
    assert [300.0] == [event.seconds for event in night.events if isinstance(event, Paused)]
    assert {"stored"} == set(night.states().values())
    assert 301.0 <= engine.times()[1] <= 302.0


@pytest.mark.parametrize(("wait_s", "ends_at"), [(3600.0, math.inf), (300.0, 200.0)])
def test_a_longer_wait_ends_the_lane(wait_s: float, ends_at: float) -> None:
    """Beyond the run's patience or its end nobody else is sent: in flight, then `later`; other lanes go on."""
    limited = fault(FailureClass.RATE_LIMITED, retry_after_s=wait_s)
    engine = ScriptedEngine(lambda attempt: limited if attempt.task.request.model == "a" else Reply())
    of_all = [*tasks(200, model="a", prefix="a"), *tasks(20, model="b", prefix="b")]

    async def main() -> tuple[list[Night], dict[str, str]]:
        nights = [Night(of_all, engine, concurrency=16, ends_at=ends_at) for _ in range(2)]
        async with memory_ledger() as ledger:
            await queue(ledger, of_all)
            for night in nights:
                await night.over(ledger)
            return nights, await states(ledger)

    nights, after = simulate(main)
    assert (200, 20) == tuple(list(after.values()).count(state) for state in ("pending", "stored"))
    # Each run asks once for each place that it has; those that were told to wait are not asked again.
    asked = [call.task.task_id for call in engine.calls if call.task.request.model == "a"]
    assert len(asked) == len(set(asked)) <= 32
    for night in nights:
        assert night.later is not None
        assert night.later >= moment_text(EPOCH + timedelta(seconds=wait_s))
        assert night.ended_s < 60.0
        assert 1 == len([event for event in night.events if isinstance(event, Paused)])


def test_a_longer_wait_with_nothing_left_is_no_reason_to_come_back() -> None:
    """The last answer of a lane uses up its task's attempts: the run has ended, not stopped."""
    engine = always(fault(FailureClass.RATE_LIMITED, retry_after_s=3600.0))
    night = Night(tasks(3), engine, retry=RetryPolicy(max_attempts=1)).run()
    assert (None, {"failed"}) == (night.later, set(night.states().values()))


def test_a_longer_wait_ends_a_shorter_one() -> None:
    """A lane that waits is told to wait for longer than it will: it ends at once, not after the first wait."""
    waits = {0: (1.0, 500.0), 1: (5.0, 3600.0)}

    def script(attempt: Attempt) -> Reply:
        after_s, wait_s = waits[attempt.task.position]
        return fault(FailureClass.RATE_LIMITED, seconds=after_s, retry_after_s=wait_s)

    night = Night(tasks(9), ScriptedEngine(script), concurrency=2).run()
    assert 2 == len(night.engine.calls)
    assert night.ended_s < 6.0


def test_a_wait_beyond_patience_is_left_to_the_next_run() -> None:
    """More than 10 minutes: the run ends, says when, and the task is pending until then."""
    engine = ScriptedEngine(only("t0--01", lambda _: fault(FailureClass.RATE_LIMITED, retry_after_s=3600.0)))
    night = Night(tasks(3), engine, jitter=lambda: 0.0).run()
    assert {"t0--01": "pending", "t1--01": "stored", "t2--01": "stored"} == night.states()
    assert "2026-11-23T23:00:01.000Z" == night.later == night.views["t0--01"].not_before
    assert night.ended_s < 60.0


def test_a_wait_beyond_the_deadline_is_left_to_the_next_run() -> None:
    """A moment that comes after the deadline is not waited for, however near it is."""
    engine = ScriptedEngine(only("t0--01", lambda _: fault(FailureClass.TRANSIENT, retry_after_s=300.0)))
    night = Night(tasks(2), engine, ends_at=200.0, jitter=lambda: 0.0).run()
    assert "2026-11-23T22:05:01.000Z" == night.later
    assert night.ended_s < 60.0
    assert None is night.stop.reason


@pytest.mark.parametrize(
    ("ahead_days", "stored"), [(0.01, True), (5, False), (7, False), (8, True), (400, True)]
)
def test_a_moment_that_nobody_can_have_asked_for_is_now(ahead_days: float, *, stored: bool) -> None:
    """No wait is longer than a week: a later moment was written under a wrong clock, and is due at once."""
    moment = moment_text(EPOCH + timedelta(days=ahead_days) - timedelta(minutes=5))

    async def main() -> tuple[Night, dict[str, str]]:
        async with memory_ledger() as ledger:
            night = Night(tasks(6))
            await queue(ledger, night.tasks)
            for one in night.tasks[:3]:
                await fail(ledger, await send(ledger, one), BUSY, RETRY, not_before=moment)
            await night.over(ledger)
            return night, await states(ledger)

    night, after = simulate(main)
    assert (6 if stored else 3) == list(after.values()).count("stored")
    assert (None if stored else moment) == night.later


@pytest.mark.parametrize("kind", [FailureClass.TRANSIENT, FailureClass.RATE_LIMITED])
def test_the_longest_wait_is_still_one(kind: FailureClass) -> None:
    """A provider that asks for a week, the most that is taken over, is not asked again at once."""
    engine = ScriptedEngine(only("t0--01", lambda _: fault(kind, retry_after_s=RETRY_AFTER_CAP_S)))
    night = Night(tasks(3), engine).run()
    assert 3 == len(engine.calls)
    assert "pending" == night.states()["t0--01"]
    assert "2026-11-30T22:00:02.000Z" == night.later


# Trouble that does not pass


@pytest.mark.parametrize(
    "kind", [FailureClass.REFUSED, FailureClass.INVALID, FailureClass.NO_IMAGE, FailureClass.DOWNLOAD]
)
def test_a_final_failure_fails_its_task_alone(kind: FailureClass) -> None:
    """One attempt, failed with its class and reason; all others are stored."""
    night = Night(tasks(5), ScriptedEngine(only("t2--01", lambda _: fault(kind)))).run()
    assert [1] == night.numbers("t2--01")
    assert ("failed", kind.value, "as scripted") == (
        night.views["t2--01"].state,
        night.views["t2--01"].failure_class,
        night.views["t2--01"].reason,
    )
    assert 4 == list(night.states().values()).count("stored")


@pytest.mark.parametrize(
    ("kind", "reason"), [(FailureClass.AUTH, StopReason.AUTH), (FailureClass.BILLING, StopReason.BILLING)]
)
def test_a_key_or_an_account_that_fails_stops_the_job(kind: FailureClass, reason: StopReason) -> None:
    """At most one attempt for each that was in flight; every task stays pending, none is failed."""
    night = Night(tasks(20), always(fault(kind)), concurrency=4).run()
    assert reason == night.stop.reason
    assert "as scripted" == night.stop.detail
    assert 4 == len(night.engine.calls)
    assert {"pending"} == set(night.states().values())


def test_a_missing_model_fails_its_other_tasks_unsent() -> None:
    """No second request for a model that is not there, beyond those in flight; other models go on."""
    missing = fault(FailureClass.MODEL, reason="retired")
    engine = ScriptedEngine(lambda attempt: missing if attempt.task.request.model == "old" else Reply())
    of_all = [*tasks(30, model="old", prefix="o"), *tasks(10, model="new", prefix="n")]
    night = Night(of_all, engine, concurrency=4).run()
    assert len(engine.times(model="old")) <= 4
    assert 10 == list(night.states().values()).count("stored")
    assert 30 == list(night.states().values()).count("failed")
    assert {("model", "retired")} == {
        (view.failure_class, view.reason) for view in night.views.values() if view.state == "failed"
    }
    assert 1 == sum(isinstance(event, Notice) for event in night.events)
    assert None is night.stop.reason


def test_a_task_in_flight_does_not_outlive_its_missing_model() -> None:
    """A request that was under way when its model turned out missing, and failed otherwise, ends the run as well."""
    engine = ScriptedEngine(
        lambda attempt: (
            fault(FailureClass.MODEL, reason="retired")
            if attempt.task.task_id == "t0--01"
            else fault(FailureClass.TRANSIENT, seconds=3.0)
        )
    )
    night = Night(tasks(6), engine, concurrency=2).run()
    assert {"failed"} == set(night.states().values())
    assert 2 == len(engine.calls)
    assert "model" == night.views["t1--01"].failure_class


def test_lanes_of_one_group_are_told_apart_by_model() -> None:
    """In a lane of two models only the missing one fails."""
    engine = ScriptedEngine(
        lambda attempt: fault(FailureClass.MODEL) if attempt.task.request.model == "old" else Reply()
    )
    old = tasks(10, model="old", prefix="o")
    new = [
        task(f"n{number}--01", position=10 + number, prompt=f"n{number}", model="new") for number in range(10)
    ]
    night = Night([*old, *new], engine, concurrency=2, lanes=[LaneLimit(("old", "new"))]).run()
    assert {"failed"} == {night.views[one.task_id].state for one in old}
    assert {"stored"} == {night.views[one.task_id].state for one in new}


# Lost answers


def test_a_lost_answer_is_sent_again_once_with_the_same_key() -> None:
    """The second request carries the key of the first and is marked; when it brings the image, all is well."""
    engine = ScriptedEngine(in_turn(fault(FailureClass.UNKNOWN), Reply()))
    night = Night(tasks(1), engine).run()
    first, second = (call.attempt for call in engine.calls)
    assert first.idempotency_key == second.idempotency_key
    assert first.attempt_id != second.attempt_id
    assert [False, True] == [view.possible_duplicate for view in night.attempts]
    assert [("failed", "unknown"), ("stored", None)] == [
        (view.state.value, view.failure_class) for view in night.attempts
    ]
    assert (0.09, 0.05, 0.04) == (
        night.totals.spent_usd,
        night.totals.unknown_usd,
        night.totals.maybe_twice_usd,
    )


def test_a_second_lost_answer_is_held() -> None:
    """Never a third request: a person decides."""
    night = Night(tasks(1), always(fault(FailureClass.UNKNOWN))).run()
    assert {"t0--01": "held"} == night.states()
    assert [1, 2] == night.numbers("t0--01")
    assert 0.1 == night.totals.spent_usd


def test_a_lost_answer_is_held_at_once_where_that_is_asked() -> None:
    """`on_unknown: hold` sends nothing again."""
    night = Night(tasks(3), always(fault(FailureClass.UNKNOWN)), retry=HOLD).run()
    assert {"held"} == set(night.states().values())
    assert 3 == len(night.engine.calls)


def test_a_definite_failure_gets_a_new_key() -> None:
    """A gateway that honours keys would replay the failure."""
    engine = ScriptedEngine(in_turn(fault(FailureClass.TRANSIENT), fault(FailureClass.RATE_LIMITED), Reply()))
    Night(tasks(1), engine).run()
    assert 3 == len({call.attempt.idempotency_key for call in engine.calls})


def test_a_definite_failure_after_a_lost_answer_ends_the_old_key() -> None:
    """Lost, sent again with the key, refused for now: the third request has a new key, and is still a duplicate."""
    engine = ScriptedEngine(in_turn(fault(FailureClass.UNKNOWN), fault(FailureClass.TRANSIENT), Reply()))
    night = Night(tasks(1), engine).run()
    one, two, three = (call.attempt.idempotency_key for call in engine.calls)
    assert one == two != three
    assert [False, True, True] == [view.possible_duplicate for view in night.attempts]


# Links


def test_a_link_is_on_the_ledger_before_it_is_fetched() -> None:
    """The paid link is durable before its download begins, and the task is stored by it."""
    seen: list[list[tuple[str, str]]] = []

    async def main() -> dict[str, str]:
        async with memory_ledger() as ledger:
            engine = ScriptedEngine(lambda _attempt: link("https://cdn.example.com/7.png"))
            night = Night(tasks(1), engine)

            async def look(attempt: Attempt) -> None:
                seen.append(
                    [
                        (found.attempt.attempt_id, found.link.url)
                        for found in await ledger.unfinished()
                        if found.link is not None and found.attempt == attempt
                    ]
                )

            engine.on_fetch = look
            await queue(ledger, night.tasks)
            await night.over(ledger)
            return await states(ledger)

    assert {"t0--01": "stored"} == simulate(main)
    ((found,),) = seen
    assert "https://cdn.example.com/7.png" == found[1]


def test_a_download_that_may_come_yet_stays_received() -> None:
    """Trouble on the way leaves the link for the next run: not failed, not sent again, its cost counted."""
    engine = ScriptedEngine(lambda _attempt: link(), fetched=lambda _attempt: fault(FailureClass.TRANSIENT))
    night = Night(tasks(1), engine).run()
    assert {"t0--01": "received"} == night.states()
    assert (1, 1) == (len(engine.calls), len(engine.downloads))
    assert 0.05 == night.totals.spent_usd


def test_a_link_that_is_dead_fails_its_task() -> None:
    """A link that will never work again is a failed download, paid for."""
    dead = fault(FailureClass.DOWNLOAD, paid=Paid.YES)
    night = Night(tasks(1), ScriptedEngine(lambda _attempt: link(), fetched=lambda _attempt: dead)).run()
    assert {"t0--01": "failed"} == night.states()
    assert ("download", 0.05) == (night.attempts[0].failure_class, night.totals.spent_usd)


def test_a_fault_of_ours_while_fetching_loses_no_link() -> None:
    """An internal error in a download takes nobody down; the link stays for the next run."""
    engine = ScriptedEngine(
        only("t0--01", lambda _attempt: link()), fetched=lambda _attempt: Reply(ValueError("oops"))
    )
    night = Night(tasks(4), engine).run()
    assert "received" == night.states()["t0--01"]
    assert 3 == list(night.states().values()).count("stored")
    assert "an internal error of batchgen (ValueError: oops)" == night.views["t0--01"].reason


# Our own faults


def test_an_internal_error_is_a_lost_answer_of_one_task() -> None:
    """It costs at most that image, has its name on the ledger, and the job goes on."""
    engine = ScriptedEngine(only("t1--01", in_turn(Reply(KeyError("size")), Reply())))
    night = Night(tasks(4), engine).run()
    assert {"stored"} == set(night.states().values())
    lost = next(view for view in night.attempts if view.failure_class)
    assert ("t1--01", "unknown", "an internal error of batchgen (KeyError: 'size')") == (
        lost.task_id,
        lost.failure_class,
        lost.reason,
    )


def test_internal_errors_in_a_row_stop_the_job() -> None:
    """Five, not six: each may have cost an image."""
    night = Night(tasks(30), always(Reply(RuntimeError("broken"))), concurrency=1, retry=HOLD).run()
    assert INTERNAL_ERRORS_IN_A_ROW == len(night.engine.calls)
    assert StopReason.BREAKER == night.stop.reason
    assert "RuntimeError: broken" in night.stop.detail
    assert 25 == list(night.states().values()).count("pending")


def test_internal_errors_apart_do_not_stop_the_job() -> None:
    """A success in between shows that not everything is broken."""
    engine = ScriptedEngine(
        lambda attempt: Reply() if attempt.task.position % 3 else Reply(RuntimeError("now and then"))
    )
    night = Night(tasks(30), engine, concurrency=1, retry=HOLD).run()
    assert None is night.stop.reason
    assert 20 == list(night.states().values()).count("stored")


# The disk


def test_a_disk_without_room_stops_the_job_unsent() -> None:
    """Room is made before the request: when there is none, nothing was sent and nothing is paid."""

    async def full(_attempt: Attempt) -> None:
        raise StorageError("no room")

    night = Night(tasks(10), ScriptedEngine(on_reserve=full), concurrency=2).run()
    assert (StopReason.STORAGE, "no room") == (night.stop.reason, night.stop.detail)
    assert [] == night.engine.calls
    assert {"pending"} == set(night.states().values())
    assert 0 == night.totals.attempts


def test_a_disk_that_fails_leaves_the_attempt_open() -> None:
    """An image that came and could not be kept: the next run looks for it before anything is sent again."""
    engine = ScriptedEngine(only("t0--01", lambda _attempt: Reply(StorageError("input/output error"))))
    purse = Purse("the job's budget", 10.0)
    night = Night(tasks(10), engine, concurrency=2, purses=Purses(purse)).run()
    assert StopReason.STORAGE == night.stop.reason
    states = night.states()
    assert ("sent", "stored") == (states["t0--01"], states["t1--01"])
    assert 8 == list(states.values()).count("pending")
    assert 0.09 == night.totals.spent_usd == purse.spent_usd


@pytest.mark.parametrize("step", ["stored", "failed"])
def test_a_disk_that_hangs_ends_the_run(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """A final write that never ends is waited for a minute; then the job stops, with the attempt open."""
    outcome = Reply() if step == "stored" else fault(FailureClass.REFUSED)

    async def main() -> tuple[Night, dict[str, str]]:
        async with memory_ledger() as ledger:
            night = Night(tasks(3), always(outcome), concurrency=1)
            await queue(ledger, night.tasks)
            with monkeypatch.context() as patch:
                patch.setattr(ledger, step, lambda *_values, **_named: anyio.sleep_forever())
                await night.over(ledger)
            return night, await states(ledger)

    night, after = simulate(main)
    assert (StopReason.STORAGE, "the disk did not finish a write within 60 s") == (
        night.stop.reason,
        night.stop.detail,
    )
    assert ["sent", "pending", "pending"] == list(after.values())
    assert 61.0 <= night.ended_s <= 62.0


def test_a_fault_of_ours_while_making_room_stops_the_job_in_peace() -> None:
    """Nothing was sent for that task, and what others have in flight is waited for."""

    async def broken(attempt: Attempt) -> None:
        if attempt.task.position == 1:
            raise ValueError("oops")

    engine = ScriptedEngine(lambda _attempt: Reply(seconds=30.0), on_reserve=broken)
    night = Night(tasks(10), engine, concurrency=2).run()
    assert StopReason.STORAGE == night.stop.reason
    assert "ValueError: oops" in night.stop.detail
    assert "stored" == night.states()["t0--01"]
    assert "pending" == night.states()["t1--01"]


def test_events_tell_every_failure() -> None:
    """Each failed attempt is told with what its task does next, and when."""
    engine = ScriptedEngine(in_turn(fault(FailureClass.TRANSIENT), fault(FailureClass.REFUSED)))
    night = Night(tasks(1), engine).run()
    failures = [event for event in night.events if isinstance(event, AttemptFailed)]
    assert [("pending", True), ("failed", False)] == [
        (event.task_state.value, event.not_before is not None) for event in failures
    ]


def test_a_task_without_a_price_is_sent_all_the_same() -> None:
    """No budget, no price, no trouble."""
    night = Night([task(price=Price(PriceKind.UNPRICED))], always(Reply(cost_usd=None))).run()
    assert {"boat--01": "stored"} == night.states()
    assert 0.0 == night.totals.spent_usd
