"""The sandbox over real HTTP: the API's shapes, its strictness, and faults on request."""

from __future__ import annotations

import base64
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import anyio
import pytest

from batchgen.catalogue.catalogue import Catalogue, Entry
from batchgen.core.errors import UsageError
from batchgen.core.media import media_of
from batchgen.sandbox.faults import AnswerAs, Behaviour
from batchgen.sandbox.server import serve
from tests.sandbox.talking import KEY, SMALL, client

pytestmark = pytest.mark.anyio


async def test_an_image_in_the_api_s_own_shape() -> None:
    """A GPT image answer has base64, the choices that were made, usage by the formula, and the API's headers."""
    async with client() as api:
        reply = await api.post(model="gpt-image-2", prompt="A paper boat.", size="1536x1024", quality="low")
    assert reply.status == 200
    datum = reply.body.pop("data")[0]
    media = media_of(base64.b64decode(datum.pop("b64_json"), validate=True))
    assert (media.media_type, media.width, media.height) == ("image/png", 1536, 1024)
    assert datum == {}
    assert reply.body == {
        "created": 1_800_000_000,
        "background": "opaque",
        "output_format": "png",
        "quality": "low",
        "size": "1536x1024",
        "usage": {
            "input_tokens": 4,
            "input_tokens_details": {"image_tokens": 0, "text_tokens": 4},
            "output_tokens": 158,
            "output_tokens_details": {"image_tokens": 158, "text_tokens": 0},
            "total_tokens": 162,
        },
    }
    assert {"x-request-id", "openai-processing-ms", "openai-version"} <= {
        name.lower() for name in reply.headers
    }


async def test_dall_e_3_answers_with_a_link_and_its_own_prompt() -> None:
    """The link is on loopback, needs no key, and the revised prompt is there."""
    async with client() as api:
        reply = await api.post(model="dall-e-3", prompt="A boat")
        datum = reply.body["data"][0]
        assert set(reply.body) == {"created", "data"}
        assert "A boat" in datum["revised_prompt"]
        async with api.session.get(datum["url"]) as image:
            assert (image.status, image.content_type) == (200, "image/png")
            assert media_of(await image.read()).width == 1024
        assert api.sandbox.downloads == 1


async def test_links_expire() -> None:
    """Until its time a link can be fetched again and again with the same bytes; then it is a blob store's 403."""
    async with client(Behaviour(link_lifetime_s=60)) as api:
        url = (await api.post(**{**SMALL, "response_format": "url"})).body["data"][0]["url"]
        seen = []
        for later_s in (0, 59, 1):
            api.clock.now += later_s
            async with api.session.get(url) as reply:
                seen.append((reply.status, reply.content_type, await reply.read()))
        async with api.session.get(url.replace("sig=", "sig=0")) as forged:
            assert forged.status == 403
    assert seen[0] == seen[1]
    assert seen[2][:2] == (403, "application/xml")
    assert b"<Code>AuthenticationFailed</Code>" in seen[2][2]


@pytest.mark.parametrize(
    ("answer", "model", "field_name"),
    [
        (AnswerAs.URL, "gpt-image-2", "url"),
        (AnswerAs.BASE64, "dall-e-3", "b64_json"),
        (AnswerAs.AUTO, "dall-e-2", "url"),
    ],
)
async def test_how_images_come_can_be_chosen(answer: AnswerAs, model: str, field_name: str) -> None:
    """Gateways answer with links where the maker does not, and the other way round."""
    async with client(Behaviour(answer=answer)) as api:
        reply = await api.post(model=model, prompt="A boat", size="1024x1024")
    assert field_name in reply.body["data"][0]


async def test_several_images_differ_and_each_is_billed() -> None:
    """`n` images of one request, and the same prompt again, are all different pictures."""
    async with client() as api:
        first = await api.post(**SMALL, n=2)
        again = await api.post(**SMALL)
        images = {datum["b64_json"] for reply in (first, again) for datum in reply.body["data"]}
        assert len(images) == 3
        assert (api.sandbox.requests, api.sandbox.billed, api.sandbox.billed_for("A boat")) == (2, 3, 3)
        assert api.sandbox.models == {"dall-e-2": 3}


async def test_two_sandboxes_paint_the_same() -> None:
    """What a prompt looks like depends on the request, not on the server or the time."""
    replies = []
    for _ in range(2):
        async with client() as api:
            replies.append(await api.post(**SMALL))
    assert replies[0].body == replies[1].body


