"""The witness finds what it is there to find: a hook that sees nothing would let everything pass."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import cast

import aiohttp
import pytest

from batchgen.catalogue.catalogue import Catalogue, Entry
from batchgen.catalogue.model import Whole
from batchgen.core.types import ImageRequest
from batchgen.core.values import replace
from batchgen.providers.http import open_provider
from batchgen.sandbox.faults import Behaviour
from batchgen.sandbox.server import serve
from tests.providers.servers import PIXEL_B64, answering, endpoint_of, generate, raw_serving, serving
from tests.spec.carried import request_faults
from tests.spec.said import answer_faults
from tests.spec.witness import WITNESS

CATALOGUE = Catalogue.builtin()
GOOD = {"model": "gpt-image-2", "prompt": "A boat.", "n": 1}
EDIT = "multipart/form-data; boundary=b"
ERROR = {"message": "no", "type": "server_error", "param": None, "code": None}
USAGE = {
    "input_tokens": 1,
    "output_tokens": 1,
    "total_tokens": 2,
    "input_tokens_details": {"text_tokens": 1, "image_tokens": 0},
}
DONE = {
    "type": "image_generation.completed",
    "b64_json": PIXEL_B64,
    "created_at": 1,
    "size": "1280x720",
    "quality": "max",
    "background": "opaque",
    "output_format": "gif",
    "usage": USAGE,
}


@pytest.fixture
def forgotten() -> Iterator[None]:
    """What this test brought about on purpose is no fault of its own."""
    yield
    WITNESS.forget()


@pytest.mark.anyio
@pytest.mark.usefixtures("forgotten")
async def test_it_sees_what_a_provider_sends() -> None:
    """A wrong field of a request through the client reaches the witness, at both kinds of server."""
    wrong = ImageRequest("gpt-image-2", "A boat.", {"quality": "ultra"})
    image = answering({"created": 1, "data": [{"b64_json": PIXEL_B64}]})
    body = json.dumps({"created": 1, "data": [{"b64_json": PIXEL_B64}]}).encode()
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    async with serving(image) as api, raw_serving(reply) as raw:
        for server in (api, raw):
            async with open_provider(endpoint_of(server.base_url), concurrency=1) as provider:
                await generate(provider, wrong)
    first, second, third, fourth = WITNESS.requests
    assert (first, second) == (third, fourth)
    assert "POST /v1/images/generations: CreateImageRequest $.quality: 'ultra' is not one of [" in first
    assert 'quality "ultra" is not taken by gpt-image-2' in second


@pytest.mark.anyio
@pytest.mark.usefixtures("forgotten")
async def test_it_sees_what_the_sandbox_answers() -> None:
    """A list of models that is not the API's is found, without its test looking at it."""
    odd = Catalogue({"odd": replace(CATALOGUE.models["gpt-image-2"], model_id=cast("str", 7))})
    async with serve(Behaviour(), catalogue=odd) as sandbox, aiohttp.ClientSession() as session:
        url = f"{sandbox.base_url}/models"
        async with session.get(url, headers={"Authorization": "Bearer any-key"}) as reply:
            assert 200 == reply.status
    assert (
        "200 to GET /v1/models: ListModelsResponse $.data[0].id: 7 is not of type 'string'" in WITNESS.answers
    )


@pytest.mark.anyio
@pytest.mark.usefixtures("forgotten")
async def test_it_sees_when_the_sandbox_takes_what_is_wrong() -> None:
    """Whoever sends something wrong on purpose still learns that it was not refused."""
    ours = CATALOGUE.with_entries({"ours": Entry("dall-e-2", parameters={"seed": Whole(0, 9)})})
    asked = {"model": "ours", "prompt": "A boat.", "size": "256x256", "seed": 7}
    async with serve(Behaviour(), catalogue=ours) as sandbox, aiohttp.ClientSession() as session:
        url = f"{sandbox.base_url}/images/generations"
        async with session.post(url, json=asked, headers={"Authorization": "Bearer any-key"}) as reply:
            assert 200 == reply.status
    assert WITNESS.answers == [
        "200 to a request that is wrong: CreateImageRequest $: 'seed' does not match any of the regexes: '^newer_'"
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, ""),
        ({"model": "gpt-image-2.6-flare", "quality": "max", "complexity": "low"}, ""),
        ({"newer_field": {"a": 1}}, ""),
        ({"size": None}, ""),
        ({"model": None}, "no model is named"),
        ({"n": "1"}, "$.n: '1' is not"),
        ({"seed": 1}, "'seed' does not match"),
        ({"complexity": "low"}, "gpt-image-2 does not take complexity"),
        ({"model": "dall-e-3", "n": 2}, "dall-e-3 makes 1 images a request, not 2"),
        ({"model": "dall-e-2", "prompt": "x" * 1001}, "takes at most 1,000"),
        ({"background": "transparent", "output_format": "jpeg"}, "works only with output_format"),
        ({"partial_images": 1}, "works only with stream true"),
    ],
)
def test_what_a_request_may_not_be(change: dict[str, object], words: str) -> None:
    """What the schema forbids and what the model does not take, each in words that name it."""
    body = json.dumps({**GOOD, **change}).encode()
    _told(words, request_faults("/v1/images/generations", "application/json", body, CATALOGUE))


