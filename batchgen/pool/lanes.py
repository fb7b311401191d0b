"""A lane feeds the tasks of models that share a limit: first due, first served, each with all its permits."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import anyio

from batchgen.core.limits import LaneLimit
from batchgen.core.protocols import Ledger
from batchgen.core.records import Due
from batchgen.core.retry import NOT_BEFORE_CAP_S
from batchgen.core.types import ImageRequest
from batchgen.core.values import replace
from batchgen.pool.breaker import Breaker
from batchgen.pool.gates import Gate
from batchgen.system.clock import Clock, moment_of, moment_text

PATIENCE_S = 600.0
"""A run waits this long for a not-before time; a later one is left to the next run."""

REST_S = 60.0
"""The longest rest: a limit a minute is whole again then, and one of another kind says so with a 429."""

SPARED_S = 180.0
"""A limit that takes nothing for so long is none that a task should wait out: its refusals use up attempts then."""

BATCH = 64
"""Tasks a query: one hop to the ledger's thread serves many requests."""


@dataclass(frozen=True, slots=True)
class Later:
    """The lane's next task is due at a moment that is not worth waiting for."""

    moment: str


class Lane:
    """The queue of some models. `handed` are tasks on their way, which the ledger still calls pending.

    `ends_at` is the moment on the loop's clock after which nothing is sent: no task due later is waited for.
    `held_until` is the moment until which the provider wants to be left alone, where that is not worth waiting for:
    nothing more is sent then, and "" stands for none. A lane has a breaker of its own, so that a model that fails does
    not stop one that works; where all fail, each lane finds out for itself.
    """

    def __init__(
        self,
        limit: LaneLimit,
        ledger: Ledger,
        run_id: str,
        clock: Clock,
        gate: Gate,
        ends_at: float = math.inf,
    ) -> None:
        self.models = limit.models
        self.breaker = Breaker()
        self._ledger = ledger
        self._run_id = run_id
        self._clock = clock
        self._ends_at = ends_at
        self._gate = gate
        self._pulse = gate.pulse(limit.models)
        self._handed: set[str] = set()
        self._batch: list[Due] = []
        self._changed = anyio.Event()
        self._paused_until = 0.0
        self._probe: str | None = None
        self._sent_at: dict[str, float] = {}
        self._spared: Counter[str] = Counter()
        self._took_at: float | None = None
        self.held_until = ""

    async def next(self) -> Due | Later | None:
        """The next task to send, waiting for one as long as it is worth it; None when the lane is done."""
        while not self._batch and not self.breaker.gave_up:
            self._changed = anyio.Event()  # before the ledger is asked, so that no end of an attempt is missed
            if not self.held_until and await self._fetch(moment_text(self._clock())):
                break
            moment = await self._ledger.next_due(self._run_id, self.models)
            if self._changed.is_set():
                continue  # it may have put its task back after the ledger was asked
            if not self._handed and moment is None:
                return None
            if self.held_until:
                if not self._handed:
                    return Later(max(self.held_until, moment or ""))
                await self._changed.wait()  # what is in flight may yet be put back, or use up the last task
                continue
            if moment and self._ahead_s(moment) > NOT_BEFORE_CAP_S and await self._fetch(moment):
                break
            if not await self._wait(moment):
                return Later(moment or "")
        if self.breaker.gave_up:
            return None
        due = self._batch.pop(0)
        return replace(due, spared=self._spared[due.task.task_id])

    async def _fetch(self, now: str) -> bool:
        """Take what is due from the ledger; False when there is nothing."""
        found = await self._ledger.due(self._run_id, self.models, now, BATCH + len(self._handed))
        self._batch = [due for due in found if due.task.task_id not in self._handed][:BATCH]
        self._handed.update(due.task.task_id for due in self._batch)
        return bool(self._batch)

    def _ahead_s(self, moment: str) -> float:
        return (moment_of(moment) - self._clock()).total_seconds()

    async def _wait(self, moment: str | None) -> bool:
        """Wait until an attempt ends or `moment` comes; False when it is not worth it."""
        delay_s = self._ahead_s(moment) if moment else PATIENCE_S
        if delay_s > self._worth_s and moment and not self._handed:
            return False
        with anyio.move_on_after(max(0.001, min(delay_s, PATIENCE_S))):
            await self._changed.wait()
        return True

    @property
    def _worth_s(self) -> float:
        """How long a run waits for something."""
        return min(PATIENCE_S, self._ends_at - anyio.current_time())

    async def permit(self, due: Due) -> bool:
        """Wait for everything that a request needs: no pause, the rates, a place in flight.

        False when the lane gave up or is held instead. While the breaker is open, the permit is for a probe.
        """
        while True:
            await self._clear()
            if self.held_until:
                self.done(due)
            if self._is_over:
                return False
            moment = await self._gate.enter(self.models)
            if moment is None:
                continue  # the provider asked to slow down while a permit was waited for
            if self._is_clear():
                break
            self._gate.leave(self.models)  # the breaker opened meanwhile
        self._probe = due.task.task_id if self.breaker.is_open else None
        self._sent_at[due.task.task_id] = moment
        self._pulse.tempo.sent(moment)
        self._took_at = self._took_at or moment  # nobody can know yet
        return True

    def went(self, due: Due) -> None:
        """The request of a permit goes out now: what comes before it takes its time."""
        self._gate.went(self.models, self._sent_at[due.task.task_id])

    async def _clear(self) -> None:
        """Wait until nothing but rates and workers keep a request from being sent, or nothing is sent any more."""
        while not self._is_clear() and not self._is_over:
            ahead_s = self._pulse.paused_until - anyio.current_time()
            if ahead_s > PATIENCE_S:  # another job of the night was told so
                self._hold(ahead_s)
                return
            self._changed = anyio.Event()  # what ends may end the lane, too
            with anyio.move_on_at(math.inf if self._probe is not None else self._ready_at):
                await self._changed.wait()

    @property
    def _is_over(self) -> bool:
        return self.breaker.gave_up or bool(self.held_until)

    def _is_clear(self) -> bool:
        return self._probe is None and anyio.current_time() >= self._ready_at

    @property
    def _ready_at(self) -> float:
        return max(self._paused_until, self._pulse.ready_at)

    def allows(self, due: Due) -> bool:
        """Whether a task that has its permit may still be sent: the breaker may have opened meanwhile, or a pause begun."""
        return not self.held_until and (not self.breaker.is_open or due.task.task_id == self._probe)

    def learn(self, due: Due, *, trouble: bool) -> float:
        """Take how a request ended; returns for how many seconds the breaker lets nothing through because of it."""
        pause_s = self.breaker.learn(trouble=trouble, probe=due.task.task_id == self._probe)
        self._paused_until = max(self._paused_until, anyio.current_time() + pause_s)
        return pause_s

    def slow_down(self, due: Due, pause_s: float, *, told_s: float | None, sudden: bool = False) -> bool:
        """The provider asked for it: send nothing for a while, then less; False when that is no news.

        `told_s` is how long it said to wait. A lone refusal that does not tell it concerns its task alone. `sudden` is
        whether it wants to be sent more only slowly.
        """
        now, held = anyio.current_time(), bool(self.held_until)
        sent_at = self._sent_at.get(due.task.task_id, now)
        too_many = self._pulse.tempo.refused(sent_at, now, told_s, sudden=sudden)
        if too_many and now < (self._took_at or now) + SPARED_S:
            self._spared[due.task.task_id] += 1
        if not too_many and told_s is None:
            return False
        if too_many and now >= max(self._paused_until, self._pulse.paused_until):
            self._pulse.tempo.slow_down(now)
        if pause_s > self._worth_s:
            self._hold(pause_s)
        return self._pulse.pause(pause_s) and not held

    def took(self, due: Due) -> None:
        """The provider made an image: what it refuses before and after is not refused for good."""
        self._took_at = anyio.current_time()
        self._spared.pop(due.task.task_id, None)

    def told(self, limit_per_minute: float | None) -> None:
        """An answer told the provider's limit, or none."""
        if limit_per_minute is not None:
            self._pulse.tempo.told(limit_per_minute, anyio.current_time())

    def _hold(self, pause_s: float) -> None:
        """Send nothing more in this run; what was fetched from the ledger stays pending there."""
        self.held_until = max(self.held_until, moment_text(self._clock() + timedelta(seconds=pause_s)))
        self._handed.difference_update(due.task.task_id for due in self._batch)
        self._batch.clear()

    def rest(self, seconds: float) -> float:
        """The provider says that its limit is used up: wait for it where no rate is known; returns for how long.

        A lane that has a rate keeps to that: it uses up a limit all the time, and loses nothing by it.
        """
        rest_s = min(seconds, REST_S)
        return rest_s if self._pulse.tempo.is_free and self._pulse.pause(rest_s) else 0.0

    def drop(self, hopeless: Callable[[ImageRequest], object]) -> None:
        """Forget tasks that were fetched from the ledger but not sent, whose request is hopeless."""
        dropped = {due.task.task_id for due in self._batch if hopeless(due.task.request)}
        self._batch = [due for due in self._batch if due.task.task_id not in dropped]
        self._handed -= dropped

    def done(self, due: Due) -> None:
        """A task's attempt has ended, whatever came of it."""
        self._handed.discard(due.task.task_id)
        self._sent_at.pop(due.task.task_id, None)
        if self._probe == due.task.task_id:
            self._probe = None
        self._changed.set()
