"""What only the ledger in a file keeps: it is private, durable, and never trusted blindly."""

from __future__ import annotations

import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from batchgen.core.errors import LedgerError
from batchgen.core.plan import Planned
from batchgen.core.records import RunRecord
from batchgen.core.retry import NextStep
from batchgen.core.types import Answer, Change, Link, TaskState
from batchgen.ledgers.committing import transact
from batchgen.ledgers.migrations import NEWEST
from batchgen.ledgers.opening import open_file
from batchgen.ledgers.sqlite import open_ledger
from batchgen.ledgers.staging import apply
from batchgen.ledgers.steps import begin_run, end_run, sent
from batchgen.ledgers.steps import stored as note_stored
from tests.ledgers.samples import (
    BUSY,
    MOMENT,
    RUN,
    as_renamed,
    attempt,
    bought,
    fail,
    known,
    queue,
    send,
    states,
    store,
    stored,
    task,
    tasks,
)

pytestmark = pytest.mark.anyio

URL = "https://cdn.example.com/boat.png?sig=canary-5f3a9c"

BUY_AND_DIE = """
import asyncio, os, signal, sys
from pathlib import Path
from batchgen.ledgers.sqlite import open_ledger
from tests.ledgers.samples import queue, send, store, tasks

async def main():
    async with open_ledger(Path(sys.argv[1])) as ledger:
        await queue(ledger, tasks(3))
        await store(ledger, await send(ledger, tasks(3)[0]))
        await send(ledger, tasks(3)[1])
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def content(path: Path) -> bytes:
    """A file's bytes."""
    return path.read_bytes()


def put(path: Path, data: bytes) -> None:
    """Make a file what it shall be."""
    path.write_bytes(data)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the ledger is."""
    return tmp_path / "ledger.sqlite"


async def test_a_ledger_is_for_its_owner_alone(path: Path) -> None:
    """0600 for the file and what SQLite puts beside it: prompts and signed links are nobody else's business."""
    async with open_ledger(path) as ledger:
        await queue(ledger, tasks(2))
        beside = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert {"ledger.sqlite": 0o600, "ledger.sqlite-wal": 0o600, "ledger.sqlite-shm": 0o600} == beside


def test_a_commit_waits_for_the_disk(path: Path) -> None:
    """WAL with synchronous=FULL: a commit is on the disk before the request that it announces leaves."""
    connection = open_file(path)
    assert ("wal", 2, 1) == tuple(
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "secure_delete")
    )
    connection.close()


def buy_and_die(path: Path) -> int:
    """Run a process that buys one image, sends another request, and is killed; returns its exit code."""
    return subprocess.run([sys.executable, "-c", BUY_AND_DIE, str(path)], check=False, timeout=30).returncode


async def test_what_was_committed_survives_a_kill(path: Path) -> None:
    """A process that is killed right after a commit leaves a ledger that the next one understands."""
    assert -signal.SIGKILL == await anyio.to_thread.run_sync(buy_and_die, path)
    async with open_ledger(path) as ledger:
        assert {"t0--01": "stored", "t1--01": "sent", "t2--01": "pending"} == await states(ledger)
        assert ["t1--01"] == [found.attempt.task.task_id for found in await ledger.unfinished()]


async def test_a_newer_ledger_is_refused(path: Path) -> None:
    """A file of a later version is left as it is, with the advice to upgrade."""
    with sqlite3.connect(path) as newer:
        newer.execute(f"PRAGMA user_version = {NEWEST + 1}")
    newer.close()
    before = content(path)
    with pytest.raises(LedgerError, match=r"newer version of batchgen .* upgrade"):
        async with open_ledger(path):
            pass
    assert before == content(path)


@pytest.mark.parametrize("readable", [False, True])
async def test_a_damaged_ledger_is_refused_in_words(path: Path, *, readable: bool) -> None:
    """Nothing is recreated in silence: the file is named, and what makes a new one from the images."""
    put(path, b"no ledger at all, but long enough for a header" * 20)
    before = content(path)
    with pytest.raises(LedgerError, match=r"batchgen verify MANIFEST --repair"):
        async with open_ledger(path, readable=readable):
            pass
    assert before == content(path)


