"""What the sandbox paints: a few kinds of scene, chosen by words of the prompt and varied by a seeded chance."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType

from batchgen.sandbox.canvas import Canvas, Fill
from batchgen.sandbox.palettes import BLACK, WHITE, Palette, choose_palette, mix, words_of
from batchgen.sandbox.terrain import crags, layers, ridge, shimmer
from batchgen.sandbox.things import ball, balloon, bird, boat, cabin, cloud, fir, mug, sun, tile

Scene = Callable[[Canvas, Palette, Random, float], None]
"""Paints on a canvas; the last argument is the phase of an animation, from 0 to 1."""


_WORDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "sea": frozenset(
            words_of(
                "sea ocean boat seaside ship sail water wave waves lake river beach island harbour harbor coast swim fish"
            )
        ),
        "night": frozenset(words_of("night moon moonlit star stars midnight galaxy aurora planet")),
        "hills": frozenset(
            words_of(
                "mountain mountains hill hills valley forest meadow landscape field tree trees house cabin farm"
            )
        ),
        "still": frozenset(
            words_of(
                "mug cup table bottle vase product photo studio jar bowl teapot lamp desk coffee tea bag shoe"
            )
        ),
        "balloons": frozenset(
            words_of("sky balloon balloons cloud clouds bird birds flying fly kite air summer spring campaign")
        ),
        "shapes": frozenset(
            words_of("abstract pattern logo icon poster geometric vector flat shapes banner minimal")
        ),
    }
)

_ANY = ("balloons", "hills", "sea", "shapes")
"""Scenes that suit any prompt: a mug would puzzle whoever did not ask for one."""


def paint_scene(canvas: Canvas, prompt: str, rng: Random, phase: float) -> None:
    """Paint the scene that suits the prompt best; `rng` decides the rest."""
    name = _suited(prompt) or rng.choice(_ANY)
    palette = choose_palette(prompt, rng, night=name == "night")
    _SCENES[name](canvas, palette, rng, phase)


def _suited(prompt: str) -> str | None:
    """The scene of the first telling word; a word of the night wins, for it changes everything else."""
    told = [scene for word in words_of(prompt) for scene, words in _WORDS.items() if word in words]
    return "night" if "night" in told else next(iter(told), None)


def _hills(canvas: Canvas, palette: Palette, rng: Random, phase: float) -> None:
    canvas.backdrop(palette.sky)
    sun(canvas, palette, (rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.36) - 0.05 * phase), rng.uniform(0.06, 0.1))
    for _ in range(rng.randint(1, 3)):
        cloud(canvas, rng, (rng.random() + 0.08 * phase, rng.uniform(0.1, 0.34)), rng.uniform(0.12, 0.2), 0.3)
    colour = mix(palette.layers[0], palette.sky[1], 0.45)
    canvas.ground(crags(rng, 0.6, rng.uniform(0.2, 0.32)), Fill(colour, mix(colour, palette.sky[-1], 0.75)))
    line = layers(canvas, palette, rng, 0.55)
    for x, y in rng.sample(line[2:-2], rng.randint(5, 12)):
        fir(canvas, (x, y + 0.015), rng.uniform(0.06, 0.13), Fill(mix(palette.layers[-1], BLACK, 0.22)))
    for _ in range(rng.randint(2, 5)):
        bird(
            canvas,
            (rng.uniform(0.1, 0.9) + 0.1 * phase, rng.uniform(0.12, 0.4)),
            rng.uniform(0.008, 0.015),
            palette,
        )


def _sea(canvas: Canvas, palette: Palette, rng: Random, phase: float) -> None:
    horizon = rng.uniform(0.46, 0.54)
    canvas.backdrop((*palette.sky, palette.sky[-1], palette.sky[-1]))
    place = (rng.uniform(0.3, 0.7), horizon - rng.uniform(0.02, 0.14) - 0.05 * phase)
    radius = rng.uniform(0.1, 0.15)
    sun(canvas, palette, place, radius)
    for _ in range(rng.randint(2, 4)):
        cloud(canvas, rng, (rng.random(), rng.uniform(0.08, 0.3)), rng.uniform(0.12, 0.22), 0.28)
    # Water takes its colour from the sky.
    deep, water = mix(palette.layers[-1], palette.sky[0], 0.4), mix(palette.layers[-2], palette.sky[0], 0.5)
    canvas.ground([(-0.01, horizon), (1.01, horizon)], Fill(mix(water, palette.sky[-1], 0.35), deep))
    shimmer(canvas, palette, rng, place[0], horizon, radius)
    for depth in range(4):
        line = ridge(rng, horizon + 0.12 + 0.12 * depth, 0.009 + 0.006 * depth, 9 - depth, phase * math.tau)
        tint = mix(water, deep, depth / 3)
        canvas.ground(line, Fill(mix(tint, palette.sky[-1], 0.26), tint, 0.6))
    boat(canvas, palette, (rng.uniform(0.25, 0.75) + 0.06 * phase, horizon + rng.uniform(0.07, 0.12)), 0.15)


def _night(canvas: Canvas, palette: Palette, rng: Random, phase: float) -> None:
    canvas.backdrop(palette.sky)
    for _ in range(90):
        size = rng.choice((0.0012, 0.0016, 0.002, 0.003))
        canvas.disc(
            (rng.random(), rng.random() ** 1.4 * 0.62), size, Fill(WHITE, None, rng.uniform(0.35, 0.95))
        )
    moon = (rng.uniform(0.2, 0.8), rng.uniform(0.17, 0.33) - 0.06 * phase)
    radius = rng.uniform(0.07, 0.11)
    sun(canvas, palette, moon, radius)
    for _ in range(4):
        turn, far = rng.uniform(0, math.tau), rng.uniform(0.2, 0.62) * radius
        place = (
            moon[0] + far * math.cos(turn) * canvas.unit / canvas.width,
            moon[1] + far * math.sin(turn) * canvas.unit / canvas.height,
        )
        canvas.disc(place, radius * rng.uniform(0.1, 0.2), Fill(palette.sky[-1], None, 0.3))
    line = layers(canvas, palette, rng, 0.58)
    for x, y in rng.sample(line[2:-2], rng.randint(9, 16)):
        fir(canvas, (x, y + 0.015), rng.uniform(0.06, 0.14), Fill(mix(palette.layers[-1], BLACK, 0.4)))
    x, y = rng.choice(line[20:60])
    cabin(canvas, palette, (x, y + 0.01), 0.05)


def _balloons(canvas: Canvas, palette: Palette, rng: Random, phase: float) -> None:
    canvas.backdrop(palette.sky)
    sun(canvas, palette, (rng.uniform(0.15, 0.85), rng.uniform(0.55, 0.66)), rng.uniform(0.07, 0.1))
    for _ in range(rng.randint(4, 7)):
        cloud(canvas, rng, (rng.random() + 0.06 * phase, rng.uniform(0.08, 0.6)), rng.uniform(0.14, 0.26), 0.3)
    layers(canvas, palette, rng, 0.72)
    colours = [palette.accent, palette.layers[0], palette.layers[1], palette.sky[0]]
    for number, x in enumerate(rng.sample((0.16, 0.34, 0.52, 0.7, 0.86), rng.randint(2, 4))):
        size = (0.17, 0.1, 0.075, 0.06)[number]
        place = (x + rng.uniform(-0.03, 0.03), rng.uniform(0.2, 0.46) - 0.05 * phase)
        balloon(canvas, palette, place, size, number, colours)


def _still(canvas: Canvas, palette: Palette, rng: Random, phase: float) -> None:
    """A vessel on a table in studio light."""
    wall = mix(palette.sky[-1], palette.sky[-2], 0.5)
    canvas.backdrop((mix(wall, palette.sky[1], 0.35), wall, palette.sky[-1]))
    canvas.glow((rng.uniform(0.2, 0.4) + 0.2 * phase, 0.25), 0.75, WHITE, 0.5)
    edge = rng.uniform(0.6, 0.65)
    wood = palette.surface
    canvas.ground([(-0.01, edge), (1.01, edge)], Fill(mix(wood, WHITE, 0.2), mix(wood, BLACK, 0.28)))
    x, foot, size = rng.uniform(0.42, 0.58), edge + 0.07, rng.uniform(0.15, 0.18)
    canvas.ellipse((x + 0.05, foot + 0.002), (size * 1.45, size * 0.26), Fill(mix(wood, BLACK, 0.6), None, 0.4))
    mug(canvas, palette, (x, foot), size)
    for side in rng.sample((-1.45, 1.95, -2.2), rng.randint(1, 3)):
        colour = mix(rng.choice(palette.layers[:3]), palette.accents[-1], rng.uniform(0.35, 0.8))
        centre = (x + side * size * canvas.unit / canvas.width, foot + rng.uniform(0.0, 0.03))
        ball(canvas, centre, rng.uniform(0.05, 0.075), colour)


def _shapes(canvas: Canvas, palette: Palette, rng: Random, phase: float) -> None:
    """Discs, half discs, rings and leaves on a loose grid."""
    paper = mix(palette.sky[-1], WHITE, 0.35)
    canvas.backdrop((paper, mix(paper, palette.sky[-2], 0.25)))
    colours = [*palette.accents, *palette.accents, *palette.layers, palette.sky[0]]
    step = 0.25
    columns, rows = (max(2, round(edge / canvas.unit / step)) for edge in (canvas.width, canvas.height))
    for column in range(columns):
        for row in range(rows):
            if rng.random() < 0.86:
                centre = ((column + 0.5) / columns, (row + 0.5) / rows)
                first, second = rng.sample(colours, 2)
                tile(
                    canvas,
                    rng,
                    centre,
                    step * 0.46,
                    [first, second if second != first else palette.light],
                    phase,
                )


_SCENES: Mapping[str, Scene] = MappingProxyType(
    {"balloons": _balloons, "hills": _hills, "night": _night, "sea": _sea, "shapes": _shapes, "still": _still}
)
