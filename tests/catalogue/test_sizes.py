"""The rule for sizes, and the nearest good one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.catalogue import sizes
from batchgen.catalogue.model import Grid

GRID = Grid(multiple=16, max_edge=3840, max_ratio=3, min_pixels=655_360, max_pixels=8_294_400)
EDGES = st.integers(1, 20_000)


@pytest.mark.parametrize(
    "size", [(1280, 720), (1024, 1024), (3840, 2160), (2160, 3840), (2880, 2880), (1408, 480)]
)
def test_documented_sizes_are_good(size: tuple[int, int]) -> None:
    """Sizes that the maker names, and those at the rule's corners, pass."""
    assert sizes.fault(GRID, size) is None


@pytest.mark.parametrize(
    ("size", "nearest"),
    [
        ((1920, 1080), (1920, 1088)),
        ((512, 512), (816, 816)),
        ((1024, 576), (1088, 608)),
        ((3856, 2160), (3840, 2144)),
    ],
)
def test_bad_sizes_have_a_nearest_good_one(size: tuple[int, int], nearest: tuple[int, int]) -> None:
    """The advice keeps the shape that was asked for."""
    assert sizes.fault(GRID, size) is not None
    assert nearest == sizes.nearest_on_grid(GRID, size)


@given(EDGES, EDGES)
def test_the_nearest_is_always_good(width: int, height: int) -> None:
    """Whoever follows the advice is not refused again, and a good size is its own nearest."""
    nearest = sizes.nearest_on_grid(GRID, (width, height))
    assert sizes.fault(GRID, nearest) is None
    if sizes.fault(GRID, (width, height)) is None:
        assert (width, height) == nearest


@given(EDGES, EDGES)
def test_written_sizes_are_read_back(width: int, height: int) -> None:
    """Reading a size undoes writing it."""
    assert (width, height) == sizes.parse(sizes.written((width, height)))


@pytest.mark.parametrize("text", ["1024", "1024 x 1024", "1024X1024", "0x10", "-1x5", "auto", "", 1024, None])
def test_what_is_no_size(text: object) -> None:
    """Only the API's own spelling is a size."""
    assert sizes.parse(text) is None


@given(st.sampled_from([(3, 3), (4, 3), (4, 4)]), EDGES, EDGES)
def test_good_parts_make_a_good_sheet(parts: tuple[int, int], width: int, height: int) -> None:
    """Frames that follow the advice fit on their sheet."""
    columns, rows = parts
    frame = sizes.nearest_on_grid(sizes.part_of(GRID, columns, rows), (width, height))
    assert sizes.fault(GRID, (frame[0] * columns, frame[1] * rows)) is None


def test_blanks_that_only_python_knows_harm_no_guess() -> None:
    """`strip` takes separators away that `int` does not, and a manifest may hold any of them."""
    assert (1024, 1024) == sizes.guess("1024\x1f")
