"""What every `Provider` keeps, whoever makes the images."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image, ImageDraw

from batchgen.core.errors import AttemptError
from batchgen.core.media import media_of
from batchgen.core.protocols import Provider
from batchgen.core.types import (
    FailureClass,
    ImageBytes,
    ImageRequest,
    JsonObject,
    Link,
    Reference,
    Usage,
)
from batchgen.manifest.pictures import Pictures
from batchgen.providers.endpoint import resolve
from batchgen.providers.http import open_provider
from batchgen.providers.settings import ProviderSettings
from batchgen.sandbox.faults import Behaviour
from batchgen.sandbox.server import serve
from tests.spec.witness import WITNESS

pytestmark = pytest.mark.anyio

IMAGE = b"\x89PNG image"
PNG = b"\x89PNG"

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


@asynccontextmanager
async def on_the_sandbox(pictures: Path = Path()) -> AsyncIterator[Provider]:
    """The HTTP client, on the sandbox that ships with it."""
    async with serve(Behaviour(refuse_word="refuse")) as sandbox:
        endpoint = resolve(
            ProviderSettings("sandbox", sandbox.base_url, ("KEY",)), {"KEY": "sk-contract-0123456789"}
        )
        async with open_provider(endpoint, concurrency=2, pictures=pictures) as provider:
            yield provider


@pytest.fixture(params=[over_http, on_the_sandbox])
def opened(request: pytest.FixtureRequest) -> Opened:
    """Every implementation in turn."""
    opener: Opened = request.param
    return opener


async def ask(provider: Provider, prompt: str, **parameters: str) -> ImageBytes | Link:
    """One request with fixed ids."""
    request = ImageRequest("dall-e-2", prompt, {"size": "256x256", **parameters})
    return await provider.generate(request, attempt_id="a-1", idempotency_key="k-1")


def bytes_of(image: ImageBytes | Link) -> bytes:
    """The image itself."""
    assert isinstance(image, ImageBytes)
    return base64.b64decode(image.encoded) if isinstance(image.encoded, str) else bytes(image.encoded)


async def test_a_request_brings_an_image(opened: Opened) -> None:
    """An image comes back as base64 text, with the answer's own words."""
    async with opened() as provider:
        image = await ask(provider, "A boat.", response_format="b64_json")

    assert bytes_of(image).startswith(PNG)
    assert 200 == image.answer.http_status


async def test_a_link_can_be_fetched_again_and_again(opened: Opened) -> None:
    """A link is paid once; its bytes come as often as they are asked for, with the first answer's words."""
    async with opened() as provider:
        link = await ask(provider, "A boat.", response_format="url")
        assert isinstance(link, Link)
        images = [await provider.fetch(link), await provider.fetch(link)]

    assert images[0].encoded == images[1].encoded
    assert bytes_of(images[0]).startswith(PNG)
    assert [link.answer, link.answer] == [image.answer for image in images]


async def test_a_failure_is_an_attempt_error_with_a_class(opened: Opened) -> None:
    """No foreign error comes through; the reason is one line for people."""
    async with opened() as provider:
        with pytest.raises(AttemptError) as caught:
            await ask(provider, "refuse this")

    assert FailureClass.REFUSED == caught.value.failure.failure_class
    assert caught.value.failure.reason.isprintable()


# What only some providers can do is kept on the sandbox, which can do all of it.

LOW: JsonObject = {"size": "1024x1024", "quality": "low"}
STREAM: JsonObject = {**LOW, "stream": True}


def request(parameters: JsonObject, *references: Reference, mask: Reference | None = None) -> ImageRequest:
    """A request for a boat."""
    return ImageRequest("gpt-image-2", "A boat.", parameters, references=references, mask=mask)


