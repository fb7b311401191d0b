"""A server that answers every request at once with the same image, so that the client is what is measured."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from tests.support.png import chunk


def noise_png(size_bytes: int) -> bytes:
    """A whole PNG of about this size; its pixels do not compress, like a photograph's."""
    side = max(1, round((size_bytes / 3) ** 0.5))
    rows = b"".join(b"\0" + Random(row).randbytes(3 * side) for row in range(side))
    head = side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    pixels = zlib.compress(rows, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def answer(size_bytes: int) -> bytes:
    """A whole HTTP answer that brings such an image."""
    usage = {"input_tokens": 10, "output_tokens": 196, "total_tokens": 206}
    document = {
        "created": 1,
        "usage": usage,
        "data": [{"b64_json": base64.b64encode(noise_png(size_bytes)).decode()}],
    }
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _serve(size_bytes: int, delay_s: float) -> None:
    whole = answer(size_bytes)

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                )
                await reader.readexactly(length)
                await asyncio.sleep(delay_s)
                writer.write(whole)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - the process that started this one reads it
    async with server:
        await server.serve_forever()


@contextmanager
def canned_server(size_bytes: int, delay_s: float = 0.0) -> Iterator[str]:
    """Run the server in a process of its own; gives its base URL."""
    command = [sys.executable, "-m", "tests.bench.canned", str(size_bytes), str(delay_s)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
