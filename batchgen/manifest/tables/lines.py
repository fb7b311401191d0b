"""What the readers of all formats make of a table: rows of texts, numbered as a spreadsheet program numbers them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from msgspec import Struct

from batchgen.core.naming import printable

MOST_COLUMNS = 1000
"""More columns are no table for prompts; a hostile file could have millions."""


class TableError(Exception):
    """A table that cannot be read, or not any further; the message says what to do.

    `row` is None where the whole file is meant; `column` counts from 0. `key` is the key of the manifest's entry that
    is to be mended.
    """

    def __init__(
        self, message: str, row: int | None = None, column: int | None = None, key: str = "table"
    ) -> None:
        self.row = row
        self.column = column
        self.key = key
        super().__init__(message)


class Bad(Struct, frozen=True):
    """A cell that holds no value: what a person sees in it, and what is wrong (with what to do)."""

    shown: str
    message: str


Cell: TypeAlias = str | Bad
SHEET_ERROR = re.compile(r"#(?:N/A|REF!|VALUE!|DIV/0!|NAME\?|NULL!|NUM!|SPILL!|CALC!)|Err:5\d\d")
"""What spreadsheet programs show, and write into CSV, where a formula failed."""


def sheet_error(text: str) -> Bad:
    """A cell whose formula failed."""
    return Bad(
        text, f"it is {printable(text)}, an error of the spreadsheet (mend its formula, or write a value)"
    )


Line: TypeAlias = tuple[int, Sequence[Cell]]
"""A row's number and its cells; it may be shorter or longer than the header."""
Unread: TypeAlias = tuple[int, Bad]
"""A row's number, and why it cannot be read, where the rows after it can."""


@dataclass(frozen=True, slots=True)
class Source:
    """A table that was opened: its first row, and the others as a stream.

    `header` are the columns' names as they stand, "" for a column without one.
    """

    header: tuple[str, ...]
    lines: Iterator[Line | Unread] = field(compare=False)


def letters(column: int) -> str:
    """How spreadsheet programs call a column, which counts from 0: A ... Z, AA ..."""
    name = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        name = chr(ord("A") + rest) + name
    return name


def shown(cell: Cell) -> str:
    """The text of a cell, without white space around it, which nobody sees."""
    return (cell if isinstance(cell, str) else cell.shown).strip()


def with_header(lines: Iterator[Line]) -> Source:
    """A table whose columns are named in its first row. Raises `TableError`."""
    number, cells = next(lines, (1, ()))
    names = [shown(cell) for cell in cells]
    while names and not names[-1]:
        names.pop()
    if number != 1 or not names:
        raise TableError(
            "row 1 is empty, and the columns' names belong there (write them, such as id and prompt)", 1
        )
    if len(names) > MOST_COLUMNS:
        raise TableError(f"{len(names):,} columns are too many (use at most {MOST_COLUMNS:,})", 1)
    return Source(tuple(names), lines)
