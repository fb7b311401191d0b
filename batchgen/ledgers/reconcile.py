"""The ledger beside the disk: what lies there that it does not know, and what it knows that is lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from batchgen.core.inventory import Inventory
from batchgen.core.records import Found
from batchgen.core.types import StoredImage, Task
from batchgen.ledgers.queries import queries
from batchgen.ledgers.rows import TABLES, check_row, found_of, image_fields, image_of
from batchgen.ledgers.staging import PAGE
from batchgen.ledgers.tasks import task_of
from batchgen.ledgers.values import dump, storable


def inventory(connection: sqlite3.Connection) -> Inventory:
    """The images that should be on the disk, by their places without extension."""
    rows = connection.execute(queries()["image_places"])
    return Inventory.of(row["file"].rpartition(".")[0] for row in rows)


def images_page(connection: sqlite3.Connection, after: int) -> tuple[int, list[StoredImage]]:
    """Images behind a row (0 for the first page), one page of them, and the row that the next one is behind."""
    rows = connection.execute(queries()["images_page"], {"after": after, "limit": PAGE}).fetchall()
    return (rows[-1]["rowid"] if rows else after), [image_of(row) for row in rows]


def unknown(connection: sqlite3.Connection, found: Sequence[Found]) -> list[Found]:
    """Those of which the ledger knows nothing, or that they lie elsewhere, or that they are lost."""
    ids = dump([one.image.attempt_id for one in found])
    rows = connection.execute(queries()["images_known"], {"ids": ids})
    known = {(row["attempt_id"], row["file"], bool(row["current"])) for row in rows if row["mtime_ns"]}
    return [one for one in found if (one.image.attempt_id, one.image.file, one.current) not in known]


def noted(connection: sqlite3.Connection, images: Sequence[StoredImage]) -> list[StoredImage]:
    """Images as the ledger has them, by their attempts; those that it does not know are left out."""
    ids = dump([image.attempt_id for image in images])
    return [image_of(row) for row in connection.execute(queries()["images_known"], {"ids": ids})]


def made(connection: sqlite3.Connection, images: Sequence[StoredImage]) -> list[Found]:
    """Images as the ledger has them, with all that it knows of the attempts that brought them."""
    ids = dump([image.attempt_id for image in images])
    return [found_of(row) for row in connection.execute(queries()["images_made"], {"ids": ids})]


def take_in(connection: sqlite3.Connection, found: Sequence[Found]) -> None:
    """Note whole images and the attempts that brought them."""
    sql = queries()
    for one in found:
        image = one.image
        if one.current:
            connection.execute(sql["image_leave"], {"task_id": image.task_id, "attempt_id": image.attempt_id})
        connection.execute(sql["image_put"], image_fields(image) | {"current": int(one.current)})
        if not one.further:
            connection.execute(sql["attempt_found"], _attempt_fields(one))


def _attempt_fields(one: Found) -> dict[str, object]:
    return {
        "attempt_id": one.image.attempt_id,
        "task_id": one.image.task_id,
        "fingerprint": one.image.fingerprint,
        "number": one.number,
        "run_id": storable(one.run_id),
        "http_status": one.http_status,
        "request_id": storable(one.request_id),
        "started": storable(one.started),
        "ended": storable(one.ended),
        "cost_usd": one.image.cost_usd,
        "possible_duplicate": one.possible_duplicate,
    }


def lose(connection: sqlite3.Connection, images: Sequence[StoredImage]) -> None:
    """Note that images are gone or altered: their tasks have none any more."""
    for image in images:
        connection.execute(queries()["image_lost"], {"attempt_id": image.attempt_id})


def request_for(connection: sqlite3.Connection, task_id: str, fingerprint: str) -> Task | None:
    """The task that an attempt was made for, None when it wants something else by now."""
    wanted = {"task_id": task_id, "fingerprint": fingerprint}
    connection.execute(queries()["stage_create"])
    for name in ("request_of", "request_staged"):
        row = connection.execute(queries()[name], wanted).fetchone()
        if row is not None:
            return task_of(row)
    return None


def integrity(connection: sqlite3.Connection) -> str:
    """What is wrong with the file, "" when it is whole: every row and every index is read, by SQLite and by us.

    Raises `LedgerDamagedError` for a row that batchgen never wrote.
    """
    (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        return str(verdict)
    for table in TABLES:
        for row in connection.execute(f"SELECT * FROM {table}"):  # noqa: S608 - the names are constants here
            check_row(table, row)
    return ""
