"""How a run ends early: at its deadline, at a signal, at a second one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import anyio
import pytest

from batchgen.core.types import Attempt, Failure, FailureClass, Link, OnUnknown, RetryPolicy, StopReason, Stored
from batchgen.core.values import replace
from batchgen.ledgers.committing import InlineRunner
from batchgen.ledgers.opening import open_private
from batchgen.ledgers.sqlite import SqliteLedger
from batchgen.pool.stopping import Stop
from tests.ledgers.samples import queue, tasks
from tests.pool.pools import Night
from tests.pool.scripted import Reply, ScriptedEngine, fault, link
from tests.pool.virtual import VirtualLoop, simulate, wall_clock


def at(*steps: tuple[float, Callable[[Stop], None]]) -> Callable[[Stop], None]:
    """Do something with the stop at moments of the loop's clock."""

    def schedule(stop: Stop) -> None:
        loop = asyncio.get_running_loop()
        for moment, step in steps:
            loop.call_at(moment, step, stop)

    return schedule


def ask(stop: Stop) -> None:
    """The first signal."""
    stop.ask(StopReason.SIGNAL, "SIGTERM")


def lasting(seconds: float) -> ScriptedEngine:
    """An engine whose every request takes this long."""
    return ScriptedEngine(lambda _attempt: Reply(seconds=seconds))


def test_nothing_is_sent_that_would_outlast_the_deadline() -> None:
    """Once it is known how long requests take, the last one is sent early enough to end in time."""
    night = Night(tasks(100), lasting(10.0), concurrency=2, ends_at=95.0).run()
    assert StopReason.DEADLINE == night.stop.reason
    assert max(night.engine.times()) <= 85.0
    assert night.ended_s <= 95.0
    assert 18 == list(night.states().values()).count("stored")
    assert 82 == list(night.states().values()).count("pending")


def test_what_earlier_runs_took_counts_from_the_first_request() -> None:
    """A resumed night knows how long images take: none is sent that would outlast its end, and the reason says so."""
    night = Night(tasks(100), lasting(10.0), concurrency=2, ends_at=95.0, longest_s=40.0).run()
    assert StopReason.DEADLINE == night.stop.reason
    assert "a request has taken up to 40 s, so none is sent that may end too late" == night.stop.detail
    assert 12 == len(night.engine.calls)
    assert {"stored", "pending"} == set(night.states().values())


def test_a_night_too_short_for_one_request_sends_none() -> None:
    """What would surely end too late is not begun; it stays pending."""
    night = Night(tasks(5), lasting(10.0), ends_at=30.0, longest_s=40.0).run()
    assert (StopReason.DEADLINE, 0) == (night.stop.reason, len(night.engine.calls))
    assert night.stop.detail.endswith("may end too late; begin earlier, or let the run end later")
    assert {"pending"} == set(night.states().values())


@pytest.mark.parametrize("rate", [None, 30.0])
@pytest.mark.parametrize("at_s", [0.5, 7.0, 12.3])
def test_a_process_that_was_stopped_sends_nothing_after_its_deadline(at_s: float, rate: float | None) -> None:
    """The time that a SIGSTOP takes passes on the loop's clock, too: what wakes up after the end is over."""
    stopped_s = 600.0

    def meanwhile(_stop: Stop) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.call_at(at_s, loop.leap, stopped_s)

    night = Night(
        tasks(100), lasting(3.0), concurrency=3, ends_at=100.0, images_per_minute=rate, meanwhile=meanwhile
    ).run()
    assert StopReason.DEADLINE == night.stop.reason
    assert max(night.engine.times()) <= at_s
    assert "pending" in night.states().values()


DAY_S = 24 * 3600.0


