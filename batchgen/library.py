"""batchgen for programs: what the command does, as coroutines with typed results. `import batchgen` offers its names.

Nothing is printed, no signal handler is set and nothing is shared between calls. The caller's loop must be asyncio's:
aiohttp, which sends the requests, runs on no other.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypedDict, Unpack

import anyio

from batchgen.config.file import load_config
from batchgen.config.values import Config
from batchgen.core.errors import NotRunError, Problem, UsageError
from batchgen.core.events import Event
from batchgen.core.limits import FASTEST_PER_MINUTE, SLOWEST_PER_MINUTE
from batchgen.core.protocols import Observer
from batchgen.core.records import TaskView
from batchgen.core.summary import PlanSummary, RunSummary
from batchgen.core.types import StopReason, Task
from batchgen.job import Job, Options, RetrySelection, load_job
from batchgen.ledgers.sqlite import open_ledger
from batchgen.manifest.moments import moment_fault
from batchgen.pool.stopping import Stop
from batchgen.reports.logs import TREE
from batchgen.rooms import readable_ledger
from batchgen.run import plan_job, run_watched
from batchgen.survey import stage
from batchgen.watching import Watchers

_LOG = logging.getLogger(f"{TREE}.library")


class RunOptions(TypedDict, total=False):
    """What may be said above manifest and configuration, as the command's flags do; None leaves a value to them.

    `config` is a `batchgen.yaml`, which is looked for nowhere if it is not named. `environ` takes the place of the
    process's environment, keys included. `output` is the folder of all jobs (default: the configuration's, else
    `output`). `budget_usd` is the most that this run may spend, `unpriced_usd` what an image without a price is taken
    to cost. `only` are globs of task ids, `limit` the most tasks to send, `grace_s` the seconds that a stopped run waits
    for what is in flight (default: as long as a request may take). `adopt` takes over a job that another manifest
    began, `retry` orders failed, held and missing tasks again.
    """

    config: str | Path | None
    environ: Mapping[str, str] | None
    output: str | Path | None
    provider: str | None
    base_url: str | None
    images_per_minute: float | None
    concurrency: int | None
    budget_usd: float | None
    unpriced_usd: float | None
    finish_by: str | None
    max_attempts: int | None
    only: Sequence[str]
    limit: int | None
    grace_s: float | None
    engine: str | None
    adopt: bool
    retry: RetrySelection | None


_BOUNDS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "images_per_minute": (SLOWEST_PER_MINUTE, FASTEST_PER_MINUTE),
        "concurrency": (1, 1024),
        "budget_usd": (0, math.inf),
        "unpriced_usd": (0, math.inf),
        "max_attempts": (1, 100),
        "limit": (0, math.inf),
        "grace_s": (0, math.inf),
    }
)


@dataclass(frozen=True, slots=True)
class LoadedJob:
    """A manifest without a mistake. `folder` is where its images go, `count` how many tasks it has."""

    name: str
    path: Path
    folder: Path
    provider: str
    description: str
    count: int
    warnings: tuple[Problem, ...]
    options: RunOptions = field(repr=False)
    _job: Job = field(repr=False)

    def tasks(self) -> Iterator[Task]:
        """Its tasks in manifest order, one by one: memory does not grow with the manifest."""
        return (item for item in self._job.manifest.expand() if isinstance(item, Task))


@dataclass(frozen=True, slots=True)
class PlanResult:
    """What a run would do and cost. Money is in US dollars, None where it is not known.

    `changes` counts the tasks by what the plan says of them (`new`, `changed`, `retry`, `failed`, `held`, `missing`,
    `kept`, `removed`); `lines` are the first tasks that differ, as (change, task id, reason). `estimated` and
    `unpriced` say how many of the tasks to send have no exact price, and none at all. `seconds` is the least time that
    the rate limits allow, None without a rate. `spent_usd` is what the job has cost so far.
    """

    job: str
    provider: str
    host: str
    folder: Path
    tasks: int
    to_send: int
    changes: Mapping[str, int]
    cost_usd: float
    estimated: int
    unpriced: int
    budget_usd: float | None
    spent_usd: float
    seconds: float | None
    notices: tuple[str, ...]
    lines: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended. `tasks` = `stored` (by this run) + `kept` + `failed` + `held` + `pending`.

    `cost_usd` is this run's, `job_cost_usd` the job's over all its runs, both in US dollars. `failures` counts failed
    and held tasks by class. `stopped_by` is None unless the run ended with work left; `stop_detail` says more.
    `report` is the page to look at, None when it could not be written. `exit_code` is what the command would end with.
    """

    job: str
    run_id: str
    folder: Path
    tasks: int
    stored: int
    kept: int
    failed: int
    held: int
    pending: int
    attempts: int
    images_per_minute: float | None
    cost_usd: float
    job_cost_usd: float
    maybe_paid_twice_usd: float
    seconds: float
    failures: Mapping[str, int]
    stopped_by: StopReason | None
    stop_detail: str
    report: Path | None
    exit_code: int

    @property
    def complete(self) -> bool:
        """Whether every task's image is there."""
        return self.stored + self.kept == self.tasks


