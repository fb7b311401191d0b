"""Edits: pictures as a form and as JSON, checked like the real API's, and seen in what is painted."""

from __future__ import annotations

import base64
import io
import json
import zlib
from typing import Any

import aiohttp
import pytest
from PIL import Image

from batchgen.core.media import media_of
from batchgen.sandbox.faults import AnswerAs, Behaviour
from tests.sandbox.talking import KEY, Client, Reply, client, events_in, mask, picture

pytestmark = pytest.mark.anyio

RED = (200, 30, 30)
FIELDS = {"model": "gpt-image-2", "prompt": "Put it on a beach", "size": "1024x1024", "quality": "low"}
PATH = "/images/edits"


def form(*files: tuple[str, bytes, str], **fields: str) -> aiohttp.FormData:
    """A form with these fields, and files as (field, content, media type)."""
    made = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        made.add_field(name, value)
    for number, (name, data, kind) in enumerate(files):
        made.add_field(name, io.BytesIO(data), filename=f"{number}.bin", content_type=kind)
    return made


def linked(data: bytes, kind: str = "image/png") -> dict[str, Any]:
    """A picture as JSON bodies carry it."""
    return {"image_url": f"data:{kind};base64,{base64.b64encode(data).decode()}"}


def answered(reply: Reply) -> Image.Image:
    """The first picture of an answer."""
    assert reply.status == 200, reply.body
    data = base64.b64decode(reply.body["data"][0]["b64_json"], validate=True)
    return Image.open(io.BytesIO(data)).convert("RGB")


async def ask(api: Client, body: dict[str, Any]) -> Reply:
    """Ask for an edit with JSON."""
    return await api.send(json.dumps(body).encode(), path=PATH)


async def test_what_is_painted_comes_from_the_first_picture() -> None:
    """Its colour is in the middle of the answer, in a painted scene; the answer counts it in tokens."""
    async with client() as api:
        reply = await api.edit(form(("image", picture((640, 480), RED), "image/png"), **FIELDS))
    image = answered(reply)
    assert (1024, 1024) == image.size
    assert RED == image.getpixel((512, 389))
    assert RED != image.getpixel((512, 1000))
    assert {
        "input_tokens": 305,
        "input_tokens_details": {"image_tokens": 300, "text_tokens": 5},
        "output_tokens": 196,
        "output_tokens_details": {"image_tokens": 196, "text_tokens": 0},
        "total_tokens": 501,
    } == reply.body["usage"]


async def test_several_pictures_and_a_mask() -> None:
    """All are counted; where the mask is clear the new scene shows through the first picture."""
    files = [("image[]", picture(kind=kind), f"image/{kind.lower()}") for kind in ("PNG", "JPEG", "WEBP")]
    async with client() as api:
        whole = await api.edit(form(*files, **FIELDS))
        masked = await api.edit(form(*files, ("mask", mask(), "image/png"), **FIELDS))
    assert 3 * 4 == masked.body["usage"]["input_tokens_details"]["image_tokens"]
    assert RED == answered(whole).getpixel((512, 389))
    assert RED != answered(masked).getpixel((512, 389))
    assert RED == answered(masked).getpixel((140, 389))


async def test_a_large_picture_keeps_its_mask() -> None:
    """Both are made small on the way, by their own formats' means."""
    size = (2134, 2195)
    files = (("image", picture(size, RED, "JPEG"), "image/jpeg"), ("mask", mask(size), "image/png"))
    async with client() as api:
        image = answered(await api.edit(form(*files, **FIELDS)))
    assert RED != image.getpixel((512, 389))


async def test_a_form_s_text_stands_for_numbers_and_yes_or_no() -> None:
    """Values are read as their parameters are; an empty one is none."""
    fields = {**FIELDS, "n": "2", "output_format": "webp", "output_compression": "40", "stream": "false", "user": "7", "background": ""}  # fmt: skip
    async with client() as api:
        reply = await api.edit(form(("image", picture(), "image/png"), **fields))
    assert (200, 2, "webp") == (reply.status, len(reply.body["data"]), reply.body["output_format"])


async def test_pictures_as_json() -> None:
    """Data URLs say the same as a form, and this way takes `moderation`, too."""
    body = {
        **FIELDS,
        "images": [linked(picture()), linked(picture(kind="JPEG"), "image/jpeg")],
        "mask": linked(mask()),
        "moderation": "low",
    }
    async with client() as api:
        reply = await ask(api, body)
    assert (1024, 1024) == answered(reply).size
    assert 8 == reply.body["usage"]["input_tokens_details"]["image_tokens"]


