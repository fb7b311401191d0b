"""Paints pictures that stand in for a model's: the same order gives the same bytes."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageDraw

from batchgen.sandbox.canvas import Canvas
from batchgen.sandbox.caption import Caption, draw_caption
from batchgen.sandbox.collage import hang
from batchgen.sandbox.drawing import draw_svg
from batchgen.sandbox.scenes import paint_scene

PAINTED_EDGE = 1024
"""Scenes are painted no larger than this and then enlarged, which keeps a picture under 150 ms."""


STAGES = (12, 24, 48)
"""Blocks along the shorter edge of an unfinished picture: the last of them can nearly be recognised."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What is to be painted. `sample` counts the pictures of one prompt, so that they differ.

    `frames` above 1 make an animation. `compression` is the JPEG or WebP quality. `reference` is a PNG that is shown in
    the picture. `stage` is an index of `STAGES` for a picture that is not finished yet.
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
    reference: bytes | None = None
    stage: int | None = None

    @property
    def media_type(self) -> str:
        """What the bytes will be."""
        return "image/svg+xml" if self.output_format == "svg" else f"image/{self.output_format}"


def paint(picture: Picture) -> bytes:
    """The picture as a file of its format. Takes 50 to 150 ms of a core: run it in a thread."""
    if picture.output_format == "svg":
        return _drawn(picture)
    frames = 1 if picture.stage is not None else picture.frames
    return _encoded(picture, [_painted(picture, frame / frames) for frame in range(frames)])


def _drawn(picture: Picture) -> bytes:
    finished = 1.0 if picture.stage is None else (picture.stage + 1) / (len(STAGES) + 1)
    size = (picture.width, picture.height)
    drawing = draw_svg(size, picture.prompt, _rng(picture), transparent=picture.transparent, finished=finished)
    return drawing.encode()


def _painted(picture: Picture, phase: float) -> Image.Image:
    scale = min(1.0, PAINTED_EDGE / max(picture.width, picture.height))
    canvas = Canvas(max(8, round(picture.width * scale)), max(8, round(picture.height * scale)))
    paint_scene(canvas, picture.prompt, _rng(picture), phase)
    size = (picture.width, picture.height)
    image = canvas.image if canvas.image.size == size else canvas.image.resize(size, Image.Resampling.BICUBIC)
    if picture.reference is not None:
        hang(image, picture.reference)
    if picture.transparent:
        image = _as_sticker(image)
    note = f"{picture.model} · {picture.width}x{picture.height} · {picture.quality} · painted by the sandbox"
    draw_caption(image, Caption(picture.prompt, note))
    return image if picture.stage is None else _unfinished(image, STAGES[picture.stage])


def _unfinished(image: Image.Image, blocks: int) -> Image.Image:
    """The picture in coarse blocks, so many along its shorter edge."""
    edge = max(1, min(image.size) // blocks)
    few = (max(1, image.width // edge), max(1, image.height // edge))
    return image.resize(few, Image.Resampling.BOX).resize(image.size, Image.Resampling.NEAREST)


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
