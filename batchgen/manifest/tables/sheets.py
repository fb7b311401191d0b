"""XLSX: a sheet's stored values as the texts that a person sees, or at least knows."""

# ruff: noqa: SLF001 - the rows are read by other means than openpyxl's, see `sheet_xml`

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO
from xml.etree.ElementTree import ParseError
from xml.parsers.expat import ExpatError

from batchgen.core.naming import printable
from batchgen.manifest.guess import did_you_mean
from batchgen.manifest.tables.lines import Line, TableError
from batchgen.manifest.tables.sheet_xml import Book, read_rows

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
        ExpatError,
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


def _rows(sheet: Any) -> Iterator[Line]:  # noqa: ANN401 - openpyxl's stubs know less than is used
    workbook = sheet.parent
    book = Book(sheet._shared_strings, workbook._date_formats, workbook._timedelta_formats, workbook.epoch)
    with workbook._archive.open(sheet._worksheet_path) as source:
        yield from read_rows(source, book)
