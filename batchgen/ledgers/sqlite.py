"""The ledger in SQLite: every question and change of it, each one call and one transaction."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

from batchgen.core.history import History
from batchgen.core.inventory import Inventory
from batchgen.core.plan import Known, Planned
from batchgen.core.records import (
    AttemptView,
    Dearer,
    Due,
    Found,
    Remembered,
    RunRecord,
    TaskView,
    Totals,
    Unfinished,
)
from batchgen.core.retry import NextStep
from batchgen.core.types import (
    Attempt,
    Failure,
    FailureClass,
    ImageRequest,
    Link,
    Stored,
    StoredImage,
    Task,
    TaskState,
)
from batchgen.ledgers import rebuild, reconcile, replay, staging, steps
from batchgen.ledgers.committing import Change, Committer, InlineRunner, Runner
from batchgen.ledgers.history import history
from batchgen.ledgers.opening import open_file, open_private, open_readable
from batchgen.ledgers.queries import queries
from batchgen.ledgers.rows import attempt_view, task_view
from batchgen.ledgers.values import moment, reading, sum_usd

Result = TypeVar("Result")

LAST = 50_000
"""Attempts among which those of the last minute are looked for: more than any provider answers in one."""


class SqliteLedger:
    """`batchgen.core.protocols.Ledger` on a SQLite connection."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def _do(self, function: Callable[..., Result], *values: object) -> Result:
        result: Result = await self._runner.submit(lambda connection: function(connection, *values))
        return result

    async def stage(self, tasks: Sequence[Task]) -> Sequence[tuple[Task, Task]]:
        """See the protocol, as for all methods here."""
        return await self._do(staging.stage, tasks)

    async def compare(self) -> AsyncIterator[Sequence[Known]]:
        """Pages of what is known of the staged tasks."""
        after = -1
        while page := await self._do(staging.compare_page, after):
            yield page
            after = page[-1].task.position

    async def spare(self, task: Task) -> StoredImage | None:
        """The next spare image for a task, where the one that `compare` found cannot be used."""
        return await self._do(staging.take_spare, task)

    async def dearer(self) -> Sequence[Dearer]:
        """Models that cost more than when their tasks were last planned."""
        return await self._do(staging.dearer)

    async def staged_names(self) -> AsyncIterator[Sequence[tuple[str, str]]]:
        """Ids of the staged tasks and of their prompts."""
        after = -1
        while page := await self._do(staging.names_page, after):
            yield [(task_id, prompt_id) for _, task_id, prompt_id in page]
            after = page[-1][0]

    async def staged_models(self) -> Collection[str]:
        """Models of the staged tasks."""
        return await self._do(staging.models)

    async def twins(self, limit: int) -> tuple[int, Sequence[tuple[Task, Task]]]:
        """Staged tasks that ask for exactly what an earlier one asks for."""
        return await self._do(staging.twins, limit)

    async def size(self) -> tuple[int | None, int]:
        """How many tasks the manifest had when it last ran, and how many it has now."""
        return await self._do(staging.size)

    async def note_size(self) -> None:
        """Remember how many tasks the manifest has."""
        await self._do(staging.note_size)

    async def removed(self, limit: int) -> tuple[int, Sequence[str]]:
        """Tasks that left the manifest."""
        return await self._do(staging.removed, limit)

    async def left(self) -> AsyncIterator[Sequence[str]]:
        """All of them, in batches."""
        after = (-1, 0)
        while rows := await self._do(staging.removed_page, after):
            yield [task_id for _, _, task_id in rows]
            after = rows[-1][:2]

    async def facts(self) -> Mapping[str, str]:
        """What the ledger knows of the job: `manifest`, `provider`, `host`; empty before its first run."""
        return {row["key"]: row["value"] for row in await self._rows("job_all")}

    async def last_run(self) -> tuple[RunRecord, str | None, str | None] | None:
        """The run that began last, when it ended (None: it runs, or was killed) and what stopped it."""
        rows = await self._rows("run_last")
        if not rows:
            return None
        row, job = rows[0], (await self.facts()).get("job", "")
        run = RunRecord(row["run_id"], job, row["manifest"], row["provider"], row["host"], row["started"])
        return run, row["ended"], row["stopped_by"]

    async def last_sent(self) -> str | None:
        """When the job's last request went out; None when none ever did."""
        rows = await self._rows("last_sent")
        with reading():
            return moment(rows[0]["started"]) if rows else None

    async def begin_run(self, run: RunRecord) -> None:
        """A run starts."""
        await self._do(steps.begin_run, run)

    async def end_run(self, run_id: str, ended: str, stopped_by: str | None) -> None:
        """A run ends."""
        await self._do(steps.end_run, run_id, ended, stopped_by)

    async def apply(self, run_id: str | None, planned: Sequence[Planned]) -> None:
        """Make rows of a plan."""
        await self._do(staging.apply, run_id, planned)

    async def settle_manifest(self) -> None:
        """Take over what the manifest says beside the requests."""
        await self._do(staging.settle_manifest)

    async def images(self) -> AsyncIterator[Sequence[StoredImage]]:
        """Every image that should be on the disk, superseded ones included, in pages."""
        after, page = await self._do(reconcile.images_page, 0)
        while page:
            yield page
            after, page = await self._do(reconcile.images_page, after)

    async def inventory(self) -> Inventory:
        """What should be on the disk, to be compared with what is."""
        return await self._do(reconcile.inventory)

    async def unknown(self, found: Sequence[Found]) -> Sequence[Found]:
        """Images on disk that are not noted as they lie there."""
        return await self._do(reconcile.unknown, found)

    async def noted(self, images: Sequence[StoredImage]) -> Sequence[StoredImage]:
        """Images as they are noted, by their attempts; unknown ones are left out."""
        return await self._do(reconcile.noted, images)

    async def made(self, images: Sequence[StoredImage]) -> Sequence[Found]:
        """Images as they are noted, with all that is known of the attempts that brought them."""
        return await self._do(reconcile.made, images)

    async def take_in(self, found: Sequence[Found]) -> None:
        """Note whole images that are on the disk, and the attempts that brought them."""
        await self._do(reconcile.take_in, found)

    async def lose(self, images: Sequence[StoredImage]) -> None:
        """Note that images are gone or altered."""
        await self._do(reconcile.lose, images)

    async def task_for(self, image: StoredImage) -> Task | None:
        """The task that an image was made for, None when it wants another one by now."""
        return await self._do(reconcile.request_for, image.task_id, image.fingerprint)

    async def run_ids(self) -> frozenset[str]:
        """The runs that the ledger knows."""
        return frozenset(await self._do(replay.run_ids))

    async def open_run(self, run_id: str) -> str | None:
        """The newest run but `run_id`, if its end was never noted."""
        return await self._do(replay.open_run, run_id)

    async def restore_failed(self) -> None:
        """Make rows again for tasks of the manifest whose attempts failed for good."""
        await self._do(replay.restore_failed)

    async def replay(self, run_id: str, started: str, told: Iterable[Remembered]) -> int:
        """Note what the log of a forgotten run tells of its requests; returns how many were new."""
        await self._do(replay.begin, run_id, started)
        pages = iter(told)
        new = 0
        while page := list(islice(pages, staging.PAGE)):
            new += await self._do(replay.replay, run_id, page)
        return new

    async def integrity(self) -> str:
        """What is wrong with the ledger's file, "" when it is whole."""
        return await self._do(reconcile.integrity)

    async def salvage(self, damaged: Path) -> int:
        """Take over what a damaged ledger still tells; returns how many rows."""
        return await self._do(rebuild.salvage, damaged)

    async def moved(self, moves: Sequence[tuple[Stored, Task]]) -> None:
        """Images serve other tasks."""
        await self._do(staging.moved, moves)

    async def unfinished(self) -> Sequence[Unfinished]:
        """What a dead run left open."""
        return await self._do(steps.unfinished)

    async def open_links(self) -> Sequence[str]:
        """Tasks of the manifest that wait for paid links, once a link."""
        return await self._do(steps.open_links)

    async def models(self, run_id: str) -> Mapping[str, int]:
        """What a run has queued."""
        return {row[0]: row[1] for row in await self._rows("models", run_id=run_id)}

    async def due(self, run_id: str, models: Collection[str], now: str, limit: int) -> Sequence[Due]:
        """What may be sent now."""
        return await self._do(steps.due, run_id, models, now, limit)

    async def next_due(self, run_id: str, models: Collection[str]) -> str | None:
        """When the next may be sent."""
        return await self._do(steps.next_due, run_id, models)

    async def sent(self, attempt: Attempt) -> None:
        """An attempt goes out."""
        await self._do(steps.sent, attempt)

    async def received(self, attempt_id: str, link: Link) -> None:
        """An answer is a link."""
        await self._do(steps.received, attempt_id, link)

    async def stored(self, stored: Stored, *, ended: str, seconds: float) -> None:
        """An image is durable."""
        await self._do(steps.stored, stored, ended, seconds)

    async def failed(
        self,
        attempt: Attempt,
        failure: Failure,
        step: NextStep,
        *,
        not_before: str | None,
        ended: str,
        seconds: float,
    ) -> None:
        """An attempt failed."""
        await self._do(steps.failed, attempt, failure, step, not_before, ended, seconds)

    async def fail_unsent(self, run_id: str, model: str, failure: Failure) -> int:
        """A model is not available."""
        return await self._do(steps.fail_unsent, run_id, model, failure)

    async def totals(self, run_id: str | None = None) -> Totals:
        """Money."""
        return await self._do(steps.totals, run_id)

    async def list_usd(self) -> float:
        """List price of the manifest's stored images, in USD."""
        (row,) = await self._rows("list_usd")
        with reading():
            return sum_usd(row[0])

    async def fact(self, key: str) -> str | None:
        """What was noted under a key."""
        rows = await self._rows("fact", key=key)
        return str(rows[0]["value"]) if rows else None

    async def note(self, key: str, value: str) -> None:
        """Note a fact of the job; `results` is forgotten when a task, an attempt or an image changes."""
        await self._rows("job_set", key=key, value=value)

    async def history(self, limit: int) -> History:
        """How the last run went and what it changed."""
        return await self._do(history, limit)

    async def outcome(self, run_id: str) -> Mapping[tuple[str, str], int]:
        """How a run's tasks stand."""
        return {(row[0], row[1]): row[2] for row in await self._rows("outcome", run_id=run_id)}

    async def states(self) -> Mapping[tuple[str, str], int]:
        """How the job's tasks stand, by (state, class or "")."""
        ((whole,),) = await self._rows("whole")
        with reading():
            rows = await self._rows("states")
            found: Counter[tuple[str, str]] = Counter()
            for row in rows:
                found[TaskState(row[0]), _class_name(row[1])] += row[2]
        stored = whole - found.total()
        return {(TaskState.STORED, ""): stored, **found} if stored else found

    async def stored_since(self, since: str) -> int:
        """Images that came after a moment."""
        return int((await self._rows("stored_since", since=since, limit=LAST))[0][0])

    async def waits_until(self, now: str) -> str | None:
        """The first moment that a task waits for."""
        with reading():
            return moment((await self._rows("waits_until", now=now))[0][0])

    async def tasks(self) -> AsyncIterator[Sequence[TaskView]]:
        """Tasks as they are read."""
        # By row as well: after a run of a part, tasks of two readings of the manifest may share a position.
        position, place = -1, 0
        while rows := await self._rows("task_views", position=position, place=place, limit=staging.PAGE):
            yield [task_view(row) for row in rows]
            position, place = rows[-1]["position"], rows[-1]["place"]

    async def open_tasks(self, limit: int) -> Sequence[TaskView]:
        """The first tasks without an image of every state and class."""
        found: list[tuple[int, TaskView]] = []
        for state, kind in [key for key in await self.states() if key != (TaskState.STORED, "")]:
            wanted = {"state": state, "class": None if kind in ("", "missing") else kind, "limit": limit}
            found += [(row["position"], task_view(row)) for row in await self._rows("open_views", **wanted)]
        return [view for _, view in sorted(found, key=itemgetter(0))]

    async def attempts(self) -> AsyncIterator[Sequence[AttemptView]]:
        """Attempts as they are read."""
        after = 0
        while rows := await self._rows("attempt_views", after=after, limit=staging.PAGE):
            yield [attempt_view(row) for row in rows]
            after = rows[-1]["rowid"]

    async def fail_unsent_shape(self, run_id: str, request: ImageRequest, failure: Failure) -> int:
        """A model does not accept parameters."""
        return await self._do(steps.fail_unsent_shape, run_id, request, failure)

    async def longest(self, models: Collection[str]) -> float:
        """How long the slowest of the last images of these models took, in seconds; 0 when there is none."""
        return await self._do(steps.longest, models)

    async def _rows(self, name: str, **values: object) -> list[sqlite3.Row]:
        return await self._do(lambda connection: connection.execute(queries()[name], values).fetchall())


