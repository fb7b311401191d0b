"""A provider's list of models, as it came -> what is listed. Nothing in it is trusted, and little of it is needed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date

from msgspec import Struct

from batchgen.catalogue.listing import Listed, ListedPrice
from batchgen.core.money import usd
from batchgen.core.types import JsonValue
from batchgen.providers.masking import Mask

MOST_MODELS = 20_000
"""Of one list: the largest of today have hundreds, gateways that list all of a model hub some thousands."""

_NAME = re.compile(r"[^\s\x00-\x1f\x7f]{1,200}")
_MOST_USD = 100_000.0
_DOLLARS = re.compile(r"\s*(?:usd|us\$|\$|)\s*(?:/\s*(?P<unit>.*))?", re.IGNORECASE | re.DOTALL)
_A_MILLION = re.compile(r"(?:1\s*)?(?:m|mtok|million)\b", re.IGNORECASE)
_MAKES_IMAGES = frozenset({"text-to-image", "image-to-image", "image-editing", "image-generation"})


class Page(Struct, frozen=True):
    """Part of a list. Pages are counted from 1, and `page` 0 is a list that has none; `total` is 0 where it is not told."""

    models: Mapping[str, Listed]
    page: int = 0
    page_size: int = 0
    total: int = 0
    cut: bool = False


def page_of(document: JsonValue, mask: Mask) -> Page | None:
    """The models of an answer, None when it has no list.

    Read are the lists of the OpenAI API (`data` with `id`, `owned_by`, `shutdown_date`) and CometAPI's catalogue (with
    `provider`, `model_type`, `features`, `pricing`, `upcoming`, and `page`, `page_size`, `total` beside it).
    """
    if isinstance(document, list):
        document = {"data": document}
    if not isinstance(document, dict) or document.get("success") is False:
        return None
    data = document.get("data")
    if not isinstance(data, list):
        return None
    found = [listed for item in data[:MOST_MODELS] if (listed := _listed(item, mask)) is not None]
    return Page(
        {listed.model_id: listed for listed in found},
        page=_count(document.get("page")),
        page_size=_count(document.get("page_size")),
        total=_count(document.get("total")),
        cut=len(data) > MOST_MODELS or document.get("has_more") is True,
    )


def _listed(item: JsonValue, mask: Mask) -> Listed | None:
    """One model; None for what has no usable name, and for what is only announced."""
    if not isinstance(item, dict) or item.get("upcoming") is True:
        return None
    name = item.get("id")
    # A name with a key in it would be changed by the mask.
    if not isinstance(name, str) or not _NAME.fullmatch(name) or mask.text(name) != name:
        return None
    return Listed(
        name,
        owner=_words(item.get("owned_by") or item.get("provider"), mask),
        kind=_kind(item, mask),
        shutdown=day_of(item.get("shutdown_date")),
        price=price_of(item.get("pricing")),
    )


def _words(value: JsonValue, mask: Mask) -> str:
    return mask.start(value[:60]) if isinstance(value, str) else ""


def _kind(item: Mapping[str, JsonValue], mask: Mask) -> str:
    features = item.get("features")
    if isinstance(features, list) and any(isinstance(each, str) and each in _MAKES_IMAGES for each in features):
        return "image"
    return _words(item.get("model_type"), mask).lower()


def day_of(value: JsonValue) -> date | None:
    """A date or the date of a moment in ISO 8601; None for everything else."""
    try:
        return date.fromisoformat(value[:10]) if isinstance(value, str) else None
    except ValueError:
        return None


def price_of(told: JsonValue) -> ListedPrice | None:
    """A price as CometAPI's catalogue writes it, None where nothing of it can be used.

    `currency` also names the unit of `input` and `output` (`USD / M Tokens`). Other currencies and units are left out,
    and so is 0, which stands for a price that is not set. Some rows have a `ratio`, of which it is not documented
    whether it has been applied already: one above 1 is, so that the price is never too low.
    """
    if not isinstance(told, dict):
        return None
    currency = told.get("currency")
    money = _DOLLARS.fullmatch(currency if isinstance(currency, str) else "")
    if money is None:
        return None
    unit = money["unit"] or ""
    by_million = "tok" not in unit.lower() or _A_MILLION.match(unit.strip()) is not None
    ratio = max(1.0, _number(told.get("ratio")) or 1.0)
    each, first, second = (_number(told.get(name)) for name in ("per_request", "input", "output"))
    price = ListedPrice(
        input_usd=usd(first * ratio) if first and by_million else None,
        output_usd=usd(second * ratio) if second and by_million else None,
        each_usd=usd(each * ratio) if each else None,
    )
    return None if price == ListedPrice() else price


def _number(value: JsonValue) -> float | None:
    """A sensible amount above 0, also where it is written as text; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > 40:
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and 0 < number <= _MOST_USD else None


def _count(value: JsonValue) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_MODELS
    return int(value) if whole and isinstance(value, int) else 0
