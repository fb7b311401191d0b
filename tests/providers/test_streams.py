"""Streamed answers: the completed event is the answer, whatever comes before it."""

from __future__ import annotations

import json

import pytest

from batchgen.core.errors import AttemptError
from batchgen.core.types import FailureClass, ImageBytes, ImageRequest, JsonValue, Paid, Usage
from batchgen.providers.http import open_provider
from tests.providers.servers import PIXEL_B64, Ending, endpoint_of, raw_serving

pytestmark = pytest.mark.anyio

STREAMED = ImageRequest("gpt-image-2", "A boat.", {"stream": True, "partial_images": 2})
USAGE: JsonValue = {"input_tokens": 5, "output_tokens": 396, "input_tokens_details": {"text_tokens": 5}}


def event(name: str, data: JsonValue, *, end: str = "\n") -> bytes:
    """One event as it is sent."""
    told = f"event: {name}{end}" if name else ""
    return f"{told}data: {data if isinstance(data, str) else json.dumps(data)}{end}{end}".encode()


def partial(number: int, image: str = "cGFydA==") -> bytes:
    """A partial image."""
    kind = "image_generation.partial_image"
    return event(kind, {"type": kind, "b64_json": image, "partial_image_index": number})


COMPLETED = event(
    "image_generation.completed",
    {
        "type": "image_generation.completed",
        "b64_json": PIXEL_B64,
        "created_at": 7,
        "size": "1024x1024",
        "quality": "low",
        "usage": USAGE,
    },
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nx-request-id: req-1\r\n\r\n"


async def asked(
    body: bytes,
    *,
    head: bytes = HEAD,
    ending: Ending = Ending.CLOSE,
    deadline_s: float = 20.0,
    partials: list[tuple[int, str]] | None = None,
) -> ImageBytes:
    """The image that a stream brings."""

    async def keep(number: int, encoded: str) -> None:
        assert partials is not None
        partials.append((number, encoded))

    async with (
        raw_serving(head + body, ending) as raw,
        open_provider(endpoint_of(raw.base_url, deadline_s=deadline_s), concurrency=1) as provider,
    ):
        answer = await provider.generate(
            STREAMED,
            attempt_id="attempt-1",
            idempotency_key="once-1",
            on_partial=None if partials is None else keep,
        )
        (request,) = raw.requests
        assert b"accept: text/event-stream, application/json" in request.lower()
        assert b'"stream":true' in request
        assert b'"partial_images":2' in request
    assert isinstance(answer, ImageBytes)
    return answer


@pytest.mark.parametrize(
    "body",
    [
        COMPLETED,
        partial(0) + partial(1) + COMPLETED,
        b": keep-alive\n\n" * 50 + COMPLETED,
        COMPLETED.replace(b"\n", b"\r\n"),
        COMPLETED.rstrip(b"\n"),
        COMPLETED + event("", "[DONE]"),
        COMPLETED + partial(0) + b"\xff\xfe garbage",
        COMPLETED.replace(b"event: image_generation.completed\n", b""),
        event("image_edit.completed", {"type": "image_edit.completed", "b64_json": PIXEL_B64}),
        event("", {"created": 1, "data": [{"b64_json": PIXEL_B64}], "usage": USAGE}),
        event("ping", {"type": "ping"}) + event("", "not json") + COMPLETED,
        json.dumps({"type": "image_generation.completed", "b64_json": PIXEL_B64}, indent=1)
        .replace("\n", "\ndata: ")
        .join(["data: ", "\n\n"])
        .encode(),
    ],
)
async def test_the_completed_event_is_the_answer(body: bytes) -> None:
    """Partial images, keep-alives, every line end, odd events and what comes after the image do not matter."""
    assert PIXEL_B64 == (await asked(body)).encoded


async def test_what_the_event_says_is_kept() -> None:
    """Usage, request id and the echo are an unstreamed answer's, without the image in the raw words."""
    answer = (await asked(partial(0) + COMPLETED)).answer
    assert (200, "req-1", Usage(5, 0, 396)) == (answer.http_status, answer.request_id, answer.usage)
    assert "1024x1024" == answer.raw["size"]
    assert PIXEL_B64 not in json.dumps(dict(answer.raw))


async def test_nothing_is_waited_for_behind_the_answer() -> None:
    """A server that keeps the stream open after the image holds no worker."""
    assert PIXEL_B64 == (await asked(COMPLETED, ending=Ending.HANG)).encoded


async def test_partial_images_go_where_they_are_wanted() -> None:
    """Each as it comes, with its number; one that holds no image is left out."""
    partials: list[tuple[int, str]] = []
    await asked(partial(0, "b25l") + partial(1, "") + partial(2, "dHdv") + COMPLETED, partials=partials)
    assert [(0, "b25l"), (2, "dHdv")] == partials


@pytest.mark.parametrize(
    "head", [HEAD.replace(b"text/event-stream", kind) for kind in (b"application/json", b"text/plain")]
)
async def test_a_stream_by_another_name(head: bytes) -> None:
    """A gateway that labels its stream wrongly has still sent a paid image."""
    assert PIXEL_B64 == (await asked(partial(0) + COMPLETED, head=head)).encoded


async def test_an_answer_in_one_piece_although_a_stream_was_asked_for() -> None:
    """A gateway that does not stream answers as ever, and that is an answer."""
    body = json.dumps({"created": 1, "data": [{"b64_json": PIXEL_B64}]}).encode()
    assert (
        PIXEL_B64 == (await asked(body, head=HEAD.replace(b"text/event-stream", b"application/json"))).encoded
    )


@pytest.mark.parametrize("indent", [None, 2])
async def test_an_answer_in_one_piece_that_is_called_a_stream(indent: int | None) -> None:
    """A whole JSON answer under the stream's content type is what it is: paid for, and taken."""
    body = json.dumps({"created": 1, "data": [{"b64_json": PIXEL_B64}]}, indent=indent).encode()
    assert PIXEL_B64 == (await asked(b"\n " + body)).encoded


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (json.dumps({"error": {"code": "insufficient_quota", "message": "no"}}).encode(), FailureClass.BILLING),
        (b"<html>busy</html>", FailureClass.NO_IMAGE),
    ],
)
async def test_what_else_may_be_called_a_stream(body: bytes, expected: FailureClass) -> None:
    """An error or a web page under the stream's content type is judged as such, and kept."""
    with pytest.raises(AttemptError) as caught:
        await asked(body)
    assert expected is caught.value.failure.failure_class
    assert body == bytes(caught.value.evidence)


