"""Requests that pictures go along with: what is sent as a form, and what never leaves the machine."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from aiohttp import web

from batchgen.catalogue.dialects import DIALECTS
from batchgen.core.errors import AttemptError
from batchgen.core.types import FailureClass, ImageBytes, ImageRequest, Reference
from batchgen.core.values import replace
from batchgen.providers.http import open_provider
from tests.providers.servers import KEY, PIXEL_B64, Api, answering, endpoint_of, serving
from tests.support.png import png

pytestmark = pytest.mark.anyio

IMAGE = {"created": 1, "data": [{"b64_json": PIXEL_B64}]}


def saved(folder: Path, name: str, data: bytes) -> Reference:
    """A picture in a folder, as a plan knows it."""
    (folder / name).write_bytes(data)
    return Reference(name, hashlib.sha256(data).hexdigest(), len(data), "image/png", 8, 8)


def edit(*references: Reference, mask: Reference | None = None) -> ImageRequest:
    """A request with pictures."""
    return ImageRequest(
        "gpt-image-2",
        "A möwe.",
        {"size": "1024x1024", "output_format": "webp", "output_compression": 80, "stream": False},
        {"newer_seed": {"a": [1]}},
        references,
        mask,
    )


async def sent(folder: Path, request: ImageRequest) -> Api:
    """The server that was asked."""
    async with (
        serving(answering(IMAGE)) as api,
        open_provider(endpoint_of(api.base_url), concurrency=1, pictures=folder) as provider,
    ):
        answer = await provider.generate(request, attempt_id="attempt-1", idempotency_key="once-1")
        assert isinstance(answer, ImageBytes)
    return api


async def form_of(api: Api) -> list[tuple[str, str | None, str | None, bytes]]:
    """Name, file name, type and content of each part of the only request."""
    (request,), (body,) = api.requests, api.bodies
    assert "/v1/images/edits" == request.path
    assert f"Bearer {KEY}" == request.headers["Authorization"]
    assert "attempt-1" == request.headers["X-Client-Request-Id"]
    assert str(len(body)) == request.headers["Content-Length"]
    boundary = request.headers["Content-Type"].partition("boundary=")[2].encode()
    parts = []
    for piece in body.split(b"--" + boundary)[1:-1]:
        head, _, content = piece.strip(b"\r\n").partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        told = dict(part.strip().split("=", 1) for part in headers["Content-Disposition"].split(";")[1:])
        name, file = told["name"].strip('"'), told.get("filename")
        parts.append((name, file and file.strip('"'), headers.get("Content-Type"), content))
    return parts


async def test_one_picture_with_its_fields(tmp_path: Path) -> None:
    """Fields are text, numbers and objects as JSON, the picture comes whole, under a name that tells nothing."""
    mug = saved(tmp_path, "mug of anna.png", png("mug"))
    parts = await form_of(await sent(tmp_path, edit(mug)))
    fields = {name: content.decode() for name, file, _, content in parts if file is None}
    assert {
        "model": "gpt-image-2",
        "prompt": "A möwe.",
        "n": "1",
        "size": "1024x1024",
        "output_format": "webp",
        "output_compression": "80",
        "stream": "false",
        "newer_seed": '{"a": [1]}',
    } == fields
    files = [part for part in parts if part[1] is not None]
    assert [("image", "image-1.png", "image/png", png("mug"))] == files


async def test_several_pictures_and_a_mask(tmp_path: Path) -> None:
    """Pictures keep their order, and the mask is the mask."""
    one, two = saved(tmp_path, "1.png", png("one")), saved(tmp_path, "2.png", png("two"))
    mask = saved(tmp_path, "mask.png", png("mask"))
    parts = await form_of(await sent(tmp_path, edit(one, two, mask=mask)))
    assert [
        ("image[]", "image-1.png", png("one")),
        ("image[]", "image-2.png", png("two")),
        ("mask", "mask.png", png("mask")),
    ] == [(name, file, content) for name, file, _, content in parts if file is not None]


async def test_a_large_picture_comes_whole(tmp_path: Path) -> None:
    """What is longer than any buffer on the way arrives to its last byte."""
    data = png("large") + bytes(range(256)) * 40_000
    parts = await form_of(await sent(tmp_path, edit(saved(tmp_path, "large.png", data))))
    assert data in [content for name, _, _, content in parts if name == "image"]


def _gone(path: Path) -> None:
    path.unlink()


def _changed(path: Path) -> None:
    path.write_bytes(png("other"))


def _grown(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")


def _linked(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("change", [_gone, _changed, _grown, _linked, _pipe])
async def test_a_picture_that_is_another_by_now_is_not_sent(tmp_path: Path, change: object) -> None:
    """What was not planned with does not leave the machine, nothing is bought, and the reason names the file."""
    mug = saved(tmp_path, "mug.png", png("mug"))
    assert callable(change)
    change(tmp_path / "mug.png")
    async with (
        serving(answering(IMAGE)) as api,
        open_provider(endpoint_of(api.base_url), concurrency=1, pictures=tmp_path) as provider,
    ):
        with pytest.raises(AttemptError, match=r"mug\.png") as caught:
            await provider.generate(edit(mug), attempt_id="attempt-1", idempotency_key="once-1")
        assert [] == api.requests
    failure = caught.value.failure
    assert (FailureClass.INVALID, True) == (failure.failure_class, failure.nothing_sent)


async def test_files_are_closed_whatever_happens(tmp_path: Path) -> None:
    """A request that fails leaves no descriptor open (pytest turns a forgotten one into an error)."""
    mug = saved(tmp_path, "mug.png", png("mug"))

    async def refuse(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=400, text="no")

    async with (
        serving(refuse) as api,
        open_provider(endpoint_of(api.base_url), concurrency=1, pictures=tmp_path) as provider,
    ):
        with pytest.raises(AttemptError):
            await provider.generate(edit(mug), attempt_id="attempt-1", idempotency_key="once-1")


async def test_a_provider_without_edits_is_not_asked(tmp_path: Path) -> None:
    """A dialect without a path for edits sends nothing."""
    mug = saved(tmp_path, "mug.png", png("mug"))
    async with serving(answering(IMAGE)) as api:
        endpoint = replace(endpoint_of(api.base_url), dialect=replace(DIALECTS["openai"], edit=None))
        async with open_provider(endpoint, concurrency=1, pictures=tmp_path) as provider:
            with pytest.raises(AttemptError, match="takes no references"):
                await provider.generate(edit(mug), attempt_id="attempt-1", idempotency_key="once-1")
        assert [] == api.requests
