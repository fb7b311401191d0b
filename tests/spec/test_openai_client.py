"""OpenAI's own Python package against `batchgen sandbox`, as somebody would use it who has only changed the base URL."""

from __future__ import annotations

import base64
import io
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from urllib.request import urlopen

import openai
import pytest
from openai.types import ImageEditCompletedEvent, ImageEditPartialImageEvent, ImagesResponse
from openai.types.image_gen_completed_event import ImageGenCompletedEvent
from openai.types.image_gen_partial_image_event import ImageGenPartialImageEvent
from PIL import Image

from batchgen.core.media import media_of
from tests.support.cli import BATCHGEN

MODEL = "gpt-image-2"
SMALL = "1024x640"
FORBIDDEN = "forbidden"

Open = Callable[..., openai.OpenAI]


@contextmanager
def sandbox(*options: str) -> Iterator[str]:
    """The real command in a process of its own; gives its base URL."""
    command = [*BATCHGEN, "sandbox", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[0]
        finally:
            process.send_signal(signal.SIGTERM)
            assert 0 == process.wait(timeout=60)


@pytest.fixture(scope="module")
def started() -> Iterator[Callable[..., str]]:
    """Base URLs of sandboxes by their options; each is started once, when it is first asked for."""
    with ExitStack() as running:
        yield cache(lambda *options: running.enter_context(sandbox(*options)))


@pytest.fixture
def client(started: Callable[..., str]) -> Iterator[openai.OpenAI]:
    """The client of a sandbox that refuses one word."""
    with _client(started("--refuse-word", FORBIDDEN)) as opened:
        yield opened


def _client(base_url: str, key: str = "any-key") -> openai.OpenAI:
    plain = openai.DefaultHttpxClient(trust_env=False)  # a proxy of this machine's is none of the test's
    return openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, http_client=plain)


def _async_client(base_url: str) -> openai.AsyncOpenAI:
    plain = openai.DefaultAsyncHttpxClient(trust_env=False)
    return openai.AsyncOpenAI(base_url=base_url, api_key="any-key", max_retries=0, http_client=plain)


def picture(mode: str = "RGB", kind: str = "PNG") -> tuple[str, bytes]:
    """A small picture in memory, with a name: without one the client calls it no picture, and the API refuses it."""
    data = io.BytesIO()
    Image.new(mode, (64, 48)).save(data, kind)
    return f"picture.{kind.lower()}", data.getvalue()


def seen(text: str | None) -> tuple[str, int, int]:
    """What base64 text holds."""
    assert text is not None
    media = media_of(base64.b64decode(text, validate=True))
    return media.media_type, media.width, media.height


def test_an_image_comes_as_base64(client: openai.OpenAI) -> None:
    """The answer is read into the client's own types, with usage, and has no field that they do not know."""
    answer = client.images.generate(
        model=MODEL, prompt="A boat.", size="1024x1024", quality="low", output_format="webp", n=2
    )
    assert answer.data is not None
    assert [("image/webp", 1024, 1024)] * 2 == [seen(image.b64_json) for image in answer.data]
    assert ("webp", "low", "1024x1024") == (answer.output_format, answer.quality, answer.size)
    assert answer.usage is not None
    assert 2 * 196 == answer.usage.output_tokens
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert abs(time.time() - answer.created) < 300
    assert not any(part.model_extra for part in (answer, answer.usage, *answer.data))
    assert answer._request_id


def test_an_image_comes_as_a_link(client: openai.OpenAI) -> None:
    """dall-e-3 answers with a URL that can be fetched, and with the prompt as it was understood."""
    answer = client.images.generate(model="dall-e-3", prompt="A boat.", style="natural", quality="hd")
    assert answer.data is not None
    (image,) = answer.data
    assert image.url is not None
    assert "A boat." in (image.revised_prompt or "")
    with urlopen(image.url) as reply:
        assert "image/png" == media_of(reply.read()).media_type


def test_a_stream_brings_partial_images_and_the_image(client: openai.OpenAI) -> None:
    """Events in their order, each of its type; the last one has the image and the usage."""
    events = list(
        client.images.generate(
            model=MODEL, prompt="A boat.", size=SMALL, quality="low", stream=True, partial_images=2
        )
    )
    *partial, last = events
    assert [0, 1] == [
        event.partial_image_index for event in partial if isinstance(event, ImageGenPartialImageEvent)
    ]
    assert isinstance(last, ImageGenCompletedEvent)
    assert ["image/png"] * 3 == [seen(event.b64_json)[0] for event in events]
    assert ("image/png", 1024, 640) == seen(last.b64_json)
    assert last.usage.output_tokens > 200
    assert not any(event.model_extra for event in events)


def test_a_picture_is_edited(client: openai.OpenAI) -> None:
    """One picture, several, a mask: each as the client sends it."""
    alone = client.images.edit(model=MODEL, image=picture(), prompt="Blue.", size=SMALL, quality="low")
    several = client.images.edit(
        model=MODEL,
        image=[picture(kind="JPEG"), picture(kind="WEBP")],
        prompt="Both.",
        size=SMALL,
        quality="low",
        background="opaque",
        output_format="jpeg",
        output_compression=50,
    )
    masked = client.images.edit(
        model=MODEL,
        image=[picture()],
        mask=picture("RGBA"),
        prompt="Here.",
        size=SMALL,
        quality="low",
    )
    for answer, kind in ((alone, "image/png"), (several, "image/jpeg"), (masked, "image/png")):
        assert (kind, 1024, 640) == _only(answer)
        assert answer.usage is not None
        assert answer.usage.input_tokens_details.image_tokens > 0


