"""Whether a task may be sent after all, and what the outcome of one request means for the others."""

from __future__ import annotations

import math
from collections.abc import Callable

import anyio

from batchgen.core.classify import is_redirect
from batchgen.core.events import Event, Notice, Paused
from batchgen.core.protocols import Ledger
from batchgen.core.records import Due
from batchgen.core.retry import NextStep
from batchgen.core.types import Failure, FailureClass, ImageRequest, StopReason, TaskState
from batchgen.pool.attempts import Ended
from batchgen.pool.breaker import PROBES
from batchgen.pool.hopeless import Hopeless
from batchgen.pool.lanes import Lane
from batchgen.pool.resends import Resends
from batchgen.pool.stopping import Stop

INTERNAL_ERRORS_IN_A_ROW = 5
"""So many faults of batchgen itself in a row stop the job: each may have cost an image."""

_TROUBLE = frozenset({FailureClass.TRANSIENT, FailureClass.UNKNOWN})


class Judge:
    """What one run has learned.

    `ends_at` is the moment on the loop's clock after which nothing is sent, `longest_s` how long a request is known
    to take at most: none is sent that would probably outlast the end.
    """

    def __init__(
        self,
        run_id: str,
        ledger: Ledger,
        stop: Stop,
        notify: Callable[[Event], None],
        ends_at: float,
        longest_s: float,
    ) -> None:
        self._run_id = run_id
        self._ledger = ledger
        self._stop = stop
        self._notify = notify
        self._ends_at = ends_at
        self._longest_s = longest_s
        self._hopeless = Hopeless()
        self._resends = Resends()
        self._answered = False
        self._internal_errors = 0
        self._given_up: list[tuple[Lane, str]] = []

    def allows(self, lane: Lane, due: Due) -> bool:
        """Whether a task that has its permit is sent. What forbids it for all asks for the run's stop."""
        if self._stop.ended or self._hopeless.of(due.task.request) is not None or not lane.allows(due):
            return False
        if anyio.current_time() + self._longest_s > self._ends_at:
            self._stop.ask(StopReason.DEADLINE, self._too_late())
        elif not self._resends.take(due.task.task_id):
            again, requests = self._resends.resends, self._resends.requests
            told = f"{again} of {requests} requests were sent again after a failed or lost answer; more are not sent"
            self._stop.ask(StopReason.BREAKER, told)
        return not self._stop.ended

    def _too_late(self) -> str:
        if not self._longest_s:
            return ""
        known = f"a request has taken up to {self._longest_s:.0f} s, so none is sent that may end too late"
        return known if self._resends.requests else f"{known}; begin earlier, or let the run end later"

    async def learn(self, lane: Lane, due: Due, ended: Ended) -> None:
        """Take how a request ended."""
        self._longest_s = max(self._longest_s, ended.seconds)
        failure, step = ended.failure, ended.step
        self._count_internal(ended)
        if ended.made:
            self._answered = True
            self._hopeless.accepted(due.task.request)
        lane.told(ended.limit_per_minute)
        if ended.exhausted_s and (rest_s := lane.rest(ended.exhausted_s)):
            self._notify(Paused(lane.models, rest_s, "the provider says that its limit is used up"))
        if failure is None or step is None:
            lane.learn(due, trouble=False)
            return
        self._weigh_answer(failure)
        if step.stop is not None:
            self._stop.ask(step.stop, failure.reason)
        if failure.failure_class is FailureClass.RATE_LIMITED:
            self._resends.rate_limited()
            told_s, sudden = failure.retry_after_s, failure.too_sudden
            if lane.slow_down(due, step.pause_s, told_s=told_s, sudden=sudden):
                self._notify(Paused(lane.models, step.pause_s, failure.reason))
        self._feed_breaker(lane, due, failure, step)
        await self._condemn(lane, due.task.request, failure, step)

    def _count_internal(self, ended: Ended) -> None:
        self._internal_errors = self._internal_errors + 1 if ended.internal else 0
        if self._internal_errors >= INTERNAL_ERRORS_IN_A_ROW and ended.failure is not None:
            self._stop.ask(
                StopReason.BREAKER,
                f"{INTERNAL_ERRORS_IN_A_ROW} internal errors in a row: {ended.failure.reason}",
            )

    def _weigh_answer(self, failure: Failure) -> None:
        """A first answer that leads elsewhere shows a wrong address: every further request would be lost, too."""
        if not self._answered and is_redirect(failure):
            self._stop.ask(StopReason.BREAKER, failure.reason)
        self._answered = self._answered or failure.http_status is not None

    def _feed_breaker(self, lane: Lane, due: Due, failure: Failure, step: NextStep) -> None:
        if failure.same_cause and not lane.breaker.is_open:
            return
        trouble = failure.failure_class in _TROUBLE
        if trouble and step.state is TaskState.PENDING:
            self._resends.troubled(due.task.task_id)
        pause_s = lane.learn(due, trouble=trouble)
        if pause_s == math.inf:
            models = ", ".join(lane.models)
            self._given_up.append(
                (lane, f"{models}: {PROBES} probes failed as well, the last one: {failure.reason}")
            )
        elif pause_s:
            why = f"too many failures, so then one request goes first; the last one: {failure.reason}"
            self._notify(Paused(lane.models, pause_s, why))

    async def close(self) -> None:
        """Say what was left behind: a lane that gave up stops the job only now, when the others are done."""
        for lane, why in self._given_up:
            if await self._ledger.next_due(self._run_id, lane.models) is not None:
                self._stop.ask(StopReason.BREAKER, why)

    async def _condemn(self, lane: Lane, request: ImageRequest, failure: Failure, step: NextStep) -> None:
        """Fail what is hopeless and unsent; what was in flight meanwhile and would be sent again, too."""
        news = self._hopeless.failed(request, failure, step)
        cause = self._hopeless.of(request)
        if cause is None or not (news or step.state is TaskState.PENDING):
            return
        lane.drop(self._hopeless.of)
        model = request.model
        if cause.whole_model:
            count = await self._ledger.fail_unsent(self._run_id, model, cause.failure)
            why = f"{model} is not available"
        else:
            count = await self._ledger.fail_unsent_shape(self._run_id, request, cause.failure)
            why = f"{model} does not accept their settings"
        if count and news:
            self._notify(Notice(f"{why}, so {count} more tasks fail without a request"))
