"""The JSON Schema of `batchgen.yaml`: what an editor completes, explains and checks while an operator writes."""

from __future__ import annotations

from collections.abc import Mapping

from batchgen.catalogue.catalogue import Catalogue
from batchgen.catalogue.dialects import DIALECTS
from batchgen.catalogue.schema import Schema
from batchgen.config.dialects import DialectShape
from batchgen.config.models import EntryShape
from batchgen.config.shapes import ConfigShape, ProviderShape
from batchgen.manifest.editing import DIALECT, PROVIDERS, put, tidy
from batchgen.manifest.fields import Shape

MEANINGS: Mapping[str, Mapping[str, str]] = {
    "ConfigShape": {
        "providers": "Who makes images: ceilings for the built-in ones, and providers of your own.",
        "catalogue": "Models that batchgen does not know, and your own prices and parameters for those that it knows.",
        "defaults": "Limits of jobs that do not say.",
        "output": "Folder of all jobs, relative to this file; or an object store for their images, such as s3://bucket/prefix.",
        "objects": "What the object store needs to know beside its address.",
        "engine": "Where requests are performed: local, in this process, or ray, on the nodes of a Ray cluster.",
        "ray": "The cluster of the engine ray.",
        "verify": "How an image is checked before it counts as stored: its structure to the last byte, or decoded whole as well.",
        "report": "How reports look, where the manifest does not say.",
        "notify": "Whom to tell.",
        "metrics": "Where figures for monitoring go.",
        "heartbeat": "Who is told that a run is alive.",
    },
    "RayShape": {
        "address": "Its address; RAY_ADDRESS is above it, and without either a cluster is begun on this machine.",
    },
    "ProviderShape": {
        "base_url": "Its address, with or without /v1.",
        "key_env": "The name of the environment variable that holds its key, never the key itself.",
        "dialect": "How it wants to be spoken to: one of these names, or what differs from one of them.",
        "idempotent": "Whether it makes nothing twice when it is asked with the same key; not relied on yet.",
        "trust_env": "Use HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the environment.",
        "images_per_minute": "Ceiling over all jobs of a process.",
        "concurrency": "Ceiling on requests in flight, over all jobs of a process.",
        "deadline": "How long one request may take; images of 4K take five minutes.",
        "models": "Ceilings by model; write `model-a, model-b` for models that share one.",
    },
    "ObjectsShape": {
        "endpoint": "The address of a store that is not the cloud's own.",
        "region": "The region of the bucket.",
        "allow_http": "Allow an endpoint without TLS.",
        "virtual_hosted_style_request": "Put the bucket's name into the host, not into the path.",
        "patience": "How long a run waits for a store that is away before it stops; 100s at most.",
    },
    "CeilingShape": {
        "images_per_minute": "Ceiling over all jobs of a process.",
        "concurrency": "Ceiling on requests in flight, over all jobs of a process.",
    },
    "DialectShape": {
        "like": "The dialect that it is like.",
        "generate": "Path of requests for images; {model} in it is the model's name.",
        "edit": "Path of requests with pictures; null where none may go along.",
        "models": "Path of the list of models.",
        "prices": "Path of a public list of models with their prices, at the host's root.",
        "query": "What is put behind every path.",
        "auth_header": "The header of the key.",
        "auth_prefix": "What stands before the key in it.",
        "allow": "The only parameters that are taken; all that a model takes when left out.",
        "drop": "Parameters that are left out without a word.",
        "rename": "The usual name of a parameter, and the provider's own.",
        "always": "Sent with every request.",
        "answers": "Ask for images as they come (either), in the answer itself, or as links.",
        "remaining": "How the names of headers begin that tell what is left of a rate limit.",
        "reset": "How the names of headers begin that tell when a rate limit is whole again.",
    },
    "EntryShape": {
        "family": "A model or family of the catalogue whose parameters it takes.",
        "price_usd": "Price of an image in US dollars; wins over every other price.",
        "for": "What the model is good for.",
        "prompt_limit": "Characters of the longest prompt.",
        "retires": "The first day on which it is no longer served.",
        "replacement": "The model to use instead.",
        "parameters": "Parameters on top of the family's; null takes one away.",
        "edits": "How pictures go along with a prompt; null where none may.",
    },
    "EditsShape": {
        "references": "Most pictures of a request.",
        "mask": "Whether a mask may say where to paint.",
        "without": "Parameters that are not taken together with pictures.",
        "parameters": "Parameters that are taken only together with pictures.",
        "image_tokens": "Most tokens that a picture takes, for the price.",
    },
    "ParameterShape": {
        "values": "The words that it may be.",
        "grid": "A rule for sizes.",
        "minimum": "The least whole number.",
        "maximum": "The largest whole number.",
        "flag": "True or false; what is written here is the default.",
        "kind": "Anything of this kind.",
        "default": "What the model takes when the parameter is left out.",
    },
    "GridShape": {
        "multiple": "Both edges are multiples of it, in pixels.",
        "max_edge": "The longest edge, in pixels.",
        "max_ratio": "How many times as long as the shorter edge the longer one may be.",
        "min_pixels": "Fewest pixels in all.",
        "max_pixels": "Most pixels in all.",
    },
}
"""What each key is for, by the shape that it belongs to."""


def config_schema() -> Schema:
    """The JSON Schema (draft 2020-12) of a configuration."""
    schema = tidy(ConfigShape.model_json_schema())
    shapes: tuple[type[Shape], ...] = (ProviderShape, DialectShape, EntryShape)
    for shape in shapes:
        own = tidy(shape.model_json_schema())
        for key in own["properties"].values():
            key.pop("default", None)  # an editor would write all of them out
        schema["$defs"] |= {**own.pop("$defs", {}), shape.__name__: own}
    for name, meanings in MEANINGS.items():
        _explain(schema if name == "ConfigShape" else schema["$defs"][name], meanings)
    provider: Schema = {"$ref": "#/$defs/ProviderShape"}
    of_its_own = provider | {"required": ["base_url", "key_env"]}
    known = {name: {"description": told, "examples": [{"images_per_minute": 60}], **provider} for name, told in PROVIDERS.items()}  # fmt: skip
    put(schema, "providers", {"type": "object", "properties": known, "additionalProperties": of_its_own})
    put(schema, "catalogue", _catalogue())
    named = {"enum": list(DIALECTS)}
    put(schema["$defs"]["ProviderShape"], "dialect", {"anyOf": [named, {"$ref": "#/$defs/DialectShape"}]})
    put(schema["$defs"]["DialectShape"], "like", named)
    return {"$schema": DIALECT, **schema, "title": "batchgen configuration"}


def _explain(owner: Schema, meanings: Mapping[str, str]) -> None:
    for key, meaning in meanings.items():
        owner["properties"][key]["description"] = meaning


def _catalogue() -> Schema:
    entry: Schema = {"$ref": "#/$defs/EntryShape"}
    models = Catalogue.builtin().models
    known = {name: {"description": model.good_for, "examples": [{"price_usd": 0.04}], **entry} for name, model in models.items()}  # fmt: skip
    return {"type": "object", "properties": known, "additionalProperties": entry}
