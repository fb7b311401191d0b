"""Reading a body that may be endless or slow, without trusting it."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import nullcontext

from batchgen.providers.sse import Event, EventStream
from batchgen.system.patience import Patience
from batchgen.system.turns import Turn

BODY_CAP_BYTES = 64 * 1024 * 1024
"""More than any image of 4K in base64; what is longer is an attack or a mistake."""

ERROR_CAP_BYTES = 64 * 1024
"""Of an answer that is an error, only words are wanted."""

LARGE_BYTES = 3 * 1024 * 1024
"""What every request may hold at the same time: an image of a megapixel in base64. Beyond it bodies are read one after
another, so that memory does not grow with them."""

STREAM_CAP_BYTES = 4 * BODY_CAP_BYTES
"""Of a whole stream of events: the image and three partial ones."""

EVENT_BYTES = 1024
"""What of an event may wait for the rest: some servers name an event before they have painted what is in it."""

CHUNK_BYTES = 256 * 1024
SLOW_WINDOW_S = 30.0
SLOW_BYTES = 1024 * 30
"""A body must bring 1 KiB/s over 30 s, or it is given up: a trickle would hold a worker for hours."""

CROWDED_BYTES = 256 * SLOW_BYTES
"""A large body must bring 256 KiB/s while others wait for its turn: their servers will not wait for ever either."""


class BodyTooLargeError(Exception):
    """A body went over its cap."""


class BodyTooSlowError(Exception):
    """A body came slower than it must."""


class StreamCutError(Exception):
    """A stream of events ended before its answer."""


async def collect(
    chunks: AsyncIterator[bytes],
    into: bytearray,
    *,
    cap_bytes: int,
    large: Turn,
    deadline: Patience | None = None,
    window_s: float = SLOW_WINDOW_S,
) -> None:
    """Add the chunks to `into`, which keeps what came when this raises.

    A body over `LARGE_BYTES` is read on only with the turn of the large ones; the wait for it counts neither as
    slowness nor towards `deadline`. The rate counts from the first byte that is no blank: some servers send headers
    and blanks while they paint, and that time belongs to the request's own deadline. Raises `BodyTooLargeError` and
    `BodyTooSlowError`.
    """
    begun, fresh = False, 0
    with Patience() as pace:
        async for chunk in chunks:
            into += chunk
            if len(into) > cap_bytes:
                raise BodyTooLargeError
            if len(into) > LARGE_BYTES and not large.had:
                with pace.paused(), deadline.paused() if deadline else nullcontext():
                    await large.take()
            elif not begun and chunk.isspace() and not large.had:
                continue
            fresh += len(chunk)
            if not begun or fresh >= (CROWDED_BYTES if large.had and large.wanted else SLOW_BYTES):
                begun, fresh = True, 0
                pace.restart(window_s)
    if pace.over:
        raise BodyTooSlowError


async def follow(
    chunks: AsyncIterator[bytes],
    stream: EventStream,
    take: Callable[[Event], Awaitable[bool]],
    *,
    large: Turn,
    deadline: Patience,
    window_s: float = SLOW_WINDOW_S,
) -> None:
    """Hand the events to `take` until it says that it has what it wanted.

    Between events a server may be silent, or say that it lives, for as long as the deadline allows; an event that has
    begun must come as fast as a body. One over `LARGE_BYTES` is collected only with the turn of the large ones.
    Raises `BodyTooLargeError`, `BodyTooSlowError`, and `StreamCutError` where the stream ends too early.
    """
    fresh, total, counting = 0, 0, False
    with Patience() as pace:
        async for chunk in chunks:
            taken = await _taken(stream.feed(chunk), take, pace)
            if taken is None:
                return
            counting = counting and not taken
            total += len(chunk)
            if stream.held > BODY_CAP_BYTES or total > STREAM_CAP_BYTES:
                raise BodyTooLargeError
            if stream.held > LARGE_BYTES and not large.had:
                with pace.paused(), deadline.paused():
                    await large.take()
            fresh += len(chunk)
            enough = CROWDED_BYTES if large.had and large.wanted else SLOW_BYTES
            if stream.held > EVENT_BYTES and (not counting or fresh >= enough):
                counting, fresh = True, 0
                pace.restart(window_s)
        last = stream.finish()
        if last is not None and await take(last):
            return
    raise BodyTooSlowError if pace.over else StreamCutError


async def _taken(
    events: Iterator[Event], take: Callable[[Event], Awaitable[bool]], pace: Patience
) -> int | None:
    """Hand events on, holding none of them any longer: one may have megabytes. How many, or None for the last one."""
    count = 0
    for event in events:
        pace.restart(math.inf)
        count += 1
        if await take(event):
            return None
    return count
