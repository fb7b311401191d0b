"""What one request is, and what becomes of the answers that a provider gives on purpose."""

from __future__ import annotations

import gzip
import json
import traceback
import zlib
from typing import Any

import pytest
from aiohttp import web

from batchgen.core.errors import AttemptError, UsageError
from batchgen.core.types import FailureClass, ImageBytes, ImageRequest, Link, Paid, Usage
from batchgen.core.values import replace
from batchgen.providers.connections import AGENT
from batchgen.providers.http import open_provider
from batchgen.providers.proxies import proxy_host
from tests.providers.servers import (
    KEY,
    PIXEL_B64,
    answering,
    endpoint_of,
    free_port,
    generate,
    raw_serving,
    serving,
    told,
)

pytestmark = pytest.mark.anyio

IMAGE = {"created": 1, "data": [{"b64_json": PIXEL_B64}]}


async def test_a_request_is_what_the_api_asks_for() -> None:
    """Path, headers, model, prompt, `n: 1`, parameters and extra fields arrive as documented, once."""
    async with (
        serving(answering(IMAGE)) as api,
        open_provider(endpoint_of(api.base_url), concurrency=2) as provider,
    ):
        await generate(provider)

    (request,) = api.requests
    wanted = {
        "Authorization": f"Bearer {KEY}",
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "X-Client-Request-Id": "attempt-1",
        "Idempotency-Key": "once-1",
        "User-Agent": AGENT,
    }
    assert ("POST", "/v1/images/generations") == (request.method, request.path)
    assert wanted == {name: request.headers.get(name) for name in wanted}
    assert {
        "model": "gpt-image-2",
        "prompt": "A paper boat.",
        "n": 1,
        "size": "1024x1024",
        "newer_field": "low",
    } == json.loads(api.bodies[0])


async def test_what_is_passed_through_cannot_buy_more() -> None:
    """`extra` never replaces the model, the prompt or `n`."""
    request = ImageRequest("gpt-image-2", "A boat.", {}, {"n": 10, "model": "dearer", "prompt": "else"})
    async with (
        serving(answering(IMAGE)) as api,
        open_provider(endpoint_of(api.base_url), concurrency=1) as provider,
    ):
        await generate(provider, request)

    assert {"model": "gpt-image-2", "prompt": "A boat.", "n": 1} == json.loads(api.bodies[0])


async def test_a_request_that_is_no_json_is_never_sent() -> None:
    """A prompt with half a surrogate pair fails as `invalid`, before anything is sent."""
    async with (
        serving(answering(IMAGE)) as api,
        open_provider(endpoint_of(api.base_url), concurrency=1) as provider,
    ):
        with pytest.raises(AttemptError) as caught:
            await generate(provider, ImageRequest("gpt-image-2", "\ud800"))

    assert (FailureClass.INVALID, True) == (
        caught.value.failure.failure_class,
        caught.value.failure.nothing_sent,
    )
    assert [] == api.requests


async def test_an_image_comes_back_undecoded_with_what_was_said_about_it() -> None:
    """Base64 stays as it came; usage, request id, revised prompt and the other fields go with it."""
    body = {
        "created": 1,
        "size": "1024x1024",
        "data": [{"b64_json": PIXEL_B64, "revised_prompt": "A better\x1b[31m boat"}, {"b64_json": "c2Vjb25k"}],
        "usage": {
            "input_tokens": 16,
            "output_tokens": 208,
            "input_tokens_details": {"text_tokens": 12, "image_tokens": 4},
        },
    }
    handler = answering(body, headers={"X-Request-Id": "req-1"})
    async with serving(handler) as api, open_provider(endpoint_of(api.base_url), concurrency=1) as provider:
        image = await generate(provider)

    assert isinstance(image, ImageBytes)
    assert (PIXEL_B64, ("c2Vjb25k",)) == (image.encoded, image.more)
    assert (200, "req-1", Usage(12, 4, 208)) == (
        image.answer.http_status,
        image.answer.request_id,
        image.answer.usage,
    )
    assert "A better boat" == image.answer.revised_prompt
    assert {"created", "size", "data", "usage"} == set(image.answer.raw)
    assert PIXEL_B64 not in json.dumps(dict(image.answer.raw))


