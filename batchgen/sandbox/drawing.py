"""Draws what stands in for a model's vector drawings: shapes and letters, nothing that runs or loads anything."""

from __future__ import annotations

from random import Random
from xml.sax.saxutils import escape

from batchgen.sandbox.caption import readable
from batchgen.sandbox.palettes import Colour, Palette, choose_palette

_LONGEST_CAPTION = 60


def draw_svg(size: tuple[int, int], prompt: str, rng: Random, *, transparent: bool, finished: float) -> str:
    """A sun over hills in the prompt's colours, with the prompt below; `finished` is the share that is drawn yet."""
    palette = choose_palette(prompt, rng, night=False)
    # Always drawn at this size and then scaled, so that nothing below needs to know the real one.
    width, height = size[0] * 1000 // min(size), size[1] * 1000 // min(size)
    shapes = [] if transparent else _sky(palette, width, height)
    shapes.append(_sun(palette, rng, width, height))
    shapes += (_hill(colour, rng, width, height, depth) for depth, colour in enumerate(palette.layers))
    shapes.append(_caption(prompt, width, height))
    drawn = shapes[: max(1, round(len(shapes) * finished))]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" '
        f'viewBox="0 0 {width} {height}" preserveAspectRatio="none">'
    )
    return "\n".join((head, *drawn, "</svg>")) + "\n"


def _sky(palette: Palette, width: int, height: int) -> list[str]:
    step = height // len(palette.sky) + 1
    return [
        f'<rect y="{number * step}" width="{width}" height="{step}" fill="{_hex(colour)}"/>'
        for number, colour in enumerate(palette.sky)
    ]


def _sun(palette: Palette, rng: Random, width: int, height: int) -> str:
    x, y = round(width * rng.uniform(0.2, 0.8)), round(height * rng.uniform(0.2, 0.4))
    return f'<circle cx="{x}" cy="{y}" r="{rng.randint(80, 130)}" fill="{_hex(palette.light)}"/>'


def _hill(colour: Colour, rng: Random, width: int, height: int, depth: int) -> str:
    foot = height * (0.5 + 0.12 * depth)
    left, crest, right = (round(foot - rng.uniform(-0.04, 0.12) * height) for _ in range(3))
    curve = f"M0 {left} Q{width // 3} {crest - 60} {width // 2} {crest} T{width} {right} V{height} H0 Z"
    return f'<path d="{curve}" fill="{_hex(colour)}"/>'


def _caption(prompt: str, width: int, height: int) -> str:
    words = readable(prompt)
    shown = words if len(words) <= _LONGEST_CAPTION else f"{words[: _LONGEST_CAPTION - 1].rstrip()}…"
    size = min(48, width * 2 // max(1, len(shown)) - 2)
    place = f'x="{width // 2}" y="{height - 60}" font-size="{max(8, size)}"'
    return f'<text {place} font-family="sans-serif" text-anchor="middle" fill="#fcfbf8">{escape(shown)}</text>'


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