@pytest.mark.parametrize("jump_s", [-DAY_S, 400 * DAY_S])
def test_a_deadline_is_kept_when_the_wall_clock_jumps(jump_s: float) -> None:
    """Durations are the loop's: a clock that is set back or far ahead makes a night neither longer nor shorter."""

    def jumping() -> datetime:
        return wall_clock() + timedelta(seconds=jump_s if asyncio.get_running_loop().time() > 20.0 else 0.0)

    steady = Night(tasks(100), lasting(10.0), concurrency=2, ends_at=95.0).run()
    night = Night(tasks(100), lasting(10.0), concurrency=2, ends_at=95.0, clock=jumping).run()
    assert (steady.stop.reason, steady.states()) == (night.stop.reason, night.states())
    assert night.engine.times() == pytest.approx(steady.engine.times(), abs=0.01)


def test_a_deadline_in_a_pause_ends_the_run() -> None:
    """A lane that waits for the provider does not wait beyond the deadline."""
    engine = ScriptedEngine(lambda _attempt: fault(FailureClass.RATE_LIMITED, retry_after_s=100.0))
    night = Night(tasks(5), engine, concurrency=1, ends_at=30.0, jitter=lambda: 0.0).run()
    assert night.stop.reason is StopReason.DEADLINE or night.later
    assert night.ended_s < 31.0
    assert {"pending"} == set(night.states().values())


def test_what_is_in_flight_at_the_deadline_is_waited_for() -> None:
    """It is paid for, so it is kept, even when the first answers come too late to know better."""
    night = Night(tasks(20), lasting(50.0), concurrency=4, ends_at=20.0).run()
    assert StopReason.DEADLINE == night.stop.reason
    assert 4 == list(night.states().values()).count("stored")
    assert 4 == len(night.engine.calls)


@pytest.mark.parametrize("grace_s", [5.0, 600.0])
def test_a_night_that_must_end_ends(grace_s: float) -> None:
    """What is still in flight long after the deadline is given up as unknown; a signal's grace does not prolong it."""
    night = Night(
        tasks(5), lasting(5000.0), concurrency=2, ends_at=20.0, overtime_s=100.0, grace_s=grace_s,
        meanwhile=at((110.0, ask)),
    ).run()  # fmt: skip
    assert StopReason.DEADLINE == night.stop.reason
    assert min(120.0, 110.0 + grace_s) <= night.ended_s <= min(120.1, 110.1 + grace_s)
    assert ["unknown", "unknown"] == [view.failure_class for view in night.attempts]


@pytest.mark.parametrize("answer_s", [1.0, 15.0])
def test_a_download_at_the_deadline_is_dropped(answer_s: float) -> None:
    """A link is durable and free, also one that comes after the end: its task stays `received`, the run ends in time."""
    engine = ScriptedEngine(
        lambda _attempt: replace(link(), seconds=answer_s), fetched=lambda _attempt: Reply(seconds=5000.0)
    )
    night = Night(tasks(4), engine, concurrency=2, ends_at=10.0).run()
    assert StopReason.DEADLINE == night.stop.reason
    assert max(10.0, answer_s) <= night.ended_s <= max(10.0, answer_s) + 0.1
    assert ["received", "received", "pending", "pending"] == list(night.states().values())
    assert "the run's time was up before the image was fetched" in str(night.views["t0--01"].reason)
    assert (0.1, 0.0) == (night.totals.spent_usd, night.totals.unknown_usd)


def test_an_image_that_is_being_stored_at_the_deadline_is_stored() -> None:
    """What came over a link before the end is not dropped while the disk takes it."""

    class Storing(ScriptedEngine):
        """Shields what it stores, as an engine does."""

        async def fetch(self, attempt: Attempt, link: Link) -> Stored | Failure:
            """Store for a while."""
            with anyio.CancelScope(shield=True):
                self.kept = await super().fetch(attempt, link)
            return self.kept

    engine = Storing(lambda _attempt: link(), fetched=lambda _attempt: Reply(seconds=20.0))
    night = Night(tasks(1), engine, ends_at=10.0).run()
    assert {"t0--01": "stored"} == night.states()


