"""What follows a failure, as a table: the task, its models, the job."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.retry import (
    BACKOFF_CAP_S,
    NOT_BEFORE_CAP_S,
    NextStep,
    backoff_s,
    may_resend,
    next_step,
)
from batchgen.core.retry_after import RETRY_AFTER_CAP_S
from batchgen.core.types import Failure, FailureClass, OnUnknown, RetryPolicy, StopReason, TaskState

POLICY = RetryPolicy(max_attempts=3)
HOLD = RetryPolicy(max_attempts=3, on_unknown=OnUnknown.HOLD)


def step(
    kind: FailureClass,
    *,
    attempts: int = 1,
    unknowns: int = 0,
    allowed: int = 1,
    policy: RetryPolicy = POLICY,
    jitter: float = 1.0,
    retry_after_s: float | None = None,
) -> NextStep:
    """The decision after a failure of a class."""
    failure = Failure(kind, "no", retry_after_s=retry_after_s)
    return next_step(
        failure, attempts=attempts, unknowns=unknowns, resends_allowed=allowed, policy=policy, jitter=jitter
    )


@pytest.mark.parametrize(
    ("kind", "stop"),
    [
        (FailureClass.AUTH, StopReason.AUTH),
        (FailureClass.BILLING, StopReason.BILLING),
        (FailureClass.STORAGE, StopReason.STORAGE),
    ],
)
def test_what_concerns_the_job_stops_it(kind: FailureClass, stop: StopReason) -> None:
    """The task stays pending: it is not its fault, however often it was tried."""
    assert NextStep(TaskState.PENDING, stop=stop) == step(kind, attempts=9)


@pytest.mark.parametrize(
    "kind", [FailureClass.REFUSED, FailureClass.INVALID, FailureClass.NO_IMAGE, FailureClass.DOWNLOAD]
)
def test_what_is_final_fails_the_task(kind: FailureClass) -> None:
    """One attempt, no wait, nobody else concerned."""
    assert NextStep(TaskState.FAILED) == step(kind)


def test_a_missing_model_fails_its_tasks() -> None:
    """The task and the model's other unsent tasks."""
    assert NextStep(TaskState.FAILED, fail_model=True) == step(FailureClass.MODEL)


def test_trouble_is_tried_again_until_attempts_are_used_up() -> None:
    """Transient trouble delays the task alone."""
    assert NextStep(TaskState.PENDING, delay_s=2.0) == step(FailureClass.TRANSIENT, attempts=2)
    assert NextStep(TaskState.FAILED) == step(FailureClass.TRANSIENT, attempts=3)


@pytest.mark.parametrize(
    ("retry_after_s", "jitter", "delay_s", "pause_s"),
    [
        (None, 1.0, 1.0, 1.0),
        (None, 0.0, 0.0, 0.0),
        (30.0, 0.0, 30.0, 30.0),
        (30.0, 1.0, 31.0, 31.0),
        (0.2, 1.0, 0.4, 0.4),
        (0.0, 0.5, 0.5, 0.5),
        (300.0, 0.0, 300.0, 300.0),
        (86_400.0, 1.0, 86_401.0, 86_401.0),
    ],
)
def test_a_rate_limit_pauses_the_lane_as_long_as_it_asks(
    retry_after_s: float | None, jitter: float, delay_s: float, pause_s: float
) -> None:
    """For all its models, however long: whether that is worth waiting for is the run's affair. Nothing is now, and a hair."""
    expected = NextStep(TaskState.PENDING, delay_s=delay_s, pause_s=pause_s)
    assert expected == step(FailureClass.RATE_LIMITED, retry_after_s=retry_after_s, jitter=jitter)


def test_a_last_rate_limit_still_pauses_the_others() -> None:
    """The task is failed, but the provider's wish holds for all."""
    last = step(FailureClass.RATE_LIMITED, attempts=3, retry_after_s=10.0, jitter=0.0)
    assert NextStep(TaskState.FAILED, pause_s=10.0) == last


@pytest.mark.parametrize(
    ("unknowns", "allowed", "attempts", "policy", "state"),
    [
        (1, 1, 1, POLICY, TaskState.PENDING),
        (2, 1, 2, POLICY, TaskState.HELD),
        (2, 2, 1, POLICY, TaskState.PENDING),
        (3, 2, 2, POLICY, TaskState.HELD),
        (1, 1, 3, POLICY, TaskState.HELD),
        (1, 1, 1, HOLD, TaskState.HELD),
        (2, 2, 1, HOLD, TaskState.HELD),
    ],
)
def test_a_lost_answer_is_sent_again_as_often_as_allowed(
    unknowns: int, allowed: int, attempts: int, policy: RetryPolicy, state: TaskState
) -> None:
    """Once per fingerprint, once more for each `retry`; never as a last attempt, never where it is held."""
    found = step(FailureClass.UNKNOWN, unknowns=unknowns, allowed=allowed, attempts=attempts, policy=policy)
    assert state == found.state
    assert found.same_key, "whoever sends it again sends the same request"


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_backoff_stays_within_its_bounds(attempts: int, jitter: float) -> None:
    """From nothing to a minute, however often it was tried."""
    assert 0 <= backoff_s(attempts, jitter) <= BACKOFF_CAP_S
    assert backoff_s(attempts, 1.0) == min(60.0, 2.0 ** min(attempts - 1, 20))


@given(
    st.sampled_from(FailureClass),
    st.integers(1, 20),
    st.integers(0, 5),
    st.integers(1, 5),
    st.sampled_from([POLICY, HOLD, RetryPolicy(max_attempts=1)]),
    st.floats(0, 1),
    st.none() | st.floats(0, RETRY_AFTER_CAP_S),
)
def test_no_decision_is_out_of_bounds(
    kind: FailureClass,
    attempts: int,
    unknowns: int,
    allowed: int,
    policy: RetryPolicy,
    jitter: float,
    retry_after_s: float | None,
) -> None:
    """No task is sent beyond `max_attempts`, earlier than it was asked, or with an old key after a definite answer."""
    found = step(
        kind,
        attempts=attempts,
        unknowns=unknowns,
        allowed=allowed,
        policy=policy,
        jitter=jitter,
        retry_after_s=retry_after_s,
    )
    assert found.state in {TaskState.PENDING, TaskState.FAILED, TaskState.HELD}
    if found.state is TaskState.PENDING and found.stop is None:
        assert attempts < policy.max_attempts
        assert found.delay_s >= (retry_after_s or 0.0) or kind is FailureClass.UNKNOWN
    assert 0.0 <= found.delay_s <= NOT_BEFORE_CAP_S
    assert found.pause_s in {0.0, found.delay_s} or found.state is TaskState.FAILED
    assert 0.0 <= found.pause_s <= NOT_BEFORE_CAP_S
    assert found.same_key == (kind is FailureClass.UNKNOWN)


@pytest.mark.parametrize(
    ("requests", "resends", "expected"),
    [
        (0, 0, True),
        (9, 9, True),
        (9, 10, True),
        (8, 10, False),
        (99, 19, True),
        (99, 20, False),
        (989, 108, True),
        (989, 109, False),
    ],
)
def test_resends_are_at_most_a_tenth_of_the_requests_and_ten(
    requests: int, resends: int, *, expected: bool
) -> None:
    """Both counts include the request in question: the tenth request may be the eleventh resend, in theory."""
    assert expected == may_resend(requests, resends)
