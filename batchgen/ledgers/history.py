"""The history of a job, read for its report: a handful of sums and at most so many lines."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from batchgen.core.history import Bar, History, Revision, Share
from batchgen.ledgers.queries import queries
from batchgen.ledgers.values import reading

BARS = 60
"""Spans of a timeline: one bar a minute for an hour, and wide enough to be seen on a phone."""

SHARES = 24

KEPT = "shares"
"""The fact that holds them."""


def history(connection: sqlite3.Connection, limit: int) -> History:
    """The last run, beside the one before it, with the first `limit` tasks that it changed."""
    runs = connection.execute(queries()["history_runs"]).fetchall()
    if not runs:
        return History()
    run_id = runs[0]["run_id"]

    def rows(name: str, **values: object) -> list[sqlite3.Row]:
        return connection.execute(queries()[name], values).fetchall()

    with reading():
        bars = rows("history_bars", run_id=run_id, bars=BARS)
        return History(
            run_id=run_id,
            before=runs[1]["started"] if len(runs) > 1 else None,
            seconds=float(bars[0]["seconds"]) if bars else 0.0,
            bars=tuple(Bar(int(row["bar"]), int(row["stored"]), int(row["failed"])) for row in bars),
            revisions=tuple(Revision(*row) for row in rows("history_changes", run_id=run_id, limit=limit)),
            shares=tuple(Share(*row) for row in _shares(connection)),
        )


def keep_shares(connection: sqlite3.Connection) -> None:
    """Have the shares at hand until an attempt or a task changes: the schema's triggers see to that."""
    told = json.dumps([tuple(row) for row in _shares(connection)])
    connection.execute(queries()["job_set"], {"key": KEPT, "value": told})


def _shares(connection: sqlite3.Connection) -> list[Any]:
    kept = connection.execute(queries()["fact"], {"key": KEPT}).fetchone()
    if kept is not None:
        return list(json.loads(kept["value"]))
    return connection.execute(queries()["history_shares"], {"limit": SHARES}).fetchall()
