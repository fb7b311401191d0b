"""A lane feeds the tasks of models that share a limit: first due, first served, each with all its permits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import anyio

from batchgen.core.limits import LaneLimit
from batchgen.core.protocols import Ledger
from batchgen.core.records import Due
from batchgen.pool.pacing import Gate, Pacer
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
    """The queue of some models. `handed` are tasks on their way, which the ledger still calls pending.

    `ends_at` is the moment on the loop's clock after which nothing is sent: no task due later is waited for.
    """

    def __init__(
        self, limit: LaneLimit, ledger: Ledger, run_id: str, clock: Clock, ends_at: float | None = None
    ) -> None:
        self.limit = limit
        self.models = limit.models
        self._ledger = ledger
        self._run_id = run_id
        self._clock = clock
        self._ends_at = math.inf if ends_at is None else ends_at
        self._pacer = Pacer(limit.images_per_minute) if limit.images_per_minute else None
        self._slots = anyio.Semaphore(limit.concurrency) if limit.concurrency else None
        self._handed: set[str] = set()
        self._batch: list[Due] = []
        self._changed = anyio.Event()
        self._paused_until = 0.0

    async def next(self) -> Due | Later | None:
        """The next task to send, waiting for one as long as it is worth it; None when the lane is done."""
        while not self._batch:
            self._changed = anyio.Event()  # before the ledger is asked, so that no end of an attempt is missed
            now = moment_text(self._clock())
            limit = BATCH + len(self._handed)
            found = await self._ledger.due(self._run_id, self.models, now, limit)
            fresh = [due for due in found if due.task.task_id not in self._handed]
            if fresh:
                self._batch = fresh[:BATCH]
                self._handed.update(due.task.task_id for due in self._batch)
                break
            moment = await self._ledger.next_due(self._run_id, self.models)
            if self._changed.is_set():
                continue  # it may have put its task back after the ledger was asked
            if not self._handed and moment is None:
                return None
            if not await self._wait(moment):
                return Later(moment or "")
        return self._batch.pop(0)

    async def _wait(self, moment: str | None) -> bool:
        """Wait until an attempt ends or `moment` comes; False when it is not worth it."""
        delay_s = (moment_of(moment) - self._clock()).total_seconds() if moment else PATIENCE_S
        worth_s = min(PATIENCE_S, self._ends_at - anyio.current_time())
        if delay_s > worth_s and moment and not self._handed:
            return False
        with anyio.move_on_after(max(0.001, min(delay_s, PATIENCE_S))):
            await self._changed.wait()
        return True

    async def permit(self, gate: Gate) -> None:
        """Wait for everything that a request needs: no pause, this lane's slot, the rates, a worker."""
        if self._slots is not None:
            await self._slots.acquire()
        while True:
            await anyio.sleep(max(0.0, self._paused_until - anyio.current_time()))
            await gate.enter(self._pacer)
            if anyio.current_time() >= self._paused_until:
                return
            gate.leave()  # the provider asked to slow down while a permit was waited for

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
