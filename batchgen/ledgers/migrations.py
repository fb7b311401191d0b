"""Older ledgers brought up to date: the file is copied first, then changed in one transaction."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType

from batchgen.ledgers.queries import migration

NEWEST = 4
"""The schema that this version writes."""

STEPS: Mapping[int, str] = MappingProxyType({1: "1-to-2", 2: "2-to-3", 3: "3-to-4"})
"""From a schema's number to the script that makes the next one of it."""


def migrate(connection: sqlite3.Connection, path: Path | None) -> None:
    """Bring an open ledger up to date. With a path, a copy stays beside it as `ledger.schema-N.sqlite`.

    A crash leaves the old ledger or the new one. Raises `sqlite3.Error`, `OSError`.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version >= NEWEST:
        return
    if path is not None:
        _copy(connection, path.with_name(f"{path.stem}.schema-{version}{path.suffix}"))
    scripts = "".join(migration(STEPS[number]) for number in range(version, NEWEST))
    try:
        connection.executescript(f"BEGIN IMMEDIATE; {scripts} PRAGMA user_version = {NEWEST}; COMMIT;")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _copy(connection: sqlite3.Connection, target: Path) -> None:
    """A durable copy, journal included; one that a crash cut short is begun anew."""
    begun = target.with_name(f"{target.name}.new")
    begun.unlink(missing_ok=True)
    os.close(os.open(begun, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(sqlite3.connect(begun)) as copy:
        connection.backup(copy)
    _sync(begun)
    begun.rename(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