@asynccontextmanager
async def open_ledger(
    path: Path | None, *, readable: bool = False, may_be_new: bool = True, checked: bool = True
) -> AsyncIterator[SqliteLedger]:
    """A job's ledger: to be written, or only read, or (`path` None) private to this process.

    Not `checked` is one whose pages the caller looks at. Raises `LedgerError`, also for a ledger that is not there yet
    where it may not be new.
    """
    # Imported here: `memory_ledger` needs no event loop, whose import is a fifth of what `validate` takes.
    import anyio
    from anyio import to_thread

    from batchgen.system.batches import BatchThread

    if path is None:
        opened = open_private
    elif readable:
        opened = partial(open_readable, path)
    else:
        opened = partial(open_file, path, may_be_new=may_be_new, checked=checked)
    connection = await to_thread.run_sync(opened)  # making a new file waits for the disk
    thread: BatchThread[Change, Any] = BatchThread("ledger", Committer(connection))
    try:
        yield SqliteLedger(thread)
    finally:
        with anyio.CancelScope(shield=True):
            await thread.close()
            await to_thread.run_sync(connection.close)  # it writes the journal into the file


@asynccontextmanager
async def memory_ledger() -> AsyncIterator[SqliteLedger]:
    """A ledger without a thread or a file."""
    connection = open_private()
    try:
        yield SqliteLedger(InlineRunner(connection))
    finally:
        connection.close()


def _class_name(text: str) -> str:
    """A failure's class, "" for none, `missing` for an image. Raises `ValueError`."""
    return text if text in ("", "missing") else FailureClass(text).value
