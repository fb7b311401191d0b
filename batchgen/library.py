"""batchgen for programs: what the command does, as coroutines with typed results. `import batchgen` offers its names.

Nothing is printed, no signal handler is set and nothing is shared between calls. The caller's loop must be asyncio's:
aiohttp, which sends the requests, runs on no other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Unpack

import anyio

from batchgen.core.errors import NotRunError, UsageError
from batchgen.core.events import Event
from batchgen.core.protocols import Observer
from batchgen.core.records import TaskView
from batchgen.core.types import StopReason
from batchgen.job import Options, load_job
from batchgen.ledgers.sqlite import open_ledger
from batchgen.library_types import (
    LoadedJob,
    PlanResult,
    RunOptions,
    RunResult,
    plan_result,
    run_result,
    settled,
)
from batchgen.pool.stopping import Stop
from batchgen.reports.logs import TREE
from batchgen.rooms import readable_ledger
from batchgen.run import plan_job, run_watched
from batchgen.staging import stage
from batchgen.watching import Watchers

_LOG = logging.getLogger(f"{TREE}.library")


Manifest = str | Path | LoadedJob
"""A manifest's path, or what `load` made of it."""


async def load(manifest: str | Path, **options: Unpack[RunOptions]) -> LoadedJob:
    """Read and check a manifest; nothing is written or sent.

    Raises `ProblemsError` with every mistake of it, and `UsageError`.
    """
    _need_asyncio()
    job = load_job(Path(manifest), settled(options))
    async with open_ledger(None) as ledger:
        warnings = await stage(job, ledger)
        count = sum([len(page) async for page in ledger.compare()])
    return LoadedJob(
        name=job.name,
        path=job.manifest.path,
        folder=job.folder,
        provider=job.settings.name,
        description=job.manifest.description,
        count=count,
        warnings=tuple(warnings),
        options=options,
        _job=job,
    )


async def plan(manifest: Manifest, **options: Unpack[RunOptions]) -> PlanResult:
    """What a run would do and cost; nothing is written or sent.

    Raises `ProblemsError`, `UsageError`, and `LedgerError` when the job's ledger cannot be read.
    """
    _need_asyncio()
    path, given = _given(manifest, options)
    return plan_result(await plan_job(path, given))


async def run(
    manifest: Manifest,
    *,
    observer: Observer | None = None,
    stop: Stop | None = None,
    **options: Unpack[RunOptions],
) -> RunResult:
    """Make what a manifest asks for, or go on with it; what is stored is kept.

    `observer` is told each event, on the loop's thread: it must not wait. One that raises is told nothing more, which is
    logged. `stop.ask()` ends the sending and waits for what is in flight, since it is paid for. A cancelled call waits
    for nothing but the disk: what is in flight is then `unknown`, as after a second signal.

    Raises `ProblemsError` and `UsageError` (nothing was sent), `JobLockedError` (another run holds the job) and
    `StorageError` (the disk); what was sent is on the ledger whatever is raised.
    """
    _need_asyncio()
    path, given = _given(manifest, options)
    others = () if observer is None else (_guarded(observer),)
    return await _Running(path, given, stop or Stop(), others).result()


async def tasks(manifest: Manifest, **options: Unpack[RunOptions]) -> AsyncIterator[TaskView]:
    """How each task of a job stands, in manifest order, read from its ledger; also while a run works.

    Raises `NotRunError` before the job's first run, `UsageError` and `LedgerError`.
    """
    _need_asyncio()
    path, given = _given(manifest, options)
    job = load_job(path, given)
    if not job.has_ledger:
        raise NotRunError(f"{path}: this job has not run yet")
    async with readable_ledger(job) as ledger:
        async for page in ledger.tasks():
            for view in page:
                yield view


class _Running:
    """A run in a task that no cancellation reaches: who waits for it may be cancelled, and it is then told to end."""

    def __init__(self, path: Path, options: Options, stop: Stop, others: tuple[Observer, ...]) -> None:
        self._path = path
        self._options = options
        self._stop = stop
        self._others = others
        self._over = anyio.Event()
        self._ended: RunResult | Exception | None = None

    async def result(self) -> RunResult:
        """Work, and how it ended."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._work)
            try:
                await self._over.wait()
            except anyio.get_cancelled_exc_class():
                self._stop.ask(StopReason.SIGNAL, "the call was cancelled")
                self._stop.cut()
                raise  # once the task has ended, which is shielded
        if isinstance(self._ended, RunResult):
            return self._ended
        assert self._ended is not None  # the task is over
        raise self._ended

    async def _work(self) -> None:
        with anyio.CancelScope(shield=True):
            try:
                async with Watchers(self._options, _LOG.warning) as watchers:
                    summary = await run_watched(self._path, self._options, watchers, self._stop, *self._others)
                self._ended = run_result(summary, self._options)
            except Exception as error:  # noqa: BLE001 - raised where it is waited for, and in no group
                self._ended = error
            finally:
                self._over.set()


def _need_asyncio() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise UsageError(
            "batchgen runs on asyncio only, since aiohttp does (call it from an asyncio loop, or with asyncio.run)"
        ) from None


def _given(manifest: Manifest, options: RunOptions) -> tuple[Path, Options]:
    if isinstance(manifest, LoadedJob):
        merged: RunOptions = {**manifest.options, **options}
        return manifest.path, settled(merged)
    return Path(manifest), settled(options)


def _guarded(observer: Observer) -> Observer:
    """The caller's observer, whose mistakes must not end a run that spends money."""
    told: list[Observer] = [observer]

    def notify(event: Event) -> None:
        try:
            for one in told:
                one(event)
        except Exception:  # noqa: BLE001 - whatever it is: the run matters more, and the log has it
            told.clear()
            _LOG.exception("an observer raised an error, and is told nothing more")

    return notify
