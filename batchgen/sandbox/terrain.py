"""Ground and water: lines that run from left to right, and what they enclose."""

from __future__ import annotations

import math
from itertools import pairwise
from random import Random

from batchgen.sandbox.canvas import Canvas, Fill, Point
from batchgen.sandbox.palettes import Palette, mix


def ridge(rng: Random, base: float, swing: float, waves: float, shift: float = 0.0) -> list[Point]:
    """A soft line from left to right around `base`, made of three waves."""
    parts = [
        (swing / (1 + 0.8 * n), waves * (1 + 0.9 * n) * rng.uniform(0.8, 1.25), rng.uniform(0, math.tau))
        for n in range(3)
    ]
    places = [step / 80 for step in range(-1, 82)]
    return [
        (x, base - sum(size * math.sin(turns * x + start + shift) for size, turns, start in parts))
        for x in places
    ]


def crags(rng: Random, base: float, height: float) -> list[Point]:
    """A mountain line: peaks, halved again and again with smaller and smaller chance."""
    peaks = rng.randint(2, 4)
    line = [(-0.02, base)]
    for peak in range(peaks):
        line.append(((peak + rng.uniform(0.3, 0.7)) / peaks, base - height * rng.uniform(0.55, 1.0)))
        line.append(((peak + 1) / peaks, base - height * rng.uniform(0.0, 0.3)))
    line[-1] = (1.02, line[-1][1])
    for rough in (0.16, 0.09, 0.05):
        line = [point for pair in pairwise(line) for point in _halved(rng, *pair, height * rough)]
        line.append((1.02, line[-1][1]))
    return line


def _halved(rng: Random, left: Point, right: Point, swing: float) -> tuple[Point, Point]:
    return left, ((left[0] + right[0]) / 2, (left[1] + right[1]) / 2 + rng.uniform(-swing, swing))


def layers(canvas: Canvas, palette: Palette, rng: Random, horizon: float, phase: float = 0.0) -> list[Point]:
    """Hills behind hills, each hazier than the one before it; returns the nearest line."""
    count = len(palette.layers)
    line: list[Point] = []
    for depth, colour in enumerate(palette.layers):
        near = (depth + 1) / count
        base = horizon + (0.97 - horizon) * (depth / count) ** 1.15
        line = ridge(rng, base, 0.02 + 0.035 * near, rng.uniform(3.5, 6.5), phase * math.tau * near * 0.1)
        haze = mix(colour, palette.sky[-1], 0.42 * (1 - near) + 0.12)
        canvas.ground(line, Fill(colour, haze))
    return line


def shimmer(canvas: Canvas, palette: Palette, rng: Random, x: float, horizon: float, radius: float) -> None:
    """The sun's path on the water."""
    for step in range(16):
        share = step / 16
        y = horizon + 0.012 + share**1.3 * (0.98 - horizon)
        wide = radius * (0.9 + 0.9 * share) * rng.uniform(0.35, 1.0)
        fill = Fill(palette.light, None, 0.6 * (1 - share) ** 1.2 + 0.04)
        canvas.ellipse((x + rng.uniform(-0.02, 0.02), y), (wide, 0.004 + 0.006 * share), fill)
