"""How providers want to be spoken to: data, and the few pure rules that read it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from types import MappingProxyType
from urllib.parse import quote

from msgspec import Struct, field

from batchgen.core.types import ImageRequest, JsonObject, JsonScalar, JsonValue


class Answers(StrEnum):
    """In which form a provider is asked for images: whatever it likes, or what `response_format` names."""

    EITHER = "either"
    B64_JSON = "b64_json"
    URL = "url"


class Dialect(Struct, frozen=True):
    """What a provider's requests look like. Paths are below the base URL; `{model}` in them is the model's name.

    `edit` is None where no pictures may go along; `prices` is a public list of models with their prices, at the
    host's root. `query` is put behind every path. The key stands in `auth_header`, behind `auth_prefix`.

    `allow` are the only parameters that are taken (None: all that a model takes), under their usual names; another
    one in a manifest is a problem. `drop` are parameters and fields that are left out without a word, `rename` maps
    usual names to the provider's own, and `always` is sent with every request.

    `answers` asks for images as base64 or links. `remaining` and `reset` begin the names of headers that tell what
    is left of a rate limit and when it is whole again.
    """

    generate: str = "/images/generations"
    edit: str | None = "/images/edits"
    models: str = "/models"
    prices: str | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    auth_header: str = "Authorization"
    auth_prefix: str = "Bearer "
    allow: frozenset[str] | None = None
    drop: frozenset[str] = frozenset()
    rename: Mapping[str, str] = field(default_factory=dict)
    always: Mapping[str, JsonScalar] = field(default_factory=dict)
    answers: Answers = Answers.EITHER
    remaining: str = "x-ratelimit-remaining"
    reset: str = "x-ratelimit-reset"


DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {"openai": Dialect(), "cometapi": Dialect(prices="/api/models")}
)
"""By the name that `dialect:` of a configuration gives."""


def refused_names(dialect: Dialect, names: Collection[str]) -> list[str]:
    """Those of the parameters that this dialect has no word for, in their order."""
    allow = dialect.allow
    return [] if allow is None else [name for name in names if name not in allow and name not in dialect.drop]


def path_of(dialect: Dialect, path: str, model: str = "") -> str:
    """A path of the dialect with its query."""
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in dialect.query.items())
    name = quote(model, safe="")
    if not name.strip("."):
        name = name.replace(".", "%2E")  # dots alone would lead out of the path
    return path.replace("{model}", name) + (f"?{query}" if query else "")


def fields_of(dialect: Dialect, request: ImageRequest) -> JsonObject:
    """What is sent for one image beside its pictures. Nothing passed through can replace model, prompt and `n`."""
    asked: dict[str, JsonValue] = (
        {} if dialect.answers is Answers.EITHER else {"response_format": dialect.answers.value}
    )
    asked |= request.parameters
    own = {**asked, "model": request.model, "prompt": request.prompt, "n": 1}
    named = {dialect.rename.get(name, name): value for name, value in own.items() if name not in dialect.drop}
    passed = {name: value for name, value in request.extra.items() if name not in own}
    return {**passed, **dialect.always, **named}
