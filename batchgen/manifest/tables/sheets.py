"""XLSX: a sheet's stored values as the texts that a person sees, or at least knows."""

# ruff: noqa: SLF001 - openpyxl hands out a formula without a result as an empty cell, so its parser is asked itself

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, BinaryIO
from xml.etree.ElementTree import Element, ParseError

from batchgen.core.naming import printable
from batchgen.manifest.guess import did_you_mean
from batchgen.manifest.tables.lines import Bad, Cell, Line, TableError

UNPACKED_BYTES = 512 * 2**20
"""A million long prompts unpack to less; a file made to fill the memory to more."""
TEXTS_BYTES = 128 * 2**20
"""The same for a workbook's different texts, which are in memory while it is read."""
_TEXTS = "xl/sharedstrings.xml"
_COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_SAVE = "save it as an Excel workbook (.xlsx)"


def read_sheet(file: BinaryIO, sheet: str | None) -> Iterator[Line]:
    """The rows of a sheet, the first one where none is named. Raises `TableError`."""
    _check_archive(file)
    # Imported here: most jobs have no workbook, and it is slow to import.
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with warnings.catch_warnings(action="ignore"):  # of parts of the workbook that hold no values
            workbook = openpyxl.load_workbook(file, read_only=True, data_only=True)
        yield from _rows(_sheet(workbook, sheet))
    # openpyxl raises all of these for files that are damaged, and documents few of them; ValueError also for XML whose
    # entities would fill the memory.
    except (
        InvalidFileException,
        zipfile.BadZipFile,
        ParseError,
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        EOFError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise TableError(f"it cannot be read as a workbook ({_SAVE} anew)") from error


def _check_archive(file: BinaryIO) -> None:
    """Refuse what is no workbook, and what would fill the memory. zipfile unpacks no more than is declared."""
    start = file.read(len(_COMPOUND))
    file.seek(0)
    if start == _COMPOUND:
        raise TableError(f"it is protected with a password, or an .xls of old ({_SAVE} without a password)")
    try:
        with zipfile.ZipFile(file) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise TableError(f"it is no workbook ({_SAVE})") from error
    file.seek(0)
    texts = sum(part.file_size for part in parts if part.filename.lower() == _TEXTS)
    if sum(part.file_size for part in parts) > UNPACKED_BYTES or texts > TEXTS_BYTES:
        most = UNPACKED_BYTES // 2**20
        raise TableError(f"it unpacks to more than {most} MiB (save the rows as CSV UTF-8, or split it)")


def _sheet(workbook: Any, name: str | None) -> Any:  # noqa: ANN401 - openpyxl's stubs know less than is used
    sheets = {sheet.title: sheet for sheet in workbook.worksheets}
    if not sheets:
        raise TableError(f"it has no sheet with cells ({_SAVE})")
    if name is None:
        return workbook.worksheets[0]
    if name not in sheets:
        raise TableError(f"there is no sheet {printable(name)} ({did_you_mean(name, sheets)})", key="sheet")
    return sheets[name]


def _rows(sheet: Any) -> Iterator[Line]:  # noqa: ANN401
    """Openpyxl's own reading of rows says nothing of a formula without a result, so its parser is asked."""
    from defusedxml.ElementTree import iterparse
    from openpyxl.worksheet._reader import DATA_TAG, ROW_TAG, WorkSheetParser

    book = sheet.parent
    with sheet.parent._archive.open(sheet._worksheet_path) as source:
        parser = WorkSheetParser(
            source,
            sheet._shared_strings,
            data_only=True,
            epoch=book.epoch,
            date_formats=book._date_formats,
            timedelta_formats=book._timedelta_formats,
        )
        for _, element in iterparse(source):
            if element.tag == ROW_TAG:
                with warnings.catch_warnings(
                    action="ignore"
                ):  # of dates out of range, which are error cells then
                    number, cells = parser.parse_row(element)
                yield number, _cells(cells, element)
                element.clear()
            elif element.tag == DATA_TAG:
                return


def _cells(cells: list[dict[str, Any]], row: Element) -> list[Cell]:
    line: list[Cell] = []
    for cell, element in zip(cells, row, strict=True):
        line.extend([""] * (cell["column"] - 1 - len(line)))
        value = cell["value"]
        if value is None and _unfinished(element):
            line.append(
                Bad("", "its formula has no stored result (open the file, let it calculate, and save it)")
            )
        else:
            line.append(_text(value, cell))
    return line


def _unfinished(cell: Element) -> bool:
    """Whether a cell without a value has a formula; the result of one may be the empty text."""
    tags = {part.tag.rpartition("}")[2] for part in cell}
    return "f" in tags and not ("v" in tags and cell.get("t") == "str")


def _text(value: object, cell: Mapping[str, Any]) -> Cell:
    if cell["data_type"] == "e":
        return Bad(
            str(value),
            f"it is {printable(str(value))}, an error of the spreadsheet (mend its formula, or write a value)",
        )
    match value:
        case None:
            return ""
        case bool():
            return "TRUE" if value else "FALSE"  # as CSV has them
        case int():
            return str(value)
        case float():
            return _number(value)
        case datetime() if value.time() == time():
            return value.date().isoformat()
        case datetime() | date() | time():
            return value.isoformat()
    return str(value)


def _number(value: float) -> str:
    """As spreadsheet programs show it: 12 and not 12.0, and no more digits than they keep."""
    return str(int(value)) if value.is_integer() else format(Decimal(f"{value:.15g}"), "f")
