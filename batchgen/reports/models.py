"""What is news in a provider's list of models, as people and programs read it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from batchgen.catalogue.changes import ModelNews, News
from batchgen.catalogue.listing import ListedPrice, Listing
from batchgen.core.plain import safe_text
from batchgen.core.types import JsonObject, JsonValue
from batchgen.reports.text import counted, indented, shortened, usd_text

MOST_SHOWN = 30
"""Of one kind: whoever reads more has a program do it."""

_NAME_WIDTH = 30
_MARKS = {
    News.NEW: "+",
    News.GONE: "-",
    News.RETIRING: "!",
    News.DEARER: "^",
    News.CHEAPER: "v",
}


def render_news(
    listing: Listing,
    news: Sequence[ModelNews],
    notices: Sequence[str],
    *,
    images: int,
    since: str | None,
    file: Path,
) -> str:
    """Plain text without a final line end; `since` is the day of the earlier list, None for the first one."""
    compared = f"the list of {since}" if since else "the built-in catalogue"
    head = [
        indented(
            f"{listing.provider} at {safe_text(listing.host)} lists {counted(len(listing.models), 'model')}, "
            f"{images:,} of them for images",
            "  ",
            first="",
        ),
        indented(f"kept in {safe_text(str(file))}, compared with {compared}", "  "),
    ]
    lines = [line for kind, some in groupby(news, lambda one: one.news) for line in _lines(kind, list(some))]
    told = [indented(safe_text(notice), "    ", first="  ! ") for notice in notices]
    parts = [head, lines or ["  nothing is new, gone, retiring, dearer or cheaper"], told]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _lines(kind: News, some: list[ModelNews]) -> Iterator[str]:
    width = min(_NAME_WIDTH, max(len(one.model_id) for one in some[:MOST_SHOWN]))
    for one in some[:MOST_SHOWN]:
        name = shortened(one.model_id, 60)
        first = f"  {_MARKS[kind]} {kind.value:<8}  {name:<{width}}  "
        yield indented(_words(one), " " * (width + 16), first=first).rstrip()
    if len(some) > MOST_SHOWN:
        yield f"    and {len(some) - MOST_SHOWN:,} more (--json tells all)"


def _words(one: ModelNews) -> str:
    instead = f"use {one.replacement}" if one.replacement else ""
    match one.news:
        case News.NEW:
            return "; ".join(filter(None, (price_text(one.now), "" if one.known else "not in the catalogue")))
        case News.GONE:
            return instead
        case News.RETIRING:
            return "; ".join(filter(None, (f"on {one.retires}", instead)))
        case _:
            return f"{price_text(one.before)} before, {price_text(one.now)} now"


def price_text(price: ListedPrice | None) -> str:
    """A listed price in words, "" for none."""
    if price is None:
        return ""
    sides = ((price.input_usd, "in"), (price.output_usd, "out"))
    tokens = "/".join(f"{usd_text(amount)} {side}" for amount, side in sides if amount is not None)
    each = f"{usd_text(price.each_usd)} an image" if price.each_usd is not None else ""
    return ", ".join(filter(None, (f"{tokens} a million tokens" if tokens else "", each)))


def news_json(listing: Listing, one: ModelNews) -> JsonObject:
    """One piece of news for a program: prices in USD, for a million tokens or an image."""
    return {
        "provider": listing.provider,
        "news": one.news.value,
        "model": one.model_id,
        "in_catalogue": one.known,
        "retires": one.retires.isoformat() if one.retires else None,
        "replacement": one.replacement,
        "before": _price_json(one.before),
        "now": _price_json(one.now),
    }


def listing_json(
    listing: Listing,
    news: Sequence[ModelNews],
    notices: Sequence[str],
    *,
    images: int,
    since: str | None,
    file: Path,
) -> JsonObject:
    """The last line for a program: what was read, and how much news there is of each kind."""
    counts: dict[str, JsonValue] = {kind.value: sum(one.news is kind for one in news) for kind in News}
    return {
        "provider": listing.provider,
        "host": listing.host,
        "read": listing.read,
        "since": since,
        "models": len(listing.models),
        "image_models": images,
        "whole": listing.whole,
        **counts,
        "notices": list(notices),
        "file": str(file),
    }


def _price_json(price: ListedPrice | None) -> JsonValue:
    if price is None:
        return None
    return {
        "input_usd": price.input_usd,
        "output_usd": price.output_usd,
        "each_usd": price.each_usd,
    }
