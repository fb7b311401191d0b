"""Bytes -> what kind of image they are, how many pixels, and whether they are whole to the last byte.

Structure only: nothing is decoded, so a check costs about a millisecond a megabyte. A PNG's every byte is
covered by its checksums; JPEG, WebP and GIF are followed to their last marker. Bytes after an image's end are
tolerated: every decoder stops there, and a paid image is not refused for what nobody reads.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from batchgen.core.errors import NotAnImageError
from batchgen.core.svg import root_of
from batchgen.core.types import Media

MAX_PIXELS = 50_000_000
"""The largest picture that a model makes has 8.3 megapixels; a header that claims more than this is a bomb.

Decoded, so many pixels are 200 MB."""

MAX_PARTS = 1_000_000
"""More chunks or blocks than an image of 64 MiB can honestly have, so that junk cannot keep a thread busy."""

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_EMPTY = 12
"""Bytes of a part with nothing in it: length, name, checksum."""
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_JPEG_FILL = re.compile(rb"\xff+")
_JPEG_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SVG_LENGTH = re.compile(r"\s*([0-9.]{1,20})(?:px)?\s*")
_SVG_NUMBER = re.compile(r"[0-9.]{1,20}")
_SVG_DEFAULT = (300, 150)
"""What a browser takes for a drawing that names no size."""


def media_of(data: bytes | bytearray | memoryview, *, allow_svg: bool = False) -> Media:
    """Type, extension and pixels of a whole image, from its bytes alone and without copying them.

    Raises `NotAnImageError` saying what the bytes are instead, or where the image is damaged. SVG counts as an
    image only where it was asked for, because it can carry scripts.
    """
    view = memoryview(data)
    head = bytes(view[:12])
    if head.startswith(_PNG):
        return _png(view)
    if head.startswith(b"\xff\xd8"):
        return _jpeg(view)
    if head.startswith(b"RIFF") and head.endswith(b"WEBP"):
        return _webp(view)
    if head.startswith((b"GIF87a", b"GIF89a")):
        return _gif(view)
    found = _instead(view)
    if found == "SVG" and allow_svg:
        return _svg(view)
    raise NotAnImageError(f"not an image but {found}")


def _media(kind: str, extension: str, width: int, height: int) -> Media:
    if width == 0 or height == 0:
        raise NotAnImageError(f"a {extension.upper()} image without a size ({width}x{height})")
    if width * height > MAX_PIXELS:
        raise NotAnImageError(
            f"an image bomb: its header claims {width}x{height} pixels, more than {MAX_PIXELS // 1_000_000} megapixels"
        )
    return Media(f"image/{kind}", extension, width, height)


def _unpack(kind: str, layout: str, view: memoryview, at: int) -> tuple[Any, ...]:
    """Values at a place; an image that ends before them is truncated."""
    if at + struct.calcsize(layout) > len(view):
        raise _truncated(kind, view)
    return struct.unpack_from(layout, view, at)


def _truncated(kind: str, view: memoryview) -> NotAnImageError:
    return NotAnImageError(f"a truncated {kind} image: it ends after {len(view):,} bytes, before its own end")


def _counted(kind: str) -> Iterator[int]:
    """Numbers for the parts of an image; raises when there are more than an honest one has."""
    yield from range(MAX_PARTS)
    raise NotAnImageError(f"a {kind} image of more than {MAX_PARTS:,} parts")


def _png(view: memoryview) -> Media:
    length, name, width, height = _unpack("PNG", ">I4sII", view, 8)
    if name != b"IHDR" or length != 13:
        raise NotAnImageError("a damaged PNG image: it does not begin with its header (IHDR)")
    media = _media("png", "png", width, height)
    at, pixels = 8, False
    for _ in _counted("PNG"):
        begin = at
        at, chunk = _png_chunk(view, at)
        pixels = pixels or (chunk == b"IDAT" and at - begin > _PNG_EMPTY)
        if chunk == b"IEND":
            break
    if not pixels:
        raise NotAnImageError("a damaged PNG image: it holds no pixels (no IDAT)")
    return media


def _png_chunk(view: memoryview, at: int) -> tuple[int, bytes]:
    """Where the chunk at `at` ends, and its name; its checksum is right."""
    if at == len(view):
        raise NotAnImageError(f"a truncated PNG image: it ends after {at:,} bytes, before IEND")
    (length,) = _unpack("PNG", ">I", view, at)
    end = at + 12 + length
    if end > len(view):
        raise _truncated("PNG", view)
    name = bytes(view[at + 4 : at + 8])
    if zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
        raise NotAnImageError(
            f"a damaged PNG image: wrong checksum of the part {name.decode('latin-1')!a} at byte {at:,}"
        )
    return end, name


def _jpeg(view: memoryview) -> Media:
    media: Media | None = None
    at, pixels = 2, False
    for _ in _counted("JPEG"):
        at, marker = _jpeg_marker(view, at)
        if marker == 0xD9:
            break
        if marker in _JPEG_STANDALONE:
            continue
        (length,) = _unpack("JPEG", ">H", view, at)
        if marker in _JPEG_FRAMES:
            _, height, width = _unpack("JPEG", ">BHH", view, at + 2)
            media = _media("jpeg", "jpg", width, height)
        if length < 2:
            raise NotAnImageError(f"a damaged JPEG image: an impossible length at byte {at:,}")
        at += length
        if marker == 0xDA:  # pixels follow, up to the next marker
            if media is None:
                raise NotAnImageError("a damaged JPEG image: pixels come before its header (SOF)")
            begin, at = at, _jpeg_pixels_end(view, at)
            pixels = pixels or at > begin
    if media is None or not pixels:
        raise NotAnImageError("a damaged JPEG image: it holds no pixels")
    return media


def _jpeg_marker(view: memoryview, at: int) -> tuple[int, int]:
    """The marker at `at`, and where its segment goes on; fill bytes before it are skipped."""
    fill = _JPEG_FILL.match(view, at)
    at = fill.end() if fill else at
    (marker,) = _unpack("JPEG", "B", view, at)
    if fill is None:
        raise NotAnImageError(f"a damaged JPEG image: no marker at byte {at:,}")
    return at + 1, marker


def _jpeg_pixels_end(view: memoryview, at: int) -> int:
    found = _JPEG_MARKER.search(view, at)
    if found is None:
        raise _truncated("JPEG", view)
    return found.start()


def _webp(view: memoryview) -> Media:
    (size,) = _unpack("WebP", "<I", view, 4)
    end = size + 8
    if end > len(view):
        raise NotAnImageError(f"a truncated WebP image: {len(view):,} bytes, where its header promises {end:,}")
    canvas: Media | None = None
    picture: Media | None = None
    at = 12
    for _ in _counted("WebP"):
        if at >= end:
            break
        name, length = _webp_chunk(view, at, end)
        if name == b"VP8X":
            canvas = _webp_canvas(view, at + 8)
        elif name in (b"VP8 ", b"VP8L"):
            picture = _webp_picture(view, at + 8, lossless=name == b"VP8L")
        elif name == b"ANMF":
            picture = canvas
        at += 8 + length + length % 2
    if picture is None:
        raise NotAnImageError("a damaged WebP image: it holds no pixels")
    return canvas or picture


def _webp_chunk(view: memoryview, at: int, end: int) -> tuple[bytes, int]:
    if at + 8 > end:
        raise NotAnImageError(f"a damaged WebP image: half a part at byte {at:,}")
    length = int.from_bytes(view[at + 4 : at + 8], "little")
    if at + 8 + length > end:
        raise NotAnImageError(f"a damaged WebP image: the part at byte {at:,} is longer than the image")
    return bytes(view[at : at + 4]), length


def _webp_canvas(view: memoryview, at: int) -> Media:
    _unpack("WebP", "10s", view, at)
    width, height = (int.from_bytes(view[at + skip : at + skip + 3], "little") + 1 for skip in (4, 7))
    return _media("webp", "webp", width, height)


def _webp_picture(view: memoryview, at: int, *, lossless: bool) -> Media:
    if lossless:
        signature, bits = _unpack("WebP", "<BI", view, at)
        whole = signature == 0x2F
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        code, width, height = _unpack("WebP", "<3x3sHH", view, at)
        whole = code == b"\x9d\x01\x2a"
        width, height = width & 0x3FFF, height & 0x3FFF
    if not whole:
        raise NotAnImageError("a damaged WebP image: its pixels do not begin as they must")
    return _media("webp", "webp", width, height)


def _gif(view: memoryview) -> Media:
    width, height, flags = _unpack("GIF", "<HHB", view, 6)
    media = _media("gif", "gif", width, height)
    at, pixels = 13 + _gif_palette(flags), False
    parts = _counted("GIF")
    while True:
        (kind,) = _unpack("GIF", "B", view, at)
        match kind:
            case 0x3B if pixels:
                return media
            case 0x3B:
                raise NotAnImageError("a damaged GIF image: it holds no pixels")
            case 0x21:
                at = _gif_blocks_end(view, at + 2, parts)
            case 0x2C:
                (flags,) = _unpack("GIF", "9xB", view, at)[-1:]
                begin = at + 11 + _gif_palette(flags)
                at = _gif_blocks_end(view, begin, parts)
                pixels = pixels or at - begin > 1  # one byte says that nothing comes
            case _:
                raise NotAnImageError(f"a damaged GIF image: no part begins at byte {at:,}")


def _gif_palette(flags: int) -> int:
    """Bytes of a colour table; bit 7 says that there is one, the low three bits how large it is."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _gif_blocks_end(view: memoryview, at: int, parts: Iterator[int]) -> int:
    for _ in parts:
        (length,) = _unpack("GIF", "B", view, at)
        at += 1 + length
        if length == 0:
            break
    return at


