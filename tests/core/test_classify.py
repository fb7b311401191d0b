"""Answers and faults as a table, and what holds for all of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.classify import (
    ErrorBody,
    NetworkFault,
    classify_event,
    classify_network,
    classify_status,
    is_redirect,
    request_id,
)
from batchgen.core.plain import REASON_LIMIT
from batchgen.core.retry_after import RETRY_AFTER_CAP_S, exhausted_s, limit_per_minute, retry_after_s
from batchgen.core.types import Failure, FailureClass, Paid

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
C = FailureClass

VERIFY = "Your organization must be verified to use the model `gpt-image-2`."
SAFETY = "Your request was rejected by the safety system."

TABLE = [
    (400, ErrorBody(code="moderation_blocked"), {}, C.REFUSED),
    (400, ErrorBody(code="content_policy_violation"), {}, C.REFUSED),
    (400, ErrorBody(code="prompt_blocked"), {}, C.REFUSED),
    (400, ErrorBody(code="sensitive_words_detected"), {}, C.REFUSED),
    (400, ErrorBody(SAFETY, "image_generation_user_error"), {}, C.REFUSED),
    (403, ErrorBody(SAFETY), {}, C.REFUSED),
    (500, ErrorBody(code="sensitive_words_detected"), {}, C.REFUSED),
    (400, ErrorBody("Invalid value", "image_generation_user_error", "invalid_value", "size"), {}, C.INVALID),
    (400, ErrorBody("Invalid content filter 'x'", "", "invalid_value", "moderation"), {}, C.INVALID),
    (400, None, {}, C.INVALID),
    (413, None, {}, C.INVALID),
    (422, None, {}, C.INVALID),
    (
        400,
        ErrorBody("Billing hard limit", "invalid_request_error", "billing_hard_limit_reached"),
        {},
        C.BILLING,
    ),
    (402, None, {}, C.BILLING),
    (403, ErrorBody(code="insufficient_user_quota"), {}, C.BILLING),
    (429, ErrorBody(type="insufficient_quota"), {}, C.BILLING),
    (429, ErrorBody(code="credit_balance_exhausted"), {"retry-after": "5"}, C.BILLING),
    (401, ErrorBody(code="invalid_api_key"), {}, C.AUTH),
    (401, None, {}, C.AUTH),
    (403, ErrorBody("Country, region, or territory not supported"), {}, C.AUTH),
    (403, None, {}, C.AUTH),
    (403, ErrorBody(VERIFY), {}, C.MODEL),
    (400, ErrorBody(VERIFY), {}, C.MODEL),
    (404, ErrorBody(code="model_not_found"), {}, C.MODEL),
    (404, None, {}, C.MODEL),
    (405, None, {}, C.MODEL),
    (410, None, {}, C.MODEL),
    (503, ErrorBody(code="model_not_found"), {"retry-after": "5"}, C.MODEL),
    (503, ErrorBody("No available channel for group default and model x"), {}, C.MODEL),
    (429, ErrorBody(code="rate_limit_exceeded"), {}, C.RATE_LIMITED),
    (429, ErrorBody(code="token_concurrency_limit_reached"), {}, C.RATE_LIMITED),
    (429, None, {}, C.RATE_LIMITED),
    (503, ErrorBody(code="slow_down"), {}, C.RATE_LIMITED),
    (503, None, {"retry-after": "5"}, C.RATE_LIMITED),
    (503, None, {"retry-after-ms": "500"}, C.RATE_LIMITED),
    (503, None, {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, C.RATE_LIMITED),
    (503, None, {"retry-after": "soon"}, C.TRANSIENT),
    (503, None, {"retry-after": "-1"}, C.TRANSIENT),
    (499, None, {}, C.UNKNOWN),
    (409, None, {}, C.TRANSIENT),
    (425, None, {}, C.TRANSIENT),
    (500, None, {}, C.TRANSIENT),
    (500, None, {"retry-after": "5"}, C.TRANSIENT),
    (503, None, {}, C.TRANSIENT),
    (529, None, {}, C.TRANSIENT),
    (400, ErrorBody(code="bad_response_status_code"), {}, C.TRANSIENT),
    (400, ErrorBody("The model is currently busy"), {}, C.TRANSIENT),
    (500, ErrorBody(code="invalid_request"), {}, C.INVALID),
    (500, ErrorBody(code="convert_request_failed"), {}, C.INVALID),
    (408, None, {}, C.UNKNOWN),
    (502, None, {}, C.UNKNOWN),
    (502, ErrorBody(code="insufficient_quota"), {}, C.UNKNOWN),
    (504, None, {}, C.UNKNOWN),
    (520, None, {}, C.UNKNOWN),
    (524, None, {}, C.UNKNOWN),
    (301, None, {"location": "https://www.example.com/?token=1"}, C.UNKNOWN),
    (200, None, {}, C.NO_IMAGE),
    (202, None, {}, C.NO_IMAGE),
    (200, ErrorBody("something", "upstream_error"), {}, C.NO_IMAGE),
    (200, ErrorBody(code="moderation_blocked"), {}, C.REFUSED),
    (200, ErrorBody(code="insufficient_quota"), {}, C.BILLING),
    (200, ErrorBody(code="invalid_api_key"), {}, C.AUTH),
    (201, ErrorBody(code="model_not_found"), {}, C.MODEL),
    (200, ErrorBody(code="rate_limit_exceeded"), {"retry-after": "5"}, C.NO_IMAGE),
    (200, ErrorBody(code="slow_down"), {}, C.NO_IMAGE),
    (200, ErrorBody(code="bad_response_status_code"), {}, C.NO_IMAGE),
]


def classified(status: int, error: ErrorBody | None = None, excerpt: str = "", **headers: str) -> Failure:
    """A failure at a fixed time; header names with `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return classify_status(status, named, error, excerpt, NOW)


@pytest.mark.parametrize(("status", "error", "headers", "wanted"), TABLE)
def test_every_documented_signal_has_its_class(
    status: int, error: ErrorBody | None, headers: dict[str, str], wanted: FailureClass
) -> None:
    """The table of statuses, codes and words that providers document."""
    assert wanted is classify_status(status, headers, error, "", NOW).failure_class


PLAN = "You exceeded your current quota, please check your plan and billing details."
GUIDELINES = "Content violates usage guidelines."
MODERATED = "Generated image rejected by content moderation."
KEY = "Incorrect API key provided: xa***yz."
NO_MODEL = "Model does not exist. Please check it carefully."

SAID_ELSEWHERE = [
    # xAI
    (403, ErrorBody(GUIDELINES), C.REFUSED),
    (400, ErrorBody(GUIDELINES, param="prompt"), C.REFUSED),
    (400, ErrorBody(MODERATED), C.REFUSED),
    (400, ErrorBody("Your prompt did not pass our content moderation."), C.REFUSED),
    (400, ErrorBody(KEY), C.AUTH),
    (403, ErrorBody("Your newly created team doesn't have any credits yet."), C.BILLING),
    (403, ErrorBody("Your team has no credits left."), C.BILLING),
    # Volcengine, DashScope
    (400, ErrorBody(code="InputTextSensitiveContentDetected"), C.REFUSED),
    (400, ErrorBody(code="InputImageSensitiveContentDetected"), C.REFUSED),
    (400, ErrorBody(code="OutputImageSensitiveContentDetected"), C.REFUSED),
    (200, ErrorBody(code="OutputImageSensitiveContentDetected"), C.REFUSED),
    (400, ErrorBody(code="DataInspectionFailed"), C.REFUSED),
    (403, ErrorBody("The request failed because your account has an overdue balance."), C.BILLING),
    (403, ErrorBody("Your account has an overdue payment."), C.BILLING),
    (400, ErrorBody("Your payment is overdue."), C.BILLING),
    # LiteLLM
    (400, ErrorBody(type="ContentPolicyViolationError", code="400"), C.REFUSED),
    (400, ErrorBody(code="ContentPolicyViolationError"), C.REFUSED),
    (400, ErrorBody("litellm.ContentPolicyViolationError: no", code="400"), C.REFUSED),
    (400, ErrorBody("Budget has been exceeded!", "budget_exceeded", "400"), C.BILLING),
    (429, ErrorBody("Budget has been exceeded!", "budget_exceeded", "429"), C.BILLING),
    (400, ErrorBody("Invalid model name passed in model=nope-x", code="400"), C.MODEL),
    # SiliconFlow
    (400, ErrorBody(NO_MODEL, code="20012"), C.MODEL),
    (403, ErrorBody("Sorry, your account balance is insufficient", code="30001"), C.BILLING),
    # OpenAI behind a proxy that strips codes
    (429, ErrorBody(PLAN), C.BILLING),
]

ONLY_SOUNDS_LIKE_IT = [
    (400, ErrorBody("Invalid value for moderation."), C.INVALID),
    (400, ErrorBody("Invalid value for content moderation."), C.INVALID),
    (400, ErrorBody(GUIDELINES, param="quality"), C.INVALID),
    (400, ErrorBody("White balance is insufficient.", param="white_balance"), C.INVALID),
    (400, ErrorBody("Invalid API key format.", param="user"), C.INVALID),
    (400, ErrorBody("This model takes no such size."), C.INVALID),
    (400, ErrorBody("Quality 'x' does not exist for this model."), C.INVALID),
    (403, ErrorBody("Forbidden"), C.AUTH),
    (403, ErrorBody("See our usage guidelines for who may use this."), C.AUTH),
    (429, ErrorBody("Your quota per minute is used up."), C.RATE_LIMITED),
    (429, ErrorBody("You exceeded your current quota of requests, try again in 12s."), C.RATE_LIMITED),
    (429, ErrorBody(PLAN, code="rate_limit_exceeded"), C.RATE_LIMITED),
    (429, ErrorBody(MODERATED), C.RATE_LIMITED),
    (502, ErrorBody(GUIDELINES), C.UNKNOWN),
    (200, ErrorBody(MODERATED), C.NO_IMAGE),
]


@pytest.mark.parametrize(("status", "error", "wanted"), SAID_ELSEWHERE)
def test_other_makers_and_gateways_are_understood(status: int, error: ErrorBody, wanted: FailureClass) -> None:
    """A refusal stops no job and an empty account is not tried again, whoever says so and in whatever words."""
    assert wanted is classified(status, error).failure_class


@pytest.mark.parametrize(("status", "error", "wanted"), ONLY_SOUNDS_LIKE_IT)
def test_words_that_only_sound_like_it_decide_nothing(
    status: int, error: ErrorBody, wanted: FailureClass
) -> None:
    """One parameter's fault, a limit of a minute, a code that says otherwise, or a lost answer keep their class."""
    assert wanted is classified(status, error).failure_class


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (ErrorBody(code="DataInspectionFailed"), C.REFUSED),
        (ErrorBody(type="budget_exceeded"), C.BILLING),
        (ErrorBody(MODERATED, "invalid_request_error"), C.REFUSED),
        (ErrorBody(KEY, "invalid_request_error"), C.AUTH),
        (ErrorBody("Invalid value.", "invalid_request_error", param="moderation"), C.INVALID),
        (ErrorBody("Something broke."), C.TRANSIENT),
    ],
)
def test_an_error_in_a_stream_is_read_alike(error: ErrorBody, wanted: FailureClass) -> None:
    """The same codes, and the same words where the type says that the request is at fault."""
    assert wanted is classify_event(error, status=200, headers={}, begun=False, now=NOW).failure_class


HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "retry-after",
            "retry-after-ms",
            "x-ratelimit-reset-images",
            "x-ratelimit-remaining-images",
            "location",
        ]
    ),
    st.text() | st.floats().map(str) | st.integers().map(str),
)
BODIES = st.none() | st.builds(ErrorBody, *[st.text() | st.sampled_from(["rate_limit_exceeded", SAFETY])] * 4)
MAYBE_MADE = {408, 502, 504, 520, 521, 522, 523, 524}


@given(st.integers(100, 999), HEADERS, BODIES, st.text())
def test_any_answer_is_one_failure_with_one_plain_line(
    status: int, headers: dict[str, str], error: ErrorBody | None, excerpt: str
) -> None:
    """Nothing raises; classes fit their statuses; a reason is printable and short; money is never called safe."""
    failure = classify_status(status, headers, error, excerpt, NOW)
    kind = failure.failure_class

    assert failure.reason.isprintable()
    assert 0 < len(failure.reason) <= REASON_LIMIT
    assert failure.retry_after_s is None or 0 <= failure.retry_after_s <= RETRY_AFTER_CAP_S
    assert (kind is C.UNKNOWN) >= (failure.paid is Paid.MAYBE)
    assert not failure.nothing_sent
    assert kind not in {C.DOWNLOAD, C.STORAGE}
    if status in MAYBE_MADE or not 200 <= status < 600 or 300 <= status < 400:
        assert (C.UNKNOWN, Paid.MAYBE) == (kind, failure.paid)
    if kind is C.NO_IMAGE:
        assert 200 <= status < 300
        assert failure.paid is Paid.YES
    if 200 <= status < 300:
        assert kind not in {C.UNKNOWN, C.TRANSIENT, C.INVALID}


@pytest.mark.parametrize(
    ("headers", "message", "wanted"),
    [
        ({"retry-after": "7"}, "", 7.0),
        ({"retry-after": " 0.5 "}, "", 0.5),
        ({"retry-after-ms": "534", "retry-after": "1"}, "", 0.534),
        ({"retry-after-ms": "junk", "retry-after": "1"}, "", 1.0),
        ({"retry-after": format_datetime(NOW + timedelta(seconds=90), usegmt=True)}, "", 90.0),
        ({"retry-after": format_datetime(NOW - timedelta(days=9), usegmt=True)}, "", 0.0),
        ({"retry-after": "-5"}, "", None),
        ({"retry-after": "nan"}, "", None),
        ({"retry-after": "inf"}, "", None),
        ({"retry-after": "soon"}, "", None),
        ({"retry-after": "1_000"}, "", None),
        ({"retry-after": "\uff15"}, "", None),
        ({"retry-after-ms": "nan", "retry-after": "-2", "x-ratelimit-reset-images": "2s"}, "", 2.0),
        ({"retry-after": "-5"}, "try again in 3s", 3.0),
        ({"retry-after": "1e300"}, "", RETRY_AFTER_CAP_S),
        ({"x-ratelimit-reset-requests": "120ms", "x-ratelimit-reset-tokens": "58.891s"}, "", 58.891),
        ({"x-ratelimit-reset-images": "6m0s", "x-ratelimit-remaining-images": "0"}, "", 360.0),
        ({"x-ratelimit-reset-images": "1h2m3.5s"}, "", 3723.5),
        ({"x-ratelimit-reset-tokens": "9m", "x-ratelimit-remaining-tokens": "49999"}, "", None),
        ({"x-ratelimit-reset-images": "6 minutes"}, "", None),
        ({"x-ratelimit-reset-images": ""}, "", None),
        ({"x-ratelimit-reset": "12"}, "", 12.0),
        ({"x-ratelimit-reset": "1795600000", "x-ratelimit-remaining": "0"}, "", None),
        ({}, "Limit 5, Used 5. Please try again in 12s. Visit", 12.0),
        ({}, "Please try again in 467ms.", 0.467),
        ({}, "Please try again in 6m0s.", 360.0),
        ({}, "Please retry after 20 seconds", 20.0),
        ({}, "Try again in 2 minutes", 120.0),
        ({}, "Try again in 1 hour", 3600.0),
        ({}, "Try again in seconds", None),
        ({}, "Try again in some time", None),
        ({}, "", None),
    ],
)
def test_what_a_provider_asks_for_is_understood(
    headers: dict[str, str], message: str, wanted: float | None
) -> None:
    """Milliseconds before seconds before dates before resets before words; junk is nothing, the past is now."""
    told = retry_after_s(headers, message, NOW)

    assert wanted == (told if told is None else pytest.approx(told))


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, 360.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "7"}, 7.0),
        ({"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "6m0s"}, None),
        ({"x-ratelimit-reset-requests": "6m0s"}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-requests": "6m0s"}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "soon"}, None),
        ({"retry-after": "5"}, None),
        ({}, None),
    ],
)
def test_a_good_answer_tells_when_a_limit_is_used_up(headers: dict[str, str], wanted: float | None) -> None:
    """Only what says that nothing is left counts: a good answer asks nobody to wait."""
    assert wanted == exhausted_s(headers)


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({"x-ratelimit-limit-requests": "60"}, 60.0),
        ({"x-ratelimit-limit-images": "20", "x-ratelimit-limit-requests": "60"}, 20.0),
        ({"x-ratelimit-limit-input-images": "50000", "x-ratelimit-limit-tokens": "3"}, 50_000.0),
        ({"x-ratelimit-limit-requests": "0"}, None),
        ({"x-ratelimit-limit-requests": "-5", "x-ratelimit-limit-images": "nan"}, None),
        ({"x-ratelimit-limit-requests": "99999999999"}, None),
        ({"x-ratelimit-limit-requests": "60 per minute"}, None),
        ({"x-ratelimit-limit": "5000"}, None),
        ({}, None),
    ],
)
def test_an_answer_tells_its_limit(headers: dict[str, str], wanted: float | None) -> None:
    """The tightest of those that count requests or images; what no provider means is ignored."""
    assert wanted == limit_per_minute(headers)


@pytest.mark.parametrize(
    ("status", "error", "wanted"),
    [
        (429, ErrorBody(code="slow_down"), True),
        (503, ErrorBody(type="slow_down"), True),
        (429, ErrorBody(code="rate_limit_exceeded"), False),
        (500, ErrorBody(), False),
    ],
)
def test_who_asks_to_come_back_slowly(status: int, error: ErrorBody, wanted: bool) -> None:
    """Only the code that OpenAI documents for traffic that rose too fast."""
    assert wanted is classify_status(status, {}, error, "", NOW).too_sudden


@given(HEADERS, st.text() | st.from_regex(r"try again in [0-9.hms ]{0,30}", fullmatch=True))
def test_no_wait_is_negative_or_beyond_the_calendar(headers: dict[str, str], message: str) -> None:
    """Whatever is sent, a wait can be added to a date."""
    told = retry_after_s(headers, message, NOW)

    assert told is None or NOW <= NOW + timedelta(seconds=told)


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59_999))
def test_every_go_duration_is_read_back(hours: int, minutes: int, milliseconds: int) -> None:
    """Durations as Go prints them are understood to the millisecond."""
    text = f"{hours}h{minutes}m{milliseconds / 1000:g}s"

    wanted = hours * 3600 + minutes * 60 + float(f"{milliseconds / 1000:g}")
    assert wanted == pytest.approx(retry_after_s({"x-ratelimit-reset-images": text}, "", NOW))


@pytest.mark.parametrize("fault", list(NetworkFault))
def test_what_never_left_is_tried_again_and_what_left_is_unknown(fault: NetworkFault) -> None:
    """Nothing sent is free; everything sent may cost; an answer that began was probably paid for."""
    unsent = classify_network(fault, bytes_sent=False)
    sent = classify_network(fault, bytes_sent=True)
    begun = classify_network(fault, bytes_sent=True, answer_begun=True)

    stops = fault is NetworkFault.CERTIFICATE
    assert (C.AUTH if stops else C.TRANSIENT, Paid.NO, True) == (
        unsent.failure_class,
        unsent.paid,
        unsent.nothing_sent,
    )
    assert (C.UNKNOWN, Paid.MAYBE, False) == (sent.failure_class, sent.paid, sent.nothing_sent)
    assert (C.UNKNOWN, Paid.YES) == (begun.failure_class, begun.paid)


@given(st.sampled_from(NetworkFault), st.text(), st.booleans())
def test_a_faults_reason_is_short_and_ends_with_what_it_cost(
    fault: NetworkFault, detail: str, sent: bool
) -> None:
    """Foreign words never push out the part that says whether money is at stake."""
    reason = classify_network(fault, bytes_sent=sent, detail=detail * 50).reason

    assert len(reason) <= REASON_LIMIT
    assert sent == ("charged" in reason)


def test_reasons_speak_for_people() -> None:
    """The provider's message, a web page's title, the redirect's target without its query, or that there was none."""
    page = "<!DOCTYPE html><html><head><title>502 Bad\n Gateway</title>"

    assert (
        "HTTP 429 Too Many Requests: slow down" == classified(429, ErrorBody("slow\x1b[31m\ndown\u202e")).reason
    )
    assert "a web page came instead of JSON (502 Bad Gateway)" in classified(502, excerpt=page).reason
    assert (
        "https://www.example.com/x (not followed)"
        in classified(301, location="https://www.example.com/x?t=1").reason
    )
    assert "HTTP 500 Internal Server Error: no message in the answer" == classified(500).reason
    assert classified(599).reason.startswith("HTTP 599: ")


@pytest.mark.parametrize(
    ("headers", "message", "wanted"),
    [
        ({"x-request-id": "req-1", "cf-ray": "ray"}, "", "req-1"),
        ({"cf-ray": "8c1f-AMS"}, "", "8c1f-AMS"),
        ({}, "upstream failed (request id: 20261123120000123abc)", "20261123120000123abc"),
        ({"x-request-id": "\x1b[31m\x00"}, "", None),
        ({}, "no id at all", None),
    ],
)
def test_the_providers_id_is_found(headers: dict[str, str], message: str, wanted: str | None) -> None:
    """The id to ask about is in a header, else in the message."""
    assert wanted == request_id(headers, message)


@pytest.mark.parametrize(
    ("status", "expected"),
    [(200, False), (299, False), (301, True), (304, True), (399, True), (404, False), (502, False)],
)
def test_a_redirect_is_told_from_other_answers(status: int, *, expected: bool) -> None:
    """Any 3xx is one; an answer that was lost without a status is none."""
    assert expected == is_redirect(classify_status(status, {}, None, "", NOW))
    assert not is_redirect(classify_network(NetworkFault.LOST, bytes_sent=True))
