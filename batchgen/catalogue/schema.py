"""The catalogue as JSON Schema: what an editor offers for a model and its parameters, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from batchgen.catalogue.catalogue import Catalogue
from batchgen.catalogue.describe import parameter_text
from batchgen.catalogue.meanings import MEANINGS, SIZES, WORDS
from batchgen.catalogue.model import AnySize, Anything, Choice, Flag, Model, Parameter, Whole
from batchgen.catalogue.rules import default_of

Schema = dict[str, Any]

EXTRA = "extra"
PLACEHOLDER: Schema = {"type": "string", "pattern": r"\{[^{}]+\}"}
"""A text that is only known once its variables are replaced: any parameter may be one."""


def model_schema(catalogue: Catalogue) -> Schema:
    """Every model with what it is for; other names are taken, too."""
    models = catalogue.models.values()
    return {
        "anyOf": [
            {"enum": [model.model_id for model in models], "enumDescriptions": [_good_for(model) for model in models]},
            {"type": "string"},
        ]
    }  # fmt: skip


def request_schema(catalogue: Catalogue, *, may_remove: bool) -> Schema:
    """What `request` may hold, whatever the model: every parameter that some model takes, with its meaning.

    `may_remove` is for a prompt's own, where null takes a default away.
    """
    null = " `null` takes the default away." if may_remove else ""
    properties = {name: _explained(name, models, null) for name, models in _takers(catalogue).items()}
    return {"type": "object", "properties": {**properties, EXTRA: _extra(catalogue)}}


def any_request(catalogue: Catalogue) -> Schema:
    """The values that are offered where the model is not known; every other one is taken."""
    properties = {}
    for name, models in _takers(catalogue).items():
        shapes = {
            repr(shape): shape for shape in (value_schema(name, _parameters(model)[name]) for model in models)
        }
        properties[name] = {"anyOf": [*shapes.values(), {}]}
    return {"properties": properties}


def requests_by_models(catalogue: Catalogue, *, may_remove: bool) -> Mapping[tuple[str, ...], Schema]:
    """What `request` may hold by the models that take just that, with nothing refused that they take."""
    groups: list[tuple[Mapping[str, Parameter], list[str]]] = []
    for model in catalogue.models.values():
        taken = _parameters(model)
        ids = next((ids for known, ids in groups if known == taken), None)
        if ids is None:
            groups.append((taken, [model.model_id]))
        else:
            ids.append(model.model_id)
    others = catalogue.parameters if may_remove else ()
    return {tuple(ids): _of_model(taken, others) for taken, ids in groups}


def value_schema(name: str, parameter: Parameter) -> Schema:
    """What a parameter may be, without variables."""
    match parameter:
        case Choice(values=values):
            return _words(name, values)
        case AnySize(values=values):
            sizes = _words(name, (*SIZES, *values))
            return {"anyOf": [sizes, {"type": "string", "pattern": "^[1-9][0-9]{0,5}x[1-9][0-9]{0,5}$"}]}
        case Whole(minimum=minimum, maximum=maximum):
            bounds = {"minimum": minimum, "maximum": maximum}
            return {"type": "integer", **{key: bound for key, bound in bounds.items() if bound is not None}}
        case Flag():
            return {"type": "boolean"}
        case Anything(kind="text"):
            return {"type": "string"}
        case Anything(kind="object"):
            return {"type": "object"}
        case _:
            return {}


def _parameters(model: Model) -> Mapping[str, Parameter]:
    return {**model.parameters, **(model.edits.parameters if model.edits else {})}


def _takers(catalogue: Catalogue) -> Mapping[str, list[Model]]:
    """Every parameter with the models that take it, dated names left aside."""
    takers: dict[str, list[Model]] = {name: [] for name in sorted(catalogue.parameters)}
    for model in catalogue.models.values():
        for name in _parameters(model) if model.dated_name_of is None else ():
            takers[name].append(model)
    return {name: models for name, models in takers.items() if models}


def _of_model(taken: Mapping[str, Parameter], others: Iterable[str]) -> Schema:
    """A request of a model. `others` are parameters that it does not take, and that may be taken away from it."""
    removed: list[Schema] = [{"type": "null"}] if others else []
    properties: Schema = {name: {**UNTAKEN} for name in sorted(others)}
    for name, parameter in taken.items():
        properties[name] = {"anyOf": [value_schema(name, parameter), PLACEHOLDER, *removed]}
    properties[EXTRA] = {"doNotSuggest": True}
    return {"properties": properties, "additionalProperties": False}


UNTAKEN: Schema = {
    "type": "null",
    "errorMessage": "The model does not take this (remove it).",
    "doNotSuggest": True,
}


def _explained(name: str, takers: list[Model], null: str) -> Schema:
    """A parameter with what each model takes for it."""
    said: dict[str, list[str]] = {}
    for model in takers:
        said.setdefault(parameter_text(_parameters(model)[name]), []).append(model.model_id)
    meaning = MEANINGS.get(name, f"The parameter {name}.") + null
    lines = [f"{', '.join(models)}: {text}" for text, models in said.items()]
    return {
        "description": "\n".join([meaning, *lines]),
        "markdownDescription": "\n".join([meaning, "", *(f"- {line}" for line in lines)]),
        "examples": [_example(_parameters(takers[0])[name])],
    }


def _example(parameter: Parameter) -> object:
    match parameter:
        case Choice(values=values):
            return "medium" if "medium" in values else values[0]
        case AnySize():
            return next(iter(SIZES))
        case Whole(minimum=minimum):
            return default_of(parameter) or minimum or 1
        case Flag():
            return True
        case Anything(kind="object"):
            return {"name": "value"}
        case _:
            return "content-team"


def _words(name: str, values: Iterable[str]) -> Schema:
    known = WORDS.get(name, {})
    words = list(values)
    told = [known.get(word, "") for word in words]
    return {"enum": words, **({"enumDescriptions": told} if any(told) else {})}


def _extra(catalogue: Catalogue) -> Schema:
    return {
        "type": ["object", "null"],
        "description": "Passed through untouched, for fields that are newer than the catalogue; makes the price an estimate.",
        "examples": [{"seed": 7}],
        "propertyNames": {"not": {"enum": sorted(catalogue.reserved)}},
    }


def _good_for(model: Model) -> str:
    name = f"the same as {model.dated_name_of}: " if model.dated_name_of else ""
    ends = f"; its maker ends it on {model.retires}" if model.retires else ""
    instead = f", then use {model.replacement}" if model.retires and model.replacement else ""
    return f"{name}{model.good_for}{ends}{instead}"
