"""The pool: one task group, a bounded stream, as many workers as requests may be in flight."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from batchgen.core.errors import StorageError
from batchgen.core.events import Event
from batchgen.core.limits import PoolLimits
from batchgen.core.protocols import Ledger
from batchgen.core.records import Due
from batchgen.core.types import StopReason
from batchgen.pool.attempts import Attempts
from batchgen.pool.gates import Gate
from batchgen.pool.judge import Judge
from batchgen.pool.lanes import Lane, Later
from batchgen.pool.purse import Purses
from batchgen.pool.stopping import Stop
from batchgen.system.clock import Clock


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """What a run asks of its pool.

    `ends_at` is the moment on the loop's clock after which nothing more is sent, `starts_at` that before which
    nothing is (the provider saw a request of an earlier run too recently). `longest_s` is how long the slowest of
    the last requests took. `grace_s` is how long a signal waits for what is in flight, `overtime_s` how long after
    `ends_at` anything is waited for: large answers that come slowly wait for each other, beyond their own deadlines.
    """

    run_id: str
    limits: PoolLimits
    grace_s: float
    ends_at: float = math.inf
    starts_at: float = 0.0
    longest_s: float = 0.0
    overtime_s: float = math.inf


Work = tuple[Lane, Due]


class Pool:
    """Sends what a run has queued on the ledger, until it is done or told to stop."""

    def __init__(
        self,
        settings: PoolSettings,
        ledger: Ledger,
        attempts: Attempts,
        purses: Purses,
        stop: Stop,
        notify: Callable[[Event], None],
        clock: Clock,
        gate: Gate,
    ) -> None:
        self._settings = settings
        self._attempts = attempts
        self._purses = purses
        self._stop = stop
        run_id, ends_at, limits = settings.run_id, settings.ends_at, settings.limits
        self._judge = Judge(run_id, ledger, stop, notify, ends_at, settings.longest_s)
        self._gate = gate
        self._lanes = [Lane(limit, ledger, run_id, clock, gate, ends_at) for limit in limits.lanes]
        self._workers = limits.concurrency
        self._watching = anyio.CancelScope()
        self.later: str | None = None

    async def run(self) -> None:
        """Work until the queue is empty or `stop` is asked; what is in flight is waited for."""
        send, receive = anyio.create_memory_object_stream[Work](self._workers)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._watch)
                with send, receive:
                    for _ in range(self._workers):
                        group.start_soon(self._work, receive.clone())
                    for lane in self._lanes:
                        group.start_soon(self._feed, lane, send.clone())
        finally:
            self._gate.close()
        try:
            await self._judge.close()
        except StorageError as error:
            self._stop.ask(StopReason.STORAGE, str(error))

    async def _watch(self) -> None:
        """End the sending at the deadline, and the waiting when a signal's grace or the overtime is over."""
        with self._watching:
            with anyio.move_on_at(self._settings.ends_at):
                await self._stop.asked()
            self._stop.ask(StopReason.DEADLINE)
            self._gate.end_sending()
            with anyio.move_on_at(self._settings.ends_at + self._settings.overtime_s):
                await self._stop.interrupted()
                await anyio.sleep(self._settings.grace_s)
            self._stop.cut()

    async def _feed(self, lane: Lane, send: MemoryObjectSendStream[Work]) -> None:
        with send, self._stop.ends_sending():
            await anyio.sleep(max(0.0, self._settings.starts_at - anyio.current_time()))
            try:
                await self._send_due(lane, send)
            except StorageError as error:
                self._stop.ask(StopReason.STORAGE, str(error))

    async def _send_due(self, lane: Lane, send: MemoryObjectSendStream[Work]) -> None:
        while isinstance(found := await lane.next(), Due):
            await self._afford(found)
            if not await self._offer(lane, found, send) and not lane.held_until:
                return
        if isinstance(found, Later):
            self.later = min(self.later or found.moment, found.moment)

    async def _offer(self, lane: Lane, due: Due, send: MemoryObjectSendStream[Work]) -> bool:
        """Hand an affordable task to a worker once it may be sent; False when the run ends before."""
        offered = False
        try:
            permitted = await lane.permit(due)
            # Asked as well as cancelled: a permit that was there at once lets a cancellation pass by.
            if permitted and not self._stop.ended:
                # Never full: there are as many places as slots, and a slot is held.
                send.send_nowait((lane, due))
                offered = True
        finally:
            if not offered:
                self._settle(due, 0.0)
        return offered

    def _settle(self, due: Due, cost_usd: float) -> None:
        self._purses.settle(due.task.price.bound_usd or 0.0, cost_usd)

    async def _afford(self, due: Due) -> None:
        """Reserve the most that a request can cost; what is in flight may yet leave something over."""
        bound_usd = due.task.price.bound_usd or 0.0
        while (short := self._purses.reserve(bound_usd)) is not None:
            if not short.reservations:
                left = f"${short.limit_usd - short.spent_usd:.4f} of ${short.limit_usd:.2f} is left"
                self._stop.ask(
                    StopReason.BUDGET, f"{short.name}: {left}, and {due.task.task_id} may cost ${bound_usd:.4f}"
                )
            await short.settled()

    def _within_budget(self) -> bool:
        """Asked once more when the request goes out: what was in flight meanwhile may have cost more than its bound."""
        purse = self._purses.overspent()
        if purse is not None:
            told = f"{purse.name}: ${purse.spent_usd:.4f} of ${purse.limit_usd:.2f}, since answers were dearer than expected"
            self._stop.ask(StopReason.BUDGET, told)
        return purse is None

    async def _work(self, receive: MemoryObjectReceiveStream[Work]) -> None:
        with receive, self._stop.ends_waiting():
            async for lane, due in receive:
                await self._attempt(lane, due)
        self._workers -= 1
        if not self._workers:
            self._watching.cancel()

    async def _attempt(self, lane: Lane, due: Due) -> None:
        cost_usd = 0.0
        try:
            if self._within_budget() and self._judge.allows(lane, due):
                ended = await self._attempts.perform(due, partial(lane.went, due))
                cost_usd = ended.cost_usd
                await self._judge.learn(lane, due, ended)
        except StorageError as error:
            cost_usd = due.task.price.bound_usd or 0.0  # nobody knows yet what became of it
            self._stop.ask(StopReason.STORAGE, str(error))
        finally:
            self._settle(due, cost_usd)
            self._gate.leave(lane.models)
            lane.done(due)
