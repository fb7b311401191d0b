"""Requests that a ledger has forgotten, told to it again in their order by a run's event log."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from batchgen.core.records import Remembered
from batchgen.core.types import Failure, FailureClass, TaskState
from batchgen.ledgers.queries import queries
from batchgen.ledgers.values import storable


def run_ids(connection: sqlite3.Connection) -> list[str]:
    """The runs that are known."""
    return [row["run_id"] for row in connection.execute(queries()["run_ids"])]


def open_run(connection: sqlite3.Connection, run_id: str) -> str | None:
    """The newest run but `run_id`, if its end was never noted."""
    row = connection.execute(queries()["run_open"], {"run_id": run_id}).fetchone()
    return row["run_id"] if row is not None else None


def restore_failed(connection: sqlite3.Connection) -> None:
    """Make rows again for tasks of the manifest whose attempts failed for good."""
    connection.execute(queries()["stage_create"])
    connection.execute(queries()["tasks_failed"])


def begin(connection: sqlite3.Connection, run_id: str, started: str) -> None:
    """Note a forgotten run, so that it is told once."""
    connection.execute(queries()["run_replayed"], {"run_id": run_id, "started": storable(started)})


def replay(connection: sqlite3.Connection, run_id: str, told: Sequence[Remembered]) -> int:
    """Note requests and how they failed; returns how many were new. What has no end yet is open, as after a crash."""
    connection.execute(queries()["stage_create"])
    return sum(
        _sent(connection, run_id, one) if one.failure is None else _failed(connection, run_id, one, one.failure)
        for one in told
    )


def _sent(connection: sqlite3.Connection, run_id: str, one: Remembered) -> int:
    sql = queries()
    fields = {
        "attempt_id": storable(one.attempt_id),
        "task_id": storable(one.task_id),
        "fingerprint": storable(one.fingerprint),
        "number": one.number,
        "run_id": run_id,
        "idempotency_key": storable(one.idempotency_key),
        "possible_duplicate": one.possible_duplicate,
        "started": storable(one.moment),
        "reserved_usd": one.reserved_usd,
    }
    if not connection.execute(sql["attempt_replayed"], fields).rowcount:
        return 0
    connection.execute(sql["task_replayed"], fields)
    connection.execute(sql["task_resent"], fields)
    return 1


def _failed(connection: sqlite3.Connection, run_id: str, one: Remembered, failure: Failure) -> int:
    sql = queries()
    found = connection.execute(sql["attempt_open"], {"attempt_id": one.attempt_id, "run_id": run_id}).fetchone()
    if found is None or one.task_state is TaskState.RECEIVED:
        return 0  # known otherwise; or its link is lost with the ledger, so that its image is
    lost = failure.failure_class is FailureClass.UNKNOWN
    fields = {
        "attempt_id": one.attempt_id,
        "task_id": found["task_id"],
        "fingerprint": found["fingerprint"],
        "state": "failed",
        "task_state": one.task_state.value,
        "class": failure.failure_class.value,
        "reason": storable(failure.reason),
        "http_status": failure.http_status,
        "request_id": storable(failure.request_id),
        "paid": failure.paid.value,
        "not_before": storable(one.not_before),
        "ended": storable(one.moment),
        "seconds": None,
        "unknown": lost,
        "retry_key": found["idempotency_key"] or None if lost else None,
    }
    connection.execute(sql["attempt_failed"], fields)
    if found["task_state"] != TaskState.STORED:
        connection.execute(sql["task_failed"], fields)
    return 0
