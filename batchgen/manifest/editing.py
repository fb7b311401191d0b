"""The JSON Schema of a manifest: what an editor completes, explains and checks while someone writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from batchgen.catalogue.catalogue import Catalogue
from batchgen.catalogue.schema import Schema, any_request, model_schema, request_schema, requests_by_models
from batchgen.core.limits import FASTEST_PER_MINUTE, SLOWEST_PER_MINUTE
from batchgen.core.types import OnUnknown
from batchgen.manifest.schema import ManifestFile

DIALECT = "https://json-schema.org/draft/2020-12/schema"
PROVIDERS: Mapping[str, str] = {
    "cometapi": "the default: models of many makers, with one key",
    "openai": "the maker of the gpt-image models",
    "sandbox": "paints for free, on this machine, to try a job out",
}
"""What the built-in providers are, for whoever chooses one."""

ON_UNKNOWN: Mapping[OnUnknown, str] = {
    OnUnknown.RESEND: "ask once more: the night ends by itself, and the image is perhaps paid for twice",
    OnUnknown.HOLD: "wait for a person to decide: nothing is paid for twice",
}


def json_schema(catalogue: Catalogue | None = None, providers: Iterable[str] = ()) -> Schema:
    """The JSON Schema (draft 2020-12) of a manifest.

    It offers the models of the catalogue (None: those that ship with batchgen) with their parameters, and the
    built-in providers beside `providers`; it refuses neither other models nor other providers. What is refused is
    refused by batchgen as well, but for one thing: a default of `request` that every prompt overrides is checked, too.
    """
    known = Catalogue.builtin() if catalogue is None else catalogue
    schema = tidy(ManifestFile.model_json_schema())
    entry = _one_kind_of_entry(schema)
    put(schema, "provider", provider_schema(providers))
    for owner in (schema, entry):
        put(owner, "model", {"anyOf": [model_schema(known), {"type": "null"}]})
        put(owner, "request", {"anyOf": [request_schema(known, may_remove=owner is entry), {"type": "null"}]})
    schema["$defs"]["OnUnknown"]["enumDescriptions"] = list(ON_UNKNOWN.values())
    entry["properties"]["vary"]["propertyNames"] = {"not": {"const": "prompt"}}
    _add_models(schema["$defs"]["Limits"]["properties"]["images_per_minute"], known)
    _add_conditions(schema, entry, known)
    return {"$schema": DIALECT, **schema, "title": "batchgen manifest"}


def _one_kind_of_entry(schema: Schema) -> Schema:
    """Make prompts and tables one kind of entry: an editor offers all keys before it can know which one it will be."""
    kinds: Schema = schema["$defs"]
    prompt: Schema = kinds["PromptEntry"]
    entry: Schema = kinds.pop("TableEntry")
    kinds["PromptEntry"] = entry
    entry["description"] = prompt["description"]
    entry["properties"] |= {key: prompt["properties"][key] for key in ("id", "prompt")}
    del entry["required"]
    of_a_table = {"anyOf": [{"required": ["sheet"]}, {"required": ["where"]}]}
    entry["allOf"] = [
        {"if": {"not": {"required": ["table"]}}, "then": {"required": ["id", "prompt"]}},
        {"if": of_a_table, "then": {"required": ["table"]}},
    ]
    schema["properties"]["prompts"]["items"] = {"$ref": "#/$defs/PromptEntry"}
    return entry


def provider_schema(providers: Iterable[str]) -> Schema:
    """The built-in providers and those that are configured; other names are taken, too."""
    configured = [name for name in providers if name not in PROVIDERS]
    told = [*PROVIDERS.values(), *("configured in batchgen.yaml" for _ in configured)]
    names = {"enum": [*PROVIDERS, *configured], "enumDescriptions": told}
    return {"anyOf": [names, {"type": ["string", "null"]}]}


def put(owner: Schema, key: str, value: Schema) -> None:
    """Say what a key may be, and keep what is said of it."""
    kept = {"description", "examples", "default"} & owner["properties"][key].keys()
    owner["properties"][key] = {name: owner["properties"][key][name] for name in kept} | value


def tidy(schema: Mapping[str, object]) -> Schema:
    """A schema without names that were made up from keys, and without defaults that say nothing."""
    return {
        key: {name: _tidied(part) for name, part in value.items()}
        if key in _NAMED and isinstance(value, dict)
        else _tidied(value)
        for key, value in schema.items()
        if not _says_nothing(key, value)
    }


def _tidied(part: object) -> object:
    if isinstance(part, list):
        return [_tidied(each) for each in part]
    return tidy(part) if isinstance(part, dict) else part


_NAMED = ("properties", "$defs")
"""Where the keys are names, not keywords."""


def _says_nothing(key: str, value: object) -> bool:
    return (key == "title" and isinstance(value, str)) or (
        key == "default" and (value is None or value == "" or isinstance(value, dict | list))
    )


def _add_models(rate: Schema, catalogue: Catalogue) -> None:
    number = {"type": "number", "minimum": SLOWEST_PER_MINUTE, "maximum": FASTEST_PER_MINUTE}
    for part in rate["anyOf"]:
        for choice in part.get("anyOf", [part]):
            if choice.get("type") == "object":
                choice["properties"] = {
                    name: {"description": f"Requests a minute of {name}.", "examples": [20], **number}
                    for name in catalogue.models
                }


def _add_conditions(schema: Schema, entry: Schema, catalogue: Catalogue) -> None:
    """What a request may hold where its model is known: named by the prompt, or at the top for prompts that name none."""
    every = list(catalogue.models)
    schema["$defs"]["AnyRequest"] = any_request(catalogue)
    at_the_top = requests_by_models(catalogue, may_remove=False)
    in_a_prompt = requests_by_models(catalogue, may_remove=True)
    schema["allOf"] = [
        _unless(_alone(every), _request("AnyRequest")),
        _unless(_named(every), _in_prompts(_request("AnyRequest"))),
    ]
    entry["allOf"].append({"if": _named_otherwise(every), "then": _request("AnyRequest")})
    for number, models in enumerate(at_the_top, start=1):
        top, own = f"Request{number}", f"OwnRequest{number}"
        schema["$defs"] |= {top: at_the_top[models], own: in_a_prompt[models]}
        schema["allOf"] += [
            {"if": _alone(models), "then": _request(top)},
            {"if": _named(models), "then": _in_prompts(_request(own))},
        ]
        entry["allOf"].append({"if": _named(models), "then": _request(own)})


def _named(models: Iterable[str]) -> Schema:
    """Whether the model is one of these."""
    return {"required": ["model"], "properties": {"model": {"enum": list(models)}}}


def _named_otherwise(models: Iterable[str]) -> Schema:
    return {"required": ["model"], "properties": {"model": {"not": {"enum": list(models)}}}}


def _alone(models: Iterable[str]) -> Schema:
    """Whether the model at the top is one of these, and no prompt names another."""
    others = {"properties": {"prompts": {"not": {"contains": {"required": ["model"]}}}}}
    return {"allOf": [_named(models), others]}


def _unless(condition: Schema, otherwise: Schema) -> Schema:
    return {"if": condition, "else": otherwise}


def _in_prompts(then: Schema) -> Schema:
    """For the prompts that name no model of their own."""
    return {
        "properties": {
            "prompts": {"doNotSuggest": True, "items": {"if": {"not": {"required": ["model"]}}, "then": then}}
        }
    }


def _request(name: str) -> Schema:
    return {"properties": {"request": {"doNotSuggest": True, "$ref": f"#/$defs/{name}"}}}