async def test_a_link_comes_back_as_it_was_written() -> None:
    """A signed URL keeps every character, its time is read from it, and it is not in the answer's own words."""
    url = "https://img.example.com/a%2Fb.png?sig=a%2Bb%3D&se=2026-11-23T10%3A00%3A00Z"
    body = {"data": [{"url": url}]}
    async with (
        serving(answering(body)) as api,
        open_provider(endpoint_of(api.base_url), concurrency=1) as provider,
    ):
        link = await generate(provider)

    assert isinstance(link, Link)
    assert (url, "2026-11-23T10:00:00.000Z") == (link.url, link.expires)
    assert "sig=" not in json.dumps(dict(link.answer.raw))


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(json.dumps(IMAGE).encode(), mtime=0)),
        ("deflate", zlib.compress(json.dumps(IMAGE).encode())),
        ("", gzip.compress(json.dumps(IMAGE).encode(), mtime=0)),
        *((name, json.dumps(IMAGE).encode()) for name in ("gzip", "deflate", "utf-8", "identity, identity")),
    ],
)
async def test_an_answer_compressed_in_spite_of_us_is_read(encoding: str, body: bytes) -> None:
    """A paid image is not lost because a proxy compresses what should come as it is, or calls it what it is not."""
    handler = answering(body, headers={"Content-Encoding": encoding})
    async with serving(handler) as api, open_provider(endpoint_of(api.base_url), concurrency=1) as provider:
        image = await generate(provider)

    assert isinstance(image, ImageBytes)
    assert PIXEL_B64 == image.encoded


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><title>Welcome</title></html>",
        b'{"data": [{"b64_json": "aGVs',
        b"\x00\x00\x00",
        b"[" * 200_000,
        {"data": None},
        {"data": []},
        {"data": {"b64_json": PIXEL_B64}},
        {"data": [None, 3, {}]},
        {"data": [{"b64_json": None, "url": " "}]},
        {"data": [{"b64_json": "\N{SNOWMAN}"}]},
        {"error": {"message": f"upstream failed for {KEY}", "code": ""}},
        {"error": "no"},
    ],
    ids=lambda body: repr(body)[:30],
)
async def test_an_answer_without_an_image_is_paid_and_kept(body: object) -> None:
    """A 200 without a usable image is `no_image`, asked once, and its raw bytes are there to be kept."""
    async with (
        serving(answering(body)) as api,
        open_provider(endpoint_of(api.base_url), concurrency=1) as provider,
    ):
        with pytest.raises(AttemptError) as caught:
            await generate(provider)

    failure = caught.value.failure
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert (FailureClass.NO_IMAGE, Paid.YES, 200) == (failure.failure_class, failure.paid, failure.http_status)
    assert raw.replace(KEY.encode(), b"***") == caught.value.evidence
    assert 1 == len(api.requests)
    assert KEY not in told(caught.value)


@pytest.mark.parametrize(
    ("status", "headers", "error", "kind"),
    [
        (400, {}, {"code": "moderation_blocked", "message": "no"}, FailureClass.REFUSED),
        (400, {}, {"code": "invalid_value", "param": "size", "message": "bad size"}, FailureClass.INVALID),
        (401, {}, {"code": "invalid_api_key", "message": f"Incorrect API key: {KEY}."}, FailureClass.AUTH),
        (
            429,
            {"Retry-After": "7"},
            {"code": "rate_limit_exceeded", "message": "slow"},
            FailureClass.RATE_LIMITED,
        ),
        (429, {}, {"type": "insufficient_quota", "message": "no money"}, FailureClass.BILLING),
        (500, {}, {"message": "oops \x1b]0;title\x07\u202eevil", "code": 13}, FailureClass.TRANSIENT),
        (502, {}, {"message": "bad gateway"}, FailureClass.UNKNOWN),
        (503, {}, {"code": "model_not_found", "message": "no available channel"}, FailureClass.MODEL),
    ],
)
async def test_an_error_is_named_once_and_never_sent_again(
    status: int, headers: dict[str, str], error: dict[str, object], kind: FailureClass
) -> None:
    """Every error answer becomes one failure with the provider's own words, without key and control characters."""
    handler = answering({"error": error}, status=status, headers={**headers, "X-Request-Id": "req-9"})
    async with serving(handler) as api, open_provider(endpoint_of(api.base_url), concurrency=1) as provider:
        with pytest.raises(AttemptError) as caught:
            await generate(provider)

    failure = caught.value.failure
    assert (kind, status, "req-9") == (failure.failure_class, failure.http_status, failure.request_id)
    assert (7.0 if headers else None) == failure.retry_after_s
    assert failure.reason.isprintable()
    assert KEY not in told(caught.value)
    assert (1, b"") == (len(api.requests), caught.value.evidence)


async def test_a_redirect_is_never_followed() -> None:
    """A redirect would carry the key elsewhere: its target is not contacted, and the reason names the base URL."""
    async with serving(answering(IMAGE)) as target:
        handler = answering({}, status=307, headers={"Location": f"{target.base_url}/images?token=abc"})
        async with serving(handler) as api, open_provider(endpoint_of(api.base_url), concurrency=1) as provider:
            with pytest.raises(AttemptError) as caught:
                await generate(provider)

    assert (FailureClass.UNKNOWN, 307) == (caught.value.failure.failure_class, caught.value.failure.http_status)
    assert "base URL" in caught.value.failure.reason
    assert "abc" not in caught.value.failure.reason
    assert ([], 1) == (target.requests, len(api.requests))


async def test_an_error_page_is_read_only_as_far_as_its_words() -> None:
    """An endless error page costs neither memory nor the status that came before it."""

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=400)
        await response.prepare(request)
        while request.transport is not None and not request.transport.is_closing():
            await response.write(b"x" * 65536)
        return response

    async with serving(endless) as api, open_provider(endpoint_of(api.base_url), concurrency=1) as provider:
        with pytest.raises(AttemptError) as caught:
            await generate(provider)

    assert FailureClass.INVALID == caught.value.failure.failure_class
    assert 300 >= len(caught.value.failure.reason)


