"""A picture that came along, hung up in a painted scene: what was edited is seen at a glance."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw, ImageOps

MAT = (252, 251, 248)


def hang(scene: Image.Image, reference: bytes) -> None:
    """Put the picture, a PNG, framed onto an RGB scene, in place. Where it is clear the scene shows through."""
    picture = Image.open(io.BytesIO(reference))
    frame = max(2, round(min(scene.size) * 0.02))
    # The caption needs the foot of the scene.
    room = (round(scene.width * 0.8) - 2 * frame, round(scene.height * 0.66) - 2 * frame)
    fitted = ImageOps.contain(picture, (max(1, room[0]), max(1, room[1])), Image.Resampling.BICUBIC)
    left, top = (scene.width - fitted.width) // 2, max(frame, round(scene.height * 0.38) - fitted.height // 2)
    draw = ImageDraw.Draw(scene)
    outer = (left - frame, top - frame, left + fitted.width + frame - 1, top + fitted.height + frame - 1)
    draw.rectangle(outer, outline=MAT, width=frame)
    clear = fitted.getchannel("A") if fitted.mode == "RGBA" else None
    scene.paste(fitted.convert("RGB"), (left, top), clear)
