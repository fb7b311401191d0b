"""What a dead run left open is settled for free before anything is sent."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import anyio
import pytest

from batchgen.core.errors import StorageError
from batchgen.core.records import AttemptView, TaskView
from batchgen.core.types import (
    Answer,
    Attempt,
    FailureClass,
    Link,
    OnUnknown,
    Paid,
    RetryPolicy,
)
from batchgen.ledgers.sqlite import SqliteLedger, memory_ledger
from batchgen.pool.attempts import Attempts
from batchgen.pool.recovery import DOWNLOADS, recover
from tests.ledgers.samples import LOST, RETRY, RUN, fail, known, queue, rerun, send, states, stored, task, tasks
from tests.pool.pools import Night
from tests.pool.scripted import Reply, ScriptedEngine, fault, only
from tests.pool.virtual import simulate, wall_clock

HERE = Link("https://cdn.example.com/1.png?sig=x", Answer(200, "req-1"))


@dataclass
class Morning:
    """A start over what a killed run left: one task, sent, perhaps with its link on the ledger."""

    engine: ScriptedEngine = field(default_factory=ScriptedEngine)
    link: Link | None = None
    lost_before: int = 0
    retry: RetryPolicy = field(default_factory=RetryPolicy)

    found: set[str] = field(default_factory=set)
    opened: Attempt | None = None
    view: TaskView | None = None
    attempts: list[AttemptView] = field(default_factory=list)
    calls_of_next_run: list[Attempt] = field(default_factory=list)

    def settle(self) -> Morning:
        """Recover, read how things stand, then plan and run; returns itself."""
        simulate(self._settle)
        return self

    async def _settle(self) -> None:
        async with memory_ledger() as ledger:
            await queue(ledger, [task()])
            for number in range(self.lost_before):
                await fail(ledger, await send(ledger, task(), number=number + 1, key="k-1"), LOST, RETRY)
            self.opened = await send(ledger, task(), number=self.lost_before + 1, key="k-1")
            if self.link is not None:
                await ledger.received(self.opened.attempt_id, self.link)
            attempts = Attempts(
                ledger, self.engine, lambda _event: None, "next", self.retry, wall_clock, lambda: 1.0
            )
            self.found = await recover(ledger, self.engine, attempts, self.retry)
            await self._read(ledger)
            await rerun(ledger, [task()], RUN)
            night = Night([task()], retry=self.retry)
            await night.over(ledger)
            self.calls_of_next_run = [call.attempt for call in night.engine.calls]

    async def _read(self, ledger: SqliteLedger) -> None:
        (self.view,) = [view async for page in ledger.tasks() for view in page]
        self.attempts = [view async for page in ledger.attempts() for view in page]

    @property
    def state(self) -> tuple[str, str | None]:
        """State and class of the task after the recovery."""
        assert self.view is not None
        return self.view.state, self.view.failure_class


def test_an_image_on_the_disk_is_adopted() -> None:
    """Whole image, older ledger: stored for free, told as this run's, and sent to nobody."""
    morning = Morning(ScriptedEngine(adoptable=stored)).settle()
    assert ("stored", None) == morning.state
    assert {"boat--01"} == morning.found
    assert [] == morning.calls_of_next_run


def test_an_image_on_the_disk_wins_over_its_link() -> None:
    """A crash between download and commit: nothing is downloaded twice."""
    morning = Morning(ScriptedEngine(adoptable=stored), link=HERE).settle()
    assert ("stored", None) == morning.state
    assert [] == morning.engine.downloads


def test_a_received_link_is_fetched_for_free() -> None:
    """Paid and not yet downloaded: fetched, stored, never sent again."""
    morning = Morning(link=HERE).settle()
    assert ("stored", None) == morning.state
    assert 1 == len(morning.engine.downloads)
    assert ([], []) == (morning.engine.calls, morning.calls_of_next_run)


def test_a_link_that_cannot_be_fetched_now_stays() -> None:
    """Trouble on the way: still received, still paid once, still not sent again."""
    engine = ScriptedEngine(fetched=lambda _attempt: fault(FailureClass.TRANSIENT))
    morning = Morning(engine, link=HERE).settle()
    assert "received" == morning.state[0]
    assert set() == morning.found
    assert [] == morning.calls_of_next_run


def test_a_dead_link_is_a_failed_download() -> None:
    """Its task is left alone until a person retries it."""
    engine = ScriptedEngine(fetched=lambda _attempt: fault(FailureClass.DOWNLOAD, paid=Paid.YES))
    morning = Morning(engine, link=HERE).settle()
    assert ("failed", "download") == morning.state
    assert [] == morning.calls_of_next_run


