"""Decoding an image whole, where the operator asks for more than a look at its structure."""

from __future__ import annotations

import io
import threading

from PIL import Image

from batchgen.core.errors import NotAnImageError
from batchgen.core.media import MAX_PIXELS, media_of
from batchgen.core.types import Blob, Media

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")

MOST_DECODED_PIXELS = 12_000_000
"""Half as large again as 4K, which no model exceeds; a larger image is judged by its structure alone.

Measured with Pillow 12.3: WebP takes 17 bytes a pixel while it is decoded, progressive JPEG 10 to 12, all others 4. So
at this bound it is 200 MB at most, where the 50 megapixels that are taken at all would need 800.
"""

_ONE_AT_A_TIME = threading.Lock()

# Pillow only warns where it should refuse; the header has been checked against the same bound before.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS


def decoded_media_of(data: Blob, *, allow_svg: bool = False) -> Media:
    """What `media_of` says, of an image whose pixels can all be decoded. Raises `NotAnImageError`.

    Of an animation that is the first frame.
    """
    media = media_of(data, allow_svg=allow_svg)
    if media.extension not in {"png", "jpg", "webp", "gif"} or media.width * media.height > MOST_DECODED_PIXELS:
        return media
    try:
        with _ONE_AT_A_TIME, Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            image.load()
    # Pillow's readers raise all of these for damaged files, and document none of them.
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, OverflowError) as error:
        raise NotAnImageError(
            f"a damaged {media.extension.upper()} image: it cannot be decoded ({error})"
        ) from error
    return media
