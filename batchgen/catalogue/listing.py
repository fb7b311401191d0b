"""What a provider says of the models that it serves, and what follows from it for a request."""

from __future__ import annotations

import difflib
import re
from collections.abc import Container, Mapping
from datetime import date

from msgspec import Struct

from batchgen.catalogue.model import FlatPricing, Model, TokenPricing
from batchgen.catalogue.rules import RETIREMENT_NOTICE_DAYS, Complaint
from batchgen.core.types import TokenRates
from batchgen.core.values import replace

LEAST_SHARE = 0.1
"""A rate under a tenth of the maker's is taken for a mistake, such as a price a token: no budget could hold with it."""

_IMAGE_NAMES = re.compile(
    r"image|dall-?e|flux|seedream|seededit|stable-diffusion|sdxl|midjourney|ideogram|recraft|kolors|banana",
    re.IGNORECASE,
)
_OTHER_NAMES = re.compile(r"video|vision|embed|moderation", re.IGNORECASE)


class ListedPrice(Struct, frozen=True):
    """A provider's own price of a model in US dollars, None where it names none.

    `input_usd` and `output_usd` are for a million tokens, whatever is in them; `each_usd` is for a request of one image.
    """

    input_usd: float | None = None
    output_usd: float | None = None
    each_usd: float | None = None


class Listed(Struct, frozen=True):
    """One model of a list. `kind` is what it makes (`image`, `text`), "" where the provider does not say.

    `shutdown` is the first day on which it is no longer served, None where none is announced.
    """

    model_id: str
    owner: str = ""
    kind: str = ""
    shutdown: date | None = None
    price: ListedPrice | None = None


class Listing(Struct, frozen=True):
    """The models that a provider served when it was asked: `read` is that moment, `host` who answered.

    A list that is not `whole` was cut: what it leaves out may be there all the same.
    """

    provider: str
    host: str
    read: str
    models: Mapping[str, Listed]
    whole: bool = True

    @property
    def day(self) -> str:
        """The day on which it was read, in UTC."""
        return self.read[:10]

    def each_usd(self, model_id: str) -> float | None:
        """What an image of a model costs, where the list says so; all that can be used of one that nobody knows."""
        listed = self.models.get(model_id)
        return listed.price.each_usd if listed is not None and listed.price is not None else None

    def images(self, known: Container[str]) -> dict[str, Listed]:
        """The models that make images; `known` are the catalogue's, which all do."""
        return {name: listed for name, listed in self.models.items() if is_image(listed, known)}


def is_image(listed: Listed, known: Container[str]) -> bool:
    """Whether a listed model makes images: one that is known, one that says so, or else one that is called so."""
    if listed.model_id in known or listed.kind:
        return listed.model_id in known or listed.kind == "image"
    return bool(_IMAGE_NAMES.search(listed.model_id)) and not _OTHER_NAMES.search(listed.model_id)


def as_listed(model: Model, listing: Listing) -> Model:
    """A model as this provider serves it: at its own price, and until its own date, where it names them.

    A dated name that is not in the list has the price of the plain one.
    """
    listed = listing.models.get(model.model_id) or listing.models.get(model.dated_name_of or "")
    if listed is None:
        return model
    return replace(
        model, pricing=_own_pricing(model.pricing, listed.price), retires=listed.shutdown or model.retires
    )


def _own_pricing(
    pricing: TokenPricing | FlatPricing | None, price: ListedPrice | None
) -> TokenPricing | FlatPricing | None:
    """The provider's rates for the maker's tokens, or its price of an image: estimates, since lists are often late."""
    if price is None:
        return pricing
    if isinstance(pricing, TokenPricing) and price.input_usd and price.output_usd:
        if doubtful(pricing, price):
            return pricing
        # Lists have one rate for all input: text and pictures cost the same there.
        rates = TokenRates(price.input_usd, price.input_usd, price.output_usd)
        return replace(pricing, rates=rates, estimated=True)
    return FlatPricing(each_usd=price.each_usd, estimated=True) if price.each_usd else pricing


def doubtful(pricing: TokenPricing | FlatPricing | None, price: ListedPrice | None) -> bool:
    """Whether a provider's rate is too low to be true; the maker's is used then."""
    if price is None or price.output_usd is None or not isinstance(pricing, TokenPricing):
        return False
    return price.output_usd < LEAST_SHARE * pricing.rates.image_out


def check_listed(listing: Listing, model_id: str, *, known: Container[str], today: date) -> Complaint | None:
    """A warning about a model that the provider does not list, or that it will soon switch off.

    Of a model in `known` only the first is said: its date is the catalogue's by `as_listed`.
    """
    listed = listing.models.get(model_id)
    if listed is None:
        return Complaint(None, _not_listed(listing, model_id, known), warning=True) if listing.whole else None
    if model_id in known or listed.shutdown is None:
        return None
    if (listed.shutdown - today).days > RETIREMENT_NOTICE_DAYS:
        return None
    verb = "switches" if today < listed.shutdown else "switched"
    message = f"{listing.provider} {verb} {model_id} off on {listed.shutdown} (use another model)"
    return Complaint(None, message, warning=True)


def _not_listed(listing: Listing, model_id: str, known: Container[str]) -> str:
    close = difflib.get_close_matches(model_id.lower(), listing.images(known), n=1)
    advice = f"did you mean {close[0]}? " if close else ""
    again = f"`batchgen models --refresh --provider {listing.provider}` asks again"
    return f"{listing.provider} did not list {model_id} on {listing.day} ({advice}{again})"
