"""Connections that carry one request: nothing before it is its answer, and nothing behind an answer spoils it."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import aiohttp
import pytest

from batchgen.core.errors import AttemptError
from batchgen.core.types import FailureClass, ImageBytes, Paid
from batchgen.providers.connections import FreshConnector
from batchgen.providers.http import open_provider
from tests.providers.servers import PIXEL_B64, endpoint_of, generate, link_to, raw_serving

pytestmark = pytest.mark.anyio

BODY = json.dumps({"data": [{"b64_json": PIXEL_B64}]}).encode()
SIZED = b"HTTP/1.1 200 OK\r\nX-Request-Id: req-1\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
LINES = b"HTTP/1.1 200 OK\nContent-Length: %d\n\n" % len(BODY) + BODY
HINTS = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + SIZED
JUNK = [
    b"\n<!-- debug -->\n",
    b"\0",
    b"5\r\nhello\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 2",
    SIZED.replace(PIXEL_B64.encode(), b"YW5vdGhlcg=="),
]


@pytest.mark.parametrize("junk", JUNK)
@pytest.mark.parametrize("answer", [SIZED, CHUNKED, LINES, HINTS], ids=["sized", "chunked", "lines", "hints"])
async def test_what_follows_an_answer_does_not_spoil_it(answer: bytes, junk: bytes) -> None:
    """An answer that came whole is judged by itself, whatever follows in the same segment."""
    async with (
        raw_serving(answer + junk) as server,
        open_provider(endpoint_of(server.base_url), concurrency=1) as provider,
    ):
        image = await generate(provider)

    assert isinstance(image, ImageBytes)
    assert (PIXEL_B64, 1) == (image.encoded, len(server.requests))


@pytest.mark.parametrize(
    ("status", "wanted"),
    [(401, FailureClass.AUTH), (429, FailureClass.RATE_LIMITED), (500, FailureClass.TRANSIENT)],
)
async def test_what_follows_an_error_does_not_hide_it(status: int, wanted: FailureClass) -> None:
    """A clean refusal is believed: nothing was made, and nobody has to think that it was."""
    reply = b"HTTP/1.1 %d Said\r\nContent-Length: 2\r\n\r\n{}\nwarning\n" % status
    async with (
        raw_serving(reply) as server,
        open_provider(endpoint_of(server.base_url), concurrency=1) as provider,
    ):
        with pytest.raises(AttemptError) as caught:
            await generate(provider)

    failure = caught.value.failure
    assert (wanted, Paid.NO, status) == (failure.failure_class, failure.paid, failure.http_status)


@pytest.mark.parametrize("cut", range(1, len(b"\r\n\r\n") + 1))
async def test_a_heads_end_may_be_torn(cut: int) -> None:
    """An end of a head that comes in two segments is found all the same."""
    head, end, body = SIZED.partition(b"\r\n\r\n")
    whole = head + end
    asked = asyncio.Event()
    first, second = whole[: len(head) + cut], whole[len(head) + cut :] + body + JUNK[0]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        writer.write(first)
        await writer.drain()
        for _ in range(5):
            await asyncio.sleep(0)
        writer.write(second)
        await writer.drain()
        await asked.wait()
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
        async with open_provider(endpoint_of(url), concurrency=1) as provider:
            image = await generate(provider)
            asked.set()

    assert isinstance(image, ImageBytes)
    assert PIXEL_B64 == image.encoded


async def test_a_download_may_be_followed_by_anything() -> None:
    """The same holds for a link's bytes: they are taken at once, and not asked for again."""
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nimage\0\0"
    async with (
        raw_serving(reply) as server,
        open_provider(endpoint_of(server.base_url), concurrency=1) as provider,
    ):
        image = await provider.fetch(link_to(f"{server.base_url}/1.png"))

    assert (b"image", 1) == (bytes(image.encoded), server.connections)  # type: ignore[arg-type]  # bytes, not text


async def test_every_request_has_its_own_connection() -> None:
    """An answer that comes late on a connection finds nobody there: no other request ever goes over it."""
    left = asyncio.Queue[bytes]()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        writer.write(SIZED)
        await writer.drain()
        left.put_nowait(await reader.read())  # the end, and nothing before it
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
        async with open_provider(endpoint_of(url), concurrency=1) as provider:
            for _ in range(3):
                await generate(provider)

        assert [b""] * 3 == [await left.get() for _ in range(3)]


async def test_an_answer_before_the_question_is_none() -> None:
    """What a server says unasked is not taken for the answer, and the request is not even written."""
    greeted = asyncio.Event()
    left = asyncio.Queue[bytes]()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(SIZED)
        await writer.drain()
        greeted.set()
        left.put_nowait(await reader.read())
        writer.close()

    async def wait(_session: object, _context: SimpleNamespace, _params: object) -> None:
        await greeted.wait()
        for _ in range(5):  # until the loop has read it
            await asyncio.sleep(0)

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(wait)
    listening = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with (
        listening,
        aiohttp.ClientSession(connector=FreshConnector(), trace_configs=[trace]) as session,
    ):
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.post(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/", data=b"paid")

        assert b"" == await left.get()
