"""Sizes such as `1536x1024`: reading them, checking them against a rule, finding the nearest good one."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from batchgen.catalogue.model import Grid

Size = tuple[int, int]

_SIZE = re.compile(r"([1-9]\d{0,5})x([1-9]\d{0,5})")
_SHAPE = re.compile(r"\s*(\d{1,2})\s*[:/]\s*(\d{1,2})\s*")
_NAMED = {
    "square": (1024, 1024),
    "landscape": (1536, 1024),
    "wide": (1536, 864),
    "portrait": (1024, 1536),
    "tall": (864, 1536),
    "4k": (3840, 2160),
    "full hd": (1920, 1080),
    "hd": (1920, 1080),
}
_LOOSE = re.compile(r"\s*(\d{1,6})\s*[xX×*]\s*(\d{1,6})\s*")


def parse(text: object) -> Size | None:
    """Width and height of `WIDTHxHEIGHT`, None for anything else."""
    found = _SIZE.fullmatch(text) if isinstance(text, str) else None
    return (int(found[1]), int(found[2])) if found else None


def guess(text: str) -> Size | None:
    """Width and height of what was probably meant as a size, such as `1024 X 768`, a single edge, a shape or `16:9`."""
    if named := _NAMED.get(text.strip().lower()):
        return named
    if (shape := _SHAPE.fullmatch(text)) and int(shape[1]) and int(shape[2]):
        ratio = int(shape[1]) / int(shape[2])
        longer = 1536
        return (
            (longer, max(1, round(longer / ratio))) if ratio >= 1 else (max(1, round(longer * ratio)), longer)
        )
    found = _LOOSE.fullmatch(text)
    width, height = (int(found[1]), int(found[2])) if found else (0, 0)
    if text.strip().isdecimal() and len(text.strip()) <= 6:
        width = height = int(text.strip())
    return (width, height) if width and height else None


def written(size: Size) -> str:
    """The size as a request has it."""
    return f"{size[0]}x{size[1]}"


def fault(grid: Grid, size: Size) -> str | None:
    """What is wrong with a size, None when it keeps the whole rule."""
    longer, shorter = max(size), min(size)
    pixels = longer * shorter
    if any(edge % grid.multiple for edge in size):
        return f"both edges must be multiples of {grid.multiple}"
    if longer > grid.max_edge:
        return f"an edge is at most {grid.max_edge} pixels"
    if longer > grid.max_ratio * shorter:
        return f"the longer edge is at most {grid.max_ratio} times the shorter"
    if pixels < grid.min_pixels:
        return f"{pixels:,} pixels are too few, at least {grid.min_pixels:,} are needed"
    if pixels > grid.max_pixels:
        return f"{pixels:,} pixels are too many, at most {grid.max_pixels:,} are made"
    return None


def largest(grid: Grid) -> Size:
    """The size with the most output tokens: the biggest square."""
    edge = min(grid.max_edge, math.isqrt(grid.max_pixels)) // grid.multiple * grid.multiple
    return edge, edge


def part_of(grid: Grid, columns: int, rows: int) -> Grid:
    """A rule for one of `columns` x `rows` equal parts of a sheet, so that the sheet keeps `grid`."""
    parts, most = columns * rows, max(columns, rows)
    return Grid(
        multiple=grid.multiple,
        max_edge=grid.max_edge // most,
        max_ratio=grid.max_ratio * min(columns, rows) // most,
        min_pixels=-(-grid.min_pixels // parts),
        max_pixels=grid.max_pixels // parts,
    )


def nearest_on_grid(grid: Grid, size: Size) -> Size:
    """The valid size whose edges differ least from `size`, as ratios, so that the shape is kept."""
    width, height = _into_bounds(grid, size)
    columns, rows = (_around(edge, grid.multiple) for edge in (width, height))
    candidates = [(w, h) for w in columns for h in rows if fault(grid, (w, h)) is None]
    if not candidates:
        return largest(grid)
    # A little more or less of both edges is better than another shape.
    return min(
        candidates, key=lambda other: _distance(other, (width, height)) + abs(_shape(other) - _shape(size))
    )


def nearest_of(sizes: Iterable[Size], size: Size) -> Size:
    """The one of some sizes that is most like `size` in shape, then in area."""
    return min(sizes, key=lambda other: (abs(_shape(other) - _shape(size)), _distance(other, size)))


def _into_bounds(grid: Grid, size: Size) -> tuple[float, float]:
    ratio = max(1 / grid.max_ratio, min(float(grid.max_ratio), size[0] / size[1]))
    area = float(max(grid.min_pixels, min(grid.max_pixels, size[0] * size[1])))
    # The rule on edges is the tighter one for long pictures.
    area = min(area, grid.max_edge**2 * min(ratio, 1 / ratio))
    width = math.sqrt(area * ratio)
    return width, width / ratio


def _around(edge: float, multiple: int) -> list[int]:
    middle = int(edge) // multiple
    return [step * multiple for step in range(max(1, middle - 2), middle + 4)]


def _distance(size: Size, to: tuple[float, float]) -> float:
    return abs(math.log(size[0] / to[0])) + abs(math.log(size[1] / to[1]))


def _shape(size: Size) -> float:
    return math.log(size[0] / size[1])