@pytest.mark.odd_requests
@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({"prompt": "x"}, 400, "missing_required_parameter", "model"),
        ({"model": "gpt-image-2"}, 400, "missing_required_parameter", "prompt"),
        ({"model": "gpt-image-2", "prompt": 7}, 400, "invalid_type", "prompt"),
        ({"model": "gpt-image-2", "prompt": "  "}, 400, "invalid_value", "prompt"),
        ({"model": "dall-e-2", "prompt": "x" * 1001}, 400, "invalid_value", "prompt"),
        ({"model": "nobody-knows", "prompt": "x"}, 404, "model_not_found", "model"),
        ({"model": "dall-e-3", "prompt": "x", "n": 2}, 400, "invalid_value", "n"),
        ({"model": "gpt-image-2", "prompt": "x", "n": 0}, 400, "invalid_value", "n"),
        ({"model": "gpt-image-2", "prompt": "x", "n": True}, 400, "invalid_value", "n"),
        ({"model": "gpt-image-2", "prompt": "x", "size": "1920x1080"}, 400, "invalid_value", "size"),
        ({"model": "gpt-image-2", "prompt": "x", "response_format": "url"}, 400, "unknown_parameter", "response_format"),
        ({"model": "gpt-image-2", "prompt": "x", "seed": 1}, 400, "unknown_parameter", "seed"),
        ({"model": "gpt-image-2", "prompt": "x", "output_compression": 5}, 400, "invalid_value", "output_compression"),
        ({"model": "dall-e-3", "prompt": "x", "stream": True}, 400, "unknown_parameter", "stream"),
        ({"model": "gpt-image-2", "prompt": "x", "stream": "yes"}, 400, "invalid_value", "stream"),
        ({"model": "gpt-image-2", "prompt": "x", "partial_images": 2}, 400, "invalid_value", "partial_images"),
        ({"model": "gpt-image-2", "prompt": "x", "stream": True, "partial_images": 4}, 400, "invalid_value", "partial_images"),
        ({"model": "gpt-image-2", "prompt": "x", "output_format": "svg"}, 400, "invalid_value", "output_format"),
        ({"model": "gpt-image-2", "prompt": "x", "input_fidelity": "high"}, 400, "unknown_parameter", "input_fidelity"),
        ({"model": "gpt-image-2.6-flare", "prompt": "x", "output_format": "svg", "n": 2}, 400, "invalid_value", "n"),
    ],
)  # fmt: skip
async def test_it_is_strict(body: dict[str, Any], status: int, code: str, param: str) -> None:
    """What the real API refuses is refused, in its envelope, and costs nothing."""
    async with client() as api:
        reply = await api.post(**body)
        assert (status, code, param) == (
            reply.status,
            reply.body["error"]["code"],
            reply.body["error"]["param"],
        )
        assert set(reply.body["error"]) == {"message", "type", "param", "code"}
        assert api.sandbox.billed == 0


@pytest.mark.odd_requests
@pytest.mark.parametrize(
    ("data", "headers", "status"),
    [
        (b"{", None, 400),
        (b"[]", None, 400),
        (b"[" * 200_000, None, 400),
        (b"\xff\xfe", None, 400),
        (b'{"model": "gpt-image-2"}', {"Content-Type": "text/plain", **KEY}, 400),
        (b"{}", {"Content-Type": "application/json"}, 401),
        (b"{}", {"Content-Type": "application/json", "Authorization": "Basic eDp5"}, 401),
        (b"{}", {"Content-Type": "application/json", "Authorization": "Bearer "}, 401),
        (b" " * 3_000_000, None, 413),
    ],
)
async def test_broken_requests(data: bytes, headers: dict[str, str] | None, status: int) -> None:
    """No body and no header breaks the server; each gets its error as JSON."""
    async with client() as api:
        reply = await api.send(data, headers)
        assert status == reply.status
        assert reply.body["error"]["message"]


async def test_the_longest_prompt_is_taken() -> None:
    """32,000 characters pass, in the longest way to write them."""
    prompt = "\N{SNOWMAN}" * 32_000
    async with client() as api:
        reply = await api.post(model="gpt-image-2", prompt=prompt, size="1024x1024", quality="low")
    assert reply.status == 200


async def test_retired_models_are_painted() -> None:
    """A rehearsal of an old manifest still works."""
    async with client() as api:
        assert (await api.post(model="gpt-image-1", prompt="x", size="1024x1024")).status == 200


async def test_an_operator_s_model_is_served() -> None:
    """What the configuration adds can be rehearsed, too."""
    ours = Catalogue.builtin().with_entries({"my-model": Entry("dall-e-2")})
    async with client(catalogue=ours) as api:
        assert (await api.post(**{**SMALL, "model": "my-model"})).status == 200


@pytest.mark.parametrize(("path", "status"), [("/nowhere", 404), ("/images/generations", 405)])
async def test_other_routes_are_errors(path: str, status: int) -> None:
    """A wrong path or method is an error in the same envelope."""
    async with client() as api:
        reply = await api.get(path)
    assert status == reply.status
    assert reply.body["error"]["type"] == "invalid_request_error"


