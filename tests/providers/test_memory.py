"""However large answers are, and however many come at once: less than 300 MB, in a real process."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.spec.witness import WITNESS
from tests.support.bombs import REQUESTS
from tests.support.png import chunk, png

MB = 1024 * 1024
BOUND_MB = 300
FULL = 64 * MB - 200
ENDLESS = 10**12
IN_BASE64 = b'{"created": 1, "data": [{"b64_json": "%s"}]}'
LINK = b'{"created": 1, "data": [{"url": "http://127.0.0.1:%d/%d"}]}'


def repeated(part: bytes) -> bytes:
    """Something repeated to almost the cap."""
    return part * (FULL // len(part))


def packed(whole: bytes, size_mb: int = 0) -> bytes:
    """Gzip of some bytes and of megabytes of zeros."""
    packer = zlib.compressobj(9, wbits=31)
    zeros = [packer.compress(bytes(MB)) for _ in range(size_mb)]
    return packer.compress(whole) + b"".join(zeros) + packer.flush()


def large_png() -> bytes:
    """A whole PNG of 20 MB whose pixels are not compressed."""
    edge = 2600
    header = struct.pack(">IIBBBBB", edge, edge, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(edge * (edge * 3 + 1)), 0)
    parts = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, data) for name, data in parts)


BOMBS: list[tuple[str, Callable[[], bytes]]] = [
    ("no_image", lambda: b" " * (FULL + MB)),
    ("no_image", lambda: repeated(b"junk and more junk ")),
    ("no_image", lambda: b"[" + repeated(b"[],") + b"1]"),
    ("no_image", lambda: b"[" + repeated(b'"\\ud83d",') + b"1]"),
    ("no_image", lambda: IN_BASE64 % ("\U0001f600".encode() + repeated(b"A"))),
    ("no_image", lambda: IN_BASE64 % (b"\\ud83d\\ude00" + repeated(b"A"))),
    ("no_image", lambda: IN_BASE64 % repeated(b"AAAA")),
    ("no_image", lambda: IN_BASE64 % repeated(b"A+\\/B")),
    ("no_image", lambda: IN_BASE64 % repeated(b"A-_B")),
    ("no_image", lambda: packed(b"", 811)),
    ("no_image", lambda: gzip.compress(b"", mtime=0) * 100_000),
    ("no_image", lambda: packed(IN_BASE64 % repeated(b"AAAA"))),
    ("stored", lambda: IN_BASE64 % base64.b64encode(large_png())),
]
"""Bodies by the number of their attempt, and what it ends as. Three more bring a link."""

JUNK_LINK, ENDLESS_LINK = len(BOMBS), len(BOMBS) + 1
WANTED = [kind for kind, _ in BOMBS] + ["no_image", "download", "stored"]


class Hostile:
    """A server of bombs: the attempt's id says which; what a link leads to is asked for by number."""

    def __init__(self) -> None:
        self.port = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer until the client hangs up, which it does in the middle of most answers."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(int(_found(rb"content-length: (\d+)", head) or 0))
                WITNESS.saw_raw_request(head + body)
                await self._answer(head, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        linked = _found(rb"GET /(\d+)", head)
        number = int(linked or _found(rb"x-client-request-id: (\d+)", head))
        length = 0
        if number < len(BOMBS):
            body = await asyncio.to_thread(BOMBS[number][1])
        elif not linked:
            body = LINK % (self.port, number)
        else:
            body = repeated(b"junk") if number == JUNK_LINK else await asyncio.to_thread(large_png)
            length = ENDLESS if number == ENDLESS_LINK else 0
        coding = b"Content-Encoding: gzip\r\n" if body[:2] == b"\x1f\x8b" else b""
        writer.write(b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n" % (coding, length or len(body)))
        view = memoryview(body)
        while True:
            for at in range(0, len(view), MB):
                writer.write(view[at : at + MB])
                await writer.drain()
            if not length:
                return


def _found(pattern: bytes, head: bytes) -> bytes:
    found = re.search(pattern, head, re.IGNORECASE)
    return found[1] if found else b""


@pytest.mark.anyio
@pytest.mark.timeout(240)  # a gigabyte is made, sent and judged
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc")
async def test_sixteen_bombs_at_once_fit_in_300_mb(tmp_path: Path) -> None:
    """Bodies that never end, that are junk, that inflate, that would fill memory as JSON or as text: all are bounded."""
    assert REQUESTS == len(WANTED)
    hostile = Hostile()
    server = await asyncio.start_server(hostile.handle, "127.0.0.1", 0)
    hostile.port = server.sockets[0].getsockname()[1]
    async with server:
        found = await _asked(hostile.port, tmp_path)

    assert WANTED == found["classes"]
    assert BOUND_MB > found["peak_mb"] > found["before_mb"]


async def _asked(port: int, folder: Path) -> dict[str, Any]:
    """What a process tells that sent its requests there."""
    address = f"http://127.0.0.1:{port}/v1"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.bombs",
        address,
        str(folder / "job"),
        "600",
        stdout=subprocess.PIPE,
    )
    told, _ = await process.communicate()
    found: dict[str, Any] = json.loads(told)
    return found


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
PARTIAL = b'event: image_generation.partial_image\ndata: {"b64_json": "%s"}\n\n' % (b"AAAA" * (5 * MB))
COMPLETED = b'event: image_generation.completed\ndata: {"b64_json": "%s"}\n\n'


@pytest.mark.anyio
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc")
async def test_partial_images_are_not_held_while_the_rest_is_waited_for(tmp_path: Path) -> None:
    """Sixteen streams that have all sent a partial image of 20 MB, and go on only then, need no 20 MB each."""
    waiting, all_sent = [0], asyncio.Event()
    completed = COMPLETED % base64.b64encode(png("a"))

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(_found(rb"content-length: (\d+)", head)))
        writer.write(STREAM)
        for at in range(0, len(PARTIAL), MB):
            writer.write(PARTIAL[at : at + MB])
            await writer.drain()
        waiting[0] += 1
        if waiting[0] == REQUESTS:
            all_sent.set()
        await all_sent.wait()
        writer.write(completed)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        found = await _asked(server.sockets[0].getsockname()[1], tmp_path)
    assert ["stored"] * REQUESTS == found["classes"]
    assert BOUND_MB > found["peak_mb"] > found["before_mb"]
