"""A failure class and the attempts so far -> what happens to the task, its models and the job."""

from __future__ import annotations

from msgspec import Struct

from batchgen.core.retry_after import RETRY_AFTER_CAP_S
from batchgen.core.types import Failure, FailureClass, OnUnknown, RetryPolicy, StopReason, TaskState

BACKOFF_BASE_S = 1.0
BACKOFF_CAP_S = 60.0
NOT_BEFORE_CAP_S = RETRY_AFTER_CAP_S + BACKOFF_BASE_S
"""No delay is longer: a not-before moment further ahead was written under a wrong clock, and is due now."""

REQUESTS_PER_RESEND = 10
RESENDS_FREE = 10
"""Google's SRE book, "Handling overload", caps a client's retries at a tenth of its requests; ten let a small job live."""

_STOPS = {
    FailureClass.AUTH: StopReason.AUTH,
    FailureClass.BILLING: StopReason.BILLING,
    FailureClass.STORAGE: StopReason.STORAGE,
}
_TRIED_AGAIN = frozenset({FailureClass.RATE_LIMITED, FailureClass.TRANSIENT})


class NextStep(Struct, frozen=True):
    """What follows a failed attempt.

    `delay_s`: the task is not sent again before it has passed. `pause_s`: nothing is sent to the task's models
    before it has passed. `stop`: the job ends, with the task still pending. `fail_model`: the model's other
    unsent tasks fail without an attempt. `same_key`: the next attempt carries the same idempotency key,
    also that of a held task which a person lets go.
    """

    state: TaskState
    delay_s: float = 0.0
    pause_s: float = 0.0
    stop: StopReason | None = None
    fail_model: bool = False
    same_key: bool = False


def backoff_s(attempts: int, jitter: float) -> float:
    """Full-jitter exponential backoff in seconds: `jitter` (0 to 1) of 1, 2, 4 ... at most 60.

    Full jitter spreads a herd best: aws.amazon.com/builders-library, "Timeouts, retries and backoff with jitter".
    """
    return jitter * min(BACKOFF_CAP_S, BACKOFF_BASE_S * float(2 ** min(attempts - 1, 16)))


def may_resend(requests: int, resends: int) -> bool:
    """Whether one more request may be sent that follows trouble, after so many requests and such resends in this run."""
    return resends + 1 <= RESENDS_FREE + (requests + 1) / REQUESTS_PER_RESEND


def next_step(
    failure: Failure, *, attempts: int, unknowns: int, resends_allowed: int, policy: RetryPolicy, jitter: float
) -> NextStep:
    """Decide after a failure. `attempts` (this one included) are of this run or since `retry` was asked.

    `unknowns` are the lost answers of this fingerprint, this one included; `jitter` is from 0 to 1.
    """
    kind = failure.failure_class
    if kind in _STOPS:
        return NextStep(TaskState.PENDING, stop=_STOPS[kind])
    if kind is FailureClass.UNKNOWN:
        return _after_unknown(attempts, unknowns, resends_allowed, policy, jitter)
    if kind in _TRIED_AGAIN:
        return _after_refusal_to_work(failure, attempts, policy, jitter)
    return NextStep(TaskState.FAILED, fail_model=kind is FailureClass.MODEL)


def _after_unknown(
    attempts: int, unknowns: int, resends_allowed: int, policy: RetryPolicy, jitter: float
) -> NextStep:
    resend = policy.on_unknown is OnUnknown.RESEND and unknowns <= resends_allowed
    if not resend or attempts >= policy.max_attempts:
        return NextStep(TaskState.HELD, same_key=True)
    return NextStep(TaskState.PENDING, delay_s=backoff_s(attempts, jitter), same_key=True)


def _after_refusal_to_work(failure: Failure, attempts: int, policy: RetryPolicy, jitter: float) -> NextStep:
    """Rate limits pause every task of the models, other trouble only this task."""
    asked_s = failure.retry_after_s
    # A hair of jitter above what was asked, so that not every client comes back in the same instant.
    hair_s = jitter * min(BACKOFF_BASE_S, asked_s or BACKOFF_BASE_S)
    delay_s = backoff_s(attempts, jitter) if asked_s is None else asked_s + hair_s
    limited = failure.failure_class is FailureClass.RATE_LIMITED
    pause_s = delay_s if limited else 0.0
    if attempts >= policy.max_attempts:
        return NextStep(TaskState.FAILED, pause_s=pause_s)
    return NextStep(TaskState.PENDING, delay_s=delay_s, pause_s=pause_s)
