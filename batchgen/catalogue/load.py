"""Reads `models.yaml`. The file ships with the package and is checked by the tests, not at run time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

import yaml

from batchgen.catalogue.model import (
    AnySize,
    Anything,
    Choice,
    Edits,
    Flag,
    FlatPricing,
    Grid,
    Model,
    Parameter,
    Rule,
    TokenPricing,
    Warn,
    Whole,
)
from batchgen.core.types import TokenRates

REQUEST_ITSELF = frozenset({"model", "prompt", "n"})
"""Fields that batchgen alone sets: they have their own places in a manifest, and a request is for one image."""

FILES = frozenset({"image", "image[]", "images", "mask"})
"""Fields that hold pictures: in a manifest they are `references` and `mask`."""

Document = Mapping[str, Any]


def read_document() -> Document:
    """The file as plain values."""
    text = resources.files("batchgen.catalogue").joinpath("models.yaml").read_text(encoding="utf-8")
    document: Document = yaml.load(text, Loader=yaml.CSafeLoader)
    return document


def read_models() -> dict[str, Model]:
    """Every model of the file by its id, dated names included, in the file's order."""
    return models_of(read_document()["families"])


def models_of(families: Mapping[str, Document]) -> dict[str, Model]:
    """The models of families as the file describes them."""
    names = frozenset(
        name
        for family in families.values()
        for name in (*family["parameters"], *family.get("edits", {}).get("parameters", ()))
    )
    return {
        model.model_id: model for name, family in families.items() for model in _models(name, family, names)
    }


def _models(family_name: str, family: Document, reserved: frozenset[str]) -> Iterator[Model]:
    parameters = _parameters(family["parameters"])
    for model_id, own in family["models"].items():
        data: Document = {**family, **own}
        also = tuple(data.get("also", ()))
        for name in (model_id, *also):
            yield Model(
                model_id=name,
                family=family_name,
                maker=data["maker"],
                good_for=data["for"],
                parameters=parameters,
                reserved=reserved,
                rules=tuple(_rule(rule) for rule in data.get("rules", ())),
                warnings=tuple(Warn(w["when"], w["is"], w["message"]) for w in data.get("warnings", ())),
                prompt_limit=data["prompt_limit"],
                max_images=data["max_images"],
                revises=data.get("revises", False),
                pricing=_pricing(data["price"]),
                retires=data.get("retires"),
                replacement=data.get("replacement"),
                also=also if name == model_id else (),
                dated_name_of=None if name == model_id else model_id,
                edits=edits_of(data["edits"]) if "edits" in data else None,
            )


def edits_of(data: Document) -> Edits:
    """How pictures go along with a prompt, as the file describes it."""
    return Edits(
        references=data["references"],
        mask=data["mask"],
        image_tokens=data["image_tokens"],
        without=frozenset(data.get("without", ())),
        parameters=_parameters(data.get("parameters", {})),
    )


def _parameters(data: Document) -> dict[str, Parameter]:
    return {name: parameter_of(described) for name, described in data.items()}


def parameter_of(data: Document) -> Parameter:
    """A parameter as the file describes it: by `values`, `grid`, `minimum` and `maximum`, `flag` or `kind`."""
    match data:
        case {"grid": grid}:
            return AnySize(Grid(**grid), tuple(data.get("values", ())), data.get("default"))
        case {"values": values}:
            return Choice(tuple(values), data.get("default"))
        case {"flag": default}:
            return Flag(default)
        case {"kind": kind}:
            return Anything(kind)
        case _:
            return Whole(data.get("minimum"), data.get("maximum"), data.get("default"))


def _rule(data: Document) -> Rule:
    return Rule(data["when"], data["needs"], tuple(data["among"]), data.get("is"))


def _pricing(data: Document) -> TokenPricing | FlatPricing:
    estimated = data.get("estimated", False)
    if "rates" not in data:
        return FlatPricing(data.get("usd", {}), data.get("each_usd"), estimated)
    return TokenPricing(
        rates=TokenRates(*map(float, data["rates"])),
        factors=data.get("formula", {}),
        ranges={quality: (least, most) for quality, (least, most) in data.get("ranges", {}).items()},
        tokens=data.get("tokens", {}),
        slack_tokens=data.get("slack_tokens", 0),
        estimated=estimated,
    )
