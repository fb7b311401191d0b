"""Models that the operator adds or changes: the shape of an entry of `catalogue`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PlainValidator, model_validator

from batchgen.catalogue import sizes
from batchgen.catalogue.model import PICTURE_TOKENS, Grid
from batchgen.catalogue.references import MOST_REFERENCES
from batchgen.config.fields import Name
from batchgen.core.naming import printable
from batchgen.manifest.fields import Shape, fault


def _day(value: str) -> str:
    try:
        date.fromisoformat(value)
    except ValueError:
        raise fault('this is no date (write "2027-01-31")') from None
    return value


def _default(value: object) -> str | int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise fault("`default` is a word or a whole number (write default: low; a text in quotes)")
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
