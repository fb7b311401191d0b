"""Bytes of images: what they are, and that they are whole."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from batchgen.core.errors import NotAnImageError
from batchgen.core.media import media_of
from batchgen.core.types import Media

SIZE = (40, 30)


def encoded(kind: str, size: tuple[int, int] = SIZE, **options: object) -> bytes:
    """A small real image that is hard to compress, so that every part of its format is there."""
    mode = "RGBA" if kind in ("PNG", "WEBP") else "RGB"
    file = io.BytesIO()
    Image.effect_noise(size, 90).convert(mode).save(file, kind, **options)
    return file.getvalue()


def animation() -> bytes:
    """A GIF of three frames."""
    frames = [Image.effect_noise(SIZE, spread) for spread in (10, 50, 90)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=100)
    return file.getvalue()


def animated_webp() -> bytes:
    """A WebP of two frames: its pixels lie in frame parts."""
    frames = [Image.effect_noise(SIZE, spread).convert("RGB") for spread in (10, 90)]
    file = io.BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:])
    return file.getvalue()


def with_icc(kind: str) -> bytes:
    """An image with extra parts around its pixels."""
    return encoded(kind, icc_profile=b"\xff\xd9 a profile with an end marker in it \xff\xd9" * 9)


IMAGES = {
    "png": encoded("PNG"),
    "png with a profile": with_icc("PNG"),
    "jpeg": encoded("JPEG"),
    "progressive jpeg": encoded("JPEG", progressive=True),
    "jpeg with restarts": encoded("JPEG", restart_marker_blocks=1),
    "jpeg with a profile": with_icc("JPEG"),
    "webp": encoded("WEBP"),
    "lossless webp": encoded("WEBP", lossless=True),
    "plain webp": encoded("WEBP", (40, 30), quality=10, exact=False),
    "animated webp": animated_webp(),
    "gif": encoded("GIF"),
    "animated gif": animation(),
}
TYPES = {
    "png": ("image/png", "png"),
    "jpeg": ("image/jpeg", "jpg"),
    "webp": ("image/webp", "webp"),
    "gif": ("image/gif", "gif"),
}
EVERY = pytest.mark.parametrize("name", IMAGES)


def type_of(name: str) -> tuple[str, str]:
    """Media type and extension by the words of a test image's name."""
    return next(TYPES[word] for word in name.split() if word in TYPES)


@EVERY
def test_a_whole_image_is_known_by_its_bytes(name: str) -> None:
    """Type, extension and pixels come from the bytes, with or without a copy of them."""
    expected = Media(*type_of(name), *SIZE)
    assert expected == media_of(IMAGES[name])
    assert expected == media_of(memoryview(bytearray(IMAGES[name])))


@EVERY
def test_every_truncation_is_refused(name: str) -> None:
    """An image that lost its end, however little, is not taken for whole."""
    data = IMAGES[name]
    for length in range(len(data)):
        with pytest.raises(NotAnImageError):
            media_of(memoryview(data)[:length])


@EVERY
def test_bytes_after_the_end_are_tolerated(name: str) -> None:
    """A paid image is not refused for what every decoder ignores."""
    assert Media(*type_of(name), *SIZE) == media_of(IMAGES[name] + b"\r\n trailing \xff\x00")


@given(st.integers(0, len(IMAGES["png"]) - 1), st.integers(1, 255))
def test_any_changed_byte_of_a_png_is_found(place: int, change: int) -> None:
    """A PNG's checksums cover all of it."""
    data = bytearray(IMAGES["png"])
    data[place] ^= change
    with pytest.raises(NotAnImageError):
        media_of(bytes(data))


@given(st.sampled_from(sorted(IMAGES)), st.integers(0, 2**16), st.binary(max_size=6))
def test_damage_never_breaks_the_check(name: str, place: int, junk: bytes) -> None:
    """Whatever the bytes are, the answer is a media type or a reason."""
    data = bytearray(IMAGES[name])
    at = place % len(data)
    data[at : at + len(junk)] = junk
    try:
        assert media_of(bytes(data)).width > 0
    except NotAnImageError as reason:
        assert str(reason)


