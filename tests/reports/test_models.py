"""What is news in a provider's list, as people and programs read it."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

from batchgen.catalogue.changes import ModelNews, News
from batchgen.catalogue.listing import Listed, ListedPrice, Listing
from batchgen.reports.models import MOST_SHOWN, listing_json, news_json, render_news

LISTING = Listing(
    "cometapi",
    "api.example.com",
    "2026-11-23T17:50:17.123Z",
    {"flux": Listed("flux"), "gpt-6": Listed("gpt-6")},
)
FILE = Path("output/.models/cometapi.json")
NEWS = [
    ModelNews(News.NEW, "flux-2-pro", known=False, now=ListedPrice(each_usd=0.04)),
    ModelNews(News.GONE, "seedream-4", known=False),
    ModelNews(
        News.RETIRING,
        "gpt-image-1.5",
        known=True,
        retires=date(2026, 12, 1),
        replacement="gpt-image-2.6-sunburst",
    ),
    ModelNews(
        News.DEARER,
        "gpt-image-2.6-sunburst",
        known=True,
        before=ListedPrice(4.0, 24.0),
        now=ListedPrice(5.0, 30.0),
    ),
]


def text(news: list[ModelNews], since: str | None = "2026-11-20", notices: tuple[str, ...] = ()) -> str:
    """The text for people."""
    return render_news(LISTING, news, notices, images=1, since=since, file=FILE)


def test_news_for_people() -> None:
    """A line each with what it means, within 80 columns; where the list is kept and what it was compared with."""
    assert text(NEWS, notices=("the key was not asked",)).splitlines() == [
        "cometapi at api.example.com lists 2 models, 1 of them for images",
        "  kept in output/.models/cometapi.json, compared with the list of 2026-11-20",
        "",
        "  + new       flux-2-pro              $0.04 each; not in the catalogue",
        "  - gone      seedream-4",
        "  ! retiring  gpt-image-1.5           2026-12-01; use gpt-image-2.6-sunburst",
        "  ^ dearer    gpt-image-2.6-sunburst  $5.00 in, $30.00 out (was $4.00, $24.00)",
        "",
        "  Prices are for a million tokens in and out, or for each image.",
        "",
        "  ! the key was not asked",
    ]


def test_the_first_list_has_nothing_to_be_gone_from() -> None:
    """It was compared with the catalogue: what is not there is missing."""
    first = text(NEWS, since=None)

    assert "compared with the built-in catalogue" in first
    assert "  - missing   seedream-4" in first


def test_little_and_much_news() -> None:
    """None is said in a line, and of a kind no more is shown than someone reads."""
    many = [ModelNews(News.NEW, f"flux-{number}", known=False) for number in range(MOST_SHOWN + 5)]

    assert "nothing is new, gone, retiring, dearer or cheaper" in text([])
    assert "    and 5 more (--json tells all)" in text(many)
    assert all(len(line) <= 80 for line in text([*many, *NEWS]).splitlines())


def test_news_for_programs() -> None:
    """An object each, and one that counts them."""
    told = json.loads(json.dumps(news_json(LISTING, NEWS[3])))

    assert {
        "provider": "cometapi",
        "news": "dearer",
        "model": "gpt-image-2.6-sunburst",
        "in_catalogue": True,
        "retires": None,
        "replacement": None,
        "before": {"input_usd": 4.0, "output_usd": 24.0, "each_usd": None},
        "now": {"input_usd": 5.0, "output_usd": 30.0, "each_usd": None},
    } == told
    last = listing_json(LISTING, NEWS, ["a word"], images=1, since=None, file=FILE)
    assert (2, 1, 1, 0) == (last["models"], last["new"], last["dearer"], last["cheaper"])
    assert json.loads(json.dumps(last)) == last
    assert str(FILE) == last["file"]
