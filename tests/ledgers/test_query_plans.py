"""Every statement of the ledger finds its rows by an index, but for the readings of a whole table that are named here."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from batchgen.ledgers.opening import open_private
from batchgen.ledgers.queries import queries

SMALL = {"job_all", "run_last", "run_ids", "run_open", "history_runs"}
"""Tables of a row a run, or a handful."""

MANIFEST = {"staged_models", "twins_count", "twins", "size", "priced_alike", "dearer"}
"""Once a reading of the manifest, over its own tasks."""

ONCE = {
    "image_places": "once a run, beside one reading of the folder",
    "removed_count": "once a plan",
    "removed_ids": "once a plan",
    "settle_labels": "once a run",
    "settle_removed": "once a run",
    "totals": "once a run that changed something, and while it works",
    "outcome": "once a run",
    "last_sent": "twice a run",
    "states": "once a run or `status`, over the tasks without an image",
    "whole": "once a run or `status`, over an index",
    "list_usd": "once a run of the sandbox",
    "history_shares": "once a run that changed something",
    "tasks_failed": "once a repair",
}

ENDS_SOON = {
    "anything": "ends at the first row",
    "stored_since": "from the last attempt back, so many of them",
    "longest": "from the last attempt back, a hundred images",
    "open_links": "for each open link, of which there are as many as requests in flight",
    "earlier": "of a few lost answers",
    "history_bars": "of the spans of a timeline",
    "history_changes": "of what one run changed",
    "claims_clear": "a table of this plan alone",
}

SORTS = {"spare", "unfinished", "models", *ENDS_SOON, *ONCE, *MANIFEST}
"""A handful of rows, or once a run."""


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    """An empty ledger, with the tables of a plan."""
    with closing(open_private()) as opened:
        for name in ("stage_create", "claims_create"):
            opened.execute(queries()[name])
        yield opened


def steps(connection: sqlite3.Connection, name: str) -> list[str]:
    """How SQLite would go about a statement."""
    statement = queries()[name]
    values = dict.fromkeys(re.findall(r"(?<!\w):(\w+)", statement), "1")
    marks = ["1"] * statement.count("?")
    return [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values or marks)]


def harmless(step: str) -> bool:
    """Whether a scan reads no table: a list of values, or the one row of a statement without a table."""
    return "VIRTUAL TABLE" in step or "CONSTANT ROW" in step


@pytest.mark.parametrize("name", sorted(set(queries()) - {"stage_create", "claims_create"}))
def test_only_what_is_named_here_reads_a_whole_table(connection: sqlite3.Connection, name: str) -> None:
    """What runs once a task, a request or a page costs the same among a thousand and among a million."""
    found = steps(connection, name)
    scans = [step for step in found if step.startswith("SCAN") and not harmless(step)]
    assert [] == scans or name in {*SMALL, *MANIFEST, *ONCE, *ENDS_SOON}
    assert not any("TEMP B-TREE" in step for step in found) or name in SORTS


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("due", "SEARCH t USING INDEX tasks_queued (queued_by=? AND model=?)"),
        ("next_due", "SEARCH tasks USING INDEX tasks_queued (queued_by=? AND model=?)"),
        ("task_sent", "SEARCH tasks USING INDEX sqlite_autoindex_tasks_1 (task_id=?)"),
        ("task_stored", "SEARCH tasks USING INDEX sqlite_autoindex_tasks_1 (task_id=?)"),
        ("task_failed", "SEARCH tasks USING INDEX sqlite_autoindex_tasks_1 (task_id=?)"),
        ("attempt_received", "SEARCH attempts USING INDEX sqlite_autoindex_attempts_1 (attempt_id_bytes=?)"),
        ("attempt_stored", "SEARCH attempts USING INDEX sqlite_autoindex_attempts_1 (attempt_id_bytes=?)"),
        ("attempt_failed", "SEARCH attempts USING INDEX sqlite_autoindex_attempts_1 (attempt_id_bytes=?)"),
        ("image_leave", "SEARCH images USING INDEX images_current (task_id=?)"),
        ("compare_page", "SEARCH s USING INTEGER PRIMARY KEY (rowid>?)"),
        ("compare_page", "SEARCH t USING INDEX sqlite_autoindex_tasks_1 (task_id=?)"),
        ("compare_page", "SEARCH i USING INDEX images_current (task_id=?)"),
        ("compare_page", "SEARCH a USING COVERING INDEX attempts_task (task_id=?)"),
        ("spare", "SEARCH i USING INDEX images_fingerprint (<expr>=?)"),
        ("unfinished", "SEARCH a USING INDEX attempts_open (state=?)"),
        ("open_links", "SEARCH a USING INDEX attempts_open (state=?)"),
        ("task_views", "SEARCH t USING INDEX tasks_position (position>?)"),
        ("open_views", "SEARCH t USING INDEX tasks_open (state=? AND class=?)"),
        ("waits_until", "SEARCH tasks USING INDEX tasks_waiting (not_before>?)"),
        ("attempt_views", "SEARCH attempts USING INTEGER PRIMARY KEY (rowid>?)"),
        ("totals_of_run", "SEARCH attempts USING INTEGER PRIMARY KEY (rowid>?)"),
        ("history_bars", "SEARCH attempts USING INTEGER PRIMARY KEY (rowid>?)"),
        ("history_changes", "SEARCH a USING INTEGER PRIMARY KEY (rowid>?)"),
    ],
)
def test_what_runs_often_goes_by_its_index(connection: sqlite3.Connection, name: str, index: str) -> None:
    """The very index that was made for it, by the very columns."""
    assert any(step.startswith(index) for step in steps(connection, name)), steps(connection, name)
