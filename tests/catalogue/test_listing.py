"""What a provider's list changes: prices, dates, warnings, and what is news in it."""

from __future__ import annotations

from datetime import date

import pytest

from batchgen.catalogue.catalogue import Catalogue, Entry
from batchgen.catalogue.changes import ModelNews, News, compare
from batchgen.catalogue.listing import Listed, ListedPrice, Listing, check_listed, is_image
from batchgen.catalogue.prices import quote
from batchgen.catalogue.rules import check_retirement
from batchgen.core.types import Price, PriceKind, TokenRates

CATALOGUE = Catalogue.builtin()
TODAY = date(2026, 11, 23)
LOW = {"size": "1024x1024", "quality": "low"}
COMET = ListedPrice(input_usd=4.0, output_usd=24.0)


def listing(
    *models: Listed, provider: str = "cometapi", host: str = "a.example.com", whole: bool = True
) -> Listing:
    """A list that was read on 2026-11-20."""
    return Listing(
        provider, host, "2026-11-20T01:02:03.000Z", {model.model_id: model for model in models}, whole
    )


def price(catalogue: Catalogue, model_id: str, provider: str = "cometapi") -> Price:
    """The price of one low image without words."""
    return quote(catalogue, provider, model_id, LOW, {}).price("")


def test_a_provider_s_own_rates_are_used_for_tokens() -> None:
    """196 output tokens at the listed $24 a million; one input rate for text and pictures; an estimate, and its bound."""
    ours = CATALOGUE.with_listing(listing(Listed("gpt-image-2", price=COMET)))

    found = price(ours, "gpt-image-2")

    assert (PriceKind.ESTIMATE, 0.004704, 0.005645) == (found.kind, found.expected_usd, found.bound_usd)
    assert TokenRates(4.0, 4.0, 24.0) == found.rates
    assert found == price(ours, "gpt-image-2-2026-04-21")
    assert 0.00588 == quote(ours, "cometapi", "gpt-image-2.5-flare", LOW, {}).price("").expected_usd


@pytest.mark.parametrize("model_id", ["gpt-image-2", "qwen-image", "nobody-knows-it"])
def test_a_price_a_request_is_flat(model_id: str) -> None:
    """`per_request` is the price of any image, also of a model that the catalogue does not know."""
    ours = CATALOGUE.with_listing(listing(Listed(model_id, price=ListedPrice(each_usd=0.03))))

    assert Price(PriceKind.ESTIMATE, 0.03, 0.03, 0.03) == price(ours, model_id)


def test_an_operator_s_price_wins() -> None:
    """Over the provider's, as over the maker's; and the sandbox stays free."""
    ours = CATALOGUE.with_entries({"gpt-image-2": Entry(price_usd=0.5)})

    listed = listing(Listed("gpt-image-2", price=COMET))

    assert 0.5 == price(ours.with_listing(listed), "gpt-image-2").expected_usd
    assert 0.0 == price(CATALOGUE.with_listing(listed), "gpt-image-2", "sandbox").bound_usd


@pytest.mark.parametrize(
    "told", [None, ListedPrice(), ListedPrice(output_usd=24.0), ListedPrice(0.000004, 0.000024)]
)
def test_a_price_that_says_too_little_is_not_used(told: ListedPrice | None) -> None:
    """Half a price, none, and one that was meant for a token leave the maker's, or no budget could hold."""
    ours = CATALOGUE.with_listing(listing(Listed("gpt-image-2", price=told)))

    assert price(CATALOGUE, "gpt-image-2") == price(ours, "gpt-image-2")


def test_a_model_that_is_not_listed_is_warned_of() -> None:
    """With the day of the list and the name that was meant; not where the list was cut."""
    known = CATALOGUE.models
    told = listing(Listed("gpt-image-2"))

    complaint = check_listed(told, "gpt-imag-2", known=known, today=TODAY)

    assert complaint is not None
    assert complaint.warning
    assert "cometapi did not list gpt-imag-2 on 2026-11-20 (did you mean gpt-image-2?" in complaint.message
    assert check_listed(told, "gpt-image-2", known=known, today=TODAY) is None
    assert check_listed(listing(whole=False), "gpt-imag-2", known=known, today=TODAY) is None


@pytest.mark.parametrize(
    ("shutdown", "words"),
    [
        (date(2027, 6, 1), ""),
        (date(2026, 12, 24), ""),
        (date(2026, 12, 23), "cometapi switches flux off on 2026-12-23 (use another model)"),
        (date(2026, 11, 1), "cometapi switched flux off on 2026-11-01 (use another model)"),
    ],
)
def test_a_shutdown_date_is_warned_of(shutdown: date, words: str) -> None:
    """From 30 days before it, for models that the catalogue does not know."""
    told = listing(Listed("flux", shutdown=shutdown))

    complaint = check_listed(told, "flux", known=(), today=TODAY)

    assert words == ("" if complaint is None else complaint.message)


