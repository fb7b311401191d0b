"""Changes that wait together are committed together, each in its savepoint, and each caller gets its own answer."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from batchgen.core.errors import LedgerDamagedError, LedgerError
from batchgen.ledgers.opening import is_damage

Change = Callable[[sqlite3.Connection], Any]


class Runner(Protocol):
    """Where the statements run: on a thread of their own, or right here."""

    async def submit(self, job: Change) -> Any:  # noqa: ANN401 - each job has its own result
        """Run one change in a transaction and return its result."""

    async def close(self) -> None:
        """Finish what is queued."""


def transact(connection: sqlite3.Connection, jobs: Sequence[Change]) -> list[Any]:
    """Run jobs in one transaction; one that fails is undone and takes no other down.

    Savepoints would be half of the statements, and hardly a job ever fails: only then is it done over, with them.
    """
    connection.execute("BEGIN")
    try:
        results = [job(connection) for job in jobs]
    except Exception:  # noqa: BLE001 - it comes up again below, and is handed to its job's caller
        connection.execute("ROLLBACK")
        return _transact_apart(connection, jobs)
    connection.execute("COMMIT")
    return results


def _transact_apart(connection: sqlite3.Connection, jobs: Sequence[Change]) -> list[Any]:
    results: list[Any] = []
    connection.execute("BEGIN")
    for job in jobs:
        connection.execute("SAVEPOINT job")
        try:
            results.append(job(connection))
        except Exception as error:  # noqa: BLE001 - handed to the job's caller
            connection.execute("ROLLBACK TO job")
            results.append(_translated(error))
        connection.execute("RELEASE job")
    connection.execute("COMMIT")
    return results


def _translated(error: Exception) -> Exception:
    if isinstance(error, sqlite3.Error):
        failure: LedgerError
        if is_damage(error):
            failure = LedgerDamagedError(f"the ledger is damaged ({error})")
        else:
            failure = LedgerError(f"the ledger refused a change ({error})")
        failure.__cause__ = error
        return failure
    return error


class Committer:
    """Runs batches until one cannot be committed; then refuses everything, since nobody knows what is on the disk."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._broken: LedgerError | None = None

    def __call__(self, jobs: Sequence[Change]) -> Sequence[Any]:
        """Commit a batch; one result or exception a job, in order."""
        if self._broken is not None:
            return [self._broken] * len(jobs)
        try:
            return transact(self._connection, jobs)
        except sqlite3.Error as error:
            self._broken = LedgerError(
                f"the ledger could not be written ({error}); check the disk, then run again"
            )
            # Nothing is sent on this ledger again, so a transaction that cannot even be undone changes nothing.
            with suppress(sqlite3.Error):
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            return [self._broken] * len(jobs)


class InlineRunner:
    """Runs each change at once, in the caller's thread: for a private ledger in tests on a simulated clock."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._commit = Committer(connection)

    async def submit(self, job: Change) -> Any:  # noqa: ANN401 - each job has its own result
        """Run one change in a transaction."""
        (result,) = self._commit([job])
        if isinstance(result, Exception):
            raise result
        return result

    async def close(self) -> None:
        """Nothing is queued."""
