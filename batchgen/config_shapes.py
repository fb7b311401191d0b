"""The shape of `batchgen.yaml`: pydantic models that check it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PlainValidator, model_validator

from batchgen.catalogue import sizes
from batchgen.catalogue.dialects import Answers
from batchgen.catalogue.load import FILES, REQUEST_ITSELF
from batchgen.catalogue.model import PICTURE_TOKENS, Grid
from batchgen.catalogue.references import MOST_REFERENCES
from batchgen.config_telling import MetricsShape, OneHeartbeat, Targets
from batchgen.core.limits import FASTEST_PER_MINUTE, SLOWEST_PER_MINUTE
from batchgen.core.naming import printable
from batchgen.manifest.schema import Duration, Report, Shape, fault
from batchgen.manifest.schema import Limits as LimitsShape
from batchgen.providers.settings import REQUEST_DEADLINE_S

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def _base_url(value: str) -> str:
    """A provider's address. The text of a wrong one is not repeated: it may hold a key."""
    if wrong := _url_fault(value):
        raise fault(f"`base_url` {wrong}")
    return value.rstrip("/")


def _url_fault(value: str) -> str | None:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not value.isascii() or not value.isprintable() or " " in value:
        return "is no web address (write one such as https://images.example.com/v1)"
    if "@" in parts.netloc:
        return "must not hold a user or a key (name the key's variable in key_env)"
    if "?" in value or "#" in value:
        return "must not have a query or fragment (end it after the path)"
    return None


def _variable(value: str) -> str:
    """The name of a variable. What is written instead is not repeated: it may be a key."""
    if not _VARIABLE.fullmatch(value):
        raise fault(
            "`key_env` must be the name of an environment variable, never the key itself (write GATEWAY_KEY)"
        )
    return value


Rate = Annotated[float, Field(ge=SLOWEST_PER_MINUTE, le=FASTEST_PER_MINUTE, allow_inf_nan=False)]
Parallel = Annotated[int, Field(ge=1, le=1024)]


class CeilingShape(Shape):
    """The ceiling of a model, or of several that share it."""

    images_per_minute: Rate | None = Field(None, examples=[20])
    concurrency: Parallel | None = Field(None, examples=[8])


class ProviderShape(Shape):
    """One provider."""

    base_url: Annotated[str, AfterValidator(_base_url)] | None = Field(
        None, examples=["https://images.example.com/v1"]
    )
    key_env: Annotated[str, AfterValidator(_variable)] | None = Field(None, examples=["GATEWAY_KEY"])
    dialect: Any = Field("openai", examples=["openai"])
    idempotent: bool = Field(default=False, examples=[False])
    trust_env: bool = Field(default=False, examples=[False])
    images_per_minute: Rate | None = Field(None, examples=[120])
    concurrency: Parallel | None = Field(None, examples=[32])
    deadline: Duration = Field(REQUEST_DEADLINE_S, examples=["600s"])
    models: dict[str, CeilingShape] = Field(
        default_factory=dict, examples=[{"gpt-image-2": {"images_per_minute": 20}}]
    )


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


def _default(value: object) -> str | int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise fault("`default` is a word or a whole number (write default: low; a text in quotes)")
    return value


Plain = Annotated[str | int | float | bool, PlainValidator(_plain)]
Path = Annotated[str, AfterValidator(_path)]
Header = Annotated[str, AfterValidator(_header)]
Name = Annotated[str, Field(min_length=1)]


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


def _day(value: str) -> str:
    try:
        date.fromisoformat(value)
    except ValueError:
        raise fault('this is no date (write "2027-01-31")') from None
    return value


class GridShape(Shape):
    """A rule for `WIDTHxHEIGHT`."""

    multiple: int = Field(ge=1, examples=[16])
    max_edge: int = Field(ge=1, examples=[3840])
    max_ratio: int = Field(ge=1, examples=[3])
    min_pixels: int = Field(ge=1, examples=[655360])
    max_pixels: int = Field(ge=1, examples=[8294400])

    @model_validator(mode="after")
    def _in_order(self) -> GridShape:
        if self.min_pixels > self.max_pixels:
            raise fault("min_pixels is above max_pixels (write the smaller one first)", "min_pixels")
        return self


_WITH: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "grid": frozenset({"values", "default"}),
        "values": frozenset({"default"}),
        "minimum": frozenset({"maximum", "default"}),
        "flag": frozenset(),
        "kind": frozenset(),
    }
)
"""What tells the kind of a parameter -> what may stand beside it."""
_NO_KIND = "a parameter needs one of values, minimum, flag, kind (write {values: [low, high], default: low})"