async def test_refusal() -> None:
    """A prompt with the word is refused as the API refuses, and costs nothing."""
    async with client(Behaviour(refuse_word="forbidden")) as api:
        reply = await api.post(**{**SMALL, "prompt": "A FORBIDDEN fruit"})
        assert (reply.status, reply.body["error"]["code"]) == (400, "moderation_blocked")
        assert reply.body["error"]["type"] == "image_generation_user_error"
        assert {"moderation_stage": "input", "categories": ["violence"]} == reply.body["error"][
            "moderation_details"
        ]
        assert ((await api.post(**SMALL)).status, api.sandbox.billed) == (200, 1)


async def test_rate_limits_and_errors_cost_nothing() -> None:
    """429 says how long to wait, in seconds and milliseconds; 500 is the server's own."""
    async with client(Behaviour(rate_limit_share=1, retry_after_s=1.5)) as api:
        limited = await api.post(**SMALL)
        assert (limited.status, limited.body["error"]["code"]) == (429, "rate_limit_exceeded")
        assert (limited.headers["Retry-After"], limited.headers["retry-after-ms"]) == ("2", "1500")
        assert api.sandbox.billed == 0
    async with client(Behaviour(error_share=1)) as api:
        failed = await api.post(**SMALL)
        assert (failed.status, failed.body["error"]["type"], api.sandbox.billed) == (500, "server_error", 0)


async def test_the_strict_limit() -> None:
    """Beyond the limit of a window the answer is 429 until the window has moved on; headers count down."""
    async with client(Behaviour(images_per_minute=2)) as api:
        first = await api.post(**SMALL)
        api.clock.now += 20
        await api.post(**SMALL)
        refused = await api.post(**SMALL)
        assert (
            first.headers["x-ratelimit-limit-requests"],
            first.headers["x-ratelimit-remaining-requests"],
        ) == ("2", "1")
        assert (refused.status, refused.headers["Retry-After"]) == (429, "40")
        assert refused.headers["x-ratelimit-reset-requests"] == "1m0s"
        assert refused.headers["x-ratelimit-reset-images"] == "1m0s"
        api.clock.now += 40
        assert ((await api.post(**SMALL)).status, api.sandbox.billed) == (200, 3)


async def test_a_cut_answer_is_billed_and_ends_half_way() -> None:
    """The worst fault of all: paid for, and lost on the way."""
    async with client(Behaviour(cut_share=1)) as api:
        with pytest.raises(aiohttp.ClientPayloadError):
            await api.post(**SMALL)
        assert api.sandbox.billed == 1


async def test_a_slow_answer_outlasts_an_impatient_client() -> None:
    """The client gives up, the image is billed, and closing the sandbox does not wait for it."""
    with anyio.fail_after(30):
        async with client(Behaviour(slow_share=1, slow_s=3600)) as api:
            impatient = aiohttp.ClientTimeout(total=0.2)
            url = f"{api.sandbox.base_url}/images/generations"
            with pytest.raises(TimeoutError):
                await api.session.post(url, json=SMALL, headers=KEY, timeout=impatient)
            assert api.sandbox.billed == 1


async def test_attempts_are_counted_by_the_client_s_id() -> None:
    """A test can see whether one attempt was ever sent twice."""
    async with client() as api:
        for attempt in ("a", "b", "b"):
            await api.post({"Content-Type": "application/json", "X-Client-Request-Id": attempt, **KEY}, **SMALL)
        assert api.sandbox.attempts == {"a": 1, "b": 2}


async def test_a_client_that_hangs_up_leaves_no_trace(caplog: pytest.LogCaptureFixture) -> None:
    """Half a request, garbage and a hang-up in the middle of painting log nothing and break nothing."""
    body = json.dumps({**SMALL, "size": "1024x1024"}).encode()
    head = b"POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n"
    whole = head + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    async with client() as api:
        port = urlsplit(api.sandbox.base_url).port or 0
        for data in (
            whole,
            whole[:-10],
            b"\x16\x03\x01 garbage\r\n\r\n",
        ):
            async with await anyio.connect_tcp("127.0.0.1", port) as raw:
                await raw.send(data)
        assert (await api.post(**SMALL)).status == 200
    assert [record.message for record in caplog.records if record.levelname not in ("DEBUG", "INFO")] == []


async def test_it_listens_on_loopback_at_the_asked_port() -> None:
    """The port can be chosen, and one that is taken is said in plain words."""
    async with serve(Behaviour()) as sandbox:
        port = urlsplit(sandbox.base_url).port
        assert urlsplit(sandbox.base_url).hostname == "127.0.0.1"
        assert port is not None
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{port}"):
            async with serve(Behaviour(), port=port):
                pass
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
