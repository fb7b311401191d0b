"""Ledgers of every released version open in this one, with all that they know."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from batchgen.core.types import Reference
from batchgen.core.values import replace
from batchgen.ledgers.migrations import NEWEST, STEPS
from batchgen.ledgers.opening import open_file
from batchgen.ledgers.queries import schema
from batchgen.ledgers.sqlite import open_ledger
from tests.ledgers.samples import LOST, RETRY, fail, known, queue, send, states, store, task, tasks

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
TABLES = ("job", "runs", "tasks", "attempts", "images")


def rows(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Everything in a file."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return {table: [dict(row) for row in connection.execute(f"SELECT * FROM {table}")] for table in TABLES}


async def written(path: Path, version: int) -> dict[str, list[dict[str, Any]]]:
    """A ledger as the version wrote it: a stored task, one under way, one lost, one waiting; returns its rows."""
    newest = path.with_name("newest.sqlite")
    async with open_ledger(newest) as ledger:
        await queue(ledger, tasks(4))
        await store(ledger, await send(ledger, tasks(4)[0]))
        await send(ledger, tasks(4)[1])
        await fail(ledger, await send(ledger, tasks(4)[2]), LOST, RETRY)
    content = rows(newest)
    with closing(sqlite3.connect(path)) as old:
        old.executescript((HERE / f"schema-{version}.sql").read_text("utf-8"))
        for table, found in content.items():
            # Columns that are worked out from others are not among these.
            names = [name for _, name, *_ in old.execute(f"PRAGMA table_info({table})")]
            marks = ", ".join("?" * len(names))
            for row in found:
                values = [row[name] for name in names]
                old.execute(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", values)
        old.commit()
    path.chmod(0o600)
    return content


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the ledger is."""
    return tmp_path / "ledger.sqlite"


def test_every_older_schema_is_kept_for_these_tests() -> None:
    """Whoever raises the schema's number keeps the old one here."""
    assert set(range(1, NEWEST)) == set(STEPS)
    assert all((HERE / f"schema-{version}.sql").is_file() for version in STEPS)


@pytest.mark.parametrize("version", sorted(STEPS))
async def test_an_older_ledger_goes_on(path: Path, version: int) -> None:
    """Nothing that it knew is lost, the old file stays beside it, and a run works on it as ever."""
    content = await written(path, version)
    before = path.read_bytes()
    async with open_ledger(path) as ledger:
        assert {"stored", "sent", "pending"} == set((await states(ledger)).values())
        assert 1 == len(await ledger.unfinished())
        await store(ledger, await send(ledger, tasks(4)[3]))
    after = rows(path)
    for table in ("job", "runs"):
        assert content[table] == after[table]
    assert content["images"] == after["images"][:1]
    assert content["tasks"][0] == after["tasks"][0]
    kept = path.with_name(f"ledger.schema-{version}.sqlite")
    assert 0o600 == stat.S_IMODE(kept.stat().st_mode)
    with closing(sqlite3.connect(kept)) as copy, closing(sqlite3.connect(":memory:")) as old:
        old.deserialize(before)
        assert list(old.iterdump()) == list(copy.iterdump())


@pytest.mark.parametrize("version", sorted(STEPS))
async def test_the_schema_is_the_same_as_a_new_one_s(path: Path, version: int) -> None:
    """An older ledger ends with the very columns of a new one, in their order, and its indexes: statements name none of them."""
    await written(path, version)
    new = path.with_name("new.sqlite")
    with closing(sqlite3.connect(new)) as made:
        made.executescript(schema())
    open_file(path).close()
    for table in TABLES:
        shapes = []
        for file in (path, new):
            with closing(sqlite3.connect(file)) as connection:
                shapes.append(connection.execute(f"PRAGMA table_info({table})").fetchall())
                indexes = (
                    "SELECT name, sql FROM sqlite_master WHERE tbl_name = ? AND type = 'index' ORDER BY name"
                )
                shapes[-1] += connection.execute(indexes, (table,)).fetchall()
        assert shapes[0] == shapes[1]


@pytest.mark.parametrize("version", sorted(STEPS))
async def test_who_only_reads_changes_nothing(path: Path, version: int) -> None:
    """`status` of an older job answers, and leaves the file and its folder as they are."""
    await written(path, version)
    path.with_name("newest.sqlite").unlink()
    before = path.read_bytes()
    async with open_ledger(path, readable=True) as ledger:
        assert {"stored", "sent", "pending"} == set((await states(ledger)).values())
    assert before == path.read_bytes()
    assert ["ledger.sqlite"] == [file.name for file in path.parent.iterdir()]


async def test_a_migration_that_was_cut_short_is_done_again(path: Path) -> None:
    """A copy that a crash left half written is in nobody's way."""
    await written(path, 1)
    path.with_name("ledger.schema-1.sqlite.new").write_bytes(b"half a copy")
    async with open_ledger(path) as ledger:
        assert 4 == len(await states(ledger))
    assert not path.with_name("ledger.schema-1.sqlite.new").exists()


async def test_pictures_are_remembered(path: Path) -> None:
    """A task that waits over night is sent with the pictures that it was planned with."""
    picture, mask = (Reference(f"{name}.png", name * 32, 9, "image/png", 8, 8) for name in ("ab", "cd"))
    plain = task("plain--01", position=1, prompt="other")
    request = replace(task().request, references=(picture, picture), mask=mask)
    asked = replace(task(), request=request)
    async with open_ledger(path) as ledger:
        await queue(ledger, [asked, plain])
    async with open_ledger(path) as ledger:
        found = {each.task.task_id: each.task.request for each in await known(ledger, [asked, plain])}
        due = await ledger.due("20261123T220000Z-0001", ["gpt-image-2"], "9999", 10)
    assert {"boat--01": request, "plain--01": plain.request} == found
    assert [request, plain.request] == [each.task.request for each in due]
