"""`where`: which rows of a table are taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct, field

from batchgen.core.naming import printable
from batchgen.manifest.document import Scalar
from batchgen.manifest.guess import did_you_mean
from batchgen.manifest.scalars import Kind, kind_of

_REMEMBERED = 1000
"""Different texts of a column that are kept to guess what was meant."""


class Condition(Struct, eq=False):
    """One column and the values that let a row pass; `seen` are texts that rows have there."""

    column: str
    values: tuple[Scalar, ...]
    met: set[str] = field(default_factory=set)
    seen: dict[str, None] = field(default_factory=dict)

    def passes(self, text: str) -> bool:
        """Whether a cell's text is one of the values. `true` is what spreadsheets write as TRUE."""
        if len(self.seen) < _REMEMBERED:
            self.seen[text] = None
        for value in self.values:
            wanted = value.text
            same = text.lower() == wanted.lower() if kind_of(value) is Kind.BOOLEAN else text == wanted
            if same:
                self.met.add(wanted)
                return True
        return False


class Where(Struct, frozen=True, eq=False):
    """The conditions that a row must meet, all of them."""

    conditions: tuple[Condition, ...] = ()

    def passes(self, cells: Mapping[str, str]) -> bool:
        """Whether a row is taken."""
        passed = [
            condition.passes(cells[condition.column]) for condition in self.conditions
        ]  # all of them are asked
        return all(passed)

    def unmet(self) -> Iterator[tuple[Scalar, str]]:
        """Values that no row has, each with what may have been meant; to be asked when all rows were read."""
        for condition in self.conditions:
            for value in condition.values:
                if value.text not in condition.met:
                    near = did_you_mean(value.text, [text for text in condition.seen if text])
                    column, wanted = printable(condition.column), printable(value.text)
                    yield value, f'no row has "{wanted}" in the column {column} ({near})'
