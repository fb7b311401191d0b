"""Reading a body that may be endless, slow or compressed, without trusting it."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

import anyio

BODY_CAP_BYTES = 64 * 1024 * 1024
"""More than any image of 4K in base64; what is longer is an attack or a mistake."""

ERROR_CAP_BYTES = 64 * 1024
"""Of an answer that is an error, only words are wanted."""

CHUNK_BYTES = 256 * 1024
SLOW_WINDOW_S = 30.0
SLOW_BYTES = 1024 * 30
"""A body must bring 1 KiB/s over 30 s, or it is given up: a trickle would hold a worker for hours."""


class BodyTooLargeError(Exception):
    """A body went over its cap."""


class BodyTooSlowError(Exception):
    """A body came slower than 1 KiB/s."""


class BodyEncodingError(Exception):
    """A body is compressed in a way that cannot be undone."""


async def collect(
    chunks: AsyncIterator[bytes], into: bytearray, *, cap_bytes: int, window_s: float = SLOW_WINDOW_S
) -> None:
    """Add the chunks to `into`, which keeps what came when this raises.

    The rate counts from the first byte that is no blank: some servers send headers and blanks while they paint,
    and that time belongs to the request's own deadline. Raises `BodyTooLargeError` and `BodyTooSlowError`.
    """
    begun, fresh = False, 0
    with anyio.move_on_after(None) as scope:
        async for chunk in chunks:
            into += chunk
            if len(into) > cap_bytes:
                raise BodyTooLargeError
            if not begun and chunk.isspace():
                continue
            fresh += len(chunk)
            if not begun or fresh >= SLOW_BYTES:
                begun, fresh = True, 0
                scope.deadline = anyio.current_time() + window_s
    if scope.cancelled_caught:
        raise BodyTooSlowError


def inflate(body: bytes | bytearray, cap_bytes: int = BODY_CAP_BYTES) -> bytes:
    """Undo gzip or zlib in one go, at most `cap_bytes` of it. Only the first member of a gzip body counts.

    Raises `BodyEncodingError` for what is damaged or cut, `BodyTooLargeError` beyond the cap.
    """
    decoder = zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)  # 32: gzip and zlib headers are told apart
    try:
        data = decoder.decompress(body, cap_bytes)
    except zlib.error as error:
        raise BodyEncodingError(str(error)) from error
    if decoder.eof:
        return data
    if len(data) >= cap_bytes:
        raise BodyTooLargeError
    raise BodyEncodingError("it ends too early")
