"""A new ledger in place of a damaged one: the old file stays aside, and what it still tells is taken over."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from batchgen.core.errors import LedgerDamagedError, LedgerError
from batchgen.ledgers.migrations import NEWEST
from batchgen.ledgers.rows import TABLES, check_row
from batchgen.system.folder import Folder

_BESIDE = ("", "-wal", "-shm")
_WRITTEN = {
    "fingerprint": ("fingerprint_bytes", "digest(?)"),
    "sha256": ("sha256_bytes", "digest(?)"),
    "attempt_id": ("attempt_id_bytes", "packed(?)"),
    "idempotency_key": ("idempotency_key_bytes", "packed(?)"),
    "file": ("file_elsewhere", "?"),
}
"""Columns that are worked out where they are read -> what is written for them."""
_BEHIND = frozenset(name for name, _ in _WRITTEN.values())
WORKED_OUT = frozenset({"results", "totals", "shares"})
"""Facts that hold only for the very rows that they were worked out from."""


def set_aside(path: Path) -> None:
    """Give a damaged ledger, if there is one, another name in its folder. Raises `LedgerError`."""
    try:
        with closing(Folder.open(path.parent)) as folder:
            if not folder.file(path.name).exists():
                return
            target = _numbered(path, _damaged(path) + 1)
            for beside in _BESIDE:
                if folder.file(path.name + beside).exists():
                    folder.file(path.name + beside).rename(folder.file(target.name + beside))
            folder.sync()
    except OSError as error:
        raise LedgerError(f"{path}: the damaged ledger cannot be put aside ({error.strerror})") from error


def kept_aside(path: Path) -> Path | None:
    """The damaged ledger that was put aside last, None when there never was one."""
    number = _damaged(path)
    return _numbered(path, number) if number else None


def _damaged(path: Path) -> int:
    """How many ledgers were put aside."""
    number = 0
    while _numbered(path, number + 1).exists():
        number += 1
    return number


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}.damaged-{number}{path.suffix}")


def salvage(connection: sqlite3.Connection, damaged: Path) -> int:
    """Copy the rows of a damaged ledger that can still be read; returns how many.

    They are worth having for what no sidecar tells: requests that failed or whose answer was lost.
    """
    taken = 0
    with _opened(damaged) as old:
        if not _is_ledger(old):
            return 0
        for table in TABLES:
            for row in _readable_rows(old, table):
                read = [name for name in row.keys() if name not in _BEHIND]  # noqa: SIM118 - a row iterates over values
                try:
                    check_row(table, row)
                    if table == "job" and row["key"] in WORKED_OUT:
                        continue
                    done = connection.execute(_insert(table, read), [row[name] for name in read])
                except (sqlite3.Error, UnicodeError, LedgerDamagedError):
                    continue  # a row that batchgen never wrote is damage, and so left out
                taken += done.rowcount
    return taken


def _insert(table: str, read: Sequence[str]) -> str:
    """A statement that takes over a row by what is read of it, also of an older file."""
    written = [_WRITTEN.get(name, (name, "?")) for name in read]
    names, marks = (", ".join(part) for part in zip(*written, strict=True))
    return f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - a column that we lack is an error


@contextmanager
def _opened(damaged: Path) -> Iterator[sqlite3.Connection]:
    """Open a file that was put aside, and leave nothing beside it that was not there."""
    beside = [damaged.with_name(damaged.name + suffix) for suffix in _BESIDE]
    absent = [path for path in beside if not os.path.lexists(path)]
    # Its journal, if there is one, has to be read with it, and SQLite makes an index of it.
    how = "immutable=1" if damaged.with_name(f"{damaged.name}-wal") in absent else "mode=ro"
    try:
        with closing(sqlite3.connect(f"{damaged.absolute().as_uri()}?{how}", uri=True)) as old:
            old.row_factory = sqlite3.Row
            old.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
            yield old
    finally:
        for path in absent:
            path.unlink(missing_ok=True)


def _is_ledger(old: sqlite3.Connection) -> bool:
    try:
        return 1 <= int(old.execute("PRAGMA user_version").fetchone()[0]) <= NEWEST
    except sqlite3.Error:
        return False


def _readable_rows(old: sqlite3.Connection, table: str) -> Iterator[sqlite3.Row]:
    """The rows of a table up to the first damage."""
    try:
        yield from old.execute(f"SELECT * FROM {table} ORDER BY rowid")  # noqa: S608 - the names are constants here
    except sqlite3.Error:
        return
