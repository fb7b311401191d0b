"""The varied values of a prompt: which combinations there are, and how many, without making them all."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from msgspec import Struct

from batchgen.core.naming import slug
from batchgen.core.types import JsonScalar
from batchgen.manifest.document import Elsewhere, Scalar
from batchgen.manifest.scalars import Kind, kind_of, native

MOST_VARIABLES = 32
"""More would not fit into a file's name."""

Exclusion = tuple[tuple[int, str], ...]
"""What is left out: (number of the variable, value's text), in the order of the variables, at least one."""


class Value(Struct, frozen=True, eq=False):
    """One varied value: its text as written, its part of a task's id, and its place."""

    text: str
    slug: str
    node: Scalar

    @classmethod
    def of(cls, node: Scalar) -> Value:
        """A value by its raw text, so that `1.50` stays `1.50`."""
        return cls(node.text, slug(node.text), node)

    @property
    def written(self) -> JsonScalar:
        """The value as a number when it was written as one, else its text."""
        return written(self.node)


def written(node: Scalar) -> JsonScalar:
    """A text as a number when it was written as one; in a table or a list nobody writes quotes."""
    bare = Scalar(node.line, node.column, node.text, plain=True) if isinstance(node, Elsewhere) else node
    number = native(bare) if kind_of(bare) in (Kind.INTEGER, Kind.NUMBER) else node.text
    return number if isinstance(number, int | float) else node.text


class Variation(Struct, frozen=True, eq=False):
    """The variables of a prompt, the values of each, and the combinations to leave out.

    `count` is the number of combinations that remain.
    """

    names: tuple[str, ...] = ()
    values: tuple[tuple[Value, ...], ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    count: int = 1

    @classmethod
    def of(
        cls, names: Sequence[str], values: Sequence[Sequence[Value]], exclusions: Sequence[Exclusion]
    ) -> Variation:
        """A variation with its combinations counted."""
        lists = tuple(map(tuple, values))
        return cls(tuple(names), lists, tuple(exclusions), _count(lists, tuple(exclusions), {}))

    def choices(self) -> Iterator[tuple[Value, ...]]:
        """Every combination, the last variable changing fastest."""
        return _choices(self.values, self.exclusions)


def _choices(
    values: tuple[tuple[Value, ...], ...], exclusions: tuple[Exclusion, ...]
) -> Iterator[tuple[Value, ...]]:
    if not exclusions:
        yield from itertools.product(*values)
        return
    for value in values[0]:
        left = _left(exclusions, value.text)
        if left is not None:
            for rest in _choices(values[1:], left):
                yield (value, *rest)


def _count(
    values: tuple[tuple[Value, ...], ...],
    exclusions: tuple[Exclusion, ...],
    known: dict[tuple[Exclusion, ...], int],
) -> int:
    """Combinations that are not excluded. Values that no exclusion names are counted together.

    `known` has the counts of this level's variables by exclusions.
    """
    if not exclusions:
        return math.prod(map(len, values))
    if exclusions in known:
        return known[exclusions]
    below: dict[tuple[Exclusion, ...], int] = {}
    named = {text for exclusion in exclusions for number, text in exclusion[:1] if number == 0}
    total = 0
    for text, many in _grouped(values[0], named).items():
        left = _left(exclusions, text)
        if left is not None:
            total += many * _count(values[1:], left, below)
    known[exclusions] = total
    return total


def _grouped(values: Sequence[Value], named: set[str]) -> dict[str | None, int]:
    groups: dict[str | None, int] = {}
    for value in values:
        text = value.text if value.text in named else None
        groups[text] = groups.get(text, 0) + 1
    return groups


def _left(exclusions: tuple[Exclusion, ...], text: str | None) -> tuple[Exclusion, ...] | None:
    """What still matters once the first variable has this value, with variables renumbered from the next one.

    None when an exclusion is met in full.
    """
    left: list[Exclusion] = []
    for exclusion in exclusions:
        first = exclusion[0][0] == 0
        if first and exclusion[0][1] != text:
            continue
        rest = exclusion[1:] if first else exclusion
        if not rest:
            return None
        left.append(tuple((number - 1, value) for number, value in rest))
    return tuple(left)
