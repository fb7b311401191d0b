"""JSONL: an object a line, whose keys are the columns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import BinaryIO

from batchgen.core.naming import printable
from batchgen.manifest.tables.lines import MOST_COLUMNS, Bad, Cell, Line, Source, TableError, Unread

LONGEST_LINE = 4 * 2**20
"""A longer line is no row of a table, and is not read."""


def open_objects(file: BinaryIO) -> Source:
    """The table of a file; columns are all the keys there are, in the order of their first use.

    The file is read twice, first for the keys. Raises `TableError`.
    """
    columns: dict[str, None] = {}
    unread: TableError | None = None
    for number, row in _objects(file):
        if isinstance(row, Bad):
            unread = unread or TableError(row.message, number)
            continue
        columns.update(dict.fromkeys(key.strip() for key in row))
        if len(columns) > MOST_COLUMNS:
            raise TableError(f"there are more than {MOST_COLUMNS:,} different keys (use fewer)", number)
    if not columns:
        raise unread or TableError(
            'there is nothing in it (write an object a line, such as {"id": "mug", "prompt": "A mug."})', 1
        )
    return Source(tuple(columns), _lines(file, tuple(columns)))


def _lines(file: BinaryIO, columns: tuple[str, ...]) -> Iterator[Line | Unread]:
    for number, row in _objects(file):
        if isinstance(row, Bad):
            yield number, row
            continue
        cells = {key.strip(): _cell(value) for key, value in row.items()}
        if not cells.keys() <= set(columns):
            raise TableError("the file was changed while it was read (try again)", number)
        yield number, [cells.get(name, "") for name in columns]


def _objects(file: BinaryIO) -> Iterator[tuple[int, dict[str, object] | Bad]]:
    """The lines that are not blank; what is wrong with one of them hides no other."""
    file.seek(0)
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise TableError(f"the line is longer than {LONGEST_LINE // 2**20} MiB (split it)", number)
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            yield number, Bad("", "the line is not UTF-8 text (save the file with the encoding UTF-8)")
            continue
        if text.strip():
            yield number, _object(text)


def _object(text: str) -> dict[str, object] | Bad:
    try:
        # Numbers stay as they are written, like those of a manifest.
        row = json.loads(text, parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return Bad("", 'the line is not JSON (write an object such as {"id": "mug"} on one line)')
    if not isinstance(row, _Pairs):
        return Bad("", 'the line is no object (write one such as {"id": "mug"})')
    found = dict(row)
    if len({key.strip() for key, _ in row}) < len(row):
        twice = next(key for key, _ in row if sum(key.strip() == other.strip() for other, _ in row) > 1)
        return Bad("", f"the line has the key {printable(twice)} twice (keep one of the two)")
    return found


class _Pairs(list[tuple[str, object]]):
    """An object with all its keys, those that are written twice included."""


def _cell(value: object) -> Cell:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return value
    what = "an object" if isinstance(value, _Pairs) else "a list"
    return Bad("", f"this is {what} (write a text, a number, true or false)")