async def asked(
    provider: Provider, wanted: ImageRequest, partials: list[tuple[int, str]] | None = None
) -> ImageBytes:
    """The image of a request; partial ones are put into `partials`, if that is given."""

    async def keep(number: int, image: str) -> None:
        assert partials is not None
        partials.append((number, image))

    sink = keep if partials is not None else None
    image = await provider.generate(wanted, attempt_id="a-1", idempotency_key="k-1", on_partial=sink)
    assert isinstance(image, ImageBytes)
    return image


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_partial_images_come_as_they_are_painted(count: int) -> None:
    """In their order and whole, and the image is the one that is finished; its usage counts them all."""
    partials: list[tuple[int, str]] = []
    async with on_the_sandbox() as provider:
        image = await asked(provider, request({**STREAM, "partial_images": count}), partials)

    assert list(range(count)) == [number for number, _ in partials]
    assert {"image/png"} >= {media_of(base64.b64decode(partial)).media_type for _, partial in partials}
    assert 1024 == media_of(bytes_of(image)).width
    assert count + 1 == len({image.encoded, *(partial for _, partial in partials)})
    assert Usage(2, 0, 196 + 100 * count) == image.answer.usage


async def test_partial_images_that_nobody_wants_are_dropped() -> None:
    """The image is the same as that of a request that does not stream."""
    async with on_the_sandbox() as provider:
        streamed = await asked(provider, request({**STREAM, "partial_images": 2}))
    async with on_the_sandbox() as provider:
        plain = await asked(provider, request(LOW))

    assert plain.encoded == streamed.encoded


def drawn(folder: Path, name: str, colour: tuple[int, ...]) -> None:
    """Save a picture, one with transparency if it has a hole."""
    image = Image.new("RGB" if len(colour) == 3 else "RGBA", (320, 240), colour)
    if len(colour) == 4:
        ImageDraw.Draw(image).rectangle((80, 60, 240, 180), fill=(0, 0, 0, 0))
    image.save(folder / name)


def colour_in_the_middle(image: ImageBytes) -> object:
    """Where the first picture hangs."""
    return Image.open(io.BytesIO(bytes_of(image))).convert("RGB").getpixel((512, 389))


async def test_pictures_go_along(tmp_path: Path) -> None:
    """One, several, and with a mask, streamed or not: the image comes from the first, and all are counted."""
    red = (200, 30, 30)
    drawn(tmp_path, "one.png", red)
    drawn(tmp_path, "two.jpg", (30, 30, 200))
    drawn(tmp_path, "mask.png", (0, 0, 0, 255))
    pictures = Pictures(tmp_path)
    one, two = pictures.reference("one.png"), pictures.reference("two.jpg")
    mask = pictures.mask("mask.png", one)
    partials: list[tuple[int, str]] = []
    async with on_the_sandbox(tmp_path) as provider:
        single = await asked(provider, request(LOW, one))
        several = await asked(provider, request({**LOW, "n": 1, "output_format": "webp"}, one, two))
        masked = await asked(provider, request(LOW, one, two, mask=mask))
        streamed = await asked(provider, request({**STREAM, "partial_images": 2}, one), partials)

    assert [red, red] == [colour_in_the_middle(image) for image in (single, streamed)]
    assert red != colour_in_the_middle(masked)
    assert "image/webp" == media_of(bytes_of(several)).media_type
    assert [0, 1] == [number for number, _ in partials]
    usages = [image.answer.usage for image in (single, several, masked, streamed)]
    assert [Usage(2, 80, 196), Usage(2, 160, 196), Usage(2, 160, 196), Usage(2, 80, 396)] == usages


async def test_a_drawing_comes_as_it_is() -> None:
    """SVG is brought like any other image; whether it is one is the store's to decide."""
    wanted = ImageRequest("gpt-image-2.6-flare", "A boat.", {**LOW, "output_format": "svg"})
    async with on_the_sandbox() as provider:
        image = await asked(provider, wanted)

    assert ("image/svg+xml", 1024) == (
        media_of(bytes_of(image), allow_svg=True).media_type,
        media_of(bytes_of(image), allow_svg=True).width,
    )


async def test_a_refusal_in_a_stream_is_an_attempt_error() -> None:
    """As for an answer in one piece."""
    async with on_the_sandbox() as provider:
        with pytest.raises(AttemptError) as caught:
            await asked(provider, ImageRequest("gpt-image-2", "refuse this", STREAM))

    assert FailureClass.REFUSED == caught.value.failure.failure_class
