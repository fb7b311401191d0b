"""Broken networks and broken servers: one request each, the right class, never the key."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_writer import StreamWriter

from batchgen.core.errors import AttemptError
from batchgen.core.types import FailureClass, Paid
from batchgen.providers.body import BODY_CAP_BYTES
from batchgen.providers.faults import never_written
from batchgen.providers.http import open_provider
from tests.providers.servers import (
    KEY,
    PIXEL_B64,
    Ending,
    endpoint_of,
    free_port,
    generate,
    raw_serving,
    told,
)
from tests.spec.witness import WITNESS
from tests.stores.images import picture
from tests.support.bombs import REQUESTS

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\nX-Request-Id: req-3\r\n"
HALF = b'{"data": [{"b64_json": "aGVsbG8'


async def failed(base_url: str, *, deadline_s: float = 20.0) -> AttemptError:
    """The error of one request, which must not show the key."""
    async with open_provider(endpoint_of(base_url, deadline_s=deadline_s), concurrency=1) as provider:
        with pytest.raises(AttemptError) as caught:
            await generate(provider)
    assert KEY not in told(caught.value)
    assert caught.value.failure.reason.isprintable()
    return caught.value


@pytest.mark.parametrize(
    ("reply", "ending"),
    [
        (b"", Ending.CLOSE),
        (b"", Ending.RESET),
        (b"HTTP/1.1 2", Ending.CLOSE),
        (b"SSH-2.0-OpenSSH_9.6 " + KEY.encode() + b"\r\n\r\n", Ending.CLOSE),
        (b"HTTP/1.1 abc OK\r\n\r\n", Ending.CLOSE),
        (OK + b"X-Big: " + b"x" * 200_000 + b"\r\n\r\n", Ending.CLOSE),
        (OK + b"Content-Length: 5000\r\n\r\n" + HALF, Ending.RESET),
        (
            OK + b"Transfer-Encoding: chunked\r\n\r\n1f\r\n" + HALF + b"\r\n" + KEY.encode() + b"\r\n",
            Ending.CLOSE,
        ),
    ],
    ids=[
        "closed",
        "reset",
        "half a status line",
        "not HTTP",
        "bad status",
        "huge header",
        "reset in the body",
        "bad chunk",
    ],
)
async def test_a_lost_answer_is_unknown_and_sent_once(reply: bytes, ending: Ending) -> None:
    """After the bytes have left nobody knows what was made: `unknown`, perhaps paid, one request."""
    async with raw_serving(reply, ending) as server:
        error = await failed(server.base_url)

    assert FailureClass.UNKNOWN == error.failure.failure_class
    assert error.failure.paid is not Paid.NO
    assert not error.failure.nothing_sent
    assert 1 == len(server.requests)


@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: 5000\r\n\r\n" + HALF, b"Transfer-Encoding: chunked\r\n\r\n1f\r\n" + HALF + b"\r\n"],
    ids=["short", "no last chunk"],
)
async def test_half_an_answer_is_unknown_and_paid(framing: bytes) -> None:
    """A cut answer keeps its status and its request id."""
    async with raw_serving(OK + framing) as server:
        error = await failed(server.base_url)

    failure = error.failure
    assert (FailureClass.UNKNOWN, Paid.YES) == (failure.failure_class, failure.paid)
    assert (200, "req-3") == (failure.http_status, failure.request_id)
    assert 1 == len(server.requests)


async def test_a_cut_answer_leaves_its_half_as_evidence() -> None:
    """What was paid for and came is kept, up to where it was cut."""
    reply = OK + b"Content-Length: 5000\r\n\r\n" + HALF
    async with raw_serving(reply, Ending.HANG) as server:
        error = await failed(server.base_url, deadline_s=0.5)

    assert (FailureClass.UNKNOWN, Paid.YES, HALF) == (
        error.failure.failure_class,
        error.failure.paid,
        error.evidence,
    )


async def test_no_answer_before_the_deadline_is_unknown() -> None:
    """A server that never answers is given up at the deadline, which the reason names."""
    async with raw_serving(b"", Ending.HANG) as server:
        error = await failed(server.base_url, deadline_s=0.1)

    assert (FailureClass.UNKNOWN, Paid.MAYBE, 1) == (
        error.failure.failure_class,
        error.failure.paid,
        len(server.requests),
    )
    assert "0.1 s" in error.failure.reason


async def test_an_error_whose_body_is_cut_is_still_that_error() -> None:
    """The status line already says that nothing was made."""
    reply = b"HTTP/1.1 429 Slow\r\nRetry-After: 3\r\nContent-Length: 500\r\n\r\n{"
    async with raw_serving(reply) as server:
        error = await failed(server.base_url)

    assert (FailureClass.RATE_LIMITED, 3.0) == (error.failure.failure_class, error.failure.retry_after_s)


async def test_nobody_listening_is_transient_and_nothing_was_sent() -> None:
    """A refused connection costs nothing and may be tried again."""
    error = await failed(f"http://127.0.0.1:{free_port()}/v1")

    assert (FailureClass.TRANSIENT, Paid.NO, True) == (
        error.failure.failure_class,
        error.failure.paid,
        error.failure.nothing_sent,
    )
    assert "(Connection refused); nothing was sent" in error.failure.reason


async def test_a_name_that_nobody_knows_is_transient_and_nothing_was_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Name servers fail for a while; no request has left."""

    def unknown(*_args: object, **_named: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with monkeypatch.context() as nameless:
        nameless.setattr(socket, "getaddrinfo", unknown)
        error = await failed("https://api.example.com/v1")

    assert (FailureClass.TRANSIENT, True) == (error.failure.failure_class, error.failure.nothing_sent)


async def test_a_broken_tls_handshake_is_transient_and_nothing_was_sent() -> None:
    """TLS to a server that speaks something else: no request has left."""
    async with raw_serving(b"no TLS here\r\n\r\n", greets=True) as server:
        error = await failed(server.base_url.replace("http:", "https:"))

    assert (FailureClass.TRANSIENT, True) == (error.failure.failure_class, error.failure.nothing_sent)
    assert [] == server.requests


async def test_a_certificate_that_nobody_vouches_for_stops_the_job() -> None:
    """The key is not shown to a server whose certificate is wrong, and trying again would not mend it."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(Path(__file__).with_name("untrusted.pem"))
    async with raw_serving(OK, tls=tls) as server:
        error = await failed(server.base_url.replace("http:", "https:"))

    assert (FailureClass.AUTH, True) == (error.failure.failure_class, error.failure.nothing_sent)
    assert "certificate" in error.failure.reason
    assert [] == server.requests


async def test_a_body_over_the_cap_is_cut() -> None:
    """An endless answer takes no more memory than the cap, and is not bought again."""
    reply = OK + b"Content-Length: 99999999\r\n\r\n" + b" " * (BODY_CAP_BYTES + 1024)
    async with raw_serving(reply, Ending.HANG) as server:
        error = await failed(server.base_url)

    assert (FailureClass.NO_IMAGE, Paid.YES) == (error.failure.failure_class, error.failure.paid)
    assert 1 == len(server.requests)


@pytest.mark.parametrize("encoding", ["gzip", "br"])
async def test_a_whole_body_that_cannot_be_uncompressed_brought_no_image(encoding: str) -> None:
    """It came whole and holds nothing, so it is evidence and not bought again."""
    head = f"Content-Encoding: {encoding}\r\nContent-Length: 7\r\n\r\n".encode()
    async with raw_serving(OK + head + b"garbled") as server:
        error = await failed(server.base_url)

    assert (FailureClass.NO_IMAGE, Paid.YES, b"garbled") == (
        error.failure.failure_class,
        error.failure.paid,
        error.evidence,
    )
    assert f"It was sent as {encoding}, which it is not, or not wholly. garbled" in error.failure.reason


@pytest.mark.parametrize("lost", [0, 20])
async def test_evidence_is_uncompressed_before_the_key_is_hidden_in_it(lost: int) -> None:
    """Whether the compressed body is damaged or did not come whole: what it says is kept, and the key is not in it."""
    packed = gzip.compress(b"no image for you, " + KEY.encode(), mtime=0)[:-4]
    head = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % (len(packed) + lost)
    async with raw_serving(OK + head + packed) as server:
        error = await failed(server.base_url)

    assert b"no image for you, ***" == bytes(error.evidence)
    assert (FailureClass.UNKNOWN if lost else FailureClass.NO_IMAGE) is error.failure.failure_class


async def test_a_server_that_hangs_up_after_each_answer_gets_no_request_twice() -> None:
    """Whichever side of a hang-up a request falls on, it is answered, or not read, and never repeated by itself.

    One that found its connection closed is known not to have left.
    """
    body = f'{{"data": [{{"b64_json": "{PIXEL_B64}"}}]}}'.encode()
    reply = OK + b"Content-Length: %d\r\n\r\n" % len(body) + body
    answered = 0
    async with (
        raw_serving(reply) as server,
        open_provider(endpoint_of(server.base_url), concurrency=1) as provider,
    ):
        for _ in range(20):
            try:
                await generate(provider)
                answered += 1
            except AttemptError as error:
                found_closed = "Can not write request body" in str(error.__cause__)
                assert found_closed == error.failure.nothing_sent

    assert answered == len(server.requests)
    assert answered > 0


async def test_a_connection_found_closed_counts_as_nothing_sent() -> None:
    """The one way aiohttp tells that it wrote nothing is understood, and a lost answer is not taken for it."""
    loop = asyncio.get_running_loop()
    with pytest.raises(aiohttp.ClientConnectionResetError) as caught:
        await StreamWriter(BaseProtocol(loop), loop).write(b"never leaves")
    wrapped = aiohttp.ClientOSError("Can not write request body")
    wrapped.__cause__ = caught.value

    assert never_written(wrapped)
    assert not never_written(aiohttp.ServerDisconnectedError())


@pytest.mark.timeout(120)
async def test_answers_that_came_while_the_process_was_stopped_are_taken(tmp_path: Path) -> None:
    """SIGSTOP beyond the deadline of every request under way: after SIGCONT each image is stored, none is unknown."""
    deadline_s = 2.0
    waiting, writers = asyncio.Event(), list[asyncio.StreamWriter]()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        WITNESS.saw_raw_request(head + await reader.readexactly(length))
        writers.append(writer)
        if len(writers) == REQUESTS:
            waiting.set()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with server:
        program = [
            sys.executable,
            "-m",
            "tests.support.bombs",
            base_url,
            str(tmp_path / "job"),
            str(deadline_s),
        ]
        process = await asyncio.create_subprocess_exec(*program, stdout=subprocess.PIPE)
        await waiting.wait()
        os.kill(process.pid, signal.SIGSTOP)
        body = json.dumps({"data": [{"b64_json": base64.b64encode(picture("late")).decode()}]}).encode()
        for writer in writers:
            writer.write(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
        # The one thing that only passes by itself: time, while the process is stopped.
        await asyncio.sleep(1.5 * deadline_s)
        os.kill(process.pid, signal.SIGCONT)
        told, _ = await process.communicate()
        for writer in writers:
            writer.close()

    assert ["stored"] * REQUESTS == json.loads(told)["classes"]
