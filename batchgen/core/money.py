"""Arithmetic of money: rounding, token formulas, upper bounds, settling. All in US dollars."""

from __future__ import annotations

import math

from batchgen.core.types import Failure, Paid, Price, PriceKind, TaskState, TokenRates, Usage

BOUND_FACTOR = 1.2
"""What is reserved before a request is the formula times this: `usage` has been seen above the formulas."""


def usd(amount: float) -> float:
    """Whole micro-dollars, so that sums of many images stay free of float noise."""
    return round(amount, 6)


def image_tokens(factor: int, width: int, height: int) -> int:
    """Output tokens of one image for the models with a known formula (gpt-image-2 and 2.5).

    `factor` is the quality's (gpt-image-2: low 16, medium 48, high 96). With s = factor * shorter / longer,
    rounded half up: ceil(factor * s * (2,000,000 + width * height) / 4,000,000). Worked out from OpenAI's public
    calculator and checked by two parties against live `usage`: community.openai.com/t/1382699.
    """
    longer, shorter = max(width, height), min(width, height)
    scaled = (2 * factor * shorter + longer) // (2 * longer)
    return -(-factor * scaled * (2_000_000 + width * height) // 4_000_000)


PARTIAL_TOKENS = 100
"""Output tokens of each partial image of a streamed answer (OpenAI's image generation guide)."""

PATCH = 32
MOST_PATCHES = 1536


def picture_tokens(width: int, height: int) -> int:
    """The usual input tokens of a picture that goes along with a prompt: one a patch of 32 pixels, 1,536 at most.

    Checked by third parties on five sizes in 2026; small pictures differ.
    """
    return min(MOST_PATCHES, -(-width // PATCH) * -(-height // PATCH))


def text_tokens(prompt: str) -> int:
    """The usual count of a prompt's tokens: about four characters a token."""
    return math.ceil(len(prompt) / 4)


def text_tokens_bound(prompt: str) -> int:
    """The most tokens that a prompt can be: one a byte."""
    return len(prompt) if prompt.isascii() else len(prompt.encode("utf-8", "surrogatepass"))


def usage_usd(rates: TokenRates, usage: Usage) -> float:
    """What an answer's tokens cost."""
    total = usage.text_in * rates.text_in + usage.image_in * rates.image_in + usage.image_out * rates.image_out
    return usd(total / 1_000_000)


def flat_price(each_usd: float, *, kind: PriceKind = PriceKind.EXACT) -> Price:
    """A fixed price for every image: what is expected is also the bound."""
    amount = usd(each_usd)
    return Price(kind, expected_usd=amount, bound_usd=amount, list_usd=amount)


def settled_usd(price: Price, usage: Usage | None) -> float | None:
    """What an image cost: by its usage where the price has rates, else what was reserved for it; None when unpriced."""
    if price.rates is not None and usage is not None:
        return usage_usd(price.rates, usage)
    return price.bound_usd


def failed_usd(price: Price, failure: Failure, state: TaskState) -> float:
    """What an attempt without an image counts as spent: its bound where it was or may have been paid for.

    `state` is its task's now: one that is `received` has a link, and that is paid for.
    """
    spent = failure.paid is not Paid.NO or state is TaskState.RECEIVED
    return (price.bound_usd or 0.0) if spent else 0.0