@given(st.binary(max_size=64))
def test_junk_is_no_image(data: bytes) -> None:
    """No few bytes are an image."""
    with pytest.raises(NotAnImageError):
        media_of(data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b" \n", "blank text"),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"\xef\xbb\xbf <html>", "an HTML page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", "SVG"),
        (b'<?xml version="1.0"?>\n<svg></svg>', "SVG"),
        (b'<?xml version="1.0"?><Error><Code>AuthenticationFailed</Code></Error>', "XML or HTML"),
        (b'{"error": {}}', "JSON"),
        (b"Bad gateway", "text"),
        ("\N{SNOWMAN}".encode() * 5000, "text"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "AVIF, HEIC or a film"),
        (bytes(range(256)), "unknown data"),
    ],
)
def test_what_it_is_instead(data: bytes, words: str) -> None:
    """The reason names what came in the image's place."""
    with pytest.raises(NotAnImageError, match=f"^not an image but {words}$"):
        media_of(data)


def chunk(name: bytes, body: bytes) -> bytes:
    """A PNG part with its right checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, *parts: bytes) -> bytes:
    """A PNG of any parts."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(parts)


def scan(pixels: int) -> int:
    """Where the scan of the JPEG begins, or its pixels."""
    data = IMAGES["jpeg"]
    at = data.index(b"\xff\xda")
    return at + pixels * (2 + int.from_bytes(data[at + 2 : at + 4]))


def frame() -> int:
    """Where the picture of the GIF begins: behind its own palette."""
    data = IMAGES["gif"]
    return data.index(b",\0\0\0\0")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (IMAGES["png"][:-12], "truncated PNG image: it ends after .* before IEND"),
        (IMAGES["png"][:-2], "truncated PNG"),
        (IMAGES["png"][:-1] + b"\0", "wrong checksum of the part 'IEND'"),
        (png(9, 9, chunk(b"IEND", b"")), "no IDAT"),
        (png(0, 9, chunk(b"IDAT", b""), chunk(b"IEND", b"")), "without a size"),
        (png(40_000, 40_000), "an image bomb: its header claims 40000x40000 pixels, more than 50 megapixels"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"IDAT", b"x" * 40), "does not begin with its header"),
        (b"\xff\xd8\xff\xd9", "damaged JPEG image: it holds no pixels"),
        (b"\xff\xd8\xff\xda\x00\x02\xff\xd9", "pixels come before its header"),
        (png(9, 9, chunk(b"IDAT", b"") * 2, chunk(b"IEND", b"")), "no IDAT"),
        (IMAGES["jpeg"][: scan(0)] + b"\xff\xd9", "damaged JPEG image: it holds no pixels"),
        (IMAGES["jpeg"][: scan(1)] + b"\xff\xd9", "damaged JPEG image: it holds no pixels"),
        (IMAGES["gif"][: frame() + 11] + b"\0;", "damaged GIF image: it holds no pixels"),
        (IMAGES["webp"][:-1], "truncated WebP image: .* where its header promises"),
        (b"RIFF\x04\0\0\0WEBP", "no pixels"),
        (b"GIF89a\x05\0\x05\0\0\0\0;", "no pixels"),
    ],
)
def test_damage_is_named(data: bytes, words: str) -> None:
    """The reason says where an image is damaged, and bombs are refused by their header alone."""
    with pytest.raises(NotAnImageError, match=words):
        media_of(data)


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b'<svg width="24" height="48px"></svg>', (24, 48)),
        (b'<?xml version="1.0"?><svg viewBox="0 0 640 480"><g/></svg>\n', (640, 480)),
        (b"<svg/>", (300, 150)),
    ],
)
def test_svg_only_where_it_was_asked_for(data: bytes, size: tuple[int, int]) -> None:
    """A drawing can carry scripts, so it counts as an image only on request."""
    assert Media("image/svg+xml", "svg", *size) == media_of(data, allow_svg=True)
    with pytest.raises(NotAnImageError, match="SVG"):
        media_of(data)
    with pytest.raises(NotAnImageError):
        media_of(data[: len(data) - 4], allow_svg=True)


@pytest.mark.parametrize("junk", [b"\xff\xd8" + b"\xff" * 8_000_000, png(9, 9, chunk(b"tEXt", b"") * 600_000)])
def test_junk_does_not_keep_a_thread_busy(junk: bytes) -> None:
    """Megabytes that only look like an image are refused before the test's time-out: no scan is quadratic."""
    with pytest.raises(NotAnImageError):
        media_of(junk)
