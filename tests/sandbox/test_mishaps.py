"""Every fault by its name: what is sent, whether it is charged, and what batchgen's own client makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pytest

from batchgen.core.errors import AttemptError
from batchgen.core.types import Failure, FailureClass, ImageRequest, JsonObject
from batchgen.providers.endpoint import resolve
from batchgen.providers.http import open_provider
from batchgen.providers.settings import ProviderSettings
from batchgen.sandbox.faults import Behaviour
from batchgen.sandbox.mishaps import MISHAPS, SLOW, Way
from batchgen.sandbox.server import serve
from tests.sandbox.talking import KEY, SMALL, client

pytestmark = pytest.mark.anyio

C = FailureClass

EXPECTED: Mapping[str, FailureClass] = MappingProxyType(
    {
        "cut": C.UNKNOWN,
        "stream_error": C.TRANSIENT,
        "stream_error_bare": C.TRANSIENT,
        "stream_refused": C.REFUSED,
        "empty": C.NO_IMAGE,
        "gateway_timeout": C.UNKNOWN,
        "cloudflare_timeout": C.UNKNOWN,
        "rate_limit_exceeded": C.RATE_LIMITED,
        "slow_down": C.RATE_LIMITED,
        "server_error": C.TRANSIENT,
        "overloaded": C.TRANSIENT,
        "request_timeout": C.UNKNOWN,
        "conflict": C.TRANSIENT,
        "too_large": C.INVALID,
        "moderation_blocked": C.REFUSED,
        "content_policy_violation": C.REFUSED,
        "invalid_value": C.INVALID,
        "invalid_api_key": C.AUTH,
        "account_deactivated": C.AUTH,
        "unverified": C.MODEL,
        "unsupported_country": C.AUTH,
        "model_not_found": C.MODEL,
        "insufficient_quota": C.BILLING,
        "spend_limit": C.BILLING,
        "billing_hard_limit_reached": C.BILLING,
        "comet_invalid_request": C.INVALID,
        "comet_invalid_token": C.AUTH,
        "comet_no_channel": C.MODEL,
        "comet_error": C.TRANSIENT,
        "newapi_upstream_error": C.TRANSIENT,
        "newapi_bad_response": C.TRANSIENT,
        "newapi_busy": C.RATE_LIMITED,
        "newapi_convert": C.INVALID,
        "newapi_quota": C.BILLING,
        "newapi_token_quota": C.BILLING,
        "newapi_concurrency": C.RATE_LIMITED,
        "newapi_sensitive_words": C.REFUSED,
        "payment_required": C.BILLING,
        "bad_gateway": C.UNKNOWN,
        "web_page": C.NO_IMAGE,
        "redirect": C.UNKNOWN,
    }
)


ODD = {"newapi_upstream_error", "payment_required"}
"""Errors that OpenAI's document would not let pass: a number as code, an envelope with nothing but words."""


async def failure_of(fault: str, parameters: JsonObject) -> tuple[Failure, int]:
    """What the client says of a request that meets the fault, and the images that were charged."""
    async with serve(Behaviour(failures={fault: 1}, retry_after_s=1.5)) as sandbox:
        settings = ProviderSettings("gateway", sandbox.base_url, ("KEY",))
        async with open_provider(
            resolve(settings, {"KEY": "sk-sandbox-0123456789"}), concurrency=1
        ) as provider:
            request = ImageRequest(
                "gpt-image-2", "A boat.", {"size": "1024x1024", "quality": "low", **parameters}
            )
            with pytest.raises(AttemptError) as caught:
                await provider.generate(request, attempt_id="a-1", idempotency_key="k-1")
        return caught.value.failure, sandbox.billed


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(name, marks=[pytest.mark.odd_answers] if name in ODD else [])
        for name in MISHAPS
        if name != SLOW
    ],
)
async def test_a_fault_is_understood_and_charged_as_it_should_be(fault: str, stream: bool) -> None:
    """Its class is the one of the providers' own documents, streamed or not; only what was painted is charged."""
    mishap = MISHAPS[fault]
    in_stream = stream and mishap.way in {Way.IN_STREAM, Way.IN_STREAM_BARE}
    failure, billed = await failure_of(fault, {"stream": stream})
    assert EXPECTED[fault] is failure.failure_class
    assert (200 if in_stream else mishap.status) == failure.http_status
    assert int(in_stream or mishap.way in {Way.AFTER, Way.CUT}) == billed
    assert (1.5 if mishap.waits else None) == failure.retry_after_s
    assert failure.request_id


@pytest.mark.odd_answers
async def test_every_fault_is_sent_as_it_is_written_down() -> None:
    """Status, media type and words, and a key or two of the envelope that tell its maker."""
    for fault, mishap in MISHAPS.items():
        if mishap.way not in {Way.INSTEAD, Way.AFTER}:
            continue
        async with client(Behaviour(failures={fault: 1})) as api:
            url = f"{api.sandbox.base_url}/images/generations"
            async with api.session.post(url, json=SMALL, headers=KEY, allow_redirects=False) as reply:
                page = isinstance(mishap.body, str)
                assert (mishap.status, "text/html" if page else "application/json") == (
                    reply.status,
                    reply.content_type,
                )
                assert mishap.body == (await reply.text() if page else await reply.json())
                assert mishap.waits == ("Retry-After" in reply.headers)
                assert (fault == "redirect") == ("Location" in reply.headers)


@pytest.mark.parametrize(
    ("begins", "kinds"), [("comet_", {"comet_api_error"}), ("newapi_", {"new_api_error", "upstream_error"})]
)
def test_gateways_have_envelopes_of_their_own(begins: str, kinds: set[str]) -> None:
    """The request id is in the message, the parameter is empty, and the type is theirs."""
    found = set()
    for name, mishap in MISHAPS.items():
        if name.startswith(begins):
            assert isinstance(mishap.body, dict)
            error = mishap.body["error"]
            assert isinstance(error, dict)
            assert "(request id: " in str(error["message"])
            assert "" == error["param"]
            found.add(error["type"])
    assert kinds == found