def _svg(view: memoryview) -> Media:
    width, height = _svg_size(root_of(bytes(view)))
    return _media("svg+xml", "svg", width, height)


def _svg_size(root: Mapping[str, str]) -> tuple[int, int]:
    lengths = [_SVG_LENGTH.fullmatch(root.get(name, "")) for name in ("width", "height")]
    numbers = [_length(found[1]) for found in lengths if found]
    box = root.get("viewBox", "")[:200].replace(",", " ").split()[2:4]
    if len(numbers) < 2 and len(box) == 2 and all(map(_SVG_NUMBER.fullmatch, box)):
        numbers = [*map(_length, box)]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else _SVG_DEFAULT


def _length(text: str) -> int:
    return round(float(text)) if text.count(".") <= 1 and text != "." else 0


def _instead(view: memoryview) -> str:
    """What bytes are that are none of the known images, in a few words."""
    if len(view) == 0:
        return "empty"
    head = bytes(view[:4096])
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not text:
        return "blank text"
    if text.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if text.startswith(b"<svg") or (text.startswith((b"<?xml", b"<!--", b"<!doctype svg")) and b"<svg" in text):
        return "SVG"
    if text.startswith((b"{", b"[")):
        return "JSON"
    if text.startswith(b"<"):
        return "XML or HTML"
    for magic, name in ((b"%pdf", "a PDF"), (b"\0\0\1\0", "an icon"), (b"bm", "BMP"), (b"ii*\0", "TIFF")):
        if text.startswith(magic) and b"\0" in head:
            return name
    if head[4:8] == b"ftyp":
        return "AVIF, HEIC or a film"
    return "text" if _is_text(head) else "unknown data"


def _is_text(head: bytes) -> bool:
    try:
        # A character may be cut at the end of what was looked at.
        head[:-4].decode() if len(head) > 4 else head.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in head
