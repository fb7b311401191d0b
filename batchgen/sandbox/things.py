"""What stands, floats and flies in the scenes. Sizes are shares of the shorter edge, places shares of the picture."""

from __future__ import annotations

import math
from random import Random

from batchgen.sandbox.canvas import Canvas, Fill, Point
from batchgen.sandbox.palettes import BLACK, WHITE, Colour, Palette, mix


def sun(canvas: Canvas, palette: Palette, centre: Point, radius: float) -> None:
    """Sun or moon with its glow."""
    canvas.glow(centre, radius * 5.5, palette.light, 0.75)
    canvas.disc(centre, radius, Fill(palette.light, mix(palette.light, palette.sky[-2], 0.25)))


def cloud(canvas: Canvas, rng: Random, centre: Point, size: float, opacity: float) -> None:
    """A long flat puff with rounder ones on its back; `size` is half its length."""
    across, down = size * canvas.unit / canvas.width, size * canvas.unit / canvas.height
    x, y = centre
    puffs = [canvas.outline((x, y), (size, size * 0.13))]
    for _ in range(rng.randint(3, 4)):
        radius = rng.uniform(0.16, 0.32)
        place = (x + rng.uniform(-0.55, 0.55) * across, y - radius * 0.45 * down)
        puffs.append(canvas.outline(place, (size * radius * 1.3, size * radius)))
    canvas.polygons(puffs, Fill(WHITE, None, opacity))


def bird(canvas: Canvas, place: Point, size: float, palette: Palette) -> None:
    """A gull far away; `size` is half its span as a share of the width."""
    x, y = place
    down = size * canvas.width / canvas.height
    wings = [
        (-1.0, -0.35),
        (-0.5, -0.5),
        (0.0, 0.0),
        (0.5, -0.5),
        (1.0, -0.35),
        (0.5, -0.32),
        (0.0, 0.22),
        (-0.5, -0.32),
    ]
    canvas.polygon([(x + a * size, y + b * down) for a, b in wings], Fill(palette.layers[-1], None, 0.8))


def fir(canvas: Canvas, foot: Point, size: float, colour: Fill) -> None:
    """A tree of three stacked triangles; `size` is its height."""
    x, y = foot
    half = size * 0.26 * canvas.height / canvas.width
    for level in range(3):
        top, low, wide = 1.0 - level * 0.27, 0.62 - level * 0.29, half * (0.55 + 0.225 * level)
        canvas.polygon([(x, y - size * top), (x + wide, y - size * low), (x - wide, y - size * low)], colour)


def boat(canvas: Canvas, palette: Palette, foot: Point, size: float) -> None:
    """A paper boat on its reflection; `size` is half its length as a share of the shorter edge."""
    across, down = size * canvas.unit / canvas.width, size * canvas.unit / canvas.height
    x, y = foot

    def shape(*points: Point) -> list[Point]:
        return [(x + a * across, y + b * down) for a, b in points]

    white = mix(WHITE, palette.accent, 0.12)
    canvas.polygon(
        shape((-0.6, 0.42), (0.6, 0.42), (0.9, 0.6), (-0.9, 0.6)), Fill(palette.layers[-1], None, 0.35)
    )
    canvas.polygon(shape((0, -0.85), (0.62, 0.06), (-0.62, 0.06)), Fill(mix(white, palette.accent, 0.3)))
    canvas.polygon(shape((0, -0.85), (0, 0.06), (-0.62, 0.06)), Fill(white))
    canvas.polygon(shape((-1, -0.05), (0, 0.06), (1, -0.05), (0.62, 0.46), (-0.62, 0.46)), Fill(palette.accent))
    canvas.polygon(
        shape((-1, -0.05), (0, 0.06), (-0.2, 0.46), (-0.62, 0.46)), Fill(mix(palette.accent, WHITE, 0.22))
    )


def cabin(canvas: Canvas, palette: Palette, foot: Point, size: float) -> None:
    """A small house with a lit window; `size` is half its width as a share of the shorter edge."""
    across, down = size * canvas.unit / canvas.width, size * canvas.unit / canvas.height
    x, y = foot

    def box(left: float, top: float, right: float, bottom: float) -> list[Point]:
        corners = ((left, top), (right, top), (right, bottom), (left, bottom))
        return [(x + a * across, y + b * down) for a, b in corners]

    dark = mix(palette.layers[-1], BLACK, 0.45)
    canvas.polygon(box(-0.8, -1.0, 0.8, 0.4), Fill(dark))
    canvas.polygon(
        [(x - across, y - down * 0.95), (x, y - down * 1.8), (x + across, y - down * 0.95)], Fill(dark)
    )
    canvas.glow((x, y - 0.45 * down), size * 2.2, palette.accent, 0.55)
    canvas.polygon(box(-0.3, -0.75, 0.3, -0.15), Fill(mix(palette.accent, WHITE, 0.35)))


