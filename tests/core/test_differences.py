"""How a request differs from the one before it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple

from batchgen.core.differences import CONTEXT, differences, differing_parts
from batchgen.core.types import ImageRequest, JsonValue, Reference
from batchgen.core.values import replace

LOGO = Reference("logo.png", "a" * 64, 10, "image/png", 8, 8)
REQUEST = ImageRequest("m1", "A boat.", {"size": "8x8", "quality": "low"}, {"tint": [1]}, (LOGO,), LOGO)


@pytest.mark.parametrize(
    ("expected", "now"),
    [
        ([], REQUEST),
        ([("prompt", "A boat.", "A tin boat.")], replace(REQUEST, prompt="A tin boat.")),
        ([("model", "m1", "m2")], replace(REQUEST, model="m2")),
        (
            [("size", "8x8", "16x8"), ("quality", "low", None), ("background", None, "opaque")],
            replace(REQUEST, parameters={"size": "16x8", "background": "opaque"}),
        ),
        ([("extra.tint", [1], [2])], replace(REQUEST, extra={"tint": [2]})),
        ([], replace(REQUEST, references=(replace(LOGO, file="renamed.png"),))),
        ([("references", "logo.png", "b.png")], replace(REQUEST, references=(Reference("b.png", "b", 1, "x", 1, 1),))),
        (
            [("references", "logo.png (aaaaaaaa)", "logo.png (bbbbbbbb)")],
            replace(REQUEST, references=(replace(LOGO, sha256="b" * 64),)),
        ),
        ([("references", "logo.png", None)], replace(REQUEST, references=())),
        ([("mask", "logo.png", None)], replace(REQUEST, mask=None)),
    ],
)  # fmt: skip
def test_every_field_that_differs(expected: list[tuple[str, JsonValue, JsonValue]], now: ImageRequest) -> None:
    """Both values, as the manifest has them; of pictures the content counts."""
    assert expected == [astuple(difference) for difference in differences(REQUEST, now)]


BEFORE = "A paper boat that floats on the calm water of a mountain lake at sunrise, in soft light"


@pytest.mark.parametrize(
    ("expected", "now"),
    [
        (
            ("…boat that floats on the calm water of a mountain lake…", "…boat that floats on the stormy water of a mountain lake…"),
            BEFORE.replace("calm", "stormy"),
        ),
        (("…at sunrise, in soft light", "…at sunrise, in soft light, film"), BEFORE + ", film"),
        (("A paper boat that floats on…", "One paper boat that floats on…"), BEFORE.replace("A paper", "One paper")),
        ((BEFORE, "A cat"), "A cat"),
    ],
)  # fmt: skip
def test_of_long_texts_the_differing_part(expected: tuple[str, str], now: str) -> None:
    """What both share is cut at words, and the cut is marked."""
    assert expected == differing_parts(BEFORE, now)


@given(st.text("ab ", max_size=90), st.text("ab ", max_size=90), st.text("ab c", max_size=90))
def test_no_difference_is_cut_away(start: str, end: str, middle: str) -> None:
    """Both parts without their marks are parts of their texts, and put in each other's place they make the other one."""
    one, other = start + middle + end, start + end
    left, right = differing_parts(one, other)
    old, new = (part.removeprefix("…").removesuffix("…") for part in (left, right))
    assert old in one
    assert new in other
    assert (one == other) == (old == new)
    assert len(new) <= len(other) - len(start) - len(end) + 6 * CONTEXT
