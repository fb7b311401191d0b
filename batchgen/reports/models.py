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

_NAME_WIDTH = 24
_LEGEND = "  Prices are for a million tokens in and out, or for each image."
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
    width = min(_NAME_WIDTH, max((len(one.model_id) for one in news), default=0))
    lines = [
        line
        for kind, some in groupby(news, lambda one: one.news)
        for line in _lines(kind, list(some), width, since)
    ]
    told = [indented(safe_text(notice), "    ", first="  ! ") for notice in notices]
    legend = [_LEGEND] if any(one.now is not None for one in news) else []
    parts = [head, lines or ["  nothing is new, gone, retiring, dearer or cheaper"], legend, told]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _lines(kind: News, some: list[ModelNews], width: int, since: str | None) -> Iterator[str]:
    # What was never seen there is not gone.
    word = "missing" if kind is News.GONE and since is None else kind.value
    for one in some[:MOST_SHOWN]:
        name = f"{shortened(one.model_id, 60):<{width}}"
        first = f"  {_MARKS[kind]} {word:<8}  {name}"
        yield (
            indented(words, " " * (width + 16), first=f"{first}  ")
            if (words := _words(one))
            else first.rstrip()
        )
    if len(some) > MOST_SHOWN:
        yield f"    and {len(some) - MOST_SHOWN:,} more (--json tells all)"


def _words(one: ModelNews) -> str:
    instead = f"use {one.replacement}" if one.replacement else ""
    match one.news:
        case News.NEW:
            return "; ".join(filter(None, (_price(one.now), "" if one.known else "not in the catalogue")))
        case News.GONE:
            return instead
        case News.RETIRING:
            return "; ".join(filter(None, (str(one.retires), instead)))
        case _:
            return f"{_price(one.now)} (was {_former(one)})"


def _price(price: ListedPrice | None) -> str:
    """A listed price in words, "" for none."""
    return ", ".join(f"{usd_text(amount)} {side}" for side, amount in _amounts(price).items())


def _former(one: ModelNews) -> str:
    """What the price was before, in its order; parts that cannot be compared are left out."""
    now = _amounts(one.now)
    return ", ".join(usd_text(amount) for side, amount in _amounts(one.before).items() if side in now)


def _amounts(price: ListedPrice | None) -> dict[str, float]:
    if price is None:
        return {}
    parts = {"in": price.input_usd, "out": price.output_usd, "each": price.each_usd}
    return {side: amount for side, amount in parts.items() if amount is not None}


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
