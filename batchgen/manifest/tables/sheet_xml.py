"""A sheet's XML -> its rows. openpyxl hands out a formula without a result as an empty cell, and is several times slower."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from typing import BinaryIO
from xml.parsers import expat

from msgspec import Struct, field

from batchgen.manifest.tables.lines import Bad, Cell, Line, sheet_error

LONGEST_CELL = 2**20
"""Characters. Spreadsheet programs keep 32,767; more are a file made to fill the memory."""
_CHUNK_BYTES = 2**16
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_ROW, _CELL, _VALUE, _FORMULA, _TEXT, _SOUNDS = (
    f"{_MAIN}{name}" for name in ("row", "c", "v", "f", "t", "rPh")
)
_UNFINISHED = Bad("", "its formula has no stored result (open the file, let it calculate, and save it)")


class Book(Struct, frozen=True):
    """What the cells of a workbook refer to: its texts, which styles are dates or lengths of time, and its first day."""

    texts: Sequence[str]
    dates: Collection[int]
    lengths: Collection[int]
    epoch: datetime


def read_rows(source: BinaryIO, book: Book) -> Iterator[Line]:
    """The rows of a sheet. Raises `ValueError` and `expat.ExpatError` for XML that is none, or hostile."""
    reading = _Reading(book)
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse  # entities are declared there, and no sheet has any
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.characters
    last = False
    while not last:
        chunk = source.read(_CHUNK_BYTES)
        last = not chunk
        parser.Parse(chunk, last)
        yield from reading.rows
        reading.rows.clear()


def _refuse(*_: object) -> None:
    raise ValueError("a sheet has no document type")


class _Reading(Struct):
    """Where the parser stands: the row and the cell that are open, and the rows that are done."""

    book: Book
    rows: list[Line] = field(default_factory=list)
    number: int = 0
    line: list[Cell] = field(default_factory=list)
    column: int = 0
    cell: dict[str, str] = field(default_factory=dict)
    text: list[str] = field(default_factory=list)
    size: int = 0
    formula: bool = False
    valued: bool = False
    inside: bool = False
    spoken: bool = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == _CELL:
            self.cell, self.text, self.size = attributes, [], 0
            self.formula = self.valued = False
            place = attributes.get("r")
            self.column = _column(place.rstrip("0123456789")) if place else self.column + 1
        elif name in (_VALUE, _TEXT):
            self.inside = not self.spoken
            self.valued = True
        elif name == _FORMULA:
            self.formula = True
        elif name == _ROW:
            self.number = int(attributes.get("r", self.number + 1))
            self.line, self.column = [], 0
        elif name == _SOUNDS:
            self.spoken = True  # how a text is spoken is no part of it

    def characters(self, text: str) -> None:
        if self.inside:
            self.size += len(text)
            if self.size > LONGEST_CELL:
                raise ValueError("a cell is too long")
            self.text.append(text)

    def end(self, name: str) -> None:
        if name in (_VALUE, _TEXT):
            self.inside = False
        elif name == _SOUNDS:
            self.spoken = False
        elif name == _CELL:
            missing = self.column - len(self.line)
            if missing > 0:
                self.line.extend([""] * missing)
            self.line[self.column - 1] = self._value("".join(self.text))
        elif name == _ROW:
            self.rows.append((self.number, self.line))

    def _value(self, text: str) -> Cell:
        kind = self.cell.get("t", "n")
        if not text:
            return _UNFINISHED if self.formula and not (self.valued and kind == "str") else ""
        match kind:
            case "s":
                return self.book.texts[int(text)]
            case "b":
                return "TRUE" if text == "1" else "FALSE"  # as CSV has them
            case "e":
                return sheet_error(text)
            case "n":
                return self._number(text, int(self.cell.get("s", 0)))
        return text

    def _number(self, text: str, style: int) -> Cell:
        if style not in self.book.dates:
            return _number(text)
        from openpyxl.utils.datetime import from_excel

        try:
            return _moment(from_excel(float(text), self.book.epoch, timedelta=style in self.book.lengths))
        except (OverflowError, ValueError):
            return sheet_error("#VALUE!")


def _number(text: str) -> str:
    """As spreadsheet programs show it: 12 and not 12.0, and no more digits than they keep."""
    value = float(text)
    return str(int(value)) if value.is_integer() else format(Decimal(f"{value:.15g}"), "f")


def _moment(value: datetime | date | time | timedelta | None) -> str:
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    return value.isoformat() if isinstance(value, date | time) else str(value)


@cache
def _column(letters: str) -> int:
    """The number of a column, from 1. Raises `ValueError`; there are no more than 18,278."""
    from openpyxl.utils import column_index_from_string

    return column_index_from_string(letters)
