"""Pictures that go along with prompts: files of the manifest's folder, looked at before anything is sent."""

from __future__ import annotations

import hashlib
import io
import warnings
from functools import lru_cache
from pathlib import Path

from batchgen.catalogue.references import MASK_BYTES, PICTURE_BYTES, PICTURE_TYPES
from batchgen.core.errors import NotAnImageError
from batchgen.core.naming import printable
from batchgen.core.types import Reference
from batchgen.manifest.inside import InsideError, Wanted, open_inside

_PICTURE = Wanted(
    "picture", "pictures/mug.png", "name a PNG, JPEG or WebP picture", "make the picture smaller", PICTURE_BYTES
)
_REMEMBERED = 1024
_GPS = 0x8825


class PictureError(Exception):
    """A picture that cannot be sent; the message says what to do."""


class Pictures:
    """The pictures of one folder. Each is read once, however many prompts name it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Bounded, and gone with this object.
        self._look = lru_cache(_REMEMBERED)(self._look_afresh)

    def reference(self, name: str) -> Reference:
        """The picture of this name. Raises `PictureError`."""
        found = self._look(name)
        if isinstance(found, str):
            raise PictureError(found)
        return found[0]

    def mask(self, name: str, first: Reference) -> Reference:
        """The mask of this name for the first reference. Raises `PictureError`."""
        found = self._look(name)
        if isinstance(found, str):
            raise PictureError(found)
        mask, clear = found
        shown = printable(name)
        if mask.media_type != "image/png" or not clear:
            raise PictureError(
                f"{shown} is no mask (save a PNG with transparency: what is transparent is painted anew)"
            )
        if (mask.width, mask.height) != (first.width, first.height):
            raise PictureError(
                f"{shown} is {mask.width}x{mask.height}, but the first reference {printable(first.file)} is "
                f"{first.width}x{first.height} (make the mask as large)"
            )
        if mask.size_bytes > MASK_BYTES:
            raise PictureError(f"{shown} is larger than {MASK_BYTES // 2**20} MiB, the most that a mask may be")
        return mask

    def _look_afresh(self, name: str) -> tuple[Reference, bool] | str:
        """The picture and whether it has transparency, or what is wrong; so a fault too is found once."""
        try:
            return _looked_at(self._folder, name)
        except PictureError as error:
            return str(error)


def _looked_at(folder: Path, name: str) -> tuple[Reference, bool]:
    from batchgen.core.media import media_of  # with XML and all: most prompts have no pictures

    shown = printable(name)
    data = read_picture(folder, name)
    try:
        media = media_of(data)
    except NotAnImageError as error:
        raise PictureError(f"{shown} cannot be sent: {error} (save it as PNG, JPEG or WebP)") from error
    if media.media_type not in PICTURE_TYPES:
        raise PictureError(f"{shown} is {media.media_type}, which is not taken (save it as PNG, JPEG or WebP)")
    clear = _transparent(data, shown)
    digest = hashlib.sha256(data).hexdigest()
    return Reference(name, digest, len(data), media.media_type, media.width, media.height), clear


def read_picture(folder: Path, name: str) -> bytes:
    """The bytes of a picture inside a folder; links may not lead out of it. Raises `PictureError`."""
    try:
        with open_inside(folder, name, _PICTURE) as file:
            return file.read(PICTURE_BYTES + 1)
    except InsideError as error:
        raise PictureError(str(error)) from error
    except OSError as error:
        raise PictureError(f"{printable(name)} cannot be read ({error})") from error


def _transparent(data: bytes, shown: str) -> bool:
    """Whether the picture has transparency. Raises `PictureError` for one that says where it was taken."""
    # Pillow warns of damaged metadata, which holds no position then.
    # Imported here, since Pillow is slow to import and most jobs need none.
    from PIL import Image

    try:
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as picture,
        ):
            placed = bool(picture.getexif().get_ifd(_GPS))
            clear = picture.has_transparency_data
    # Pillow's readers raise all of these for damaged metadata, and document none of them.
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        KeyError,
        IndexError,
        TypeError,
        OverflowError,
    ) as error:
        raise PictureError(f"{shown} cannot be read as a picture ({error}; save it anew)") from error
    if placed:
        raise PictureError(
            f"{shown} says where it was taken, which would be sent along (remove the position from its metadata)"
        )
    return clear
