"""`verify: decode`: an image counts only if all its pixels can be decoded."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image

from batchgen.core.errors import NotAnImageError
from batchgen.core.media import MAX_PIXELS, media_of
from batchgen.stores.decoding import MOST_DECODED_PIXELS, decoded_media_of
from batchgen.stores.directory import open_store
from tests.ledgers.samples import attempt, task
from tests.stores.images import NOW, ORIGIN, answer, picture

SIDE = 64


def noise(kind: str) -> bytes:
    """A picture whose pixels fill the file, so that damage in the middle hits them."""
    file = io.BytesIO()
    Image.effect_noise((SIDE, SIDE), 90).convert("RGB").save(file, kind)
    return file.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    """A part of a PNG with a right checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def hollow_png(width: int = SIDE, height: int = SIDE, pixels: bytes = b"") -> bytes:
    """A PNG of sound structure whose compressed pixels are not what its header promises."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", pixels or zlib.compress(b"short")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_whole_images_are_what_they_say(kind: str) -> None:
    """The same verdict as a look at the structure gives."""
    assert media_of(noise(kind)) == decoded_media_of(noise(kind))


def test_what_only_decoding_finds() -> None:
    """Checksums that are right over pixels that are wrong: sound in structure, and still no image."""
    for data in (hollow_png(), hollow_png(pixels=b"no zlib at all")):
        assert (SIDE, SIDE) == (media_of(data).width, media_of(data).height)
        with pytest.raises(NotAnImageError, match="a damaged PNG image: it cannot be decoded"):
            decoded_media_of(data)


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    """The bound is the header's: not one pixel is unpacked."""
    with pytest.raises(NotAnImageError, match="an image bomb"):
        decoded_media_of(hollow_png(MAX_PIXELS, 2))


def test_what_is_larger_than_any_model_makes_is_not_decoded() -> None:
    """Its structure is looked at, as without decoding: a bound of memory that no right image meets."""
    large = hollow_png(4000, MOST_DECODED_PIXELS // 4000 + 1)
    assert media_of(large) == decoded_media_of(large)


PEAK = """
import re, sys
from pathlib import Path
from batchgen.stores.decoding import decoded_media_of

def peak_mb():
    return int(re.findall(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[0]) // 1024

data = Path(sys.argv[1]).read_bytes()
before = peak_mb()
decoded_media_of(data)
print(peak_mb() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc")
@pytest.mark.parametrize(
    ("kind", "choices"), [("JPEG", {"progressive": True, "subsampling": 0}), ("WEBP", {"method": 0})]
)
def test_the_largest_image_is_decoded_in_200_mb(tmp_path: Path, kind: str, choices: dict[str, int]) -> None:
    """The formats that need the most memory, at the bound, in a real process."""
    mode = "CMYK" if kind == "JPEG" else "RGBA"
    Image.new(mode, (4000, MOST_DECODED_PIXELS // 4000)).save(tmp_path / "large", kind, **choices)

    done = subprocess.run(
        [sys.executable, "-c", PEAK, tmp_path / "large"], capture_output=True, text=True, check=True
    )

    assert 50 < int(done.stdout) <= 205


@pytest.mark.anyio
async def test_the_store_looks_as_it_was_told(tmp_path: Path) -> None:
    """With the deeper look a hollow image goes to quarantine, a whole one is stored."""
    async with open_store(tmp_path, ORIGIN, now=lambda: NOW, check=decoded_media_of) as store:
        for data, stored in ((picture("boat"), True), (hollow_png(), False)):
            mine = attempt(task())
            await store.reserve(mine)
            try:
                await store.keep(mine, answer(data))
            except NotAnImageError:
                assert not stored
    assert [picture("boat")] == [path.read_bytes() for path in (tmp_path / "images").glob("*.png")]
    assert 1 == len(list((tmp_path / "state/quarantine").iterdir()))
