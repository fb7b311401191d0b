"""Streamed answers: events as OpenAI sends them, unfinished pictures before the finished one, errors in between."""

from __future__ import annotations

import base64
import io
import json
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import anyio
import pytest
from PIL import Image

from batchgen.core.media import media_of
from batchgen.sandbox.faults import Behaviour
from tests.sandbox.talking import KEY, client

pytestmark = pytest.mark.anyio

ASKED: dict[str, Any] = {
    "model": "gpt-image-2",
    "prompt": "A paper boat.",
    "size": "1024x1024",
    "quality": "low",
    "stream": True,
}


def pixels(image: str) -> Image.Image:
    """A picture of an event, decoded."""
    return Image.open(io.BytesIO(base64.b64decode(image, validate=True))).convert("RGB")


@pytest.mark.parametrize("partials", [0, 1, 3])
async def test_unfinished_pictures_come_before_the_finished_one(partials: int) -> None:
    """As many as were asked for, each sharper than the one before it; the last event brings the usage of all."""
    async with client() as api:
        *early, last = await api.events(**ASKED, partial_images=partials)
        plain = await api.post(**{**ASKED, "prompt": "Another boat.", "stream": False})
        assert 2 == api.sandbox.billed
    choices = {"size": "1024x1024", "quality": "low", "background": "opaque", "output_format": "png"}
    echo = {"created_at": 1_800_000_000, **choices}
    for number, event in enumerate(early):
        assert "image_generation.partial_image" == event.name
        image = event.data.pop("b64_json")
        assert pixels(image).size == (1024, 1024)
        assert event.data == {"type": event.name, "partial_image_index": number, **echo}
    assert partials == len(early)
    assert "image_generation.completed" == last.name
    assert pixels(last.data.pop("b64_json")).size == (1024, 1024)
    assert 196 + 100 * partials == last.data["usage"]["output_tokens"]
    assert 200 + 100 * partials == last.data.pop("usage")["total_tokens"]
    assert last.data == {"type": last.name, **echo}
    assert set(plain.body) == {"created", "data", "usage", *choices}


async def test_an_unfinished_picture_shows_what_it_will_be() -> None:
    """Its blocks grow smaller from one to the next, and none is the finished picture."""
    async with client() as api:
        events = await api.events(**ASKED, partial_images=3)
    images = [pixels(event.data["b64_json"]) for event in events]
    colours = [len(image.getcolors(1 << 20) or ()) for image in images[:3]]
    assert sorted(set(colours)) == colours
    assert 4 == len({event.data["b64_json"] for event in events})


async def test_each_of_several_pictures_has_its_own_events() -> None:
    """One after the other, each with its own usage."""
    async with client() as api:
        events = await api.events(**ASKED, partial_images=1, n=2)
        assert 2 == api.sandbox.billed
    assert ["partial_image", "completed"] * 2 == [event.name.partition(".")[2] for event in events]
    assert [296, 296] == [event.data["usage"]["output_tokens"] for event in events[1::2]]
    assert events[1].data["b64_json"] != events[3].data["b64_json"]


@pytest.mark.parametrize(("wanted", "media_type"), [("gif", "image/gif"), ("svg", "image/svg+xml"), ("webp", "image/webp")])  # fmt: skip
async def test_every_event_has_the_asked_format(wanted: str, media_type: str) -> None:
    """Unfinished animations and drawings are files of their kind, too."""
    asked = {**ASKED, "model": "gpt-image-2.6-flare", "size": "960x688", "output_format": wanted}
    async with client() as api:
        events = await api.events(**asked, partial_images=2)
    files = [base64.b64decode(event.data["b64_json"]) for event in events]
    assert [media_type] * 3 == [media_of(file, allow_svg=True).media_type for file in files]
    assert 3 == len(set(files))


async def test_a_stream_carries_the_api_s_headers() -> None:
    """They come before the first event."""
    async with (
        client(Behaviour(images_per_minute=5)) as api,
        api.session.post(f"{api.sandbox.base_url}/images/generations", json=ASKED, headers=KEY) as reply,
    ):
        assert {"x-request-id", "openai-processing-ms", "openai-version", "x-ratelimit-remaining-images"} <= {
            name.lower() for name in reply.headers
        }
        assert "text/event-stream; charset=utf-8" == reply.headers["Content-Type"]


@pytest.mark.odd_requests
@pytest.mark.parametrize("wrong", [{"partial_images": 4}, {"size": "10x10"}, {"model": "dall-e-3"}])
async def test_errors_before_a_stream_are_ordinary_ones(wrong: dict[str, Any]) -> None:
    """What is wrong with the request is said as for any other."""
    async with client() as api:
        reply = await api.post(**{**ASKED, **wrong})
        assert (400, "application/json") == (reply.status, reply.headers["Content-Type"])
        assert reply.body["error"]["message"]
        assert 0 == api.sandbox.billed


@pytest.mark.parametrize("partials", [0, 2])
@pytest.mark.parametrize("fault", ["stream_error", "stream_error_bare", "stream_refused"])
async def test_errors_after_a_stream_began_are_events(fault: str, partials: int) -> None:
    """At most one picture came before it, nothing comes behind it, and the work was charged."""
    async with client(Behaviour(failures={fault: 1})) as api:
        events = await api.events(**ASKED, partial_images=partials)
        plain = await api.post(**{**ASKED, "stream": False})
        assert 1 == api.sandbox.billed
    *early, error = events
    assert min(1, partials) == len(early)
    assert "error" == error.name
    envelope = {"error": error.data} if fault.endswith("bare") else error.data
    assert envelope == plain.body
    assert (400 if fault == "stream_refused" else 500) == plain.status


@pytest.mark.parametrize("partials", [0, 1])
async def test_a_stream_is_cut_in_the_middle_of_its_last_event(partials: int) -> None:
    """The unfinished pictures come whole, and the connection ends."""
    async with client(Behaviour(cut_share=1)) as api:
        url = f"{api.sandbox.base_url}/images/generations"
        asked = {**ASKED, "partial_images": partials}
        came = bytearray()
        async with api.session.post(url, json=asked, headers=KEY) as reply:
            with pytest.raises(aiohttp.ClientPayloadError):
                async for chunk in reply.content.iter_any():
                    came += chunk
        assert 1 == api.sandbox.billed
    assert partials == came.count(b"\n\n")


async def test_a_client_that_leaves_a_stream_leaves_no_trace(caplog: pytest.LogCaptureFixture) -> None:
    """The next request is served, and nothing is logged."""
    body = json.dumps({**ASKED, "partial_images": 3}).encode()
    head = b"POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n"
    whole = head + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    async with client() as api:
        port = urlsplit(api.sandbox.base_url).port or 0
        async with await anyio.connect_tcp("127.0.0.1", port) as raw:
            await raw.send(whole)
            await raw.receive(100)
        assert 1 == len(await api.events(**ASKED))
    assert [] == [record.message for record in caplog.records if record.levelname not in ("DEBUG", "INFO")]
