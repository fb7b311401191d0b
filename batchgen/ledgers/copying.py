"""A consistent copy of a ledger that may be written meanwhile, by SQLite's own means."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from batchgen.core.errors import LedgerError


def copy_ledger(path: Path, target: Path) -> None:
    """Write a copy, whole by itself. Raises `LedgerError`."""
    try:
        with (
            closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(target)) as copy,
        ):
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # without a second file beside it
    except sqlite3.Error as error:
        raise LedgerError(f"{path}: the ledger cannot be copied ({error})") from error
