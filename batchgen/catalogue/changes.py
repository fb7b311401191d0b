"""What changed in a provider's list of image models since it was read before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from batchgen.catalogue.catalogue import Catalogue
from batchgen.catalogue.listing import Listed, ListedPrice, Listing, doubtful
from batchgen.catalogue.model import FlatPricing, Model, TokenPricing


class News(StrEnum):
    """What is said of a model."""

    NEW = "new"
    GONE = "gone"
    RETIRING = "retiring"
    DEARER = "dearer"
    CHEAPER = "cheaper"


@dataclass(frozen=True, slots=True)
class ModelNews:
    """One thing to know of one model.

    `before` and `now` are prices, None where there was none; `retires` is the day on which the provider or else the
    model's maker switches it off. `replacement` is what the catalogue advises instead; `known` says whether the
    catalogue has the model.
    """

    news: News
    model_id: str
    known: bool
    before: ListedPrice | None = None
    now: ListedPrice | None = None
    retires: date | None = None
    replacement: str | None = None


def compare(catalogue: Catalogue, earlier: Listing | None, now: Listing, today: date) -> list[ModelNews]:
    """All that is new, gone, retiring, dearer or cheaper among image models, in this order, by name.

    Compared with the earlier list of the same host; the first time with the catalogue, in which a model is missed only
    if it is still served by its maker and the provider is not another maker.
    """
    reading = _Reading(catalogue, now, today)
    if earlier is not None and earlier.host == now.host:
        before = earlier.images(catalogue.models)
        told = [*reading.new(before), *reading.gone(before if earlier.whole else {})]
    else:
        before = {name: _of_catalogue(model) for name, model in catalogue.models.items()}
        wanted = {
            name: listed for name, listed in before.items() if _expected(catalogue, name, now.provider, today)
        }
        told = [*reading.new(before), *reading.gone(wanted)]
    told += [*reading.retiring(), *reading.repriced(before)]
    order = list(News)
    return sorted(told, key=lambda one: (order.index(one.news), one.model_id))


class _Reading:
    """One list beside the catalogue."""

    def __init__(self, catalogue: Catalogue, now: Listing, today: date) -> None:
        self._catalogue = catalogue
        self._listing = now
        self._now = now.images(catalogue.models)
        self._today = today

    def new(self, before: Mapping[str, Listed]) -> Iterator[ModelNews]:
        for name, listed in self._now.items():
            if name not in before:
                yield self._news(News.NEW, name, now=listed.price)

    def gone(self, before: Mapping[str, Listed]) -> Iterator[ModelNews]:
        if self._listing.whole:
            for name in before:
                if name not in self._now:
                    yield self._news(News.GONE, name)

    def retiring(self) -> Iterator[ModelNews]:
        for name in self._now:
            if self._retires(name) is not None:
                yield self._news(News.RETIRING, name)

    def repriced(self, before: Mapping[str, Listed]) -> Iterator[ModelNews]:
        for name, listed in self._now.items():
            former = before[name].price if name in before else None
            changes = _changes(former, listed.price)
            model = self._catalogue.find(name)
            if changes and not (model is not None and doubtful(model.pricing, listed.price)):
                news = News.DEARER if max(changes) > 0 else News.CHEAPER
                yield self._news(news, name, before=former, now=listed.price)

    def _retires(self, name: str) -> date | None:
        listed, model = self._now.get(name), self._catalogue.find(name)
        told = listed.shutdown if listed is not None else None
        return told or (model.retires if model is not None else None)

    def _news(
        self, news: News, name: str, before: ListedPrice | None = None, now: ListedPrice | None = None
    ) -> ModelNews:
        model = self._catalogue.find(name)
        instead = model.replacement if model is not None and news in {News.GONE, News.RETIRING} else None
        retires = self._retires(name)
        return ModelNews(news, name, model is not None, before, now, retires, instead)


def _changes(before: ListedPrice | None, now: ListedPrice | None) -> list[float]:
    """By how much the parts of a price differ, where both name them and they do."""
    if before is None or now is None:
        return []
    pairs = (
        (before.input_usd, now.input_usd),
        (before.output_usd, now.output_usd),
        (before.each_usd, now.each_usd),
    )
    return [late - early for early, late in pairs if early is not None and late is not None and late != early]


def _of_catalogue(model: Model) -> Listed:
    price = None
    match model.pricing:
        case TokenPricing(rates=rates):
            price = ListedPrice(input_usd=rates.text_in, output_usd=rates.image_out)
        case FlatPricing(each_usd=each_usd) if each_usd is not None:
            price = ListedPrice(each_usd=each_usd)
        case _:
            pass
    return Listed(model.model_id, model.maker, "image", model.retires, price)


def _expected(catalogue: Catalogue, name: str, provider: str, today: date) -> bool:
    model = catalogue.models[name]
    if model.dated_name_of is not None or not model.maker:
        return False
    makers = {other.maker for other in catalogue.models.values()}
    served = model.retires is None or model.retires > today
    return served and (model.maker == provider or provider not in makers)