@pytest.mark.parametrize("as_json", [True, False])
async def test_edits_stream(as_json: bool) -> None:
    """The same events by their own names, with the pictures counted."""
    async with client() as api:
        if as_json:
            events = await api.events(PATH, **FIELDS, images=[linked(picture())], stream=True, partial_images=1)
        else:
            asked = form(("image", picture(), "image/png"), **FIELDS, stream="true", partial_images="1")
            async with api.session.post(api.sandbox.base_url + PATH, data=asked, headers=KEY) as reply:
                events = events_in(await reply.read())
    assert ["image_edit.partial_image", "image_edit.completed"] == [event.name for event in events]
    assert ["image_edit.partial_image", "image_edit.completed"] == [event.data["type"] for event in events]
    usage = events[1].data["usage"]
    assert (4, 296) == (usage["input_tokens_details"]["image_tokens"], usage["output_tokens"])


async def test_edits_as_links() -> None:
    """Gateways answer with links here, too; fetched twice, the bytes are the same."""
    async with client(Behaviour(answer=AnswerAs.URL)) as api:
        reply = await api.edit(form(("image", picture(), "image/png"), **FIELDS))
        seen = set()
        for _ in range(2):
            async with api.session.get(reply.body["data"][0]["url"]) as file:
                seen.add(await file.read())
    assert ["image/png"] == [media_of(data).media_type for data in seen]


@pytest.mark.odd_requests
async def test_only_models_of_the_first_family_take_a_fidelity() -> None:
    """It is refused elsewhere, as the real API refuses it."""
    asked = {**FIELDS, "input_fidelity": "high"}
    async with client() as api:
        taken = await api.edit(form(("image", picture(), "image/png"), **{**asked, "model": "gpt-image-1.5"}))
        refused = await api.edit(form(("image", picture(), "image/png"), **asked))
    assert (200, 400, "input_fidelity") == (taken.status, refused.status, refused.body["error"]["param"])


def damaged() -> bytes:
    """A PNG whose every checksum is right, and whose pixels are not."""
    data = picture()
    at = data.index(b"IDAT")
    (length,) = (int.from_bytes(data[at - 4 : at], "big"),)
    body = b"IDAT" + b"\xff" * length
    return data[:at] + body + zlib.crc32(body).to_bytes(4, "big") + data[at + 8 + length :]


PNG = ("image", picture(), "image/png")


@pytest.mark.odd_requests
@pytest.mark.parametrize(
    ("files", "changed", "code", "param"),
    [
        ([], {}, "missing_required_parameter", "image"),
        ([("image[]", picture((16, 16)), "image/png")] * 17, {}, "invalid_value", "image"),
        ([("image", picture(kind="GIF"), "image/gif")], {}, "unsupported_file_mimetype", "image"),
        ([("image", picture(kind="GIF"), "image/png")], {}, "unsupported_file_mimetype", "image"),
        ([("image", picture(), "application/octet-stream")], {}, "unsupported_file_mimetype", "image"),
        ([("image", b"", "image/png")], {}, "invalid_image_file", "image"),
        ([("image", picture()[:-20], "image/png")], {}, "invalid_image_file", "image"),
        ([("image", damaged(), "image/png")], {}, "invalid_image_file", "image"),
        ([("image", b"<svg/>", "image/png")], {}, "invalid_image_file", "image"),
        ([("image", bytes(50 * 2**20 + 1), "image/png")], {}, "invalid_value", "image"),
        ([PNG, ("mask", bytes(4 * 2**20 + 1), "image/png")], {}, "invalid_value", "mask"),
        ([PNG, ("mask", picture(kind="JPEG"), "image/jpeg")], {}, "invalid_mask_image_format", "mask"),
        ([PNG, ("mask", picture(), "image/png")], {}, "invalid_mask_image_format", "mask"),
        ([PNG, ("mask", mask((32, 32)), "image/png")], {}, "invalid_mask_image_format", "mask"),
        ([PNG], {"model": "dall-e-3"}, "invalid_value", "model"),
        ([PNG], {"model": "qwen-image"}, "invalid_value", "model"),
        ([PNG], {"model": ""}, "missing_required_parameter", "model"),
        ([PNG], {"prompt": ""}, "missing_required_parameter", "prompt"),
        ([PNG], {"moderation": "low"}, "unknown_parameter", "moderation"),
        ([PNG], {"seed": "1"}, "unknown_parameter", "seed"),
        ([PNG], {"n": "two"}, "invalid_value", "n"),
        ([PNG], {"n": "11"}, "invalid_value", "n"),
        ([PNG], {"size": "10x10"}, "invalid_value", "size"),
        ([PNG], {"partial_images": "1"}, "invalid_value", "partial_images"),
        ([PNG], {"stream": "yes"}, "invalid_value", "stream"),
        ([PNG], {"output_compression": "[" * 100_000}, "invalid_value", "output_compression"),
        ([PNG], {"user": "x" * 600_000}, "invalid_value", "user"),
    ],
)  # fmt: skip
async def test_forms_are_checked(
    files: list[tuple[str, bytes, str]], changed: dict[str, str], code: str, param: str
) -> None:
    """What the real API refuses is refused in its envelope, and costs nothing."""
    async with client() as api:
        reply = await api.edit(form(*files, **{**FIELDS, **changed}))
        error = reply.body["error"]
        assert (400, code, param) == (reply.status, error["code"], error["param"])
        assert 0 == api.sandbox.billed