def _only(answer: ImagesResponse) -> tuple[str, int, int]:
    assert answer.data is not None
    (image,) = answer.data
    return seen(image.b64_json)


def test_an_edit_is_streamed(client: openai.OpenAI) -> None:
    """The same events under the names of edits."""
    *partial, last = client.images.edit(
        model=MODEL,
        image=picture(),
        prompt="Blue.",
        size=SMALL,
        quality="low",
        stream=True,
        partial_images=1,
    )
    assert [ImageEditPartialImageEvent] == [type(event) for event in partial]
    assert isinstance(last, ImageEditCompletedEvent)
    assert last.usage.input_tokens_details.image_tokens > 0
    assert ("image/png", 1024, 640) == seen(last.b64_json)


@pytest.mark.anyio
async def test_the_asynchronous_client(started: Callable[..., str]) -> None:
    """It generates, streams, edits and lists like the other one."""
    async with _async_client(started("--refuse-word", FORBIDDEN)) as client:
        answer = await client.images.generate(model=MODEL, prompt="A boat.", size=SMALL, quality="low")
        assert ("image/png", 1024, 640) == _only(answer)
        stream = await client.images.generate(
            model=MODEL, prompt="A boat.", size=SMALL, quality="low", stream=True, partial_images=1
        )
        kinds = [event.type async for event in stream]
        assert ["image_generation.partial_image", "image_generation.completed"] == kinds
        edited = await client.images.edit(
            model=MODEL, image=picture(), prompt="Blue.", size=SMALL, quality="low"
        )
        assert ("image/png", 1024, 640) == _only(edited)
        assert MODEL in [model.id async for model in client.models.list()]
        with pytest.raises(openai.BadRequestError) as caught:
            await client.images.generate(model=MODEL, prompt=f"A {FORBIDDEN} boat.")
    assert "moderation_blocked" == caught.value.code


def test_models_are_listed(client: openai.OpenAI) -> None:
    """With the day on which they end, where one is known."""
    listed = {model.id: model for model in client.models.list()}
    one = client.models.retrieve("gpt-image-1.5")
    assert listed[one.id] == one
    assert ("model", "openai") == (one.object, one.owned_by)
    assert "2026-12-01" == one.to_dict()["shutdown_date"]


def test_a_refusal_is_a_bad_request(client: openai.OpenAI) -> None:
    """With code, type and request id; what moderation found is in the body."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(model=MODEL, prompt=f"A {FORBIDDEN} boat.")
    error = caught.value
    assert (400, "moderation_blocked", "image_generation_user_error", None) == (
        error.status_code, error.code, error.type, error.param,
    )  # fmt: skip
    assert isinstance(error.body, dict)
    assert "input" == error.body["moderation_details"]["moderation_stage"]
    assert error.request_id


def test_a_wrong_parameter_is_a_bad_request(client: openai.OpenAI) -> None:
    """The parameter is named."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(model=MODEL, prompt="A boat.", size="1920x1080")
    assert ("size", "invalid_value") == (caught.value.param, caught.value.code)
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.edit(model=MODEL, image=picture()[1], prompt="Blue.")
    assert "image" in (caught.value.param or "")


def test_a_missing_key_and_a_missing_model(client: openai.OpenAI) -> None:
    """401 and 404 are the client's own errors."""
    with pytest.raises(openai.AuthenticationError) as unknown:
        client.images.generate(model=MODEL, prompt="A boat.", extra_headers={"Authorization": openai.omit})
    assert (401, "invalid_api_key") == (unknown.value.status_code, unknown.value.code)
    with pytest.raises(openai.NotFoundError) as missing:
        client.images.generate(model="nobody-knows", prompt="A boat.")
    assert (404, "model_not_found") == (missing.value.status_code, missing.value.code)
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody-knows")


@pytest.mark.parametrize(
    ("fault", "error", "status", "code"),
    [
        ("rate_limit_exceeded", openai.RateLimitError, 429, "rate_limit_exceeded"),
        ("insufficient_quota", openai.RateLimitError, 429, "insufficient_quota"),
        ("server_error", openai.InternalServerError, 500, None),
        ("unverified", openai.PermissionDeniedError, 403, None),
    ],
)
def test_other_errors_are_typed(
    started: Callable[..., str], fault: str, error: type[openai.APIStatusError], status: int, code: str | None
) -> None:
    """Each has the class that the client's documentation names, with the envelope's fields."""
    with _client(started("--fail", f"{fault}=1")) as client, pytest.raises(error) as caught:
        client.images.generate(model=MODEL, prompt="A boat.", size=SMALL)
    assert (status, code) == (caught.value.status_code, caught.value.code)
    if fault == "rate_limit_exceeded":
        assert ("1", "1000") == tuple(
            caught.value.response.headers[name] for name in ("retry-after", "retry-after-ms")
        )


def test_an_error_within_a_stream(started: Callable[..., str]) -> None:
    """An error event is raised as the client raises it, with the words of the event."""
    with _client(started("--fail", "stream_error=1")) as client:
        stream = client.images.generate(
            model=MODEL, prompt="A boat.", size=SMALL, quality="low", stream=True, partial_images=1
        )
        with pytest.raises(openai.APIError) as caught:
            list(stream)
    assert "server_error" == caught.value.type


def test_the_client_s_own_retries(started: Callable[..., str]) -> None:
    """It waits as the sandbox says and tries again, until the image is there."""
    half = started("--fail", "rate_limit_exceeded=0.5", "--retry-after", "0.01", "--seed", "1")
    with _client(half) as client:
        patient = client.with_options(max_retries=10)
        for _ in range(3):
            answer = patient.images.generate(model=MODEL, prompt="A boat.", size=SMALL, quality="low")
            assert ("image/png", 1024, 640) == _only(answer)
