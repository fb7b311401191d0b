"""Answers as server-sent events, written as OpenAI writes them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

import anyio
from aiohttp import web

from batchgen.core.types import JsonObject
from batchgen.core.values import replace
from batchgen.sandbox.answers import completed_body, event_name, partial_body
from batchgen.sandbox.mishaps import Mishap, Way
from batchgen.sandbox.orders import Order
from batchgen.sandbox.painter import Picture

Painter = Callable[[Picture], Awaitable[str]]
"""Paints a picture and gives it as base64."""


async def events_of(
    order: Order, pictures: Sequence[Picture], painter: Painter, *, created: int, latency_s: float
) -> AsyncGenerator[bytes, None]:
    """The events of an answer: before each picture, as many unfinished ones as were asked for."""
    stages = (*range(order.partials or 0), None)
    for picture in pictures:
        for stage in stages:
            await anyio.sleep(latency_s / len(stages))
            image = await painter(replace(picture, stage=stage))
            if stage is None:
                yield _event(event_name(order, "completed"), completed_body(order, image, created))
            else:
                body = partial_body(order, image, created, stage)
                yield _event(event_name(order, "partial_image"), body)


async def spoiled(
    events: AsyncGenerator[bytes, None], order: Order, mishap: Mishap | None
) -> AsyncGenerator[bytes, None]:
    """The events up to where the mishap is: the first of several, then an error, or half of the last."""
    number, count = 0, order.images * ((order.partials or 0) + 1)
    error = _error_event(mishap)
    async with aclosing(events):
        async for event in events:
            number += 1
            last = number == count
            if error is not None:
                if not last:
                    yield event
                yield error
                return
            cut = last and mishap is not None and mishap.way is Way.CUT
            yield event[: len(event) // 2] if cut else event


def _error_event(mishap: Mishap | None) -> bytes | None:
    body = mishap.body if mishap is not None else ""
    if mishap is None or isinstance(body, str):
        return None
    if mishap.way is Way.IN_STREAM:
        return _event("error", body)
    inner = body.get("error")
    if mishap.way is Way.IN_STREAM_BARE and isinstance(inner, dict):
        return _event("error", inner)
    return None


async def send_events(
    request: web.Request, events: AsyncGenerator[bytes, None], *, cut: bool
) -> web.StreamResponse:
    """Send the events as they come; a cut stream has no end, its connection has."""
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
    )
    await response.prepare(request)
    async with aclosing(events):
        async for event in events:
            await response.write(event)
    if cut and request.transport is not None:
        request.transport.close()
    return response


def _event(name: str, data: JsonObject) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