class ParameterShape(Shape):
    """What a parameter may be: some words, a size by rule, a whole number, yes or no, or anything of a kind."""

    values: Annotated[list[Name], Field(min_length=1)] | None = Field(None, examples=[["low", "high"]])
    grid: GridShape | None = Field(None, examples=[{"multiple": 16}])
    minimum: int | None = Field(None, examples=[0])
    maximum: int | None = Field(None, examples=[100])
    flag: bool | None = Field(None, examples=[False])
    kind: Literal["text", "object", "any"] | None = Field(None, examples=["text"])
    default: Annotated[str | int, PlainValidator(_default)] | None = Field(None, examples=["low"])

    @model_validator(mode="after")
    def _of_one_kind(self) -> ParameterShape:
        told = {key for key in self.model_fields_set if getattr(self, key) is not None}
        kind = next((key for key in _WITH if key in told), None)
        if kind is None:
            raise fault(_NO_KIND)
        if beside := sorted(told - _WITH[kind] - {kind}):
            raise fault(f"`{beside[0]}` does not go with `{kind}` (remove one of the two)", beside[0])
        if wrong := self._bounds_fault():
            raise fault(wrong, "minimum")
        if self.default is not None and (wrong := self._default_fault()):
            raise fault(wrong, "default")
        return self

    def _bounds_fault(self) -> str | None:
        if self.minimum is None or self.maximum is None or self.minimum <= self.maximum:
            return None
        return f"`minimum` is {self.minimum}, above the maximum of {self.maximum} (write the smaller one first)"

    def _default_fault(self) -> str | None:
        """What is wrong with a default: it must be a value that the parameter takes."""
        default = self.default
        if self.values is None and self.grid is None:
            low, high = self.minimum, self.maximum
            fits = isinstance(default, int) and (low is None or low <= default)
            if fits and (high is None or int(str(default)) <= high):
                return None
            span = f"of at least {low}" if high is None else f"from {low} to {high}"
            return f"`default` must be a whole number {span} (write {low})"
        values = self.values or []
        size = sizes.parse(default)
        if default in values or (self.grid and size and not sizes.fault(Grid(**self.grid.model_dump()), size)):
            return None
        return f"`default` is {printable(str(default))}, which is not among the values ({_one_of(values)})"


def _one_of(values: list[str]) -> str:
    return f"write one of {', '.join(map(printable, values))}" if values else "write a size that keeps the rule"


class EditsShape(Shape):
    """How pictures go along with a prompt."""

    references: Annotated[int, Field(ge=1, le=MOST_REFERENCES)] = Field(examples=[4])
    mask: bool = Field(default=False, examples=[False])
    without: list[Name] = Field(default_factory=list, examples=[["moderation"]])
    parameters: dict[str, ParameterShape] = Field(default_factory=dict, examples=[{"strength": {"minimum": 0}}])
    image_tokens: Annotated[int, Field(ge=0)] = Field(PICTURE_TOKENS, examples=[PICTURE_TOKENS])


class EntryShape(Shape):
    """A model of the operator's."""

    family: str | None = Field(None, examples=["gpt-image-2"])
    price_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = Field(None, examples=[0.04])
    good_for: str | None = Field(None, alias="for", examples=["drafts"])
    prompt_limit: Annotated[int, Field(ge=1)] | None = Field(None, examples=[32000])
    retires: Annotated[str, AfterValidator(_day)] | None = Field(None, examples=["2027-01-31"])
    replacement: str | None = Field(None, examples=["gpt-image-2"])
    parameters: dict[str, ParameterShape | None] = Field(
        default_factory=dict, examples=[{"seed": {"minimum": 0}}]
    )
    edits: EditsShape | None = Field(None, examples=[{"references": 4}])


class ConfigShape(Shape):
    """The file, all but what is checked entry by entry."""

    providers: dict[str, Any] = Field(default_factory=dict, examples=[{"cometapi": {"images_per_minute": 120}}])
    catalogue: dict[str, Any] = Field(default_factory=dict, examples=[{"my-model": {"family": "gpt-image-2"}}])
    defaults: LimitsShape = Field(default=LimitsShape(), examples=[{"concurrency": 8}])
    output: Annotated[str, Field(min_length=1)] = Field("output", examples=["output"])
    engine: Literal["local"] = Field("local", examples=["local"])
    verify: Literal["structure", "decode"] = Field("structure", examples=["structure"])
    report: Report = Field(default=Report(), examples=[{"thumbnails": True}])
    notify: Targets = Field(default_factory=list, examples=[[{"url_env": "NOTIFY_URL"}]])
    metrics: MetricsShape = Field(default=MetricsShape(), examples=[{"textfile": None}])
    heartbeat: OneHeartbeat | None = Field(None, examples=[{"url_env": "HEARTBEAT_URL"}])
