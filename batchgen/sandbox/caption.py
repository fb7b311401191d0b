"""The prompt, set legibly on a picture."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

MAX_LINES = 4
"""A caption must not hide the picture; a longer prompt ends in an ellipsis."""

_SUBSTITUTES = str.maketrans(
    {
        "ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "ı": "i",
        "–": "-", "—": "-", "‑": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "€": "EUR ",
        "×": "x", "·": "-", "•": "-",
    }
)  # fmt: skip

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True)
class Caption:
    """What stands on the panel: the prompt, and a smaller line below it."""

    prompt: str
    note: str


def draw_caption(image: Image.Image, caption: Caption) -> None:
    """Set the caption on a soft panel at the foot of an RGB or RGBA picture, in place."""
    short = min(image.size)
    # From the area rather than an edge, so that banners and squares are equally legible.
    size = max(10, round(math.sqrt(image.width * image.height) * 0.033))
    font, small = ImageFont.load_default(size), ImageFont.load_default(max(8, round(size * 0.62)))
    margin, padding = round(short * 0.035), round(size * 0.8)
    room = image.width - 2 * (margin + padding)
    lines = _wrapped(readable(caption.prompt), font, room)
    leading, note_height = round(size * 1.32), round(size * 1.05)
    height = 2 * padding + leading * len(lines) + note_height
    top = image.height - margin - height
    _panel(image, (margin, top, image.width - margin, image.height - margin), round(size * 0.7))
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        draw.text((margin + padding, top + padding + number * leading), line, font=font, fill=(34, 36, 48))
    place = (margin + padding, top + padding + leading * len(lines) + round(size * 0.25))
    draw.text(place, _cut(caption.note, small, room), font=small, fill=(112, 116, 132))


def readable(text: str) -> str:
    """The text as the built-in font can show it: without accents, breaks as spaces, other scripts left out.

    Pillow's font has the letters of English only; a real model has no such trouble with a prompt.
    """
    known = text.translate(_SUBSTITUTES)
    plain = (char for char in unicodedata.normalize("NFKD", known) if char.isspace() or " " <= char <= "~")
    return " ".join("".join(plain).split()) or "(a prompt in a script that this font cannot show)"


def _panel(image: Image.Image, box: tuple[int, int, int, int], radius: int) -> None:
    width, height = box[2] - box[0], box[3] - box[1]
    mask = Image.new("L", (width, height))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, width - 1, height - 1), radius, fill=222)
    opaque = (252, 251, 248) if image.mode == "RGB" else (252, 251, 248, 255)
    image.paste(opaque, box, mask)


def _wrapped(text: str, font: Font, room: int) -> list[str]:
    """Lines that fit; words that are wider than a line are broken."""
    lines: list[str] = []
    rest = text
    while rest and len(lines) < MAX_LINES:
        fitting = _fitting(rest, font, room)
        if fitting < len(rest) and len(lines) == MAX_LINES - 1:
            lines.append(_cut(rest, font, room))
            break
        at = fitting if fitting == len(rest) else rest.rfind(" ", 0, fitting + 1)
        at = at if at > 0 else fitting
        lines.append(rest[:at].rstrip())
        rest = rest[at:].lstrip()
    return lines


def _fitting(text: str, font: Font, room: int) -> int:
    """How many leading characters fit, at least one."""
    low, high = 1, min(len(text), 400)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if font.getlength(text[:middle]) <= room else (low, middle - 1)
    return low


def _cut(text: str, font: Font, room: int) -> str:
    if len(text) <= 400 and font.getlength(text) <= room:
        return text
    return text[: _fitting(text, font, round(room - font.getlength(" …")))].rstrip(" .,;:") + " …"