@pytest.mark.parametrize("status", [200, 201, 202, 206, 299])
async def test_any_2xx_may_bring_the_image(status: int) -> None:
    """It is paid for all the same: taken where it is usable, evidence where it is not."""
    async with (
        serving(answering(IMAGE, status=status)) as api,
        open_provider(endpoint_of(api.base_url), concurrency=1) as provider,
    ):
        image = await generate(provider)
        api.answer = answering({"status": "queued"}, status=status)
        with pytest.raises(AttemptError) as caught:
            await generate(provider)

    assert isinstance(image, ImageBytes)
    assert status == image.answer.http_status
    assert (FailureClass.NO_IMAGE, Paid.YES) == (caught.value.failure.failure_class, caught.value.failure.paid)
    assert b'{"status": "queued"}' == caught.value.evidence


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_proxy_is_used_only_where_it_is_configured(
    trusted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment's proxy sees no request, and so no key, unless the provider says `trust_env`."""
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with serving(answering(IMAGE)) as proxy, serving(answering(IMAGE)) as api:
        monkeypatch.setenv("http_proxy", proxy.base_url.removesuffix("/v1"))
        endpoint = replace(endpoint_of(api.base_url), trust_env=trusted)
        async with open_provider(endpoint, concurrency=1) as provider:
            await generate(provider)

    assert ((1, 0) if trusted else (0, 1)) == (len(proxy.requests), len(api.requests))


@pytest.mark.parametrize("listens", [True, False])
async def test_a_proxy_that_lets_nothing_through_is_transient(
    listens: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused CONNECT, or no proxy at all: nothing was sent, and the reason names the proxy without its password."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with raw_serving(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") as proxy:
        port = proxy.port if listens else free_port()
        monkeypatch.setenv("https_proxy", f"http://user:secret-word@127.0.0.1:{port}")
        endpoint = replace(endpoint_of("https://api.example.com/v1"), trust_env=True)
        async with open_provider(endpoint, concurrency=1) as provider:
            with pytest.raises(AttemptError) as caught:
                await generate(provider)

    failure = caught.value.failure
    assert (FailureClass.TRANSIENT, Paid.NO, True) == (
        failure.failure_class,
        failure.paid,
        failure.nothing_sent,
    )
    assert f"127.0.0.1:{port}" in failure.reason
    assert "secret-word" not in told(caught.value)
    assert KEY not in told(caught.value) + repr(proxy.requests)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("http://proxy.example.com:3128", "proxy.example.com:3128"),
        ("proxy.example.com:3128", "proxy.example.com:3128"),
        ("http://user:secret@proxy.example.com", "proxy.example.com"),
        ("", ""),
    ],
)
def test_a_proxy_is_told_by_its_host(text: str, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With or without its scheme, never with its password."""
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("https_proxy", text)

    assert wanted == proxy_host("https://api.example.com/v1")


@pytest.mark.parametrize("text", ["socks5://proxy.example.com:1080", "http://", "http://[x"])
def test_a_proxy_that_cannot_be_used_is_said_before_anything_is_sent(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In words that say what to write."""
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("https_proxy", text)

    with pytest.raises(UsageError, match="write http://HOST:PORT"):
        proxy_host("https://api.example.com/v1")


async def test_an_error_of_ours_does_not_tell_the_key() -> None:
    """Whatever an unforeseen error quotes, such as a header, is masked before it can become a reason."""
    async with serving(answering(IMAGE)) as api:
        endpoint = endpoint_of(api.base_url)
        odd = replace(endpoint, dialect=replace(endpoint.dialect, auth_header="Content-Length"))
        async with open_provider(odd, concurrency=1) as provider:
            with pytest.raises(Exception, match="Content-Length") as caught:
                await generate(provider)
    assert KEY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("names", "headers", "wanted"),
    [
        ({}, {"x-ratelimit-remaining-images": "0", "x-ratelimit-reset-images": "6m0s"}, 360.0),
        ({"remaining": "RateLimit-Remaining", "reset": "RateLimit-Reset"}, {"RateLimit-Remaining": "0", "RateLimit-Reset": "7"}, 7.0),
        ({}, {"RateLimit-Remaining": "0", "RateLimit-Reset": "7"}, None),
    ],
)  # fmt: skip
async def test_headers_of_rate_limits_have_the_names_that_the_dialect_gives_them(
    names: dict[str, Any], headers: dict[str, str], wanted: float | None
) -> None:
    """A good answer tells the limiter that nothing is left, whatever the provider calls the headers."""
    async with serving(answering(IMAGE, headers=headers)) as api:
        endpoint = endpoint_of(api.base_url)
        named = replace(endpoint, dialect=replace(endpoint.dialect, **names))
        async with open_provider(named, concurrency=1) as provider:
            image = await generate(provider)
    assert wanted == image.answer.exhausted_s
