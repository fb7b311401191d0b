"""The catalogue: finds a model by the name that a request carries."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Literal

from msgspec import Struct, field

from batchgen.catalogue.listing import Listing, as_listed
from batchgen.catalogue.load import read_models
from batchgen.catalogue.model import ANY_EDITS, Anything, Edits, Model, Parameter
from batchgen.core.values import replace


class Entry(Struct, frozen=True):
    """An operator's model in `batchgen.yaml`.

    `family` is a family or a model of the catalogue whose parameters it takes; without one, a model that the
    catalogue does not know takes any known parameter, unchecked, unless it names its own. `price_usd` is a flat price
    for an image, which wins over every other price. `parameters` come on top of the family's, None removes one.
    `edits` say how pictures go along with a prompt, None that they do not; where they are left out for a model that
    nothing else is known of, its pictures are not checked. What is left out stays as the family or the catalogue has it.
    """

    family: str | None = None
    price_usd: float | None = None
    good_for: str | None = None
    prompt_limit: int | None = None
    retires: date | None = None
    replacement: str | None = None
    parameters: Mapping[str, Parameter | None] = field(default_factory=dict)
    edits: Edits | Literal["as before"] | None = "as before"


class Catalogue:
    """What is known of models: immutable, so it can be shared.

    `listing` is the list of the provider whose prices and dates it holds, None for those of the models' makers.
    """

    def __init__(self, models: Mapping[str, Model], listing: Listing | None = None) -> None:
        self.listing = listing
        self._models = MappingProxyType(dict(models))
        self._parameters = frozenset(
            name
            for model in models.values()
            for name in (*model.parameters, *(model.edits.parameters if model.edits else ()))
        )

        # Every model has them, so they are the same where the operator's own parameters are among the models'.
        self._reserved = frozenset(name for model in models.values() for name in model.reserved)

    @classmethod
    def builtin(cls) -> Catalogue:
        """The catalogue that ships with batchgen."""
        return cls(read_models())

    def with_entries(self, entries: Mapping[str, Entry]) -> Catalogue:
        """A catalogue with the operator's models added or priced. Raises `ValueError` for an unknown family."""
        return Catalogue(
            {**self._models, **{name: self._entered(name, entry) for name, entry in entries.items()}}
        )

    def with_listing(self, listing: Listing | None) -> Catalogue:
        """The catalogue as one provider serves it: with its own prices and shutdown dates, where it names them."""
        if listing is None:
            return self
        return Catalogue({name: as_listed(model, listing) for name, model in self._models.items()}, listing)

    def find(self, model_id: str) -> Model | None:
        """The model of this exact name, dated names included; None when it is not known."""
        return self._models.get(model_id)

    def nearest(self, model_id: str) -> str | None:
        """The known name that was probably meant, None when nothing is close."""
        close = difflib.get_close_matches(model_id.strip().lower(), self._models, n=1)
        return close[0] if close else None

    @property
    def models(self) -> Mapping[str, Model]:
        """All models by name."""
        return self._models

    @property
    def parameters(self) -> frozenset[str]:
        """Every parameter that some model takes."""
        return self._parameters

    @property
    def reserved(self) -> frozenset[str]:
        """Names that `extra` may not carry, whatever the model: the parameters of the catalogue that ships with batchgen."""
        return self._reserved

    def _entered(self, model_id: str, entry: Entry) -> Model:
        return _over(self.before(model_id, entry), entry)

    def before(self, model_id: str, entry: Entry) -> Model:
        """The model that an entry changes. Raises `ValueError` for an unknown family."""
        known = self._models.get(model_id)
        if entry.family is None:
            found = known or self._unknown(model_id)
            return replace(found, parameters={}) if known is None and entry.parameters else found
        like = self._of_family(model_id, entry.family)
        if known is None or known.family != like.family:
            # A name of the operator's own does not retire with the model that it is like.
            like = replace(like, retires=None, replacement=None)
        return replace(like, model_id=model_id, also=(), dated_name_of=None)

    def _of_family(self, model_id: str, family: str) -> Model:
        found = self._models.get(family) or next(
            (model for model in self._models.values() if model.family == family), None
        )
        if found is not None:
            return found
        families = sorted({model.family for model in self._models.values()})
        close = difflib.get_close_matches(family.lower(), families, n=1)
        advice = f"did you mean {close[0]}?" if close else f"use one of {', '.join(families)}"
        raise ValueError(f'{model_id}: there is no model family "{family}" ({advice})')

    def _unknown(self, model_id: str) -> Model:
        return Model(
            model_id,
            family=model_id,
            maker="",
            good_for="named by the operator",
            parameters=dict.fromkeys(sorted(self._parameters), Anything("any")),
            reserved=self._reserved,
            edits=ANY_EDITS,
        )


def _over(model: Model, entry: Entry) -> Model:
    """The model with what an entry says of it."""
    parameters = {**model.parameters, **entry.parameters}
    return replace(
        model,
        price_usd=entry.price_usd,
        parameters={name: parameter for name, parameter in parameters.items() if parameter is not None},
        good_for=entry.good_for or model.good_for,
        prompt_limit=entry.prompt_limit or model.prompt_limit,
        retires=entry.retires or model.retires,
        replacement=entry.replacement or model.replacement,
        edits=model.edits if isinstance(entry.edits, str) else entry.edits,
        rules=tuple(rule for rule in model.rules if parameters.get(rule.needs) is not None),
    )