def error(kind: str, code: str | None, message: str = "no") -> JsonValue:
    """An error object."""
    return {"error": {"type": kind, "code": code, "message": message, "param": None}}


@pytest.mark.parametrize(
    ("body", "expected", "paid"),
    [
        (
            event("error", error("image_generation_user_error", "moderation_blocked")),
            FailureClass.REFUSED,
            Paid.NO,
        ),
        (event("", error("server_error", None)), FailureClass.TRANSIENT, Paid.NO),
        (partial(0) + event("error", error("server_error", None)), FailureClass.TRANSIENT, Paid.MAYBE),
        (event("x", error("invalid_request_error", "invalid_value")), FailureClass.INVALID, Paid.NO),
        (event("error", {"type": "insufficient_quota", "message": "no money"}), FailureClass.BILLING, Paid.NO),
        (event("error", error("requests", "rate_limit_exceeded")), FailureClass.RATE_LIMITED, Paid.NO),
        (
            event("image_generation.partial_image", error("x", "insufficient_quota")),
            FailureClass.BILLING,
            Paid.NO,
        ),
        (event("error", "it broke"), FailureClass.TRANSIENT, Paid.NO),
        (event("", "[DONE]"), FailureClass.NO_IMAGE, Paid.YES),
        (
            event("image_generation.completed", {"type": "image_generation.completed"}),
            FailureClass.NO_IMAGE,
            Paid.YES,
        ),
        (partial(0), FailureClass.UNKNOWN, Paid.YES),
        (COMPLETED[:-40], FailureClass.UNKNOWN, Paid.YES),
        (b"", FailureClass.UNKNOWN, Paid.YES),
    ],
)
async def test_how_a_stream_fails(body: bytes, expected: FailureClass, paid: Paid) -> None:
    """An error event has its class; a stream without its image is lost, and one that ends in order without it brought none."""
    with pytest.raises(AttemptError) as caught:
        await asked(body)
    failure = caught.value.failure
    assert (expected, paid, 200) == (failure.failure_class, failure.paid, failure.http_status)


async def test_a_cut_event_is_evidence() -> None:
    """What came of an image that was probably paid for is kept."""
    with pytest.raises(AttemptError) as caught:
        await asked(partial(0) + COMPLETED[:-40])
    assert PIXEL_B64.encode() in bytes(caught.value.evidence)


async def test_keep_alives_do_not_defeat_the_deadline() -> None:
    """A stream that only says that it lives ends at the deadline, as a lost answer."""
    with pytest.raises(AttemptError, match="no whole answer before the deadline") as caught:
        await asked(partial(0) + b": alive\n\n" * 20, ending=Ending.HANG, deadline_s=0.2)
    assert FailureClass.UNKNOWN is caught.value.failure.failure_class


async def test_a_status_that_is_an_error_is_one() -> None:
    """Before the stream begins errors are as ever."""
    head = b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nRetry-After: 7\r\n\r\n"
    with pytest.raises(AttemptError) as caught:
        await asked(json.dumps(error("requests", "rate_limit_exceeded")).encode(), head=head)
    assert (FailureClass.RATE_LIMITED, 7.0) == (
        caught.value.failure.failure_class, caught.value.failure.retry_after_s,
    )  # fmt: skip
