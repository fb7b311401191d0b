"""A request that pictures go along with, as multipart: fields as text, files straight from the disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import aiohttp

from batchgen.core.types import ImageRequest, JsonObject, JsonValue, Reference
from batchgen.system.files import open_regular

_CHUNK_BYTES = 1 << 20
_SUFFIXES: Mapping[str, str] = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}


class PictureChangedError(Exception):
    """A picture is not what was planned with; the message says which."""


def open_pictures(folder: Path, request: ImageRequest) -> list[BinaryIO]:
    """The request's pictures, the mask last, open and of the very content that was planned. Blocks: for threads.

    Raises `PictureChangedError`. A name that leads elsewhere by now cannot make another file leave the machine.
    """
    with ExitStack() as files:
        opened = [files.enter_context(_opened(folder, picture)) for picture in request.pictures]
        files.pop_all()  # from here on they are the caller's
        return opened


def form_of(fields: JsonObject, request: ImageRequest, files: Sequence[BinaryIO]) -> aiohttp.FormData:
    """The form of a request. One picture is `image`, several are `image[]`, as the official clients send them."""
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        if value is not None:
            form.add_field(name, _written(value))
    field = "image" if len(request.references) == 1 else "image[]"
    for number, (picture, file) in enumerate(zip(request.references, files, strict=False), start=1):
        _add(form, field, f"image-{number}", picture, file)
    if request.mask is not None:
        _add(form, "mask", "mask", request.mask, files[-1])
    return form


def _add(form: aiohttp.FormData, field: str, stem: str, picture: Reference, file: BinaryIO) -> None:
    """The file's own name stays here: it is nobody's business, and some servers choke on it."""
    name = f"{stem}.{_SUFFIXES[picture.media_type]}"
    form.add_field(field, file, filename=name, content_type=picture.media_type)


def _written(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _opened(folder: Path, picture: Reference) -> BinaryIO:
    with ExitStack() as closing:
        try:
            file = closing.enter_context(open_regular(folder / picture.file))
            changed = _sha256(file, picture.size_bytes) != picture.sha256
            file.seek(0)
        except OSError as error:
            raise PictureChangedError(f"{picture.file} cannot be read ({error.strerror})") from error
        if changed:
            raise PictureChangedError(f"{picture.file} is not the picture that was planned with")
        closing.pop_all()
        return file


def _sha256(file: BinaryIO, size_bytes: int) -> str:
    """The hash of a little more than `size_bytes`, so that a picture that has grown shows, and an endless one ends."""
    digest = hashlib.sha256()
    for _ in range(size_bytes // _CHUNK_BYTES + 1):
        digest.update(file.read(_CHUNK_BYTES))
    return digest.hexdigest()
