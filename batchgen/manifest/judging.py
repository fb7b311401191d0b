"""What the catalogue, the provider's dialect and its own list say of a request."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from datetime import date

from msgspec import Struct

from batchgen.catalogue.catalogue import Catalogue
from batchgen.catalogue.dialects import Dialect, refused_names
from batchgen.catalogue.listing import check_listed
from batchgen.catalogue.model import Model, is_model_name
from batchgen.catalogue.prices import Quote, quote
from batchgen.catalogue.rules import Complaint, as_extra, check_extra, check_request, check_retirement
from batchgen.catalogue.sizes import Size
from batchgen.core.naming import printable
from batchgen.core.types import JsonObject
from batchgen.manifest.guess import did_you_mean
from batchgen.manifest.recipe import EXTRA, Recipe, names_in


class Judged(Struct, frozen=True):
    """What the catalogue says of a model with parameters."""

    model: Model | None
    complaints: tuple[Complaint, ...]
    quote: Quote


class Judging:
    """Judges requests for one provider on one day."""

    def __init__(self, catalogue: Catalogue, provider: str, dialect: Dialect, today: date) -> None:
        self._catalogue = catalogue
        self._provider = provider
        self._dialect = dialect
        self._today = today

    def __call__(self, model_id: str, request: str, pictures: tuple[Size, ...] | None) -> Judged:
        """Judge a model with parameters and `extra`, which are JSON here, and with pictures; None for none."""
        parameters, extra = json.loads(request)
        model = self._catalogue.find(model_id)
        if model is not None and pictures is not None:
            model = model.for_edits
        complaints = (
            self._of_unknown(model_id, parameters, extra)
            if model is None
            else self._of_known(model, parameters, extra)
        )
        complaints = (*self._of_listing(model_id), *self._over_dialect(complaints, parameters))
        found = quote(self._catalogue, self._provider, model_id, parameters, extra, pictures or ())
        return Judged(model, complaints, found)

    def _of_known(self, model: Model, parameters: JsonObject, extra: JsonObject) -> tuple[Complaint, ...]:
        retirement = check_retirement(model, self._provider, self._today)
        unknown = self._of_unknown_names(parameters)
        told = {complaint.parameter for complaint in unknown}
        checked = check_request(model, parameters, extra)
        return (
            *(() if retirement is None else (retirement,)),
            *unknown,
            *(complaint for complaint in checked if complaint.parameter not in told),
        )

    def _of_unknown(self, model_id: str, parameters: JsonObject, extra: JsonObject) -> tuple[Complaint, ...]:
        shown = printable(model_id)
        if not is_model_name(model_id):
            return (Complaint(None, f'"{shown}" is no name of a model (write one such as gpt-image-2)'),)
        listing = self._catalogue.listing
        listed = listing is not None and model_id in listing.models
        nearest = None if listed else self._catalogue.nearest(model_id)
        advice = f"did you mean {nearest}? " if nearest else ""
        priced = listing is not None and listing.each_usd(model_id) is not None
        price = f"has the price that {self._provider} lists" if priced else "has no price"
        message = f"the catalogue does not know the model {shown} ({advice}it is sent unchecked and {price})"
        return (
            Complaint(None, message, warning=True),
            *self._of_unknown_names(parameters),
            *check_extra(extra, self._catalogue.reserved),
        )

    def _of_listing(self, model_id: str) -> Iterator[Complaint]:
        """What the provider's own list says of a model."""
        listing = self._catalogue.listing
        if listing is not None and is_model_name(model_id):
            complaint = check_listed(listing, model_id, known=self._catalogue.models, today=self._today)
            if complaint is not None:
                yield complaint

    def _over_dialect(self, complaints: Iterable[Complaint], parameters: JsonObject) -> list[Complaint]:
        """The complaints, and those of the dialect in place of what else is wrong with the same parameter."""
        refused = list(self._of_dialect(parameters))
        told = {complaint.parameter for complaint in refused}
        return [*(each for each in complaints if each.parameter not in told), *refused]

    def _of_dialect(self, parameters: JsonObject) -> Iterator[Complaint]:
        """Parameters that the provider takes for no model."""
        for name in refused_names(self._dialect, parameters):
            taken = ", ".join(sorted(self._dialect.allow or ()))
            shown = printable(name)
            yield Complaint(
                name, f"{self._provider} does not take {shown} (it takes {taken or 'none'}; remove it)"
            )

    def _of_unknown_names(self, parameters: JsonObject) -> list[Complaint]:
        known = self._catalogue.parameters
        return [
            Complaint(name, f"no known model takes `{printable(name)}` ({_instead(name, known)})")
            for name in parameters
            if name not in known
        ]

    def of_names(self, recipe: Recipe, model: Model | None) -> list[Complaint]:
        """What is wrong with the model and the parameters' names, whatever the values are."""
        names: JsonObject = dict.fromkeys(name for name in (*recipe.fields, *recipe.faulty) if name != EXTRA)
        extra: JsonObject = dict.fromkeys(names_in(recipe.faulty.get(EXTRA, recipe.extra)))
        if recipe.model.names or recipe.model.faults:
            found = [*self._of_unknown_names(names), *check_extra(extra, self._catalogue.reserved)]
        elif model is None:
            found = [*self._of_unknown(recipe.model.literals[0], names, extra)]
        else:
            known = self._of_known(model, names, extra)
            found = [each for each in known if each.parameter not in model.parameters]
        return self._over_dialect(found, names)


def _instead(name: str, known: Collection[str]) -> str:
    """What to write for a parameter that is not known: the one that was meant, or the way for newer ones."""
    advice = did_you_mean(name, known)
    return advice if advice.startswith("did you mean") else f"{advice}; or {as_extra(name)}"
