"""Pictures that come along with a prompt: checked as strictly as the real API checks them, and made small."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from http import HTTPStatus

from PIL import Image

from batchgen.catalogue.references import MASK_BYTES, MOST_REFERENCES, PICTURE_BYTES, PICTURE_TYPES
from batchgen.core.errors import NotAnImageError
from batchgen.core.media import media_of
from batchgen.core.types import Media
from batchgen.sandbox.errors import ApiError, bad

KEPT_EDGE = 1024
"""Pictures are kept no larger than this: what is painted from them is not larger either."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture as it came. `param` is the field's name in errors, `declared` the media type it came with."""

    param: str
    declared: str
    data: bytes


@dataclass(frozen=True, slots=True)
class References:
    """What an edit begins with: the pixels of every picture, and the first one, small, clear where its mask is."""

    sizes: tuple[tuple[int, int], ...]
    first: bytes


class Tray:
    """Takes pictures one by one and keeps only what is needed of them. Its methods decode: call them in a thread."""

    def __init__(self) -> None:
        self._sizes: list[tuple[int, int]] = []
        self._first: Image.Image | None = None
        self._mask: Image.Image | None = None
        self._mask_size = (0, 0)

    def add(self, upload: Upload) -> None:
        """Take an image. Raises `ApiError`."""
        if len(self._sizes) == MOST_REFERENCES:
            raise bad(f"Too many images: at most {MOST_REFERENCES}.", code="invalid_value", param=upload.param)
        media = _checked(upload, PICTURE_BYTES)
        if self._first is None:
            self._first = _small(upload)
        self._sizes.append((media.width, media.height))

    def mask(self, upload: Upload) -> None:
        """Take the mask. Raises `ApiError`."""
        media = _checked(upload, MASK_BYTES)
        if media.media_type != "image/png":
            raise _bad_mask("it must be a PNG file")
        mask = _small(upload)
        if not mask.has_transparency_data:
            raise _bad_mask("mask image missing alpha channel")
        self._mask, self._mask_size = mask, (media.width, media.height)

    def references(self, param: str) -> References:
        """What came. Raises `ApiError` where no image did, or the mask does not fit the first."""
        if self._first is None:
            raise bad("At least one image is required.", code="missing_required_parameter", param=param)
        if self._mask is not None:
            if self._mask_size != self._sizes[0]:
                raise _bad_mask("mask size does not match image size")
            # Made small in different ways, they may differ by a pixel.
            clear = self._mask.convert("RGBA").getchannel("A").resize(self._first.size)
            self._first.putalpha(clear)
        file = io.BytesIO()
        self._first.save(file, "PNG", compress_level=1)
        return References(tuple(self._sizes), file.getvalue())


def _checked(upload: Upload, cap_bytes: int) -> Media:
    if len(upload.data) > cap_bytes:
        raise bad(f"The file is larger than {cap_bytes // 2**20} MB.", code="invalid_value", param=upload.param)
    try:
        media = media_of(upload.data)
    except NotAnImageError as error:
        raise _bad_file(upload, str(error)) from error
    for kind in (upload.declared or media.media_type, media.media_type):
        if kind not in PICTURE_TYPES:
            message = (
                f"Invalid file '{upload.param}': unsupported mimetype ('{kind[:60]}'). Supported file formats are "
                f"{', '.join(PICTURE_TYPES)}."
            )
            raise bad(message, code="unsupported_file_mimetype", param=upload.param)
    return media


def _small(upload: Upload) -> Image.Image:
    """The picture, decoded to its last pixel. Raises `ApiError`."""
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(upload.data), formats=("PNG", "JPEG", "WEBP")) as picture,
        ):
            picture.draft("RGB", (KEPT_EDGE, KEPT_EDGE))
            clear = picture.has_transparency_data
            image = picture.convert("RGBA" if clear else "RGB")
    # Pillow's readers raise all of these for damaged files, and document none of them.
    except (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, OverflowError) as error:
        raise _bad_file(upload, "it cannot be decoded") from error
    image.thumbnail((KEPT_EDGE, KEPT_EDGE), Image.Resampling.BICUBIC)
    return image


def _bad_file(upload: Upload, reason: str) -> ApiError:
    return ApiError(
        HTTPStatus.BAD_REQUEST,
        f"Invalid image file or mode for '{upload.param}', please check your image file: {reason}.",
        kind="image_generation_user_error",
        code="invalid_image_file",
        param=upload.param,
    )


def _bad_mask(reason: str) -> ApiError:
    return ApiError(
        HTTPStatus.BAD_REQUEST,
        f"Invalid mask image format - {reason}.",
        kind="image_generation_user_error",
        code="invalid_mask_image_format",
        param="mask",
    )
