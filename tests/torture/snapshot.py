"""What is true at one moment: the ledger, the job's folder, the provider's account. Nothing of it is changed."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.support.cli import Desk

Row = dict[str, Any]


@dataclass(frozen=True)
class Post:
    """A request that the provider saw."""

    name: str
    attempt_id: str
    prompt: str
    charged: bool


@dataclass(frozen=True)
class Snapshot:
    """One moment. File names are relative to the job's folder."""

    posts: list[Post]
    fetched: set[str]
    made: dict[str, bytes]
    attempts: list[Row]
    tasks: dict[str, Row]
    stored: list[Row]
    ledger_fault: str
    files: dict[str, bytes] = field(repr=False)

    @cached_property
    def attempts_by_id(self) -> dict[str, Row]:
        """Rows of attempts."""
        return {row["attempt_id"]: row for row in self.attempts}

    @cached_property
    def images(self) -> dict[str, bytes]:
        """Images under final names, superseded ones included."""
        final = ("images/", "superseded/")
        return {name: data for name, data in self.files.items() if name.startswith(final) and not is_json(name)}

    @cached_property
    def sidecars(self) -> dict[str, Row]:
        """Sidecars that can be read, also those in the state folder."""
        folders = ("images/", "superseded/", "state/")
        named = (
            (name, data) for name, data in self.files.items() if name.startswith(folders) and is_json(name)
        )
        read = {name: _json(data) for name, data in named}
        return {name: sidecar for name, sidecar in read.items() if sidecar is not None}

    @cached_property
    def whole(self) -> dict[str, str]:
        """Attempt id -> sha256 of images that are on the disk to the last byte, with a sidecar that says so."""
        found = {}
        for sidecar in self.sidecars.values():
            attempt_id, wanted = sidecar.get("attempt_id", ""), sidecar.get("sha256")
            places = (
                f"state/{attempt_id}.part",
                f"images/{sidecar.get('file')}",
                f"superseded/{sidecar.get('file')}",
            )
            if any(name in self.files and sha256(self.files[name]) == wanted for name in places):
                found[attempt_id] = str(wanted)
        return found

    @property
    def cost_usd(self) -> float:
        """What the ledger says the job cost, open attempts at what was reserved for them."""
        costs = (row["reserved_usd"] if row["cost_usd"] is None else row["cost_usd"] for row in self.attempts)
        return float(sum(cost or 0.0 for cost in costs))


def take(desk: Desk) -> Snapshot:
    """Read everything. The ledger is read from a copy, since reading one can also mend it."""
    account = desk.till.account()
    files = read_files(desk.job)
    with _ledger_copy(desk) as copy:
        attempts, tasks, stored, fault = _read_ledger(copy)
    return Snapshot(
        posts=[_post(request) for request in account["requests"]],
        fetched={download["name"] for download in account["downloads"]},
        made={name: base64.b64decode(text) for name, text in account["images"].items()},
        attempts=attempts,
        tasks={row["task_id"]: row for row in tasks},
        stored=stored,
        ledger_fault=fault,
        files=files,
    )


def read_files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its name relative to it."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def is_json(name: str) -> bool:
    """Whether it is a sidecar's name."""
    return name.endswith(".json")


def sha256(data: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _post(request: Row) -> Post:
    attempt_id = request["headers"].get("x-client-request-id", "")
    return Post(request["name"], attempt_id, request["body"]["prompt"], request["charged"])


def _json(data: bytes) -> Row | None:
    try:
        content = json.loads(data)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


class _ledger_copy:  # noqa: N801 - used as a function
    def __init__(self, desk: Desk) -> None:
        self._job, self._folder = desk.job, desk.folder / "ledger-copy"

    def __enter__(self) -> Path:
        self._folder.mkdir()
        for name in ("ledger.sqlite", "ledger.sqlite-wal"):
            if (self._job / name).exists():
                shutil.copy(self._job / name, self._folder / name)
        return self._folder / "ledger.sqlite"

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder)


def _read_ledger(path: Path) -> tuple[list[Row], list[Row], list[Row], str]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        try:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                return [], [], [], ""  # killed before it was made
            tables = [
                [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY rowid")]
                for table in ("attempts", "tasks", "images")
            ]
        except sqlite3.DatabaseError as error:
            return [], [], [], str(error)
    return tables[0], tables[1], tables[2], "" if verdict == "ok" else verdict
