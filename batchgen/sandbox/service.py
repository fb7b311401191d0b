"""What the sandbox does with a request: the real API's routes, and a count of all that it has seen."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus

import anyio
import anyio.to_thread
import pybase64
from aiohttp import web

from batchgen.catalogue.catalogue import Catalogue
from batchgen.core.types import JsonObject
from batchgen.sandbox.answers import (
    API_VERSION,
    answer_body,
    limit_headers,
    pictures_of,
    retry_headers,
)
from batchgen.sandbox.bodies import read_edit, read_fields
from batchgen.sandbox.errors import ApiError, refused, too_many
from batchgen.sandbox.faults import Behaviour, Window
from batchgen.sandbox.links import EXPIRED, Links
from batchgen.sandbox.listing import catalogue_body, model_body, models_body
from batchgen.sandbox.mishaps import MISHAPS, Mishap, Way
from batchgen.sandbox.orders import Order, edit_of, no_such_model, order_of
from batchgen.sandbox.painter import Picture, paint
from batchgen.sandbox.streams import events_of, send_events, spoiled

_IN_STREAM = (Way.IN_STREAM, Way.IN_STREAM_BARE)

HOST = "127.0.0.1"


class Sandbox:
    """A running sandbox, and what it has seen; tests and the demo read it.

    `requests` counts requests for images, `billed` the images that a provider would charge for, `models`
    those by model, `attempts` the requests by their `X-Client-Request-Id`, `downloads` the links that were fetched.
    """

    def __init__(
        self, behaviour: Behaviour, catalogue: Catalogue, port: int, clock: Callable[[], float]
    ) -> None:
        self.behaviour = behaviour
        self.base_url = f"http://{HOST}:{port}/v1"
        self.requests = 0
        self.billed = 0
        self.downloads = 0
        self.models: Counter[str] = Counter()
        self.attempts: Counter[str] = Counter()
        self._painted: Counter[int] = Counter()
        self._answers = 0
        self._catalogue, self._clock = catalogue, clock
        self._links = Links(self.base_url, behaviour.link_lifetime_s)
        limit = behaviour.images_per_minute
        self._window = Window(limit, behaviour.window_s) if limit is not None else None
        # Painting is work for cores; more threads than these would only take memory.
        self._painters = anyio.CapacityLimiter(max(2, os.cpu_count() or 2))

    def billed_for(self, prompt: str) -> int:
        """Images of this prompt that a provider would charge for."""
        return self._painted[hash(prompt)]

    async def generate(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/images/generations`."""
        number = self._arrived(request)
        fields = await read_fields(request)
        order = order_of(fields, self._catalogue, self.behaviour.answer)
        return await self._answer(request, order, number)

    async def edit(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/images/edits`."""
        number = self._arrived(request)
        fields, references, form = await read_edit(request, self._painters)
        order = edit_of(fields, references, self._catalogue, self.behaviour.answer, form=form)
        return await self._answer(request, order, number)

    async def list_models(self, request: web.Request) -> web.Response:
        """`GET /v1/models`."""
        _check_key(request)
        return _json(models_body(self._catalogue.models.values()))

    async def show_model(self, request: web.Request) -> web.Response:
        """`GET /v1/models/{id}`."""
        _check_key(request)
        model = self._catalogue.find(request.match_info["model"])
        if model is None:
            raise no_such_model(request.match_info["model"])
        return _json(model_body(model))

    async def list_prices(self, _request: web.Request) -> web.Response:
        """`GET /api/models`, CometAPI's public catalogue: without a key."""
        return _json(catalogue_body(self._catalogue.models.values()))

    async def download(self, request: web.Request) -> web.Response:
        """`GET /v1/files/{name}`: a linked picture, without a key."""
        self.downloads += 1
        name, signature = request.match_info["name"], request.query.get("sig", "")
        picture = self._links.find(name, signature, self._clock())
        if picture is None:
            return web.Response(status=HTTPStatus.FORBIDDEN, text=EXPIRED, content_type="application/xml")
        data = await anyio.to_thread.run_sync(paint, picture, limiter=self._painters)
        return web.Response(body=data, content_type=picture.media_type)

    def headers(self, seconds: float) -> dict[str, str]:
        """What every answer carries; `seconds` is how long it took."""
        self._answers += 1
        found = {
            "x-request-id": f"req_sandbox{self._answers:08d}",
            "openai-processing-ms": str(round(seconds * 1000)),
            "openai-version": API_VERSION,
        }
        if self._window is None:
            return found
        now = self._clock()
        return found | limit_headers(
            self._window.images, self._window.remaining(now), self._window.reset_s(now)
        )

    def _arrived(self, request: web.Request) -> int:
        """Count a request for images; returns its number."""
        self.requests += 1
        self.attempts[request.headers.get("X-Client-Request-Id", "")] += 1
        _check_key(request)
        return self.requests

    async def _answer(self, request: web.Request, order: Order, number: int) -> web.StreamResponse:
        if self.behaviour.refuses(order.prompt):
            raise refused()
        mishap = MISHAPS.get(self.behaviour.fault_of(number) or "")
        way = mishap.way if mishap else None
        if mishap and (way is Way.INSTEAD or (way in _IN_STREAM and order.partials is None)):
            return self._failed(mishap)
        self._take_room(order)
        pictures = self._bill(order)
        if way is Way.SLOW:
            await anyio.sleep(self.behaviour.slow_s)
        if order.partials is not None and way is not Way.AFTER:
            return await self._stream(request, order, pictures, mishap)
        await anyio.sleep(self.behaviour.latency_s)
        if mishap and way is Way.AFTER:
            return self._failed(mishap)
        body = await self._body(order, pictures)
        if way is Way.CUT:
            return await _cut(request, body)
        return web.Response(body=body, content_type="application/json")

    def _failed(self, mishap: Mishap) -> web.Response:
        page = isinstance(mishap.body, str)
        return web.Response(
            status=mishap.status,
            body=mishap.body.encode() if isinstance(mishap.body, str) else _dumped(mishap.body),
            content_type="text/html" if page else "application/json",
            headers={**mishap.headers, **(retry_headers(self.behaviour.retry_after_s) if mishap.waits else {})},
        )

    def _take_room(self, order: Order) -> None:
        """Raise where the limit keeps the order from being painted."""
        wait_s = self._window.take(order.images, self._clock()) if self._window else None
        if wait_s is not None:
            limit = self.behaviour.images_per_minute
            message = f"Rate limit reached for {order.model.model_id} on images per min: Limit {limit:g}. "
            raise too_many(f"{message}Please try again in {wait_s:.3f}s.", wait_s)

    def _bill(self, order: Order) -> list[Picture]:
        """From here on a provider charges, whatever becomes of the answer."""
        key = hash(order.prompt)
        pictures = pictures_of(order, self._painted[key])
        self._painted[key] += order.images
        self.models[order.model.model_id] += order.images
        self.billed += order.images
        return pictures

    async def _body(self, order: Order, pictures: list[Picture]) -> bytes:
        now = self._clock()
        if order.as_url:
            images = [self._links.add(picture, now) for picture in pictures]
        else:
            images = [await self._encoded(picture) for picture in pictures]
        return await anyio.to_thread.run_sync(_dumped, answer_body(order, images, int(now)))

    async def _stream(
        self, request: web.Request, order: Order, pictures: list[Picture], mishap: Mishap | None
    ) -> web.StreamResponse:
        latency_s = self.behaviour.latency_s
        events = events_of(order, pictures, self._encoded, created=int(self._clock()), latency_s=latency_s)
        cut = mishap is not None and mishap.way is Way.CUT
        return await send_events(request, spoiled(events, order, mishap), cut=cut)

    async def _encoded(self, picture: Picture) -> str:
        return await anyio.to_thread.run_sync(_base64, picture, limiter=self._painters)


def _check_key(request: web.Request) -> None:
    """Any key opens the sandbox, but it must be there."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        message = "You didn't provide an API key. Send it in an Authorization header with Bearer auth."
        raise ApiError(HTTPStatus.UNAUTHORIZED, message, code="invalid_api_key")


def _base64(picture: Picture) -> str:
    return pybase64.b64encode(paint(picture)).decode("ascii")


def _dumped(body: JsonObject) -> bytes:
    return json.dumps(body).encode()


def _json(body: JsonObject) -> web.Response:
    return web.Response(body=_dumped(body), content_type="application/json")


async def _cut(request: web.Request, body: bytes) -> web.StreamResponse:
    """Promise the whole body, send half of it, and hang up."""
    response = web.StreamResponse(
        headers={"Content-Length": str(len(body)), "Content-Type": "application/json"}
    )
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
