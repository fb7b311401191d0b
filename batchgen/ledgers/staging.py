"""The manifest beside the ledger: staged tasks, what is known of each, and the rows that a plan makes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from batchgen.core.differences import Asked
from batchgen.core.plan import NOTHING_EARLIER, Earlier, Known, Planned
from batchgen.core.records import Dearer
from batchgen.core.types import AttemptState, Change, Stored, StoredImage, Task, TaskState
from batchgen.ledgers.queries import queries
from batchgen.ledgers.rows import image_at, image_fields, image_of
from batchgen.ledgers.tasks import TASK, request_of, task_at, task_fields, task_of, task_values
from batchgen.ledgers.values import class_of, moment, reads, storable

PAGE = 1000
"""Tasks a page: large enough to spread the cost of a call, small enough to keep memory flat."""


def stage(connection: sqlite3.Connection, tasks: Sequence[Task]) -> list[tuple[Task, Task]]:
    """Take tasks in; returns those whose id is taken, each with the task that has it."""
    sql = queries()
    connection.execute(sql["stage_create"])
    taken = connection.executemany(sql["stage_insert"], map(task_values, tasks)).rowcount
    return [] if taken == len(tasks) else list(_clashes(connection, tasks))


def _clashes(connection: sqlite3.Connection, tasks: Sequence[Task]) -> Iterator[tuple[Task, Task]]:
    for task in tasks:
        holder = connection.execute(queries()["stage_holder"], {"task_id": task.task_id}).fetchone()
        if holder["position"] != task.position:
            yield task, task_of(holder)


def names_page(connection: sqlite3.Connection, after: int) -> list[tuple[int, str, str]]:
    """(position, task id, prompt id) of the staged tasks behind position `after`, one page of them."""
    connection.execute(queries()["stage_create"])
    rows = connection.execute(queries()["staged_names"], {"after": after, "limit": PAGE})
    return [(row["position"], row["task_id"], row["prompt_id"]) for row in rows]


def models(connection: sqlite3.Connection) -> list[str]:
    """Models of the staged tasks."""
    connection.execute(queries()["stage_create"])
    return [row[0] for row in connection.execute(queries()["staged_models"])]


def twins(connection: sqlite3.Connection, limit: int) -> tuple[int, list[tuple[Task, Task]]]:
    """How many staged tasks ask for exactly what an earlier one asks for, and the first, each with the earlier one.

    Further images of one prompt are none: their number is part of what is asked for.
    """
    sql = queries()
    connection.execute(sql["stage_create"])
    (count,) = connection.execute(sql["twins_count"]).fetchone()
    if not count:
        return 0, []
    rows = connection.execute(sql["twins"], {"limit": limit}).fetchall()
    earlier = [connection.execute(sql["staged_at"], {"position": row["earlier"]}).fetchone() for row in rows]
    return count, [(task_of(row), task_of(first)) for row, first in zip(rows, earlier, strict=True)]


def size(connection: sqlite3.Connection) -> tuple[int | None, int]:
    """How many tasks the manifest had when it last ran, None for never, and how many it has now."""
    connection.execute(queries()["stage_create"])
    row = connection.execute(queries()["size"]).fetchone()
    return row["before"], row["now"]


def note_size(connection: sqlite3.Connection) -> None:
    """Remember how many tasks the manifest has."""
    _, now = size(connection)
    connection.execute(queries()["job_set"], {"key": "tasks", "value": str(now)})


def compare_page(connection: sqlite3.Connection, after: int) -> list[Known]:
    """The staged tasks behind position `after` (-1 for the first page), one page of them."""
    sql = queries()
    connection.execute(sql["stage_create"])
    connection.execute(sql["claims_create"])
    if after < 0:
        connection.execute(sql["claims_clear"])
    rows = connection.execute(sql["compare_page"], {"after": after, "limit": PAGE}).fetchall()
    if not rows:
        return []
    beside = _Beside(connection)
    return [_known(beside, row) for row in rows]


class _Beside:
    """What a page asks of the ledger beside its rows, where there is anything to be found."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        row = connection.execute(queries()["anything"]).fetchone()
        self._images, self._open = bool(row["images"]), bool(row["open"])

    def spare(self, task: Task) -> StoredImage | None:
        return take_spare(self._connection, task) if self._images else None

    def earlier(self, task: Task) -> Earlier:
        return _earlier(self._connection, task) if self._open else NOTHING_EARLIER

    def asked(self, task: Task) -> Asked:
        return _asked(self._connection, task)


@reads
def _known(beside: _Beside, row: sqlite3.Row) -> Known:
    """By the places of the columns: a row is looked at once, and there may be a million."""
    task = task_at(row)
    state, print_of_it, kind, reason, not_before, resent, sent_otherwise, attempts, *found = row[len(TASK) :]
    image = None if found[0] is None else image_at(found)
    if state is None and image is None:
        return Known(task, spare=beside.spare(task), earlier=beside.earlier(task))
    fingerprint = None if print_of_it is None else print_of_it.hex()
    fresh, fits = fingerprint != task.fingerprint, _fits(image, task)
    return Known(
        task,
        state=TaskState(state) if state else None,
        fingerprint=fingerprint,
        failure_class=class_of(kind),
        reason=reason,
        not_before=moment(not_before),
        attempts=attempts,
        resent=bool(resent),
        sent_otherwise=bool(sent_otherwise),
        image=image,
        spare=None if fits else beside.spare(task),
        earlier=beside.earlier(task) if fresh and not fits else NOTHING_EARLIER,
        asked=beside.asked(task) if fresh and state else None,
    )


