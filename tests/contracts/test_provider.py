"""What every `Provider` keeps, whoever makes the images."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from batchgen.core.errors import AttemptError
from batchgen.core.protocols import Provider
from batchgen.core.types import FailureClass, ImageBytes, ImageRequest, Link
from batchgen.providers.endpoint import resolve
from batchgen.providers.http import open_provider
from batchgen.providers.settings import ProviderSettings
from tests.spec.witness import WITNESS

pytestmark = pytest.mark.anyio

IMAGE = b"\x89PNG image"

Opened = Callable[[], AbstractAsyncContextManager[Provider]]


async def _generate(request: web.Request) -> web.Response:
    WITNESS.saw_request("POST", request.path, request.content_type, await request.read())
    asked = await request.json()
    if "refuse" in asked["prompt"]:
        return web.json_response({"error": {"code": "moderation_blocked", "message": "no"}}, status=400)
    if asked.get("response_format") == "url":
        url = str(request.url.with_path("/files/1.png"))
        return web.json_response({"created": 1, "data": [{"url": url}]})
    return web.json_response({"created": 1, "data": [{"b64_json": base64.b64encode(IMAGE).decode()}]})


async def _file(_request: web.Request) -> web.Response:
    return web.Response(body=IMAGE)


@asynccontextmanager
async def over_http() -> AsyncIterator[Provider]:
    """The HTTP client, on a server that speaks the API."""
    app = web.Application()
    app.router.add_post("/v1/images/generations", _generate)
    app.router.add_get("/files/1.png", _file)
    async with TestServer(app) as server:
        settings = ProviderSettings("gateway", f"http://{server.host}:{server.port}/v1", ("KEY",))
        async with open_provider(
            resolve(settings, {"KEY": "sk-contract-0123456789"}), concurrency=2
        ) as provider:
            yield provider


@pytest.fixture(params=[over_http])
def opened(request: pytest.FixtureRequest) -> Opened:
    """Every implementation in turn."""
    opener: Opened = request.param
    return opener


async def ask(
    provider: Provider, prompt: str, model: str = "gpt-image-2", **parameters: str
) -> ImageBytes | Link:
    """One request with fixed ids."""
    request = ImageRequest(model, prompt, parameters)
    return await provider.generate(request, attempt_id="a-1", idempotency_key="k-1")


async def test_a_request_brings_an_image(opened: Opened) -> None:
    """An image comes back as base64 text, with the answer's own words."""
    async with opened() as provider:
        image = await ask(provider, "A boat.")

    assert isinstance(image, ImageBytes)
    assert IMAGE == base64.b64decode(image.encoded)
    assert 200 == image.answer.http_status


async def test_a_link_can_be_fetched_again_and_again(opened: Opened) -> None:
    """A link is paid once; its bytes come as often as they are asked for, with the first answer's words."""
    async with opened() as provider:
        link = await ask(provider, "A boat.", "dall-e-3", response_format="url")
        assert isinstance(link, Link)
        images = [await provider.fetch(link), await provider.fetch(link)]

    assert [IMAGE, IMAGE] == [image.encoded for image in images]
    assert [link.answer, link.answer] == [image.answer for image in images]


async def test_a_failure_is_an_attempt_error_with_a_class(opened: Opened) -> None:
    """No foreign error comes through; the reason is one line for people."""
    async with opened() as provider:
        with pytest.raises(AttemptError) as caught:
            await ask(provider, "refuse this")

    assert FailureClass.REFUSED == caught.value.failure.failure_class
    assert caught.value.failure.reason.isprintable()