def test_a_lost_answer_is_sent_again_at_once_with_its_key() -> None:
    """Nobody knows what became of it: unknown, then one more request, marked and with the same key."""
    morning = Morning().settle()
    assert ("pending", "unknown") == morning.state
    assert "the run ended before the answer came" == morning.attempts[0].reason
    (again,) = morning.calls_of_next_run
    assert ("k-1", True, 2) == (again.idempotency_key, again.possible_duplicate, again.number)


def test_a_lost_answer_is_held_where_that_is_asked() -> None:
    """`on_unknown: hold`: a person decides, the run sends nothing."""
    morning = Morning(retry=RetryPolicy(on_unknown=OnUnknown.HOLD)).settle()
    assert ("held", "unknown") == morning.state
    assert [] == morning.calls_of_next_run


def test_a_second_lost_answer_is_held() -> None:
    """A request that was sent again and lost again is not sent a third time."""
    morning = Morning(lost_before=1).settle()
    assert ("held", "unknown") == morning.state
    assert [] == morning.calls_of_next_run


def test_a_last_attempt_is_no_obstacle() -> None:
    """Attempts of an earlier run do not count against this one's `max_attempts`."""
    morning = Morning(retry=RetryPolicy(max_attempts=1)).settle()
    assert ("pending", "unknown") == morning.state
    assert 1 == len(morning.calls_of_next_run)


def test_a_disk_that_fails_is_said() -> None:
    """A store that cannot be relied on ends the recovery; everything stays open on the ledger."""
    engine = ScriptedEngine(fetched=lambda _attempt: Reply(StorageError("input/output error")))
    with pytest.raises(StorageError, match="input/output error"):
        Morning(engine, link=HERE).settle()


async def open_links(ledger: SqliteLedger, count: int) -> None:
    """Links that a dead run received and did not fetch."""
    await queue(ledger, tasks(count))
    for one in tasks(count):
        await ledger.received((await send(ledger, one)).attempt_id, HERE)


async def recovered(ledger: SqliteLedger, engine: ScriptedEngine, ends_at: float = math.inf) -> set[str]:
    """The tasks whose images are there after a recovery."""
    attempts = Attempts(
        ledger, engine, lambda _event: None, "next", RetryPolicy(), wall_clock, lambda: 1.0, ends_at
    )
    return await recover(ledger, engine, attempts, RetryPolicy())


def test_links_are_fetched_side_by_side() -> None:
    """A host that answers slowly keeps nobody else waiting, and is not asked for everything at once."""

    async def main() -> tuple[int, float]:
        async with memory_ledger() as ledger:
            await open_links(ledger, 3 * DOWNLOADS)
            engine = ScriptedEngine(fetched=lambda _attempt: Reply(seconds=10.0))
            found = await recovered(ledger, engine)
            assert DOWNLOADS == sum(call.at_s < 5.0 for call in engine.downloads)
            return len(found), anyio.current_time()

    count, seconds = simulate(main)
    assert 3 * DOWNLOADS == count
    assert 30.0 <= seconds < 31.0


def test_a_host_that_hangs_does_not_outlast_the_night() -> None:
    """At the deadline downloads are dropped and no more are begun; every link is there for the next run."""

    async def main() -> tuple[float, int, set[str], set[str]]:
        async with memory_ledger() as ledger:
            await open_links(ledger, 3 * DOWNLOADS)
            engine = ScriptedEngine(fetched=lambda _attempt: Reply(seconds=1e6))
            found = await recovered(ledger, engine, ends_at=60.0)
            return anyio.current_time(), len(engine.downloads), found, set((await states(ledger)).values())

    seconds, downloads, found, left = simulate(main)
    assert 60.0 <= seconds < 61.0
    assert (DOWNLOADS, set(), {"received"}) == (downloads, found, left)


def test_a_disk_that_fails_once_costs_no_other_link() -> None:
    """The error is raised when all others are settled; its link is open for the next run."""

    async def main() -> dict[str, str]:
        async with memory_ledger() as ledger:
            await open_links(ledger, 3)
            broken = Reply(StorageError("input/output error"), seconds=0.1)
            engine = ScriptedEngine(fetched=only("t1--01", lambda _attempt: broken))
            with pytest.raises(StorageError, match="input/output error"):
                await recovered(ledger, engine)
            return await states(ledger)

    assert {"t0--01": "stored", "t1--01": "received", "t2--01": "stored"} == simulate(main)


def test_a_dry_look_agrees_with_the_recovery() -> None:
    """What `plan` shows of a task that was found `sent` is what a run does with it."""

    async def main() -> tuple[bool, bool]:
        async with memory_ledger() as ledger:
            await queue(ledger, [task()])
            first = await send(ledger, task())
            (once,) = await known(ledger, [task()])
            await fail(ledger, first, LOST, RETRY)
            await send(ledger, task(), number=2)
            (twice,) = [one async for page in ledger.compare() for one in page]
            return once.resent, twice.resent

    assert (False, True) == simulate(main)
