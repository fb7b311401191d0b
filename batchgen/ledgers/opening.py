"""Opens a ledger file: durable settings, a schema that this version understands, content that can be trusted."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from batchgen.core.errors import REPAIR, LedgerDamagedError, LedgerError
from batchgen.ledgers.migrations import NEWEST, migrate
from batchgen.ledgers.queries import schema
from batchgen.ledgers.values import digest, packed

_UNSENT = f"Nothing was sent. {REPAIR}"


def open_file(path: Path, *, may_be_new: bool = True, checked: bool = True) -> sqlite3.Connection:
    """Open a job's ledger for a run, making a new one if there is none and that is all right. Raises `LedgerError`.

    Not `checked` is one whose pages the caller looks at, with `pages_checked`, before anything is changed.
    """
    if not may_be_new and not os.path.lexists(path):
        raise gone(path)
    try:
        _refuse_what_is_no_file(path)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
        with _closed_on_error(_connect(str(path))) as connection:
            new = _is_new(connection, path)  # before the settings below, which change the file
            if new and not may_be_new:
                raise gone(path)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # a commit is on the disk before a request leaves
            connection.execute("PRAGMA secure_delete = ON")  # a signed link must not survive in a free page
            if new:
                connection.executescript(f"BEGIN IMMEDIATE; {schema()} COMMIT;")
            if checked or connection.execute("PRAGMA user_version").fetchone()[0] < NEWEST:
                check_pages(connection, path)
            migrate(connection, path)
    except (OSError, sqlite3.Error) as error:
        raise _unusable(path, error, "cannot be opened") from error
    return connection


def open_readable(path: Path) -> sqlite3.Connection:
    """Open a ledger to read it beside a run that may be writing; an empty one is as good as none yet.

    Raises `LedgerError`.
    """
    # Without a journal nobody is writing, and only so can a folder be read where nothing may be made.
    quiet = not path.with_name(f"{path.name}-wal").exists() and not os.access(path.parent, os.W_OK)
    how = "immutable=1" if quiet else "mode=ro"
    try:
        _refuse_what_is_no_file(path)
        with _closed_on_error(_connect(f"{path.absolute().as_uri()}?{how}", uri=True)) as connection:
            if _is_new(connection, path):
                connection.close()
                return open_private()
            # Its pages are not checked: a million tasks take seconds, and what is damaged is found where it is read.
            return _up_to_date(connection)
    except (OSError, sqlite3.Error) as error:
        raise _unusable(path, error, "cannot be read") from error


def open_beside(path: Path) -> sqlite3.Connection:
    """A second connection to a ledger that is open, to read it only. Raises `LedgerError`."""
    try:
        return _connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    except sqlite3.Error as error:
        raise _unusable(path, error, "cannot be read") from error


def _up_to_date(connection: sqlite3.Connection) -> sqlite3.Connection:
    """The ledger itself, or a private copy of an older one: who only reads leaves the file as it is."""
    if connection.execute("PRAGMA user_version").fetchone()[0] == NEWEST:
        return connection
    with closing(connection), _closed_on_error(_connect("")) as copy:
        connection.backup(copy)
        migrate(copy, None)
    return copy


def _unusable(path: Path, error: OSError | sqlite3.Error, what: str) -> LedgerError:
    """Bytes that are no ledger can be repaired; a disk, a lock or permissions must be mended where they are."""
    told = error.strerror if isinstance(error, OSError) else str(error)
    if is_damage(error):
        return LedgerDamagedError(f"{path}: the ledger {what} ({told})", _UNSENT)
    return LedgerError(
        f"{path}: the ledger {what} ({told}). Check the disk and its permissions, then run again."
    )


def _refuse_what_is_no_file(path: Path) -> None:
    """A pipe would wait for ever, and a link leads out of the job's folder. Raises `LedgerError`, `OSError`."""
    if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
        raise LedgerError(
            f"{path}: is a link, a folder or a pipe and no ledger; move it away. Nothing was sent."
        )


def is_damage(error: Exception) -> bool:
    """Whether SQLite says that a file's bytes are no database: it has no class of its own for that."""
    return type(error) is sqlite3.DatabaseError or "decode to UTF-8" in str(error)


def gone(path: Path) -> LedgerError:
    """What to say where images are without their ledger, in its folder or in an object store."""
    return LedgerDamagedError(
        f"{path} is gone or empty, but there are images of this job: running now would buy them all again",
        "Put the ledger back, or run `batchgen verify MANIFEST --repair`, which makes a new one from the images.",
    )


def open_private() -> sqlite3.Connection:
    """A ledger of this process alone, gone when it ends: a temporary file, so that memory stays flat."""
    connection = _connect("")
    connection.executescript(schema())
    return connection


def _connect(name: str, *, uri: bool = False) -> sqlite3.Connection:
    # Autocommit leaves transactions to the facade; the connection is used by one thread at a time.
    connection = sqlite3.connect(name, uri=uri, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA busy_timeout = 10000")
    connection.create_function("digest", 1, digest, deterministic=True)
    connection.create_function("packed", 1, packed, deterministic=True)
    return connection


@contextmanager
def _closed_on_error(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    try:
        yield connection
    except Exception:
        connection.close()
        raise


def _is_new(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the file is empty. Raises `LedgerError` for one that this version must leave alone."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > NEWEST:
        raise LedgerError(
            f"{path}: written by a newer version of batchgen (schema {version}); upgrade batchgen."
        )
    if version == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise LedgerDamagedError(f"{path}: is not a ledger of batchgen", _UNSENT)
    return bool(version == 0)


def check_pages(connection: sqlite3.Connection, path: Path) -> None:
    """Look whether all pages hang together. Raises `LedgerDamagedError`, and `LedgerError` where they cannot be read."""
    try:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise _unusable(path, error, "cannot be read") from error
    if verdict != "ok":
        raise LedgerDamagedError(f"{path}: the ledger is damaged ({verdict})", _UNSENT)
