"""A small drawing surface with smooth edges. Places are shares of the picture: x and y from 0 to 1, y downwards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from batchgen.sandbox.palettes import Colour

Point = tuple[float, float]

OVERSAMPLE = 2
"""Masks are drawn this many times larger and shrunk, which makes their edges smooth."""

RIM = 180
"""Pillow's radial gradient reaches 255 in its corners, and this at the middle of its sides."""


@dataclass(frozen=True, slots=True)
class Fill:
    """A colour, or a change of colour from top to bottom; `opacity` from 0 to 1."""

    top: Colour
    bottom: Colour | None = None
    opacity: float = 1.0


class Canvas:
    """An RGB picture of `width` x `height` pixels and the few shapes that scenes are made of."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width, height))
        self.width, self.height = width, height
        self.unit = min(width, height)
        """Pixels of a radius of 1, the same across and down: circles stay round in any format."""

    def backdrop(self, colours: Sequence[Colour]) -> None:
        """Colours from top to bottom, over everything."""
        self.image.paste(_gradient(colours, self.width, self.height))

    def polygon(self, points: Sequence[Point], fill: Fill) -> None:
        """A filled outline."""
        self.polygons([points], fill)

    def polygons(self, outlines: Sequence[Sequence[Point]], fill: Fill) -> None:
        """Filled outlines as one shape: where they overlap, nothing is painted twice."""
        pixels = [[(x * self.width, y * self.height) for x, y in points] for points in outlines]
        box = self._bounds([point for points in pixels for point in points])
        if box[0] < box[2] and box[1] < box[3]:
            mask, draw = _mask(box)
            for points in pixels:
                draw.polygon(
                    [((x - box[0]) * OVERSAMPLE, (y - box[1]) * OVERSAMPLE) for x, y in points], fill=255
                )
            self._put(box, mask.reduce(OVERSAMPLE), fill)

    def ground(self, line: Sequence[Point], fill: Fill) -> None:
        """Everything below a line that runs from left to right."""
        self.polygon([*line, (line[-1][0], 1.02), (line[0][0], 1.02)], fill)

    def outline(self, centre: Point, radii: Point) -> list[Point]:
        """The outline of an ellipse; radii are shares of the shorter edge."""
        across, down = radii[0] * self.unit / self.width, radii[1] * self.unit / self.height
        turns = [step * math.tau / 72 for step in range(72)]
        return [(centre[0] + across * math.cos(turn), centre[1] + down * math.sin(turn)) for turn in turns]

    def ellipse(self, centre: Point, radii: Point, fill: Fill) -> None:
        """A filled ellipse; radii are shares of the shorter edge."""
        self.polygon(self.outline(centre, radii), fill)

    def disc(self, centre: Point, radius: float, fill: Fill) -> None:
        """A round one."""
        self.ellipse(centre, (radius, radius), fill)

    def glow(self, centre: Point, radius: float, colour: Colour, strength: float) -> None:
        """Light that fades outwards."""
        edge = max(2, round(2 * radius * self.unit))
        light = Image.radial_gradient("L").point(
            [round(255 * strength * max(0.0, 1 - value / RIM) ** 2) for value in range(256)]
        )
        corner = (round(centre[0] * self.width - edge / 2), round(centre[1] * self.height - edge / 2))
        self.image.paste(colour, corner, light.resize((edge, edge), Image.Resampling.BILINEAR))

    def _bounds(self, pixels: Sequence[Point]) -> tuple[int, int, int, int]:
        """The whole pixels around some points, as far as they are on the canvas."""
        across, down = [x for x, _ in pixels], [y for _, y in pixels]
        return (
            max(0, math.floor(min(across)) - 1),
            max(0, math.floor(min(down)) - 1),
            min(self.width, math.ceil(max(across)) + 1),
            min(self.height, math.ceil(max(down)) + 1),
        )

    def _put(self, box: tuple[int, int, int, int], mask: Image.Image, fill: Fill) -> None:
        if fill.opacity < 1:
            mask = mask.point([round(value * fill.opacity) for value in range(256)])
        if fill.bottom is None:
            self.image.paste(fill.top, box, mask)
        else:
            self.image.paste(_gradient((fill.top, fill.bottom), *mask.size), box, mask)


def _mask(box: tuple[int, int, int, int]) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    mask = Image.new("L", ((box[2] - box[0]) * OVERSAMPLE, (box[3] - box[1]) * OVERSAMPLE))
    return mask, ImageDraw.Draw(mask)


def _gradient(colours: Sequence[Colour], width: int, height: int) -> Image.Image:
    strip = Image.new("RGB", (1, len(colours)))
    for place, colour in enumerate(colours):
        strip.putpixel((0, place), colour)
    return strip.resize((width, height), Image.Resampling.BICUBIC)