Manifest = str | Path | LoadedJob
"""A manifest's path, or what `load` made of it."""


async def load(manifest: str | Path, **options: Unpack[RunOptions]) -> LoadedJob:
    """Read and check a manifest; nothing is written or sent.

    Raises `ProblemsError` with every mistake of it, and `UsageError`.
    """
    _need_asyncio()
    job = load_job(Path(manifest), _settled(options))
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
    path, settled = _given(manifest, options)
    return _plan_result(await plan_job(path, settled))


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
    path, settled = _given(manifest, options)
    others = () if observer is None else (_guarded(observer),)
    return await _Running(path, settled, stop or Stop(), others).result()


async def tasks(manifest: Manifest, **options: Unpack[RunOptions]) -> AsyncIterator[TaskView]:
    """How each task of a job stands, in manifest order, read from its ledger; also while a run works.

    Raises `NotRunError` before the job's first run, `UsageError` and `LedgerError`.
    """
    _need_asyncio()
    path, settled = _given(manifest, options)
    job = load_job(path, settled)
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
                self._ended = _run_result(summary, self._options)
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
        return manifest.path, _settled(merged)
    return Path(manifest), _settled(options)


def _settled(options: RunOptions) -> Options:
    if unknown := options.keys() - RunOptions.__annotations__.keys():
        raise TypeError(f"there is no option {', '.join(sorted(unknown))}")
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    for name in given.keys() & _BOUNDS.keys():
        low, high = _BOUNDS[name]
        if not low <= given[name] <= high:
            span = f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:,.0f}"
            raise UsageError(f"{name} is {given[name]!r}, but must be {span}")
    if fault := moment_fault(given.get("finish_by", "00:00")):
        raise UsageError(f"finish_by is {given['finish_by']!r}: it {fault} (write 06:30, or 2026-11-24T06:30)")
    path = given.pop("config", None)
    config = Config() if path is None else load_config(Path(path), Path())
    for name, make in (("output", Path), ("only", tuple)):
        if name in given:
            given[name] = make(given[name])
    return Options(config=config, environ=given.pop("environ", os.environ), **given)


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


def _plan_result(summary: PlanSummary) -> PlanResult:
    return PlanResult(
        job=summary.job,
        provider=summary.provider,
        host=summary.host,
        folder=Path(summary.folder),
        tasks=summary.tasks,
        to_send=summary.to_send,
        changes=MappingProxyType({change.value: count for change, count in summary.changes.items() if count}),
        cost_usd=summary.cost.expected_usd,
        estimated=summary.cost.estimated,
        unpriced=summary.cost.unpriced,
        budget_usd=summary.budget_usd,
        spent_usd=summary.spent_usd,
        seconds=summary.seconds,
        notices=tuple(summary.notices),
        lines=tuple(
            (change.value, task.task.task_id, task.reason)
            for change, tasks in summary.shown.items()
            for task in tasks
        ),
    )


def _run_result(summary: RunSummary, options: Options) -> RunResult:
    told: dict[str, Any] = {**summary.as_json(), "stopped_by": summary.stopped_by}
    return RunResult(
        **told,
        folder=options.folder / summary.job,
        failures=MappingProxyType(dict(summary.failures)),
        stop_detail=summary.stop_detail,
        report=Path(summary.report) if summary.report else None,
        exit_code=summary.exit_code,
    )
