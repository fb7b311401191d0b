"""A table's file -> its header and the stream of its rows, by the ending of its name."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path, PurePosixPath

from batchgen.core.naming import printable
from batchgen.manifest.guess import did_you_mean
from batchgen.manifest.inside import InsideError, Wanted, open_inside
from batchgen.manifest.tables.delimited import read_delimited
from batchgen.manifest.tables.lines import Source, TableError, with_header
from batchgen.manifest.tables.objects import open_objects

MOST_BYTES = 256 * 2**20
"""Of a table's file: a million rows with long prompts take less."""
ENDINGS = (".csv", ".tsv", ".xlsx", ".jsonl")
_KINDS = "a .csv, .tsv, .xlsx or .jsonl file"
_TABLE = Wanted("table", "tables/products.csv", f"name {_KINDS}", "split it into several", MOST_BYTES)
_SAVE = "save it as an Excel workbook (.xlsx) or as CSV UTF-8"


def open_table(stack: ExitStack, folder: Path, name: str, sheet: str | None) -> Source:
    """The table of this name in a folder, open until `stack` is closed. Raises `TableError`."""
    ending = PurePosixPath(name).suffix.lower()
    if ending not in ENDINGS:
        raise TableError(_no_table(name, ending))
    if sheet is not None and ending != ".xlsx":
        raise TableError(
            f"only a workbook (.xlsx) has sheets, {printable(name)} has none (remove `sheet`)", key="sheet"
        )
    try:
        file = stack.enter_context(open_inside(folder, name, _TABLE))
    except InsideError as error:
        raise TableError(str(error)) from error
    match ending:
        case ".jsonl":
            return open_objects(file)
        case ".xlsx":
            from batchgen.manifest.tables.sheets import read_sheet  # with XML and all: most tables are text

            return with_header(read_sheet(file, sheet))
        case _:
            return with_header(read_delimited(file))


def _no_table(name: str, ending: str) -> str:
    shown = printable(name)
    if ending in (".xls", ".xlsm", ".xlsb", ".ods", ".numbers"):
        return f"{shown} is a workbook of another kind ({_SAVE})"
    near = did_you_mean(ending, ENDINGS) if ending else f"name {_KINDS}"
    return (
        f"{shown} is no table ({near})" if "use one of" not in near else f"{shown} is no table (name {_KINDS})"
    )