def test_a_provider_s_date_replaces_the_catalogue_s() -> None:
    """A retirement that was put off no longer stops a job, and one that was announced since is known."""
    later = listing(Listed("gpt-image-1", shutdown=date(2027, 6, 1)), provider="openai")
    sooner = listing(Listed("gpt-image-2", shutdown=date(2026, 12, 1)))

    put_off = CATALOGUE.with_listing(later).models["gpt-image-1"]
    announced = CATALOGUE.with_listing(sooner).models["gpt-image-2"]

    assert check_retirement(put_off, "openai", TODAY) is None
    complaint = check_retirement(announced, "cometapi", TODAY)
    assert complaint is not None
    assert (True, "gpt-image-2 retires on 2026-12-01") == (complaint.warning, complaint.message)


@pytest.mark.parametrize(
    ("model", "image"),
    [
        (Listed("gpt-image-9"), True),
        (Listed("black-forest-labs/FLUX.2-pro"), True),
        (Listed("imagen-5"), True),
        (Listed("some-name", kind="image"), True),
        (Listed("our-own"), True),
        (Listed("gpt-6"), False),
        (Listed("image-to-video-3"), False),
        (Listed("flux-captions", kind="text"), False),
    ],
)
def test_which_models_make_images(model: Listed, image: bool) -> None:
    """Known ones, those that say so, and those whose name says so where the list does not."""
    assert image == is_image(model, {"our-own"})


def news(told: list[ModelNews]) -> list[tuple[str, str]]:
    """What is said of which model."""
    return [(one.news.value, one.model_id) for one in told]


def test_news_since_the_earlier_list() -> None:
    """New, gone, retiring, dearer, cheaper, in this order; models that make no images do not matter."""
    earlier = listing(
        Listed("gpt-image-2", price=COMET),
        Listed("flux-1", price=ListedPrice(each_usd=0.04)),
        Listed("flux-2", price=ListedPrice(each_usd=0.04)),
        Listed("seedream-4"),
        Listed("gpt-6"),
    )
    now = listing(
        Listed("gpt-image-2", price=ListedPrice(5.0, 30.0)),
        Listed("flux-1", price=ListedPrice(each_usd=0.03)),
        Listed("flux-2", shutdown=date(2027, 1, 1), price=ListedPrice(each_usd=0.04)),
        Listed("seedream-5", price=ListedPrice(each_usd=0.02)),
        Listed("gpt-7"),
    )

    told = compare(CATALOGUE, earlier, now, TODAY)

    assert [
        ("new", "seedream-5"),
        ("gone", "seedream-4"),
        ("retiring", "flux-2"),
        ("dearer", "gpt-image-2"),
        ("cheaper", "flux-1"),
    ] == news(told)
    dearer = told[3]
    assert (COMET, ListedPrice(5.0, 30.0), True) == (dearer.before, dearer.now, dearer.known)
    assert [] == compare(CATALOGUE, earlier, earlier, TODAY)


def test_the_first_list_is_compared_with_the_catalogue() -> None:
    """Models that the catalogue has are not new; those that it expects there are missed; maker's prices are compared."""
    now = listing(
        Listed("gpt-image-2", price=COMET), Listed("gpt-image-1.5"), Listed("dall-e-3"), Listed("flux-1")
    )

    told = compare(CATALOGUE, None, now, TODAY)

    assert [("new", "flux-1"), ("cheaper", "gpt-image-2")] == news(
        [one for one in told if one.news not in {News.GONE, News.RETIRING}]
    )
    gone = {one.model_id for one in told if one.news is News.GONE}
    assert {"qwen-image", "gpt-image-2.6-flare"} <= gone
    assert set() == gone & {"gpt-image-1", "dall-e-2", "gpt-image-2-2026-04-21"}
    retiring = {one.model_id: one for one in told if one.news is News.RETIRING}
    assert {"gpt-image-1.5", "dall-e-3"} == retiring.keys()
    assert (date(2026, 12, 1), "gpt-image-2.6-sunburst") == (
        retiring["gpt-image-1.5"].retires,
        retiring["gpt-image-1.5"].replacement,
    )


def test_what_is_missed_depends_on_the_list() -> None:
    """A maker is not asked for the models of another; a list of another host or one that was cut misses nothing."""
    openai = compare(CATALOGUE, None, listing(provider="openai"), TODAY)
    other = compare(CATALOGUE, listing(Listed("flux-1"), host="b.example.com"), listing(), TODAY)
    cut = compare(CATALOGUE, listing(Listed("flux-1")), listing(whole=False), TODAY)

    assert "qwen-image" not in {one.model_id for one in openai}
    assert "gpt-image-2" in {one.model_id for one in openai}
    assert "flux-1" not in {one.model_id for one in other}
    assert [] == cut