def form(*fields: tuple[str, str], pictures: int = 1, mask: bool = False) -> bytes:
    """A form as it goes over the wire."""
    name = "image" if pictures == 1 else "image[]"
    parts = [f'form-data; name="{key}"\r\n\r\n{value}' for key, value in fields]
    parts += [f'form-data; name="{name}"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n..'] * pictures
    parts += ['form-data; name="mask"; filename="m.png"\r\nContent-Type: image/png\r\n\r\n..'] * mask
    whole = "".join(f"--b\r\nContent-Disposition: {part}\r\n" for part in parts)
    return f"{whole}--b--\r\n".encode()


ASKED = (("model", "gpt-image-2"), ("prompt", "A boat."), ("n", "1"))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (form(*ASKED), ""),
        (form(*ASKED, ("background", "")), ""),
        (form(("model", "gpt-image-2"), ("prompt", "")), "the prompt is empty"),
        (form(*ASKED, ("stream", "true"), ("partial_images", "2"), pictures=16, mask=True), ""),
        (form(*ASKED, pictures=17), "is too long"),
        (form(*ASKED, pictures=0), "'image' is a required property"),
        (form(*ASKED, ("stream", "True")), "$.stream: 'True' is not of type 'boolean'"),
        (form(*ASKED, ("moderation", "low")), "does not take moderation together with references"),
        (form(*ASKED, ("n", "1")), "n is there twice"),
        (form(("model", "dall-e-3"), ("prompt", "A boat.")), "dall-e-3 takes no pictures"),
        (b"no form", "no form"),
    ],
)
def test_what_a_form_may_not_be(body: bytes, words: str) -> None:
    """The same for requests with pictures, whose fields are text."""
    _told(words, request_faults("/v1/images/edits", EDIT, body, CATALOGUE))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, ""),
        ({"moderation": "low", "mask": {"file_id": "file-1"}}, ""),
        ({"images": []}, "non-empty"),
        ({"images": [{"image_url": "https://example.com/a.png", "file_id": "file-1"}]}, "$.images[0]"),
        ({"model": "qwen-image"}, "qwen-image takes no pictures"),
        ({"input_fidelity": "high"}, "gpt-image-2 does not take input_fidelity"),
    ],
)
def test_what_an_edit_as_json_may_not_be(change: dict[str, object], words: str) -> None:
    """The other way to send pictures, which takes what forms lack."""
    body = json.dumps({**GOOD, "images": [{"file_id": "file-1"}], **change}).encode()
    _told(words, request_faults("/v1/images/edits", "application/json", body, CATALOGUE))


@pytest.mark.parametrize(
    ("status", "said", "words"),
    [
        (200, {"created": 1, "data": [{"url": "https://img.example.com/a"}]}, ""),
        (200, {"created": 1, "quality": "max", "size": "1280x720", "output_format": "svg"}, ""),
        (200, {"data": []}, "'created' is a required property"),
        (200, {"created": 1, "data": [{"image": "x"}]}, "('image' was unexpected)"),
        (400, {"error": ERROR}, ""),
        (400, {"error": {**ERROR, "code": 7}}, "$.error.code: 7 is not of type 'string'"),
        (400, {"message": "no"}, "'error' is a required property"),
    ],
)
def test_what_an_answer_may_not_be(status: int, said: object, words: str) -> None:
    """Answers and errors that are not the document's."""
    body = json.dumps(said).encode()
    _told(words, answer_faults("POST", "/v1/images/generations", status, "application/json", body))


def event(name: str, data: object) -> bytes:
    """An event as it goes over the wire."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b": hello\n\n" + event("image_generation.completed", DONE) + b"data: [DONE]\n\n", ""),
        (event("image_generation.completed", DONE)[:-30], ""),
        (event("error", {"error": ERROR}) + event("error", ERROR), ""),
        (event("other", DONE), "is called 'other'"),
        (event("image_edit.completed", {**DONE, "type": "image_edit.completed"}), "there is no event"),
        (event("image_generation.completed", {**DONE, "usage": None}), "$.usage: None is not of type 'object'"),
        (event("error", {"error": "no"}), "$.error: 'no' is not of type 'object'"),
        (b"data: {\n\n", "Expecting property name"),
    ],
)
def test_what_an_event_may_not_be(body: bytes, words: str) -> None:
    """Events that are not the document's; one that was cut is none."""
    _told(words, answer_faults("POST", "/v1/images/generations", 200, "text/event-stream", body))


def _told(words: str, faults: list[str]) -> None:
    """A fault has the words; without words there is none."""
    assert bool(words) == bool(faults), faults
    assert words in "\n".join(faults)
