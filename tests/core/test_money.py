"""Arithmetic of money."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.money import (
    flat_price,
    image_tokens,
    settled_usd,
    text_tokens,
    text_tokens_bound,
    usage_usd,
    usd,
)
from batchgen.core.types import Price, PriceKind, TokenRates, Usage

RATES = TokenRates(text_in=5, image_in=8, image_out=30)


@pytest.mark.parametrize(
    ("factor", "width", "height", "tokens"),
    [
        (16, 1024, 1024, 196),
        (16, 1536, 1024, 158),
        (24, 1024, 1024, 439),
        (48, 1024, 1024, 1756),
        (48, 1024, 1536, 1372),
        (64, 2048, 2048, 6343),
        (96, 1024, 1024, 7024),
        (96, 1792, 1024, 5063),
        (96, 3584, 2048, 12329),
        (96, 3840, 2160, 13342),
    ],
)
def test_the_formula_gives_the_published_figures(factor: int, width: int, height: int, tokens: int) -> None:
    """Every figure that was checked against live usage is met to the token."""
    assert tokens == image_tokens(factor, width, height)


@given(st.integers(1, 96), st.integers(16, 3840), st.integers(16, 3840))
def test_a_picture_turned_costs_the_same(factor: int, width: int, height: int) -> None:
    """Upright or lying makes no difference."""
    assert image_tokens(factor, width, height) == image_tokens(factor, height, width)


@given(st.text())
def test_a_prompt_never_has_more_tokens_than_bytes(prompt: str) -> None:
    """The bound is a token a byte, and the usual count is below it."""
    assert text_tokens(prompt) <= text_tokens_bound(prompt) == len(prompt.encode())


def test_a_lone_surrogate_is_counted() -> None:
    """Text that is no valid Unicode has a bound, too."""
    assert text_tokens_bound("\ud800") == 3


def test_settling() -> None:
    """Usage settles a price with rates; without usage the reservation is kept; a flat price stays."""
    price = Price(PriceKind.EXACT, 0.006, 0.008, 0.006, RATES)
    assert usd(0.00637) == settled_usd(price, Usage(text_in=10, image_in=10, image_out=208))
    assert price.bound_usd == settled_usd(price, None)
    assert flat_price(0.04).expected_usd == settled_usd(flat_price(0.04), Usage(9, 9, 9))
    assert settled_usd(Price(PriceKind.UNPRICED), Usage(1, 1, 1)) is None


@given(st.lists(st.integers(0, 10**6).map(lambda micro: micro / 1e6), max_size=50))
def test_sums_of_rounded_money_are_free_of_noise(amounts: list[float]) -> None:
    """Adding whole micro-dollars and rounding gives whole micro-dollars."""
    total = 0.0
    for amount in amounts:
        total = usd(total + usd(amount))
    assert total == usd(sum(round(amount * 1e6) for amount in amounts) / 1e6)


def test_usage_costs_by_kind() -> None:
    """Text, image input and image output have their own rates."""
    assert usage_usd(RATES, Usage(text_in=10**6, image_in=2 * 10**6, image_out=3 * 10**6)) == 5 + 16 + 90
