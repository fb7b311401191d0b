"""Colours that go together, and words of a prompt that ask for them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from batchgen.core.values import replace

Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Palette:
    """`sky` from top to horizon, `layers` from far to near, `light` for sun or moon, `accents` for things.

    `surface` is what things stand on.
    """

    sky: tuple[Colour, ...]
    layers: tuple[Colour, ...]
    light: Colour
    accents: tuple[Colour, ...]
    surface: Colour

    @property
    def accent(self) -> Colour:
        """The colour of the one thing that the picture is about."""
        return self.accents[0]


def rgb(code: str) -> Colour:
    """`f6a47c` as numbers."""
    return int(code[0:2], 16), int(code[2:4], 16), int(code[4:6], 16)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """`share` of the second colour in the first."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def _palette(sky: str, layers: str, light: str, accent: str) -> Palette:
    colours = tuple(map(rgb, layers.split()))
    return Palette(
        tuple(map(rgb, sky.split())), colours, rgb(light), (rgb(accent),), mix(colours[0], rgb("c4966c"), 0.55)
    )


WARM = (
    _palette("34407c 94699e f6a585 fee3bb", "dc9590 a26785 664a78 352951", "fff4d6", "f2665e"),
    _palette("14606e 4f9fa3 f3c98b fdeccb", "e6a15c c26d3c 2f7a80 0f4450", "fff8e4", "f08a3c"),
    _palette("ee7a66 f9a88f fdd3bc fff0e2", "ee8f86 c25f55 825a72 41425e", "fff7ea", "2a9d8f"),
    _palette("c7643f e79b62 f6cf96 fdf0d2", "d98e5f b4633f 7d3f34 4a2730", "fff6d8", "3a7d86"),
)
COOL = (
    _palette("4f9fe0 92caee def1f5 fdf5df", "bcd8ac 84ba7c 4d915b 27613f", "fffbe8", "ef6f4c"),
    _palette("6a6db0 a596cf e6c9e0 fdf0f0", "c0abd6 9582bb 6a5a99 41366e", "fff6ee", "f4a259"),
    _palette("2f78a8 6fb2d2 c4e2ea f8f6ea", "a8cbd6 6ea3bb 3d7394 1f4a68", "fffdf2", "f2703f"),
    _palette("2b8a9e 7cc6c3 d8eed9 fbf7dd", "a9d2b9 6fb09f 3b8086 1d5063", "fffbe0", "f4b942"),
)
NIGHT = (
    _palette("0b1030 1d2858 41458a 8474b4", "45457e 31325f 1f2147 10122f", "fdf6d8", "f5b971"),
    _palette("071c2a 0e3a4c 1f6b74 79bfa4", "2f6c72 1f4f59 123640 081f29", "f7fbe6", "ffb86b"),
    _palette("1a1033 3b1f5c 7a3b7c d3728a", "6d3a70 4d2a59 321b42 1b0f2b", "ffeede", "ffb86b"),
)

_COLOUR_WORDS = {
    "red": "d94841", "crimson": "b3243b", "orange": "ee8434", "amber": "f2a93b", "yellow": "f4c542",
    "gold": "d9a93a", "green": "4d9a61", "olive": "8a8f3d", "teal": "238b8b", "turquoise": "3ab8b0",
    "blue": "3a6fd0", "navy": "243b72", "purple": "7b4fb0", "violet": "8a5cc7", "pink": "ea7fa4",
    "magenta": "c93f8c", "brown": "8a5a3c", "black": "2b2b33", "white": "f6f3ec", "grey": "8d9199",
    "gray": "8d9199", "silver": "b8bec7", "beige": "d9c3a0", "coral": "f0705c", "mint": "8fd3b6",
}  # fmt: skip


_SURFACE_WORDS = {
    "oak": "c49a6c", "wood": "b98a5b", "wooden": "b98a5b", "walnut": "7a5540", "pine": "dcb884", "marble": "e9e7e4",
    "stone": "b3b0aa", "concrete": "b9bbbd", "slate": "5e6670", "linen": "e6dccb", "glass": "cfe3e6",
}  # fmt: skip

_WARM_WORDS = frozenset({"sunrise", "sunset", "dawn", "dusk", "evening", "autumn", "desert", "warm", "golden"})


def words_of(prompt: str) -> list[str]:
    """The prompt's words in lower case, in their order."""
    return re.findall(r"[a-z]+", prompt.lower())


def choose_palette(prompt: str, rng: Random, *, night: bool) -> Palette:
    """A palette that suits the words of the prompt, with the colours and the material that it names."""
    words = words_of(prompt)
    warm = not _WARM_WORDS.isdisjoint(words)
    palette = rng.choice(NIGHT if night else WARM if warm else WARM + COOL)
    named = tuple(rgb(_COLOUR_WORDS[word]) for word in dict.fromkeys(words) if word in _COLOUR_WORDS)
    surface = next((rgb(_SURFACE_WORDS[word]) for word in words if word in _SURFACE_WORDS), palette.surface)
    return replace(palette, accents=named + palette.accents, surface=surface)