def test_a_first_signal_drains() -> None:
    """Nothing more is sent; what is in flight is stored; the rest stays pending."""
    night = Night(tasks(20), lasting(10.0), concurrency=4, meanwhile=at((12.0, ask))).run()
    assert (StopReason.SIGNAL, "SIGTERM", False) == (night.stop.reason, night.stop.detail, night.stop.was_cut)
    assert 8 == list(night.states().values()).count("stored")
    assert 12 == list(night.states().values()).count("pending")
    assert 20.0 <= night.ended_s <= 20.1


def test_a_signal_waits_no_longer_than_the_grace() -> None:
    """After the grace what is in flight is unknown, with its reason, and may be sent again by the next run."""
    night = Night(tasks(6), lasting(500.0), concurrency=2, grace_s=30.0, meanwhile=at((5.0, ask))).run()
    assert night.stop.was_cut
    assert 35.0 <= night.ended_s <= 35.1
    assert {"pending"} == set(night.states().values())
    assert [("unknown", "the run was stopped before the answer came")] * 2 == [
        (view.failure_class, view.reason) for view in night.attempts
    ]
    assert 0.1 == night.totals.unknown_usd


def test_a_second_signal_cuts_at_once() -> None:
    """What is in flight is unknown, and a person decides where that is asked."""
    cut = at((5.0, ask), (6.0, Stop.cut))
    night = Night(
        tasks(6), lasting(500.0), concurrency=2, meanwhile=cut, retry=RetryPolicy(on_unknown=OnUnknown.HOLD)
    ).run()
    assert 6.0 <= night.ended_s <= 6.1
    assert (2, 4) == tuple(list(night.states().values()).count(state) for state in ("held", "pending"))


def test_a_cut_leaves_a_paid_link_received() -> None:
    """A download that is cut costs nothing: its link is on the ledger."""
    engine = ScriptedEngine(lambda _attempt: link(), fetched=lambda _attempt: Reply(seconds=500.0))
    night = Night(tasks(2), engine, meanwhile=at((5.0, ask), (6.0, Stop.cut))).run()
    assert {"received"} == set(night.states().values())
    assert 0.0 == night.totals.unknown_usd


def test_a_stop_that_came_before_the_run_sends_nothing() -> None:
    """A signal between plan and run is not forgotten."""
    night = Night(tasks(3), meanwhile=ask).run()
    assert [] == night.engine.calls
    assert 0.0 <= night.ended_s < 0.1


def test_the_first_reason_stays() -> None:
    """What stopped a run first is what it says."""
    stop = Stop()
    stop.ask(StopReason.BUDGET, "spent")
    stop.ask(StopReason.SIGNAL, "SIGINT")
    assert (StopReason.BUDGET, "spent") == (stop.reason, stop.detail)


def test_a_signal_bounds_the_waiting_after_any_stop() -> None:
    """A signal after the deadline has ended the sending still waits for the grace only."""
    night = Night(
        tasks(6), lasting(500.0), concurrency=2, grace_s=30.0, ends_at=10.0, meanwhile=at((50.0, ask))
    ).run()
    assert StopReason.DEADLINE == night.stop.reason
    assert night.stop.was_cut
    assert 80.0 <= night.ended_s <= 80.1


def test_a_ledger_that_cannot_be_read_stops_the_run() -> None:
    """A ledger that fails between two requests ends the run as `storage`, without a word of a program's fault."""
    night = Night(tasks(200), lasting(1.0), concurrency=2)

    async def over_a_ledger_that_breaks() -> None:
        connection = open_private()
        ledger = SqliteLedger(InlineRunner(connection))
        await queue(ledger, night.tasks)
        asyncio.get_running_loop().call_at(5.5, connection.close)
        await night.over(ledger)

    simulate(over_a_ledger_that_breaks)
    assert StopReason.STORAGE == night.stop.reason
    assert "ledger" in night.stop.detail
    assert night.ended_s < 8.0