def _asked(connection: sqlite3.Connection, task: Task) -> Asked:
    row = connection.execute(queries()["asked"], {"task_id": task.task_id}).fetchone()
    return Asked(request_of(row), row["provider"] or None)


def _earlier(connection: sqlite3.Connection, task: Task) -> Earlier:
    wanted = {"fingerprint": task.fingerprint, "task_id": task.task_id}
    rows = connection.execute(queries()["earlier"], wanted).fetchall()
    lost = [row["idempotency_key"] for row in rows if row["state"] != AttemptState.RECEIVED]
    to_fetch = len(lost) < len(rows)
    return Earlier(len(lost), lost[-1] if lost else None, to_fetch) if rows else NOTHING_EARLIER


def _fits(image: StoredImage | None, task: Task) -> bool:
    return image is not None and image.fingerprint == task.fingerprint


def take_spare(connection: sqlite3.Connection, task: Task) -> StoredImage | None:
    """A paid image that nobody wants where it is; taken, so that no other task of this plan gets it."""
    wanted = {"fingerprint": task.fingerprint, "task_id": task.task_id}
    row = connection.execute(queries()["spare"], wanted).fetchone()
    if row is None:
        return None
    connection.execute(queries()["claim"], {"attempt_id": row["attempt_id"]})
    return image_of(row)


def dearer(connection: sqlite3.Connection) -> list[Dearer]:
    """Models whose staged tasks cost more than when they were last planned."""
    sql = queries()
    found = []
    for model in models(connection):
        if connection.execute(sql["priced_alike"], {"model": model}).fetchone() is None:
            found += connection.execute(sql["dearer"], {"model": model}).fetchall()
    return [Dearer(row["model"], row["task_id"], row["before_usd"], row["now_usd"]) for row in found]


def removed(connection: sqlite3.Connection, limit: int) -> tuple[int, list[str]]:
    """How many tasks left the manifest, and the first of them."""
    sql = queries()
    connection.execute(sql["stage_create"])
    (count,) = connection.execute(sql["removed_count"]).fetchone()
    rows = connection.execute(sql["removed_ids"], {"limit": limit}) if count else ()
    return count, [row[0] for row in rows]


def removed_page(connection: sqlite3.Connection, after: tuple[int, int]) -> list[tuple[int, int, str]]:
    """Positions, places and ids of tasks that left the manifest, behind one of them."""
    connection.execute(queries()["stage_create"])
    wanted = {"position": after[0], "place": after[1], "limit": PAGE}
    return [tuple(row) for row in connection.execute(queries()["removed_page"], wanted)]


def apply(connection: sqlite3.Connection, run_id: str | None, planned: Sequence[Planned]) -> None:
    """Make the task rows what the plan says."""
    for name, fields in _statements(run_id, planned):
        connection.execute(queries()[name], fields)


def _statements(run_id: str | None, planned: Sequence[Planned]) -> Iterator[tuple[str, dict[str, Any]]]:
    for one in planned:
        if one.settled:
            continue
        fields = task_fields(one.task) | {"lost": one.earlier.lost, "retry_key": one.earlier.retry_key}
        if one.send:
            renewed = {"renewed": int(one.renewed), "reason": storable(one.reason) or None}
            yield "put_pending", fields | renewed | {"queued_by": run_id}
        elif one.change is Change.HELD and one.earlier.lost:
            yield "put_held", fields | {"reason": one.reason}
        elif one.change is Change.KEPT and one.restore is None:
            yield "put_stored", fields
        elif one.change is Change.MISSING:
            yield "put_reason", {"task_id": one.task.task_id, "reason": one.reason}


def settle_manifest(connection: sqlite3.Connection) -> None:
    """Take over places and labels, and mark what left the manifest."""
    sql = queries()
    connection.execute(sql["stage_create"])
    connection.execute(sql["settle_removed"])
    connection.execute(sql["settle_labels"])


def put_image(connection: sqlite3.Connection, stored: Stored) -> None:
    """Note an image under its task's name, and where what stood there went."""
    sql = queries()
    image = stored.image
    connection.execute(sql["image_leave"], {"task_id": image.task_id, "attempt_id": image.attempt_id})
    for attempt_id, file in stored.superseded.items():
        connection.execute(sql["image_moved"], {"attempt_id": attempt_id, "file": file})
    connection.execute(sql["image_put"], image_fields(image) | {"current": 1})
    for further in stored.more:
        connection.execute(sql["image_put"], image_fields(further) | {"current": 0})


def moved(connection: sqlite3.Connection, moves: Sequence[tuple[Stored, Task]]) -> None:
    """Images serve other tasks now; those they left are pending again, should they ever come back."""
    sql = queries()
    for stored, task in moves:
        owner = connection.execute(sql["image"], {"attempt_id": stored.image.attempt_id}).fetchone()["task_id"]
        put_image(connection, stored)
        connection.execute(sql["put_stored"], task_fields(task))
        connection.execute(sql["orphaned"], {"task_id": owner})