async def test_a_torn_ledger_is_refused(path: Path) -> None:
    """Pages that do not hang together are found when the ledger is opened."""
    async with open_ledger(path) as ledger:
        await queue(ledger, tasks(2000))
    torn = bytearray(content(path))
    torn[len(torn) // 2 : len(torn) // 2 + 20_000] = b"\xff" * 20_000
    put(path, bytes(torn))
    with pytest.raises(LedgerError, match=r"damaged|cannot be opened"):
        async with open_ledger(path):
            pass


async def test_another_programs_database_is_refused(path: Path) -> None:
    """A SQLite file that is no ledger gets no tables of ours."""
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE cats (name)")
    other.close()
    with pytest.raises(LedgerError, match="not a ledger"):
        async with open_ledger(path):
            pass


def test_a_linked_ledger_is_refused(path: Path, tmp_path: Path) -> None:
    """A link at the ledger's place leads nowhere."""
    path.symlink_to(tmp_path / "elsewhere.sqlite")
    with pytest.raises(LedgerError, match="no ledger; move it away"):
        open_file(path)
    assert not (tmp_path / "elsewhere.sqlite").exists()


async def test_a_signed_link_is_gone_once_its_image_is_stored(path: Path) -> None:
    """No byte of the file remembers a link that was used: freed pages are wiped, too."""
    async with open_ledger(path) as ledger:
        await queue(ledger, [task()])
        one = await send(ledger, task())
        await ledger.received(one.attempt_id, Link(URL, Answer(200)))
        await fail(ledger, one, BUSY, NextStep(TaskState.RECEIVED))
    assert b"canary-5f3a9c" in content(path)
    async with open_ledger(path) as ledger:
        await store(ledger, one)
    assert ["ledger.sqlite"] == [file.name for file in path.parent.iterdir()]
    assert b"canary-5f3a9c" not in content(path)


async def test_a_ledger_is_read_beside_the_run_that_writes_it(path: Path) -> None:
    """`plan` and `status` see what is committed, stage their own tasks, and disturb nobody."""
    async with open_ledger(path) as writer:
        await queue(writer, tasks(3))
        async with open_ledger(path, readable=True) as reader:
            assert 3 == len(await known(reader, tasks(3)))
            await send(writer, tasks(3)[0])
            assert {"t0--01": "sent", "t1--01": "pending", "t2--01": "pending"} == await states(reader)
            with pytest.raises(LedgerError, match="readonly"):
                await queue(reader, tasks(4))


async def test_a_closed_ledger_is_read_without_writing(path: Path) -> None:
    """Reading a finished job's ledger leaves the file as it was."""
    async with open_ledger(path) as ledger:
        await bought(ledger, task())
    before = content(path)
    async with open_ledger(path, readable=True) as reader:
        assert {"boat--01": "stored"} == await states(reader)
    assert before == content(path)


async def test_many_callers_are_all_answered(path: Path) -> None:
    """Changes that wait together are committed together, and each caller gets its own answer or error."""
    async with open_ledger(path) as ledger:
        await queue(ledger, tasks(40))
        attempts = [attempt(one) for one in tasks(40)]
        attempts[7] = attempts[6]
        refused = []

        async def note(index: int) -> None:
            try:
                await ledger.sent(attempts[index])
            except LedgerError:
                refused.append(index)

        async with anyio.create_task_group() as group:
            for index in range(40):
                group.start_soon(note, index)
        assert [7] == refused
        assert 39 == len(await ledger.unfinished())
        assert "pending" == (await states(ledger))["t7--01"]


async def test_nothing_of_it_waits_on_the_loops_thread(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening makes a file and closing writes the journal back: a slow disk must not keep the event loop from its work."""
    threads: list[int] = []
    connect = sqlite3.connect

    class Watched(sqlite3.Connection):
        def close(self) -> None:
            threads.append(threading.get_ident())
            super().close()

    def watched(name: str, **how: Any) -> sqlite3.Connection:  # noqa: ANN401 - as the real one
        threads.append(threading.get_ident())
        return connect(name, factory=Watched, **how)

    monkeypatch.setattr(sqlite3, "connect", watched)
    for how in ({}, {"readable": True}):
        async with open_ledger(path, **how):
            pass
    assert 4 == len(threads)
    assert threading.get_ident() not in threads


def test_a_change_that_fails_is_undone_alone(path: Path) -> None:
    """Of one transaction only the failing caller's statements are taken back, all of them."""
    connection = open_file(path)
    one = attempt(task())

    def halfway(ledger: sqlite3.Connection) -> None:
        sent(ledger, attempt(task("other--01")))
        raise ValueError("a fault in the middle")

    results = transact(connection, [lambda c: sent(c, one), halfway, lambda c: sent(c, one), lambda _: 7])
    assert [None, ValueError, LedgerError, 7] == [
        type(result) if isinstance(result, Exception) else result for result in results
    ]
    assert [(one.attempt_id,)] == [tuple(row) for row in connection.execute("SELECT attempt_id FROM attempts")]
    connection.close()


async def test_the_job_and_its_last_run_are_remembered(path: Path) -> None:
    """Who owns the folder, and how the last run ended, is there for the next."""
    run = RunRecord(RUN, "spring", "../spring.yaml", "cometapi", "api.cometapi.com", "2026-11-23T22:00:00.000Z")
    connection = open_file(path)
    begin_run(connection, run)
    end_run(connection, RUN, "2026-11-23T23:00:00.000Z", "budget")
    connection.close()
    async with open_ledger(path) as ledger:
        assert (run, "2026-11-23T23:00:00.000Z", "budget") == await ledger.last_run()
        assert "../spring.yaml" == (await ledger.facts())["manifest"]


# Room


def test_a_stored_task_takes_less_than_a_kibibyte(path: Path) -> None:
    """With a sentence as its prompt, parameters, a table's columns, its request and its image: a million are 1 GB."""
    count = 2000
    many = [
        task(
            f"sku-{number:06d}--01",
            position=number,
            prompt=f"Oak side table number {number} with a drawer: catalogue photo on white, soft light.",
            parameters={"size": "1536x1024", "quality": "medium", "output_format": "webp"},
            variables={"sku": f"sku-{number:06d}", "name": f"Oak side table number {number} with a drawer"},
        )
        for number in range(count)
    ]
    with closing(open_file(path)) as connection:
        connection.execute("BEGIN")
        apply(connection, RUN, [Planned(one, Change.NEW, send=True) for one in many])
        for one in many:
            of = attempt(one)
            sent(connection, of)
            note_stored(connection, stored(of), MOMENT, 12.5)
        connection.execute("COMMIT")
    assert path.stat().st_size / count < 1024


# Sums that are kept


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE attempts SET cost_usd = 7",
        "UPDATE tasks SET model = 'other'",
        "UPDATE images SET file_elsewhere = 'elsewhere'",
        "DELETE FROM attempts",
    ],
)
async def test_what_was_worked_out_is_forgotten_with_any_change(path: Path, change: str) -> None:
    """Sums and the results' seal hold for the very rows that they tell of, whoever changes one."""
    connection = open_file(path)
    begin_run(connection, RunRecord(RUN, "spring", "spring.yaml", "cometapi", "host", MOMENT))
    connection.close()
    async with open_ledger(path) as ledger:
        await bought(ledger, task())
        await ledger.end_run(RUN, MOMENT, None)
        await ledger.note("results", "a seal")
        assert "a seal" == await ledger.fact("results")
        assert None is not await ledger.fact("totals")
        before = await ledger.totals()
        await ledger.end_run(RUN, MOMENT, None)
        assert before == await ledger.totals()
    with closing(sqlite3.connect(path)) as other:
        other.execute(change)
        other.commit()
    async with open_ledger(path) as ledger:
        assert [None] * 3 == [await ledger.fact(key) for key in ("results", "totals", "shares")]
        assert ("DELETE" in change or "cost_usd" in change) == (before != await ledger.totals())


async def test_staging_many_keeps_pages_in_order(path: Path) -> None:
    """Renamed tasks over several pages find their images, each once."""
    old = [as_renamed(one, f"old{one.position}--01") for one in tasks(1100)]
    async with open_ledger(path) as ledger:
        await queue(ledger, old)
        for one in (old[0], old[600], old[1099]):
            await store(ledger, await send(ledger, one))
        found = [one for one in await known(ledger, tasks(1100)) if one.spare is not None]
    assert [0, 600, 1099] == [one.task.position for one in found]
