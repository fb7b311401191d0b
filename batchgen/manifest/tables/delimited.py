"""CSV and TSV as spreadsheet programs write them: any usual delimiter, UTF-8 or Excel's "Unicode Text"."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO

from batchgen.manifest.tables.lines import Line, TableError

DELIMITERS = ",;\t|"
"""What separates cells, where no line `sep=` says it; the first one wins where several do equally well."""
_HEAD_CHARACTERS = 65536
"""Where the header is looked for; it may have line breaks in quotes."""
_NONE = "\x1f"
"""Delimits a table of one column: no text may hold it, so that commas in its cells separate nothing."""
_SEP = re.compile(r'"?sep=(.)"?\r?\n?', re.IGNORECASE)
_NOT_UTF8 = re.compile("[\udc80-\udcff]")
_SAVE = 'save it as "CSV UTF-8" in Excel, or with the character set UTF-8 in LibreOffice'
_QUOTES = 'write " inside of a cell as "", and the whole cell in quotes'


def read_delimited(file: BinaryIO) -> Iterator[Line]:
    """The rows of a file, the header first, blank ones as rows without cells. Raises `TableError`."""
    number = 0
    try:
        with _decoded(file) as text:
            for number, record in enumerate(_records(text), 1):
                _check_text(record, number)
                yield number, record
    except csv.Error as error:
        too_long = "field larger" in str(error)
        what = (
            f"a cell has more than {csv.field_size_limit():,} characters"
            if too_long
            else "its quotes do not match"
        )
        raise TableError(f"this row cannot be read: {what} ({_QUOTES})", number + 1) from error
    except UnicodeError as error:
        raise TableError(f"the text is damaged here or below ({_SAVE})", number + 1) from error


def _records(text: io.TextIOWrapper) -> Iterator[list[str]]:
    head = text.readlines(_HEAD_CHARACTERS)
    found = _SEP.fullmatch(head[0]) if head else None
    if found:
        del head[0]  # spreadsheet programs do not count it
    delimiter = found[1] if found else _delimiter(head)
    return csv.reader(chain(head, text), delimiter=delimiter, strict=True)


def _decoded(file: BinaryIO) -> io.TextIOWrapper:
    start = file.read(4)
    file.seek(0)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and start != codecs.BOM_UTF32_LE:
        return io.TextIOWrapper(file, "utf-16", newline="")
    if b"\0" in start:  # UTF-16 without its mark, UTF-32, or no text at all
        raise TableError(f"the text is not UTF-8 ({_SAVE})", 1)
    # What is not UTF-8 is kept in the text, so that its row can be named.
    return io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")


def _delimiter(head: Iterable[str]) -> str:
    """What cuts the header into the most cells."""
    counts = {delimiter: _cells(head, delimiter) for delimiter in DELIMITERS}
    best = max(DELIMITERS, key=counts.__getitem__)
    return best if counts[best] > 1 else _NONE


def _cells(head: Iterable[str], delimiter: str) -> int:
    try:
        return len(next(csv.reader(head, delimiter=delimiter, strict=True), []))
    except csv.Error:
        return 0


def _check_text(record: list[str], number: int) -> None:
    for column, cell in enumerate(record):
        if not cell.isascii() and _NOT_UTF8.search(cell):
            raise TableError(f"the text is not UTF-8 from here on ({_SAVE})", number, column)
