"""What an image will cost: quality, size and model -> a price that is quick to work out for each prompt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from batchgen.catalogue import sizes
from batchgen.catalogue.catalogue import Catalogue
from batchgen.catalogue.model import AnySize, FlatPricing, Model, TokenPricing
from batchgen.catalogue.rules import sheet_of, size_of, value_of
from batchgen.core.money import (
    BOUND_FACTOR,
    PARTIAL_TOKENS,
    flat_price,
    image_tokens,
    picture_tokens,
    text_tokens,
    text_tokens_bound,
    usd,
)
from batchgen.core.types import JsonObject, Price, PriceKind, TokenRates

USUAL_SIZE: sizes.Size = (1024, 1024)
"""What is expected where the model chooses the size."""

SANDBOX = "sandbox"


class Quote(Protocol):
    """What images of one model with the same parameters cost; only the prompt is still open."""

    def price(self, prompt: str) -> Price:
        """The price of one image of this prompt; about a microsecond."""


class FlatQuote(Struct, frozen=True):
    """The same price for every prompt."""

    fixed: Price

    def price(self, prompt: str) -> Price:  # noqa: ARG002 - the prompt does not matter here, but it is the interface
        """The fixed price."""
        return self.fixed


class TokenQuote(Struct, frozen=True):
    """A price by tokens: of the image and of the pictures that go along, expected and at most; the prompt's on top."""

    kind: PriceKind
    rates: TokenRates
    expected_tokens: float
    bound_tokens: float
    expected_in: int = 0
    bound_in: int = 0

    def price(self, prompt: str) -> Price:
        """Expected: the formula and a token per four characters; bound: the dearest and a token per byte, x 1.2."""
        rates = self.rates
        expected = self.expected_tokens * rates.image_out + self.expected_in * rates.image_in
        expected += text_tokens(prompt) * rates.text_in
        bound = self.bound_tokens * rates.image_out + self.bound_in * rates.image_in
        bound = (bound + text_tokens_bound(prompt) * rates.text_in) * BOUND_FACTOR
        expected_usd = usd(expected / 1_000_000)
        return Price(self.kind, expected_usd, usd(bound / 1_000_000), expected_usd, rates)


class FreeQuote(Struct, frozen=True):
    """The sandbox's: nothing is charged, and the maker's price stands beside it."""

    list_price: Quote

    def price(self, prompt: str) -> Price:
        """Nothing, exactly."""
        return Price(PriceKind.EXACT, 0.0, 0.0, self.list_price.price(prompt).expected_usd)


UNPRICED = FlatQuote(Price(PriceKind.UNPRICED))


def quote(
    catalogue: Catalogue,
    provider: str,
    model_id: str,
    parameters: JsonObject,
    extra: JsonObject,
    pictures: Sequence[sizes.Size] = (),
) -> Quote:
    """How images of this request are priced at this provider; `pictures` go along with the prompt.

    Exact at the model's maker where formula or table are known and nothing is left to the model, without pictures; an operator's
    own price is exact anywhere. Other providers are taken to charge about what the maker does, unless the catalogue has
    their list. A model that the catalogue does not know has the list's price of an image, or none.
    """
    model = catalogue.find(model_id)
    free = provider == SANDBOX
    if model is None:
        found = _listed_quote(catalogue, model_id)
    else:
        found = _list_quote(model, parameters, pictures, sure=free or (not extra and provider == model.maker))
    return FreeQuote(found) if free else found


def _listed_quote(catalogue: Catalogue, model_id: str) -> Quote:
    """What the provider's list says of a model that nothing else is known of."""
    each_usd = catalogue.listing.each_usd(model_id) if catalogue.listing is not None else None
    return UNPRICED if each_usd is None else FlatQuote(flat_price(each_usd, kind=PriceKind.ESTIMATE))


def _list_quote(model: Model, parameters: JsonObject, pictures: Sequence[sizes.Size], *, sure: bool) -> Quote:
    if model.price_usd is not None:
        return FlatQuote(flat_price(model.price_usd))
    match model.pricing:
        case TokenPricing() as pricing:
            return _token_quote(model, pricing, parameters, pictures, sure=sure)
        case FlatPricing() as flat:
            return _flat_quote(model, flat, parameters, sure=sure)
        case None:
            return UNPRICED


def _flat_quote(model: Model, pricing: FlatPricing, parameters: JsonObject, *, sure: bool) -> Quote:
    kind = PriceKind.EXACT if sure and not pricing.estimated else PriceKind.ESTIMATE
    if pricing.each_usd is not None:
        return FlatQuote(flat_price(pricing.each_usd, kind=kind))
    quality, size = (str(value_of(model, parameters, name)) for name in ("quality", "size"))
    each_usd = pricing.usd.get(quality, {}).get(size)
    if each_usd is None:  # a value that the model does not take: it will be refused, so any bound does
        dearest = max(price for prices in pricing.usd.values() for price in prices.values())
        return FlatQuote(flat_price(dearest, kind=PriceKind.ESTIMATE))
    return FlatQuote(flat_price(each_usd, kind=kind))


def _token_quote(
    model: Model,
    pricing: TokenPricing,
    parameters: JsonObject,
    pictures: Sequence[sizes.Size],
    *,
    sure: bool,
) -> Quote:
    quality = value_of(model, parameters, "quality")
    size = size_of(model, parameters)
    if size is not None:
        size = sheet_of(model, parameters, size)
    chosen = quality in pricing.qualities and size is not None
    middling = quality if quality in pricing.qualities else middling_quality(pricing)
    dearest = quality if quality in pricing.qualities else pricing.qualities[-1]
    exact = chosen and sure and not pricing.estimated and not pictures
    partial = _partial_images(model, parameters) * PARTIAL_TOKENS
    return TokenQuote(
        PriceKind.EXACT if exact else PriceKind.ESTIMATE,
        pricing.rates,
        expected_tokens=output_tokens(pricing, str(middling), size or USUAL_SIZE)[0] + partial,
        bound_tokens=output_tokens(pricing, str(dearest), size or _dearest_size(model))[1] + partial,
        expected_in=sum(picture_tokens(*picture) for picture in pictures),
        bound_in=len(pictures) * (model.edits.image_tokens if model.edits else 0),
    )


def _partial_images(model: Model, parameters: JsonObject) -> int:
    """How many partial images an answer is asked to bring."""
    asked = value_of(model, parameters, "partial_images")
    return asked if value_of(model, parameters, "stream") is True and isinstance(asked, int) else 0


def middling_quality(pricing: TokenPricing) -> str:
    """What is expected where the model chooses the quality: the middle one."""
    return pricing.qualities[len(pricing.qualities) // 2]


def output_tokens(pricing: TokenPricing, quality: str, size: sizes.Size) -> tuple[float, int]:
    """Output tokens of an image, as expected and at most."""
    if pricing.tokens:
        by_size = pricing.tokens[quality]
        tokens = by_size.get(sizes.written(size)) or max(by_size.values())
        return tokens, tokens + pricing.slack_tokens
    formula = image_tokens(pricing.factors[quality], *size)
    if quality not in pricing.ranges:
        return formula, formula
    least, most = pricing.ranges[quality]
    scale = formula / image_tokens(pricing.factors[quality], *USUAL_SIZE)
    return (least + most) / 2 * scale, math.ceil(most * scale)


def _dearest_size(model: Model) -> sizes.Size:
    """The size with the most tokens that the model might choose."""
    match model.parameters.get("size"):
        case AnySize(grid=grid):
            return sizes.largest(grid)
        case _:
            return (0, 0)  # a table's dearest entry is taken for a size it does not hold
