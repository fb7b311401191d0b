"""A pool over a memory ledger and a scripted engine, on a simulated clock."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from batchgen.core.events import Event
from batchgen.core.limits import LaneLimit, PoolLimits
from batchgen.core.records import AttemptView, TaskView, Totals
from batchgen.core.types import RetryPolicy, Task
from batchgen.ledgers.sqlite import SqliteLedger, memory_ledger
from batchgen.pool.attempts import Attempts
from batchgen.pool.gates import Gate
from batchgen.pool.loop import Pool, PoolSettings
from batchgen.pool.purse import Purses
from batchgen.pool.stopping import Stop
from batchgen.system.clock import Clock
from tests.ledgers.samples import RUN, queue
from tests.pool.scripted import ScriptedEngine
from tests.pool.virtual import GRAIN_S, simulate, wall_clock

PATIENT = RetryPolicy()


@dataclass
class Night:
    """One run of a pool, and what it left behind.

    `before` and `meanwhile` are called with the ledger before the run, and with the stop when it begins.
    """

    tasks: Sequence[Task]
    engine: ScriptedEngine = field(default_factory=ScriptedEngine)
    concurrency: int = 8
    images_per_minute: float | None = None
    lanes: Sequence[LaneLimit] | None = None
    retry: RetryPolicy = PATIENT
    purses: Purses = field(default_factory=Purses)
    ends_at: float = math.inf
    starts_at: float = 0.0
    longest_s: float = 0.0
    overtime_s: float = math.inf
    clock: Clock = wall_clock
    grace_s: float = 600.0
    jitter: Callable[[], float] = lambda: 1.0
    late_s: float = GRAIN_S
    meanwhile: Callable[[Stop], object] = lambda _stop: None
    gate: Callable[[PoolLimits, Stop], Gate] = Gate.alone

    stop: Stop = field(default_factory=Stop)
    events: list[Event] = field(default_factory=list)
    later: str | None = None
    ended_s: float = 0.0
    views: dict[str, TaskView] = field(default_factory=dict)
    attempts: list[AttemptView] = field(default_factory=list)
    totals: Totals = field(default_factory=Totals)

    def run(self) -> Night:
        """Run it to its end; returns itself."""
        simulate(self._run, late_s=self.late_s)
        return self

    def states(self) -> dict[str, str]:
        """How the tasks stand."""
        return {task_id: view.state for task_id, view in self.views.items()}

    def numbers(self, task_id: str) -> list[int]:
        """The attempts of a task, by number."""
        return [view.number for view in self.attempts if view.task_id == task_id]

    async def _run(self) -> None:
        await self.alone()

    async def alone(self) -> None:
        """Run it on a ledger of its own, also beside others on the same clock."""
        async with memory_ledger() as ledger:
            await queue(ledger, self.tasks)
            await self.over(ledger)
            self.views = {view.task_id: view async for page in ledger.tasks() for view in page}
            self.attempts = [view async for page in ledger.attempts() for view in page]
            self.totals = await ledger.totals()

    async def over(self, ledger: SqliteLedger) -> None:
        """Run the pool on an open ledger."""
        limits = PoolLimits(self.concurrency, self.images_per_minute, tuple(self._lanes()))
        settings = PoolSettings(
            RUN, limits, self.grace_s, self.ends_at, self.starts_at, self.longest_s, self.overtime_s
        )
        attempts = Attempts(
            ledger, self.engine, self.events.append, RUN, self.retry, self.clock, self.jitter, self.ends_at
        )
        gate = self.gate(limits, self.stop)
        pool = Pool(settings, ledger, attempts, self.purses, self.stop, self.events.append, self.clock, gate)
        self.meanwhile(self.stop)
        await pool.run()
        self.later = pool.later
        self.ended_s = asyncio.get_running_loop().time()

    def _lanes(self) -> Sequence[LaneLimit]:
        models = dict.fromkeys(task.request.model for task in self.tasks)
        return [LaneLimit((model,)) for model in models] if self.lanes is None else self.lanes