@pytest.mark.odd_requests
@pytest.mark.parametrize(
    ("changed", "code", "param"),
    [
        ({"images": []}, "missing_required_parameter", "images"),
        ({"images": None}, "missing_required_parameter", "images"),
        ({"images": "x"}, "invalid_type", "images"),
        ({"images": ["x"]}, "invalid_value", "images[0]"),
        ({"images": [linked(picture()), {}]}, "invalid_value", "images[1]"),
        ({"images": [{**linked(picture()), "file_id": "x"}]}, "invalid_value", "images[0]"),
        ({"images": [{"file_id": "file-1"}]}, "file_not_found", "images[0].file_id"),
        ({"images": [{"image_url": "https://example.com/a.png"}]}, "invalid_image_url", "images[0].image_url"),
        ({"images": [{"image_url": 7}]}, "invalid_value", "images[0].image_url"),
        ({"images": [{"image_url": "data:image/png;base64,***"}]}, "invalid_base64", "images[0].image_url"),
        ({"images": [linked(picture(), "image/bmp")]}, "unsupported_file_mimetype", "images[0].image_url"),
        ({"images": [linked(picture())] * 17}, "invalid_value", "images[16].image_url"),
        ({"mask": linked(picture())}, "invalid_mask_image_format", "mask"),
        ({"mask": "x"}, "invalid_value", "mask"),
        ({"n": "2"}, "invalid_value", "n"),
        ({"image": "x"}, "unknown_parameter", "image"),
    ],
)
async def test_json_is_checked(changed: dict[str, Any], code: str, param: str) -> None:
    """The same for the other way of asking."""
    async with client() as api:
        reply = await ask(api, {**FIELDS, "images": [linked(picture())], **changed})
        error = reply.body["error"]
        assert (400, code, param) == (reply.status, error["code"], error["param"])
        assert 0 == api.sandbox.billed


MULTIPART = {"Content-Type": "multipart/form-data; boundary=b", **KEY}


@pytest.mark.odd_requests
@pytest.mark.parametrize(
    ("data", "headers"),
    [
        (b"", MULTIPART),
        (b"no form at all", MULTIPART),
        (b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nhalf', MULTIPART),
        (b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n\xff\xfe\r\n--b--\r\n', MULTIPART),
        (b"--b\r\n\r\nwithout a name\r\n--b--\r\n", MULTIPART),
        (b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n' * 101 + b"--b--\r\n", MULTIPART),
        (b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c--\r\n--b--\r\n", MULTIPART),
        (b"--b--\r\n", {"Content-Type": "multipart/form-data", **KEY}),
        (b"{", {"Content-Type": "application/json", **KEY}),
        (b"x", {"Content-Type": "text/plain", **KEY}),
    ],
)
async def test_broken_edits(data: bytes, headers: dict[str, str]) -> None:
    """No body breaks the server; each gets its error as JSON."""
    async with client() as api:
        reply = await api.send(data, headers, PATH)
        assert 400 == reply.status
        assert reply.body["error"]["message"]


@pytest.mark.odd_requests
async def test_only_edits_have_room_for_pictures() -> None:
    """Three megabytes are taken there, and are too much elsewhere."""
    noise = Image.effect_noise((2000, 1600), 100)
    file = io.BytesIO()
    noise.save(file, "PNG", compress_level=1)
    body: dict[str, Any] = {**FIELDS, "images": [linked(file.getvalue())]}
    assert len(file.getvalue()) > 2.5 * 2**20
    async with client() as api:
        assert 200 == (await ask(api, body)).status
        assert 413 == (await api.post(**body)).status
