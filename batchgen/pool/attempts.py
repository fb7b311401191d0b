"""One attempt from its reservation to its outcome on the ledger."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import anyio

from batchgen.core.errors import StorageError
from batchgen.core.events import AttemptFailed, AttemptSent, Event, TaskStored
from batchgen.core.money import failed_usd
from batchgen.core.protocols import Engine, Ledger, OnSent
from batchgen.core.records import Due
from batchgen.core.retry import NextStep, next_step
from batchgen.core.types import (
    Attempt,
    Failure,
    FailureClass,
    Link,
    Paid,
    RetryPolicy,
    Stored,
    TaskState,
)
from batchgen.core.values import replace
from batchgen.system.clock import Clock, moment_text
from batchgen.system.patience import fail_after

INTERNAL = "an internal error of batchgen"

OVER = "the run's time was up before the image was fetched; its link is kept, and fetching it costs nothing"

FINAL_WRITE_S = 60.0
"""A deadline of the shielded writes: a disk that takes longer is broken, and a stop must end."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended: what was spent, and what follows (None when the image is stored).

    `exhausted_s` is how long the provider said that nothing is left of a rate limit, `limit_per_minute` which it told.
    """

    cost_usd: float
    seconds: float
    failure: Failure | None = None
    step: NextStep | None = None
    exhausted_s: float | None = None
    limit_per_minute: float | None = None

    @property
    def internal(self) -> bool:
        """Whether batchgen itself was at fault."""
        return self.failure is not None and self.failure.reason.startswith(INTERNAL)

    @property
    def made(self) -> bool:
        """Whether the provider made an image, be it one that could not be fetched."""
        if self.failure is None or self.step is None:
            return True
        return self.step.state is TaskState.RECEIVED or self.failure.failure_class is FailureClass.DOWNLOAD


class Attempts:
    """Performs attempts: on the ledger before the request, and after it whatever comes.

    `ends_at` is the moment on the loop's clock at which downloads are dropped: a link is durable, and free later too.
    """

    def __init__(
        self,
        ledger: Ledger,
        engine: Engine,
        notify: Callable[[Event], None],
        run_id: str,
        retry: RetryPolicy,
        clock: Clock,
        jitter: Callable[[], float],
        ends_at: float = math.inf,
    ) -> None:
        self._ledger = ledger
        self._engine = engine
        self._notify = notify
        self._run_id = run_id
        self._retry = retry
        self._clock = clock
        self._jitter = jitter
        self._ends_at = ends_at

    @property
    def over(self) -> bool:
        """Whether nothing is fetched any more."""
        return anyio.current_time() >= self._ends_at

    async def perform(self, due: Due, on_sent: OnSent) -> Ended:
        """Send a task once and record what comes. Raises `StorageError`; the attempt then stays open on the ledger.

        `on_sent` is told when the request goes out.
        """
        attempt = self._attempt(due)
        await self._reserve(attempt)
        await self._note_sent(attempt)
        # Nothing is awaited between the commit above and the request.
        key, duplicate = attempt.idempotency_key, attempt.possible_duplicate
        self._notify(AttemptSent(due.task, attempt.attempt_id, attempt.number, key, duplicate))
        started = anyio.current_time()
        try:
            outcome = await self._answer(attempt, on_sent)
        except anyio.get_cancelled_exc_class():
            lost = Failure(FailureClass.UNKNOWN, "the run was stopped before the answer came", paid=Paid.MAYBE)
            with _final_write():
                await self.record_failure(attempt, lost, self._step(due, lost), started)
            raise
        if isinstance(outcome, Link):
            with _final_write():
                await self._ledger.received(attempt.attempt_id, outcome)
            return await self.finish_link(attempt, outcome, started)
        with _final_write():
            if isinstance(outcome, Failure):
                return await self.record_failure(attempt, outcome, self._step(due, outcome), started)
            return await self.record_stored(attempt, outcome, started)

    async def finish_link(self, attempt: Attempt, link: Link, started: float) -> Ended:
        """Fetch a paid link that is on the ledger. What can be tried again for free stays `received`."""
        outcome = await self._download(attempt, link)
        with _final_write():
            if isinstance(outcome, Stored):
                return await self.record_stored(attempt, outcome, started)
            final = outcome.failure_class is not FailureClass.TRANSIENT
            step = NextStep(TaskState.FAILED if final else TaskState.RECEIVED)
            return await self.record_failure(attempt, outcome, step, started)

    async def record_stored(self, attempt: Attempt, stored: Stored, started: float) -> Ended:
        """Note an image that is durable. `started` is when the request went out, on the loop's clock."""
        seconds = _since(started)
        await self._ledger.stored(stored, ended=moment_text(self._clock()), seconds=seconds)
        self._notify(TaskStored(attempt.task, attempt.attempt_id, stored, seconds))
        answer = stored.answer
        return Ended(
            stored.image.cost_usd or 0.0,
            seconds,
            exhausted_s=answer.exhausted_s,
            limit_per_minute=answer.limit_per_minute,
        )

    async def record_failure(self, attempt: Attempt, failure: Failure, step: NextStep, started: float) -> Ended:
        """Note a failure and what its task does next."""
        now, seconds = self._clock(), _since(started)
        not_before = moment_text(now + timedelta(seconds=step.delay_s)) if step.delay_s else None
        await self._ledger.failed(
            attempt, failure, step, not_before=not_before, ended=moment_text(now), seconds=seconds
        )
        self._notify(AttemptFailed(attempt.task, attempt.attempt_id, failure, step.state, not_before))
        return Ended(failed_usd(attempt.task.price, failure, step.state), seconds, failure, step)

    def _attempt(self, due: Due) -> Attempt:
        return Attempt(
            attempt_id=str(uuid.uuid4()),
            task=due.task,
            number=due.number,
            run_id=self._run_id,
            # A gateway that honours keys would replay a definite failure, so only a lost answer keeps its key.
            idempotency_key=due.idempotency_key or str(uuid.uuid4()),
            started=moment_text(self._clock()),
            possible_duplicate=due.unknowns > 0,
        )

    async def _reserve(self, attempt: Attempt) -> None:
        try:
            await self._engine.reserve(attempt)
        except StorageError:
            raise
        except Exception as error:
            raise StorageError(f"no room for an answer, so nothing was sent: {_internal(error)}") from error

    async def _note_sent(self, attempt: Attempt) -> None:
        try:
            await self._ledger.sent(attempt)
        except anyio.get_cancelled_exc_class():
            # The commit may be under way; the request is not, and shall not look like one.
            unsent = Failure(
                FailureClass.TRANSIENT, "the run was stopped before the request was sent", nothing_sent=True
            )
            with _final_write():
                await self.record_failure(attempt, unsent, NextStep(TaskState.PENDING), anyio.current_time())
            raise

    async def _answer(self, attempt: Attempt, on_sent: OnSent) -> Stored | Link | Failure:
        try:
            return await self._engine.perform(attempt, on_sent)
        except StorageError:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of ours in one task must not take the night down
            return Failure(FailureClass.UNKNOWN, _internal(error), paid=Paid.MAYBE)

    async def _download(self, attempt: Attempt, link: Link) -> Stored | Failure:
        with anyio.move_on_at(self._ends_at):
            try:
                return await self._engine.fetch(attempt, link)
            except StorageError:
                raise
            except Exception as error:  # noqa: BLE001 - nor must it lose a paid link, which the next run fetches
                return Failure(FailureClass.TRANSIENT, _internal(error))
        return Failure(FailureClass.TRANSIENT, OVER)

    def _step(self, due: Due, failure: Failure) -> NextStep:
        return next_step(
            failure,
            attempts=due.tried + 1,
            unknowns=due.unknowns + (failure.failure_class is FailureClass.UNKNOWN),
            resends_allowed=due.resends_allowed,
            policy=replace(self._retry, max_attempts=self._retry.max_attempts + due.spared),
            jitter=self._jitter(),
        )


def _internal(error: Exception) -> str:
    return f"{INTERNAL} ({type(error).__name__}: {error})"


@contextmanager
def _final_write() -> Iterator[None]:
    """Shield what is paid for from a stop, but not for ever. Raises `StorageError` at the deadline."""
    try:
        with fail_after(FINAL_WRITE_S, shield=True):
            yield
    except TimeoutError as error:
        raise StorageError(f"the disk did not finish a write within {FINAL_WRITE_S:g} s") from error


def _since(started: float) -> float:
    return round(anyio.current_time() - started, 3)
