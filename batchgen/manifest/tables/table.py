"""A table that was read: its columns, and its rows as a lazy stream."""

from __future__ import annotations

import weakref
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from msgspec import Struct

from batchgen.core.errors import Problem
from batchgen.manifest.document import CONTROL, Elsewhere, control_name
from batchgen.manifest.tables.alike import Alike
from batchgen.manifest.tables.lines import (
    SHEET_ERROR,
    Bad,
    Cell,
    Line,
    Source,
    TableError,
    Unread,
    letters,
    sheet_error,
    shown,
)
from batchgen.manifest.tables.spool import Spool
from batchgen.manifest.tables.where import Where


class Row(Struct, frozen=True, eq=False):
    """One row: its number in `file`, and its texts by column. `broken` are columns whose cell has no value."""

    file: str
    number: int
    cells: Mapping[str, str]
    broken: frozenset[str] = frozenset()

    def cell(self, column: str) -> Elsewhere:
        """A cell as a text that knows its place."""
        return Elsewhere(self.number, 1, self.cells[column], plain=False, file=self.file, heading=column)


NO_ROW = Row("", 0, {})
"""Stands for the row of a prompt that comes from no table."""


@dataclass(slots=True, eq=False, weakref_slot=True)
class Table:
    """A table of an entry. Its header was read; `read` reads the rows, which may take a while.

    `lines` are all its rows, from a file that `close` closes. `used` are the columns that must hold values. `numbers` are the numbers of the rows that make
    prompts, those that are not blank and that `where` lets pass, four bytes each.
    """

    file: str
    header: tuple[str, ...]
    lines: Iterator[Line | Unread]
    close: Callable[[], object]
    used: frozenset[str] = frozenset()
    where: Where = field(default_factory=Where)
    numbers: array[int] = field(default_factory=lambda: array("I"))
    spool: Spool | None = None
    problems: list[Problem] = field(default_factory=list)

    @classmethod
    def of(cls, file: str, source: Source, opened: ExitStack, where: Where) -> Table:
        """A table that was opened; it is closed when its rows were read, or with this object."""
        table = cls(file, source.header, source.lines, opened.close, where=where)
        weakref.finalize(table, opened.close)
        return table

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in their order."""
        return tuple(dict.fromkeys(name for name in self.header if name))

    def read(self) -> list[Problem]:
        """Read the rows, the first time only, and return what is wrong with them."""
        if self.spool is None:
            self.spool = Spool()
            self.problems = Taking(self, self.spool).take()
            self.close()
        return self.problems

    def rows(self) -> Iterator[Row]:
        """The rows in the order of the file; may be asked for again, and have not changed then."""
        columns = self.columns
        for number, kept in self.spool.rows() if self.spool is not None else ():
            broken = frozenset[str]()
            if None in kept:
                broken = frozenset(name for name, cell in zip(columns, kept, strict=True) if cell is None)
            cells = {name: cell or "" for name, cell in zip(columns, kept, strict=True)}
            yield Row(self.file, number, cells, broken)


class Taking:
    """One reading of a table's rows."""

    def __init__(self, table: Table, spool: Spool) -> None:
        self._table = table
        self._spool = spool
        self._header = table.header
        self._alike = Alike()
        self._problems: list[Problem] = []
        self._whole = all(table.header)
        # Where each column is; of two with one name the first.
        self._places = {name: place for place, name in reversed(list(enumerate(table.header))) if name}
        self._places = {name: self._places[name] for name in table.columns}
        self._used = [name in table.used for name in self._places]
        self._as_they_stand = self._whole and list(self._places.values()) == list(range(len(table.header)))

    def take(self) -> list[Problem]:
        """Put all rows by; returns what is wrong with them."""
        self._check_header()
        rows = 0
        try:
            for number, cells in self._table.lines:
                if isinstance(cells, Bad):
                    rows += 1
                    self._say(number, 0, cells.message)
                elif any(map(shown, cells)):
                    rows += 1
                    self._take(number, cells)
        except TableError as error:
            self._say(error.row or 1, error.column or 0, str(error))
        else:
            if not rows:
                self._say(2, 0, "there are no rows below the columns' names (write one for each prompt)")
        self._problems += self._alike.rest()
        return self._problems

    def _check_header(self) -> None:
        for place, name in enumerate(self._header):
            if name and self._places[name] != place:
                first = letters(self._places[name])
                self._say(
                    1, place, f"columns {first} and {letters(place)} have the same name (rename one of them)"
                )

    def _take(self, number: int, cells: Sequence[Cell]) -> None:
        values = cells
        if not self._as_they_stand or len(cells) != len(self._header):
            self._check_names(number, cells)
            values = [cells[place] if place < len(cells) else "" for place in self._places.values()]
        if not self._passes(values):
            return
        kept = [
            self._value(number, place, value) if used else _printed(value)
            for place, value, used in zip(self._places.values(), values, self._used, strict=True)
        ]
        self._table.numbers.append(number)
        self._spool.put(number, kept)

    def _passes(self, values: Sequence[Cell]) -> bool:
        where = self._table.where
        return not where.conditions or where.passes(
            {name: shown(value) for name, value in zip(self._places, values, strict=True)}
        )

    def _value(self, number: int, place: int, cell: Cell) -> str | None:
        """The value of a cell that is used, None when it has none, which is told."""
        if isinstance(cell, Bad) or SHEET_ERROR.fullmatch(cell.strip()):
            bad = cell if isinstance(cell, Bad) else sheet_error(cell.strip())
            self._say(number, place, bad.message)
            return None
        if not cell.isprintable() and (found := CONTROL.search(cell)):
            self._say(number, place, f"{control_name(found[0])} is not allowed in a text (remove it)")
            return None
        return cell.strip()

    def _check_names(self, number: int, cells: Sequence[Cell]) -> None:
        """Something in a column without a name: a row that is too long, or a name that was forgotten."""
        if self._whole and len(cells) <= len(self._header):
            return
        for place, cell in enumerate(cells):
            if (place >= len(self._header) or not self._header[place]) and shown(cell):
                advice = 'name it in row 1, empty the cell, or put a text that holds the delimiter in "quotes"'
                self._say(number, place, f"column {letters(place)} has no name in row 1 ({advice})")
                return

    def _say(self, row: int, place: int, message: str) -> None:
        name = self._header[place] if place < len(self._header) else ""
        self._problems += self._alike.take(
            Problem(self._table.file, row, name or letters(place), message), message
        )


def _printed(cell: Cell) -> str:
    """The text of a cell that no prompt uses: it is only for the results, so control characters are no mistake."""
    text = shown(cell)
    return text if text.isprintable() else CONTROL.sub("\ufffd", text)
