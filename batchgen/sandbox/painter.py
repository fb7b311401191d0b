"""Paints pictures that stand in for a model's: the same order gives the same bytes."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageDraw

from batchgen.sandbox.canvas import Canvas
from batchgen.sandbox.caption import Caption, draw_caption
from batchgen.sandbox.scenes import paint_scene

PAINTED_EDGE = 1024
"""Scenes are painted no larger than this and then enlarged, which keeps a picture under 150 ms."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What is to be painted. `sample` counts the pictures of one prompt, so that they differ.

    `frames` above 1 make an animation. `compression` is the JPEG or WebP quality.
    """

    prompt: str
    model: str
    width: int = 1024
    height: int = 1024
    quality: str = "medium"
    output_format: str = "png"
    compression: int = 100
    transparent: bool = False
    sample: int = 0
    frames: int = 1
    frame_duration_ms: int = 200


def paint(picture: Picture) -> bytes:
    """The picture as a file of its format. Takes 50 to 150 ms of a core: run it in a thread."""
    if picture.frames == 1:
        return _encoded(picture, [_painted(picture, 0.0)])
    return _encoded(picture, [_painted(picture, frame / picture.frames) for frame in range(picture.frames)])


def _painted(picture: Picture, phase: float) -> Image.Image:
    scale = min(1.0, PAINTED_EDGE / max(picture.width, picture.height))
    canvas = Canvas(max(8, round(picture.width * scale)), max(8, round(picture.height * scale)))
    paint_scene(canvas, picture.prompt, _rng(picture), phase)
    size = (picture.width, picture.height)
    image = canvas.image if canvas.image.size == size else canvas.image.resize(size, Image.Resampling.BICUBIC)
    if picture.transparent:
        image = _as_sticker(image)
    note = f"{picture.model} · {picture.width}x{picture.height} · {picture.quality} · painted by the sandbox"
    draw_caption(image, Caption(picture.prompt, note))
    return image


def _rng(picture: Picture) -> Random:
    parts = (picture.prompt, picture.width, picture.height, picture.quality, picture.sample)
    digest = hashlib.blake2b("\0".join(map(str, parts)).encode("utf-8", "surrogatepass"), digest_size=8)
    return Random(int.from_bytes(digest.digest(), "big"))  # noqa: S311 - chance for pictures, not for secrets


def _as_sticker(image: Image.Image) -> Image.Image:
    """The picture cut to a rounded shape with nothing around it."""
    mask = Image.new("L", image.size)
    inset = max(1, round(min(image.size) * 0.02))
    box = (inset, inset, image.width - inset, image.height - inset)
    ImageDraw.Draw(mask).rounded_rectangle(box, radius=round(min(image.size) * 0.08), fill=255)
    image.putalpha(mask)
    return image


def _encoded(picture: Picture, frames: list[Image.Image]) -> bytes:
    file = io.BytesIO()
    quality = max(1, min(95, picture.compression))
    first = frames[0]
    match picture.output_format:
        case "jpeg":
            first.convert("RGB").save(file, "JPEG", quality=quality)
        case "webp":
            first.save(file, "WEBP", quality=quality, method=0)
        case "gif":
            first.save(
                file, "GIF", save_all=True, append_images=frames[1:], duration=picture.frame_duration_ms, loop=0
            )
        case _:
            first.save(file, "PNG", compress_level=1)
    return file.getvalue()
