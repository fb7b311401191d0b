"""A run that is cut while it stalls at a chosen step leaves a state that the next run understands.

On real time with a real ledger file, a real store and the local engine; only the provider is made up, since it has
to count what it was paid for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from batchgen.core.errors import AttemptError
from batchgen.core.limits import LaneLimit, PoolLimits
from batchgen.core.protocols import OnSent, PartialSink
from batchgen.core.types import (
    Answer,
    Failure,
    FailureClass,
    ImageBytes,
    ImageRequest,
    Link,
    RetryPolicy,
    StopReason,
)
from batchgen.engines.local import LocalEngine
from batchgen.ledgers.sqlite import SqliteLedger, open_ledger
from batchgen.pool.attempts import Attempts
from batchgen.pool.gates import Gate
from batchgen.pool.loop import Pool, PoolSettings
from batchgen.pool.purse import Purses
from batchgen.pool.recovery import recover
from batchgen.pool.stopping import Stop
from batchgen.stores.directory import DirectoryStore
from batchgen.system.clock import utc_now
from tests.ledgers.samples import rerun, states, tasks
from tests.stores.images import answer, picture, store_in

pytestmark = pytest.mark.anyio

TASKS = tasks(3)
ONE = TASKS[1].task_id
RETRY = RetryPolicy()


@dataclass
class Till:
    """A provider that remembers every request it was paid for, and under which key."""

    links: bool = False
    refuses: bool = False
    paid: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    fetched: int = 0
    name: str = "till"
    host: str = "till.example.com"

    async def generate(
        self,
        request: ImageRequest,
        *,
        attempt_id: str,
        idempotency_key: str,
        on_partial: PartialSink | None = None,  # noqa: ARG002 - part of the interface
        on_sent: OnSent | None = None,  # noqa: ARG002 - the same
    ) -> ImageBytes | Link:
        """One image, paid at once."""
        await anyio.lowlevel.checkpoint()
        if self.refuses:
            raise AttemptError(Failure(FailureClass.REFUSED, f"no ({attempt_id})"))
        self.paid.append(request.prompt)
        self.keys.append(idempotency_key)
        url = f"https://till.example.com/{request.prompt}"
        return Link(url, Answer(200)) if self.links else answer(picture(request.prompt))

    async def fetch(self, link: Link) -> ImageBytes:
        """Free."""
        await anyio.lowlevel.checkpoint()
        self.fetched += 1
        return ImageBytes(picture(link.url.rpartition("/")[2]), link.answer)


@dataclass
class Door:
    """Where one call of one step waits: `reached` once it is there, until `open`."""

    reached: anyio.Event = field(default_factory=anyio.Event)
    open: anyio.Event = field(default_factory=anyio.Event)

    async def wait(self) -> None:
        """The first to come waits, all others pass."""
        if not self.reached.is_set():
            self.reached.set()
            await self.open.wait()


Rooms = tuple[SqliteLedger, DirectoryStore, Till]


@asynccontextmanager
async def rooms(folder: Path, till: Till) -> AsyncIterator[Rooms]:
    """The rooms of one run."""
    async with store_in(folder) as store, open_ledger(folder / "ledger.sqlite") as ledger:
        yield ledger, store, till


async def work(opened: Rooms, run_id: str, stop: Stop) -> None:
    """One run: recover, plan, send."""
    ledger, store, till = opened
    engine = LocalEngine(till, store)
    attempts = Attempts(ledger, engine, lambda _event: None, run_id, RETRY, utc_now, lambda: 0.0)
    await recover(ledger, engine, attempts, RETRY)
    await rerun(ledger, TASKS, run_id)
    limits = PoolLimits(1, None, (LaneLimit(("gpt-image-2",)),))
    settings = PoolSettings(run_id, limits, grace_s=600.0)
    gate = Gate.alone(limits, stop)
    await Pool(settings, ledger, attempts, Purses(), stop, lambda _event: None, utc_now, gate).run()


def stalled(patch: pytest.MonkeyPatch, target: object, step: str, door: Door, *, before: bool) -> None:
    """Let a step of the second task wait at a door, before it is done or after it."""
    real: Callable[..., Awaitable[Any]] = getattr(target, step)

    async def slow(*values: Any, **named: Any) -> Any:  # noqa: ANN401 - as the real ones
        mine = any(words in repr(values) for words in (ONE, TASKS[1].request.prompt))
        if before and mine:
            await door.wait()
        result = await real(*values, **named)
        if not before and mine:
            await door.wait()
        return result

    patch.setattr(target, step, slow)


async def cut_at(
    folder: Path, till: Till, room: int, step: str, *, before: bool, patch: pytest.MonkeyPatch
) -> dict[str, str]:
    """A run that is cut while the second task stalls; returns how the tasks stand after it."""
    stop, door = Stop(), Door()

    async def cut() -> None:
        await door.reached.wait()
        stop.ask(StopReason.SIGNAL)
        stop.cut()
        await anyio.wait_all_tasks_blocked()
        door.open.set()

    async with rooms(folder, till) as opened:
        stalled(patch, opened[room], step, door, before=before)
        async with anyio.create_task_group() as group:
            group.start_soon(cut)
            await work(opened, "first", stop)
        return await states(opened[0])


LEDGER, STORE, PROVIDER = range(3)


@dataclass(frozen=True)
class Stall:
    """Where a run stalls, how its task stands after the cut, and how often the provider is paid for it in all."""

    room: int
    step: str
    before: bool
    state: str
    paid: int = 1
    links: bool = False


@pytest.mark.parametrize(
    "stall",
    [
        Stall(STORE, "reserve", before=True, state="pending"),
        Stall(STORE, "reserve", before=False, state="pending"),
        Stall(LEDGER, "sent", before=True, state="pending"),
        Stall(LEDGER, "sent", before=False, state="pending"),
        Stall(PROVIDER, "generate", before=True, state="pending"),
        Stall(PROVIDER, "generate", before=False, state="pending", paid=2),
        Stall(STORE, "keep", before=True, state="stored"),
        Stall(STORE, "keep", before=False, state="stored"),
        Stall(LEDGER, "stored", before=True, state="stored"),
        Stall(LEDGER, "stored", before=False, state="stored"),
        Stall(LEDGER, "received", before=True, state="received", links=True),
        Stall(LEDGER, "received", before=False, state="received", links=True),
        Stall(PROVIDER, "fetch", before=True, state="received", links=True),
        Stall(PROVIDER, "fetch", before=False, state="received", links=True),
        Stall(STORE, "keep", before=True, state="stored", links=True),
    ],
    ids=lambda stall: f"{stall.step}-{'before' if stall.before else 'after'}{'-link' if stall.links else ''}",
)
async def test_a_cut_at_any_step_loses_nothing_that_was_paid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stall: Stall
) -> None:
    """After the cut the task stands where the next run can go on; in the end every image is there.

    Only an answer that was on its way is paid again, once, marked and with the key of the first request.
    """
    till = Till(links=stall.links)
    with monkeypatch.context() as patch:
        after = await cut_at(tmp_path / "job", till, stall.room, stall.step, before=stall.before, patch=patch)
    assert {"t0--01": "stored", "t1--01": stall.state, "t2--01": "pending"} == after

    async with rooms(tmp_path / "job", till) as opened:
        await work(opened, "second", Stop())
        assert {"stored"} == set((await states(opened[0])).values())
        sent = [view async for page in opened[0].attempts() for view in page if view.task_id == ONE]
    assert stall.paid == till.paid.count("t 1")
    assert [1, 1] == [till.paid.count(prompt) for prompt in ("t 0", "t 2")]
    if stall.paid == 2:
        assert [False, True] == [view.possible_duplicate for view in sent]
        assert 1 == len({key for key, prompt in zip(till.keys, till.paid, strict=True) if prompt == "t 1"})
    assert ["t0--01.png", "t1--01.png", "t2--01.png"] == sorted(
        path.name for path in (tmp_path / "job/images").glob("*.png")
    )
    assert ["quarantine"] == [path.name for path in (tmp_path / "job/state").iterdir()]


async def test_a_failure_that_came_is_noted_in_spite_of_a_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal whose note on the ledger stalls is no lost answer."""
    with monkeypatch.context() as patch:
        after = await cut_at(tmp_path / "job", Till(refuses=True), LEDGER, "failed", before=True, patch=patch)
    assert {"t0--01": "failed", "t1--01": "failed", "t2--01": "pending"} == after


