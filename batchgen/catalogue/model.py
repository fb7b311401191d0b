"""What the catalogue knows of a model, as values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date

from msgspec import Struct, field

from batchgen.core.types import TokenRates
from batchgen.core.values import replace

_NAME = re.compile(r"(?!\.+\Z)[^\s\x00-\x1f\x7f]{1,200}")


def is_model_name(text: str) -> bool:
    """Whether a model may be called so: no blanks, and not dots alone, which would lead out of a path."""
    return _NAME.fullmatch(text) is not None


class Choice(Struct, frozen=True):
    """A parameter that is one of some words."""

    values: tuple[str, ...]
    default: str | None = None


class Grid(Struct, frozen=True):
    """A rule for `WIDTHxHEIGHT`, all of it at once; edges and areas in pixels."""

    multiple: int
    max_edge: int
    max_ratio: int
    min_pixels: int
    max_pixels: int


class AnySize(Struct, frozen=True):
    """A size by rule, or one of some words."""

    grid: Grid
    values: tuple[str, ...] = ()
    default: str | None = None


class Whole(Struct, frozen=True):
    """A whole number; None means that no bound is documented."""

    minimum: int | None = None
    maximum: int | None = None
    default: int | None = None


class Flag(Struct, frozen=True):
    """A parameter that is true or false."""

    default: bool = False


class Anything(Struct, frozen=True):
    """A value that the catalogue does not check beyond its kind: `text`, `object` or `any`."""

    kind: str


Parameter = Choice | AnySize | Whole | Flag | Anything


class Rule(Struct, frozen=True):
    """`when` (with the value `value`, if that is set) needs the parameter `needs` to be one of `among`."""

    when: str
    needs: str
    among: tuple[str | bool, ...]
    value: str | None = None


class Warn(Struct, frozen=True):
    """A value that is accepted, but may fail; `message` says so."""

    when: str
    value: str | bool
    message: str


class Edits(Struct, frozen=True):
    """What changes when pictures go along with a prompt.

    `references` is the most of them, `mask` whether another may say where to paint. `without` are parameters that
    are not taken then, `parameters` further ones. `image_tokens` is the most input tokens that a picture was seen to
    take. What is not `known` is only assumed, of a model that nobody has described.
    """

    references: int
    mask: bool
    image_tokens: int
    without: frozenset[str] = frozenset()
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    known: bool = True


PICTURE_TOKENS = 1536
"""What a picture takes at most where nothing else is known: as at most models of the catalogue."""

ANY_EDITS = Edits(references=16, mask=True, image_tokens=PICTURE_TOKENS, known=False)
"""As many pictures as a manifest may name: whether the model takes them is left to its provider."""


class TokenPricing(Struct, frozen=True):
    """Prices by tokens: exactly one of `tokens` and `factors` is set, `ranges` only beside `factors`.

    `factors` feed the formula of `batchgen.core.money.image_tokens`; `ranges` are measured output tokens at
    1024x1024 (least, most), which take only their shape from it; `tokens` are output tokens by quality and
    size, and `slack_tokens` what hosts have reported above them.
    """

    rates: TokenRates
    factors: Mapping[str, int] = field(default_factory=dict)
    ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    tokens: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    slack_tokens: int = 0
    estimated: bool = False

    @property
    def qualities(self) -> tuple[str, ...]:
        """The priced qualities, cheapest first."""
        return tuple(self.tokens or self.factors)


class FlatPricing(Struct, frozen=True):
    """USD for an image: by quality and size, or `each_usd` for any."""

    usd: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    each_usd: float | None = None
    estimated: bool = False


class Model(Struct, frozen=True):
    """A model by the name that a request carries.

    `also` are its dated names, `dated_name_of` the plain name of a dated one. `prompt_limit` is in characters,
    None when unknown. `retires` is the first day on which its maker no longer serves it. `reserved` are names
    that `extra` may not carry. `price_usd` is the operator's own price of an image. `edits` is None for a model that
    takes no pictures.
    """

    model_id: str
    family: str
    maker: str
    good_for: str
    parameters: Mapping[str, Parameter]
    reserved: frozenset[str]
    rules: tuple[Rule, ...] = ()
    warnings: tuple[Warn, ...] = ()
    prompt_limit: int | None = None
    max_images: int = 1
    revises: bool = False
    pricing: TokenPricing | FlatPricing | None = None
    retires: date | None = None
    replacement: str | None = None
    also: tuple[str, ...] = ()
    dated_name_of: str | None = None
    price_usd: float | None = None
    edits: Edits | None = None

    @property
    def for_edits(self) -> Model:
        """The model as it takes requests that pictures go along with; itself where it takes none."""
        if self.edits is None:
            return self
        kept = {name: value for name, value in self.parameters.items() if name not in self.edits.without}
        return replace(self, parameters={**kept, **self.edits.parameters})
