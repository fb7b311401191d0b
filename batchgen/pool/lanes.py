"""A lane feeds the tasks of models that share a limit: first due, first served, each with all its permits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import anyio

from batchgen.core.limits import LaneLimit
from batchgen.core.protocols import Ledger
from batchgen.core.records import Due
from batchgen.pool.pacing import Pacer, take_all
from batchgen.system.clock import Clock, moment_of, moment_text

PATIENCE_S = 600.0
"""A run waits this long for a not-before time; a later one is left to the next run."""

BATCH = 64
"""Tasks a query: one hop to the ledger's thread serves many requests."""


@dataclass(frozen=True, slots=True)
class Later:
    """The lane's next task is due at a moment that is not worth waiting for."""

    moment: str


class Lane:
    """The queue of some models. `handed` are tasks on their way, which the ledger still calls pending."""

    def __init__(self, limit: LaneLimit, ledger: Ledger, run_id: str, clock: Clock) -> None:
        self.limit = limit
        self.models = limit.models
        self._ledger = ledger
        self._run_id = run_id
        self._clock = clock
        self._pacer = Pacer(limit.images_per_minute) if limit.images_per_minute else None
        self._slots = anyio.Semaphore(limit.concurrency) if limit.concurrency else None
        self._handed: set[str] = set()
        self._batch: list[Due] = []
        self._changed = anyio.Event()
        self._paused_until = 0.0

    async def next(self) -> Due | Later | None:
        """The next task to send, waiting for one as long as it is worth it; None when the lane is done."""
        while not self._batch:
            # Before looking: what ends meanwhile may have put a task back, and must not be missed.
            self._changed = anyio.Event()
            busy = bool(self._handed)
            if await self._refill():
                break
            moment = await self._ledger.next_due(self._run_id, self.models)
            if not busy and moment is None:
                return None
            delay_s = (moment_of(moment) - self._clock()).total_seconds() if moment else 0.0
            if not busy and moment and delay_s > PATIENCE_S:
                return Later(moment)
            if busy or moment:
                with anyio.move_on_after(min(PATIENCE_S, max(0.001, delay_s)) if moment else PATIENCE_S):
                    await self._changed.wait()
        return self._batch.pop(0)

    async def _refill(self) -> bool:
        """Fetch what is due and not on its way yet."""
        limit = BATCH + len(self._handed)
        found = await self._ledger.due(self._run_id, self.models, moment_text(self._clock()), limit)
        self._batch = [due for due in found if due.task.task_id not in self._handed][:BATCH]
        self._handed.update(due.task.task_id for due in self._batch)
        return bool(self._batch)

    async def permit(self, shared: Sequence[Pacer], slot: anyio.Semaphore) -> None:
        """Wait for everything that a request needs: no pause, this lane's slot, the rates, a worker."""
        if self._slots is not None:
            await self._slots.acquire()
        own = [self._pacer] if self._pacer is not None else []
        while True:
            await anyio.sleep(max(0.0, self._paused_until - anyio.current_time()))
            await take_all([*own, *shared], slot)
            if anyio.current_time() >= self._paused_until:
                return
            slot.release()  # the provider asked to slow down while a permit was waited for

    def pause(self, seconds: float) -> bool:
        """Send nothing for a while; False when a longer pause is on already."""
        until = anyio.current_time() + seconds
        if until <= self._paused_until:
            return False
        self._paused_until = until
        return True

    def drop(self, model: str) -> None:
        """Forget the tasks of a model that were fetched from the ledger but not sent."""
        dropped = {due.task.task_id for due in self._batch if due.task.request.model == model}
        self._batch = [due for due in self._batch if due.task.task_id not in dropped]
        self._handed -= dropped

    def done(self, due: Due) -> None:
        """A task's attempt has ended, whatever came of it."""
        self._handed.discard(due.task.task_id)
        if self._slots is not None:
            self._slots.release()
        self._changed.set()