async def test_a_request_that_never_left_is_not_called_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut between the commit and the request: nothing was sent, nothing counts as spent, nothing is doubtful."""
    with monkeypatch.context() as patch:
        await cut_at(tmp_path / "job", Till(), LEDGER, "sent", before=False, patch=patch)
    async with open_ledger(tmp_path / "job/ledger.sqlite") as ledger:
        (view,) = [view async for page in ledger.attempts() for view in page if view.task_id == ONE]
        totals = await ledger.totals()
    assert ("transient", "the run was stopped before the request was sent", 0.0) == (
        view.failure_class,
        view.reason,
        view.cost_usd,
    )
    assert 0.0 == totals.unknown_usd


async def test_a_cut_run_keeps_every_finished_write(tmp_path: Path) -> None:
    """Whatever moment a run is cut at, the ledger and the folder agree about every image."""
    till = Till()
    for number in range(12):
        stop = Stop()
        folder = tmp_path / str(number)

        async def cut(stop: Stop, turns: int) -> None:
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            stop.cut()
            stop.ask(StopReason.SIGNAL)

        async with rooms(folder, till) as opened, anyio.create_task_group() as group:
            group.start_soon(cut, stop, number * 7)
            await work(opened, "first", stop)
            stored = [task for task, state in (await states(opened[0])).items() if state == "stored"]
        assert sorted(f"{task_id}.png" for task_id in stored) == sorted(
            path.name for path in (folder / "images").glob("*.png")
        )