def balloon(
    canvas: Canvas,
    palette: Palette,
    centre: Point,
    size: float,
    number: int,
    colours: list[Colour],
) -> None:
    """A hot-air balloon; `size` is its radius, `number` picks its colour."""
    across, down = size * canvas.unit / canvas.width, size * canvas.unit / canvas.height
    x, y = centre
    colour = colours[number % len(colours)]
    pale = mix(colour, WHITE, 0.55)
    canvas.polygon(
        [(x - 0.72 * across, y + 0.66 * down), (x + 0.72 * across, y + 0.66 * down),
         (x + 0.17 * across, y + 1.32 * down), (x - 0.17 * across, y + 1.32 * down)],
        Fill(mix(colour, BLACK, 0.12)),
    )  # fmt: skip
    canvas.disc(centre, size, Fill(mix(colour, WHITE, 0.14), mix(colour, BLACK, 0.12)))
    canvas.ellipse(centre, (size * 0.62, size), Fill(pale, None, 0.85))
    canvas.ellipse(centre, (size * 0.26, size), Fill(mix(colour, WHITE, 0.06)))
    canvas.polygon(
        [(x - 0.17 * across, y + 1.46 * down), (x + 0.17 * across, y + 1.46 * down),
         (x + 0.14 * across, y + 1.7 * down), (x - 0.14 * across, y + 1.7 * down)],
        Fill(mix(palette.layers[-1], (120, 80, 50), 0.5)),
    )  # fmt: skip


def mug(canvas: Canvas, palette: Palette, foot: Point, size: float) -> None:
    """A mug of coffee; `size` is its radius, `foot` the middle of its base."""
    across, down = size * canvas.unit / canvas.width, size * canvas.unit / canvas.height
    x, y = foot
    colour = palette.accent
    light, dark = mix(colour, WHITE, 0.25), mix(colour, BLACK, 0.3)
    middle = y - 1.0 * down
    canvas.ellipse((x + 1.0 * across, middle), (size * 0.5, size * 0.58), Fill(mix(colour, BLACK, 0.12), dark))
    canvas.ellipse(
        (x + 1.02 * across, middle),
        (size * 0.27, size * 0.35),
        Fill(mix(palette.sky[-1], palette.sky[-2], 0.3)),
    )
    canvas.ellipse((x, y), (size, size * 0.24), Fill(dark))
    sides = [(x - across, y - 2 * down), (x + across, y - 2 * down), (x + across, y), (x - across, y)]
    canvas.polygon(sides, Fill(mix(colour, WHITE, 0.1), mix(colour, BLACK, 0.24)))
    shine = [(x - 0.78 * across, y - 1.86 * down), (x - 0.5 * across, y - 1.82 * down),
             (x - 0.5 * across, y - 0.1 * down), (x - 0.78 * across, y - 0.16 * down)]  # fmt: skip
    canvas.polygon(shine, Fill(WHITE, None, 0.28))
    canvas.ellipse((x, y - 2 * down), (size, size * 0.24), Fill(light))
    canvas.ellipse((x, y - 2 * down), (size * 0.88, size * 0.19), Fill(mix((84, 50, 34), colour, 0.12)))


def ball(canvas: Canvas, foot: Point, radius: float, colour: Colour) -> None:
    """A fruit, or whatever it is, on the table."""
    down = radius * canvas.unit / canvas.height
    canvas.ellipse((foot[0] + 0.012, foot[1]), (radius * 1.2, radius * 0.28), Fill((30, 20, 25), None, 0.28))
    centre = (foot[0], foot[1] - down * 0.85)
    canvas.disc(centre, radius, Fill(mix(colour, WHITE, 0.28), mix(colour, BLACK, 0.22)))
    shine = (centre[0] - radius * 0.35 * canvas.unit / canvas.width, centre[1] - down * 0.4)
    canvas.ellipse(shine, (radius * 0.22, radius * 0.15), Fill(WHITE, None, 0.4))


def tile(canvas: Canvas, rng: Random, centre: Point, size: float, colours: list[Colour], phase: float) -> None:
    """One motif of the geometric scene, of two colours and any of four turns."""
    across, down = size * canvas.unit / canvas.width, size * canvas.unit / canvas.height
    first, second = Fill(colours[0]), Fill(colours[1])
    turn = rng.choice((0, 1, 2, 3)) * math.pi / 2 + phase * math.tau

    def arc(start: float, end: float, middle: Point = (0.0, 0.0), reach: float = 1.0) -> list[Point]:
        angles = [start + (end - start) * part / 40 for part in range(41)]
        spots = [(middle[0] + reach * math.cos(a), middle[1] + reach * math.sin(a)) for a in angles]
        return [_turned(spot, turn, centre, across, down) for spot in spots]

    match rng.randrange(5):
        case 0:
            canvas.disc(centre, size, first)
            canvas.disc(centre, size * 0.5, second)
        case 1:
            canvas.polygon(arc(0, math.pi), first)
            canvas.polygon(arc(math.pi, math.tau, (0.0, -0.04), 0.62), second)
        case 2:
            canvas.polygon([*arc(0, math.pi / 2, (-1.0, -1.0), 2.0), *arc(0, 0, (-1.0, -1.0), 0.0)], first)
            canvas.polygon([*arc(0, math.pi / 2, (-1.0, -1.0), 1.0), *arc(0, 0, (-1.0, -1.0), 0.0)], second)
        case 3:
            leaf = arc(0, math.pi / 2, (-1.0, -1.0), 2.0) + arc(math.pi, math.pi * 1.5, (1.0, 1.0), 2.0)
            canvas.polygon(leaf, first)
        case _:
            canvas.polygon(arc(0, math.tau), first)
            canvas.polygon(arc(-math.pi / 2, math.pi / 2), second)


def _turned(spot: Point, turn: float, centre: Point, across: float, down: float) -> Point:
    x = spot[0] * math.cos(turn) - spot[1] * math.sin(turn)
    y = spot[0] * math.sin(turn) + spot[1] * math.cos(turn)
    return centre[0] + x * across, centre[1] + y * down
