"""How a provider of the operator's wants to be spoken to: the shape of `dialect`."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, PlainValidator, model_validator

from batchgen.catalogue.dialects import Answers
from batchgen.catalogue.load import FILES, REQUEST_ITSELF
from batchgen.config.fields import Name
from batchgen.core.naming import printable
from batchgen.manifest.fields import Shape, fault

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def _path(value: str) -> str:
    if not value.startswith("/") or not value.isprintable() or " " in value or "?" in value or "#" in value:
        raise fault(
            "a path begins with / and has no query (write /images/generations, and the rest as `query`)"
        )
    return value


def _header(value: str) -> str:
    if not _HEADER.fullmatch(value):
        raise fault("this is no name of a header (write one such as api-key)")
    return value


def _auth_header(value: str) -> str:
    """The header of the key: none that every request has already."""
    if value.lower() in _OWN_HEADERS:
        raise fault(f"{value} is a header with a use of its own (write one for the key, such as api-key)")
    return _header(value)


def _auth_prefix(value: str) -> str:
    """What stands before the key. It is not repeated: it may hold the key."""
    if not value.isascii() or not value.isprintable():
        raise fault('`auth_prefix` must be one line of plain ASCII characters (write "Bearer ")')
    return value


def _drop(names: list[str]) -> list[str]:
    if "prompt" in names:
        raise fault("no request goes without its prompt (leave `prompt` out of `drop`)", names.index("prompt"))
    return names


def _rename(names: dict[str, str]) -> dict[str, str]:
    """Names of the provider's, each for one usual name, and none that is the request's own."""
    before: dict[str, str] = {}
    for name, new in names.items():
        if new in _OWN_FIELDS and new != name:
            raise fault(
                f"`{new}` is a field of every request, so {printable(name)} cannot be called so (choose another)",
                name,
            )
        if new in before:
            raise fault(
                f"{printable(before[new])} and {printable(name)} would both be called {printable(new)} (keep one of the two)",
                name,
            )
        before[new] = name
    return names


def _always(values: dict[str, Plain]) -> dict[str, Plain]:
    for name in values:
        if name in _OWN_FIELDS or name in _STREAMING:
            where = "write it under `request` in the manifest" if name in _STREAMING else "remove it"
            raise fault(f"`{name}` is set by batchgen, and cannot be sent with every request ({where})", name)
    return values


_OWN_HEADERS = frozenset(
    [
        "host",
        "content-length",
        "content-type",
        "content-encoding",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "accept",
        "accept-encoding",
        "user-agent",
        "proxy-authorization",
        "proxy-connection",
        "idempotency-key",
        "x-client-request-id",
    ]
)
_OWN_FIELDS = REQUEST_ITSELF | FILES
_STREAMING = frozenset({"stream", "partial_images"})


def _plain(value: object) -> str | int | float | bool:
    if not isinstance(value, str | int | float | bool):
        raise fault("this is no text, no number, neither true nor false (write one of them, a text in quotes)")
    return value


Plain = Annotated[str | int | float | bool, PlainValidator(_plain)]
Path = Annotated[str, AfterValidator(_path)]
Header = Annotated[str, AfterValidator(_header)]


class DialectShape(Shape):
    """How a provider wants to be spoken to, where it differs from another dialect."""

    like: str = Field("openai", examples=["openai"])
    generate: Path = Field("/images/generations", examples=["/images/generations"])
    edit: Path | None = Field("/images/edits", examples=["/images/edits"])
    models: Path = Field("/models", examples=["/models"])
    prices: Path | None = Field(None, examples=["/api/models"])
    query: dict[str, str] = Field(default_factory=dict, examples=[{"api-version": "2025-04-01-preview"}])
    auth_header: Annotated[str, AfterValidator(_auth_header)] = Field("Authorization", examples=["api-key"])
    auth_prefix: Annotated[str, AfterValidator(_auth_prefix)] = Field("Bearer ", examples=["Bearer "])
    allow: list[Name] | None = Field(None, examples=[["size", "quality"]])
    drop: Annotated[list[Name], AfterValidator(_drop)] = Field(default_factory=list, examples=[["n"]])
    rename: Annotated[dict[str, Name], AfterValidator(_rename)] = Field(
        default_factory=dict, examples=[{"size": "image_size"}]
    )
    always: Annotated[dict[str, Plain], AfterValidator(_always)] = Field(
        default_factory=dict, examples=[{"watermark": False}]
    )
    answers: Annotated[Answers, Field(strict=False)] = Field(Answers.EITHER, examples=["either"])
    remaining: Header = Field("x-ratelimit-remaining", examples=["x-ratelimit-remaining"])
    reset: Header = Field("x-ratelimit-reset", examples=["x-ratelimit-reset"])

    @model_validator(mode="after")
    def _always_beside(self) -> DialectShape:
        usual = {new: name for name, new in self.rename.items()}
        for name in self.always:
            if name in usual:
                raise fault(
                    f"`{printable(name)}` is what {printable(usual[name])} is called here (remove it)",
                    "always",
                    name,
                )
        return self
