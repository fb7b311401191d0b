"""What holds for every answer and every fault, whatever a provider says: one class, one line, money on the careful side."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.advice import ADVICE
from batchgen.core.classify import ErrorBody, NetworkFault, classify_network, classify_status
from batchgen.core.plain import REASON_LIMIT
from batchgen.core.retry import BACKOFF_CAP_S, NOT_BEFORE_CAP_S, next_step
from batchgen.core.retry_after import RETRY_AFTER_CAP_S
from batchgen.core.types import Failure, FailureClass, OnUnknown, Paid, RetryPolicy, StopReason, TaskState

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
C = FailureClass

CODES = [
    "moderation_blocked",
    "insufficient_quota",
    "billing_hard_limit_reached",
    "model_not_found",
    "invalid_api_key",
    "rate_limit_exceeded",
    "invalid_request",
    "bad_response_status_code",
]
WORDS = st.text(max_size=400) | st.sampled_from(
    [
        *CODES,
        "Rejected by the safety system.",
        "No available channel",
        "try again in 9999h",
        "\x1b[31mred\u202e\n\x00",
    ]
)
ERRORS = st.none() | st.builds(ErrorBody, WORDS, WORDS, st.sampled_from(["", *CODES]) | WORDS, WORDS)
VALUES = st.text(max_size=40) | st.floats().map(str) | st.integers().map(str)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["retry-after", "retry-after-ms", "x-ratelimit-reset-images", "location", "x-request-id", "cf-ray"]
    ),
    VALUES | st.sampled_from(["Mon, 23 Nov 2026 12:00:30 GMT", "6m0s", "nan", "-1", "1e999"]),
)
ANSWERS = st.builds(
    classify_status, st.integers(100, 999), HEADERS, ERRORS, st.text(max_size=3000), st.just(NOW)
)
FAULTS = st.builds(
    lambda fault, sent, begun, detail: classify_network(
        fault, bytes_sent=sent, answer_begun=sent and begun, detail=detail
    ),
    st.sampled_from(NetworkFault),
    st.booleans(),
    st.booleans(),
    st.text(max_size=2000),
)
MONEY = {C.UNKNOWN: {Paid.MAYBE, Paid.YES}, C.NO_IMAGE: {Paid.YES}, C.DOWNLOAD: {Paid.YES}}


@given(ANSWERS | FAULTS)
def test_a_failure_is_one_class_with_one_plain_line_and_its_money(failure: Failure) -> None:
    """A known class with advice; a reason of one printable line; paid as the class says, and never for what was not sent."""
    assert failure.failure_class in ADVICE
    assert failure.reason.isprintable()
    assert 0 < len(failure.reason) <= REASON_LIMIT
    assert failure.reason == failure.reason.strip()
    assert failure.paid in MONEY.get(failure.failure_class, {Paid.NO})
    assert not (failure.nothing_sent and failure.paid is not Paid.NO)
    assert failure.request_id is None or (failure.request_id.isprintable() and len(failure.request_id) <= 100)


@given(ANSWERS)
def test_a_wait_is_finite_and_only_where_waiting_helps(failure: Failure) -> None:
    """No header makes a wait endless, negative or longer than the cap; a refusal is not waited for."""
    wait_s = failure.retry_after_s
    assert wait_s is None or (math.isfinite(wait_s) and 0 <= wait_s <= RETRY_AFTER_CAP_S)
    if failure.failure_class not in {C.RATE_LIMITED, C.TRANSIENT}:
        assert wait_s is None


@given(st.integers(100, 999), HEADERS, ERRORS, st.text(max_size=200), st.text(max_size=200))
def test_a_class_comes_from_the_answer_alone(
    status: int, headers: dict[str, str], error: ErrorBody | None, one: str, two: str
) -> None:
    """The words of a body without an error object change the reason and nothing else."""
    first, second = (classify_status(status, headers, error, excerpt, NOW) for excerpt in (one, two))

    assert (first.failure_class, first.paid, first.retry_after_s) == (
        second.failure_class,
        second.paid,
        second.retry_after_s,
    )


@given(
    ANSWERS | FAULTS,
    st.integers(1, 8),
    st.integers(0, 3),
    st.integers(1, 3),
    st.builds(RetryPolicy, st.integers(1, 6), st.sampled_from(OnUnknown)),
    st.floats(0, 1),
)
def test_whatever_failed_has_one_next_step(
    failure: Failure, attempts: int, lost: int, allowed: int, policy: RetryPolicy, jitter: float
) -> None:
    """No attempt beyond the allowed ones, no lost answer bought again beyond its resends, no endless wait, no stop by a task."""
    kind = failure.failure_class
    unknowns = lost + (kind is C.UNKNOWN)
    step = next_step(
        failure, attempts=attempts, unknowns=unknowns, resends_allowed=allowed, policy=policy, jitter=jitter
    )

    assert step.state in {TaskState.PENDING, TaskState.FAILED, TaskState.HELD}
    assert 0 <= step.delay_s <= max(BACKOFF_CAP_S, RETRY_AFTER_CAP_S + 1)
    assert 0 <= step.pause_s <= NOT_BEFORE_CAP_S
    assert (step.stop is not None) == (kind in {C.AUTH, C.BILLING, C.STORAGE})
    assert step.stop is not StopReason.BREAKER
    if step.state is TaskState.PENDING and step.stop is None:
        assert attempts < policy.max_attempts
        assert kind in {C.TRANSIENT, C.RATE_LIMITED, C.UNKNOWN}
    if kind is C.UNKNOWN:
        assert step.state is not TaskState.FAILED
        assert (step.state is TaskState.HELD) >= (unknowns > allowed or policy.on_unknown is OnUnknown.HOLD)
    assert (step.state is TaskState.HELD) <= (kind is C.UNKNOWN)
    assert step.same_key == (kind is C.UNKNOWN)
