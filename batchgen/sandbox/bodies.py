"""What came in a request's body: fields, and the pictures that may go along, in either of the API's two forms."""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Callable, Iterator

import anyio
import anyio.to_thread
import pybase64
from aiohttp import BodyPartReader, web

from batchgen.catalogue.references import MASK_BYTES, MOST_REFERENCES, PICTURE_BYTES
from batchgen.core.types import JsonValue
from batchgen.sandbox.errors import ApiError, bad
from batchgen.sandbox.references import References, Tray, Upload

JSON, FORM = "application/json", "multipart/form-data"

URL_CHARACTERS = 20_971_520
"""What the API's document allows an image_url."""

EDIT_BYTES = (MOST_REFERENCES + 1) * PICTURE_BYTES
"""Room for as many pictures as an edit may have, each as large as it may be."""

_TEXT_BYTES = 512 * 1024
_MOST_PARTS = 100
_DATA_URL = re.compile(r"data:([a-z]+/[a-z0-9.+-]+);base64,", re.IGNORECASE)

Fields = dict[str, JsonValue]


async def read_fields(request: web.Request) -> Fields:
    """A JSON body. Raises `ApiError`."""
    if request.content_type != JSON:
        raise _unsupported(request, JSON)
    return _fields(await request.read())


async def read_edit(request: web.Request, workers: anyio.CapacityLimiter) -> tuple[Fields, References, bool]:
    """The fields and pictures of an edit, and whether it came as a form, whose values are all text.

    Raises `ApiError`. Pictures are decoded in threads of `workers`.
    """
    roomy = request.clone(client_max_size=EDIT_BYTES)
    tray = Tray()
    if request.content_type == FORM:
        fields = await _read_form(roomy, tray, workers)
    elif request.content_type == JSON:
        fields = _fields(await roomy.read())
        for take, upload in _linked(fields, tray):
            await anyio.to_thread.run_sync(take, upload, limiter=workers)
    else:
        raise _unsupported(request, f"{FORM} or {JSON}")
    form = request.content_type == FORM
    references = await anyio.to_thread.run_sync(tray.references, "image" if form else "images", limiter=workers)
    return fields, references, form


async def _read_form(request: web.Request, tray: Tray, workers: anyio.CapacityLimiter) -> Fields:
    fields: Fields = {}
    try:
        reader = await request.multipart()
        for _ in range(_MOST_PARTS):
            part = await reader.next()
            if part is None:
                return fields
            if not isinstance(part, BodyPartReader) or not part.name:
                raise bad("Every part of the form needs a name.")
            if part.name in {"image", "image[]", "mask"}:
                take = tray.mask if part.name == "mask" else tray.add
                await anyio.to_thread.run_sync(take, await _upload(part), limiter=workers)
            else:
                text = await _bytes_of(part, _TEXT_BYTES)
                if len(text) > _TEXT_BYTES:
                    raise bad("The value is too long.", code="invalid_value", param=part.name[:100])
                # An empty text is how clients write that there is no value.
                fields[part.name] = text.decode() or None
    except (ValueError, AssertionError) as error:  # what aiohttp raises for a form that is none
        raise bad("The body is not a valid form.") from error
    raise bad(f"The form has more than {_MOST_PARTS} parts.")


async def _upload(part: BodyPartReader) -> Upload:
    name = (part.name or "").removesuffix("[]")
    declared = part.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return Upload(name, declared, await _bytes_of(part, MASK_BYTES if name == "mask" else PICTURE_BYTES))


async def _bytes_of(part: BodyPartReader, cap_bytes: int) -> bytes:
    """A part's content; of one that is too long a little more than may be, which is refused for that."""
    data = bytearray()
    while len(data) <= cap_bytes and (chunk := await part.read_chunk(256 * 1024)):
        async for piece in part.decode_iter(chunk):
            data += piece
    return bytes(data)


def _linked(fields: Fields, tray: Tray) -> Iterator[tuple[Callable[[Upload], None], Upload]]:
    """The pictures of a JSON body, taken out of its fields, with what takes them. Raises `ApiError`."""
    images, mask = fields.pop("images", None), fields.pop("mask", None)
    if images is not None and not isinstance(images, list):
        raise bad("The images must be a list.", code="invalid_type", param="images")
    for number, image in enumerate(images or ()):
        yield tray.add, _link(image, f"images[{number}]")
    if mask is not None:
        yield tray.mask, _link(mask, "mask")


def _link(image: JsonValue, param: str) -> Upload:
    if not isinstance(image, dict) or len(image) != 1 or not {"image_url", "file_id"} >= set(image):
        raise bad("Give exactly one of image_url and file_id.", code="invalid_value", param=param)
    if "file_id" in image:
        raise bad(
            "There is no such file: the sandbox keeps none.", code="file_not_found", param=f"{param}.file_id"
        )
    url, where = image["image_url"], f"{param}.image_url"
    if not isinstance(url, str) or len(url) > URL_CHARACTERS:
        message = f"An image_url is a text of at most {URL_CHARACTERS} characters."
        raise bad(message, code="invalid_value", param=where)
    head = _DATA_URL.match(url)
    if head is None:
        message = "The sandbox downloads nothing: give a data URL with base64."
        raise bad(message, code="invalid_image_url", param=where)
    try:
        data = pybase64.b64decode(url[head.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise bad("The data URL is not valid base64.", code="invalid_base64", param=where) from None
    return Upload(where, head[1].lower(), data)


def _fields(body: bytes) -> Fields:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise bad("The body is not valid JSON.") from None
    if not isinstance(fields, dict):
        raise bad("The body must be a JSON object.")
    return fields


def _unsupported(request: web.Request, wanted: str) -> ApiError:
    message = f"Unsupported content type: '{request.content_type[:60]}'; send {wanted}."
    return bad(message, code="unsupported_content_type")
