"""Runs the jobs of a night: several at a time, lines on stderr, one page at the end, the worst exit code."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread

from batchgen.cli.internal import internal_reason, tell_internal
from batchgen.cli.running import Signals, say_event
from batchgen.cli.saying import begin, note, put, say
from batchgen.closing import summary_of_stopped
from batchgen.core.errors import BatchgenError, ProblemsError, StorageError
from batchgen.core.events import Event, Notice, Paused, RunBroken, TaskStored
from batchgen.core.plain import safe_text
from batchgen.core.summary import RunSummary, worst
from batchgen.core.types import StopReason
from batchgen.core.values import replace
from batchgen.job import Options
from batchgen.nightly import Entry, lines_of, read_night, tell_beside
from batchgen.pool.stopping import Stop
from batchgen.reports.logs import json_handler
from batchgen.reports.night import NightFacts, NightJob, write_night
from batchgen.reports.summary import stop_text
from batchgen.reports.text import counted, duration_text, usd_text
from batchgen.run import run_watched
from batchgen.watching import Watchers

JOBS_AT_ONCE = 4
"""Each job holds a ledger, a store, a few threads and some files open. Four of the default 8 requests in flight are
as many as most accounts allow, and the next begins when one ends."""

SAY_EVERY_S = 30.0


class Stops(Stop):
    """A stop for all jobs that are open, and for those that would begin later."""

    def __init__(self) -> None:
        super().__init__()
        self._jobs: list[Stop] = []

    def add(self, stop: Stop) -> None:
        """A job begins."""
        self._jobs.append(stop)

    def ask(self, reason: StopReason = StopReason.SIGNAL, detail: str = "") -> None:
        """Every job drains."""
        super().ask(reason, detail)
        for stop in self._jobs:
            stop.ask(reason, detail)

    def cut(self) -> None:
        """No job waits any more."""
        super().cut()
        for stop in self._jobs:
            stop.cut()


@dataclass(slots=True)
class NightRun:
    """A night under way."""

    options: Options
    values: dict[str, Any]
    watchers: Watchers
    stops: Stops = field(default_factory=Stops)
    started: float = field(default_factory=time.monotonic)
    ended: list[NightJob] = field(default_factory=list)
    running: int = 0
    stored: int = 0
    noted: set[str] = field(default_factory=set)

    async def run(self, entries: Sequence[Entry]) -> None:
        """Run all of them, the first ones first; each ends for itself."""
        places = anyio.Semaphore(JOBS_AT_ONCE)
        async with anyio.create_task_group() as group:
            for rank, entry in enumerate(entries):
                await places.acquire()
                group.start_soon(self._one, rank, entry, places)

    async def _one(self, rank: int, entry: Entry, places: anyio.Semaphore) -> None:
        self.running += 1
        try:
            ended = await self._ended(rank, entry)
        finally:
            self.running -= 1
            places.release()
        self.ended.append(ended)
        self._told(ended)

    async def _ended(self, rank: int, entry: Entry) -> NightJob:
        name = entry.path.name
        if entry.fault is not None:
            fault, code = entry.fault, entry.fault.exit_code
            self.watchers.of_job(str(entry.path))(RunBroken(entry.job, code, type(fault).__name__, str(fault)))
            return await self._faulty(entry, fault)
        stop = Stop()
        self.stops.add(stop)
        if self.stops.reason is not None:
            return NightJob(name, entry.job, 3, signalled=True)
        self.say(f"{name}: begins")
        options = replace(self.options, rank=rank, last_sent={})
        try:
            summary = await run_watched(
                entry.path, options, self.watchers, stop, lambda event: self._notify(name, event)
            )
        except StorageError as error:
            self._tell([str(error)])
            reason = StopReason.SIGNAL if stop.signalled else StopReason.STORAGE
            return await self._stopped(entry, reason, str(error))
        except BatchgenError as error:
            return await self._faulty(entry, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other jobs of the night go on
            tell_internal(entry.path, error, options, self.values, ran=True)
            return await self._stopped(entry, StopReason.BREAKER, internal_reason(error, options))
        await self._beside(entry.path, [])
        return NightJob(
            name, entry.job, summary.exit_code, summary, signalled=summary.stopped_by is StopReason.SIGNAL
        )

    async def _faulty(self, entry: Entry, error: BatchgenError) -> NightJob:
        """What is wrong with a manifest is told beside it; what is not the manifest's is only told."""
        lines, code = lines_of(error), error.exit_code
        if isinstance(error, ProblemsError) or entry.fault is not None:
            await self._beside(entry.path, lines)
        self._tell(lines)
        return NightJob(entry.path.name, entry.job, code, problems=tuple(lines))

    async def _stopped(self, entry: Entry, reason: StopReason, detail: str) -> NightJob:
        try:
            summary = await summary_of_stopped(entry.path, self.options, reason, detail)
        except Exception:  # noqa: BLE001 - what stopped the job is told already; the page still gets its line
            summary = RunSummary(entry.job, "", stopped_by=reason, stop_detail=detail)
        return NightJob(entry.path.name, entry.job, 3, summary, signalled=reason is StopReason.SIGNAL)

    async def _beside(self, manifest: Path, lines: Sequence[str]) -> None:
        if fault := await tell_beside(manifest, lines):
            say(safe_text(fault))

    def _notify(self, name: str, event: Event) -> None:
        if self.values["verbose"] and json_handler() is None:
            say_event(event)
        match event:
            case TaskStored():
                self.stored += 1
            case Paused():
                self.say(f"{name}: pauses {', '.join(event.models)} for {event.seconds:.0f} s: {event.reason}")
            case Notice() if event.message not in self.noted:  # what is true of all jobs is said once
                self.noted.add(event.message)
                self.say(f"{name}: {event.message}")

    def _told(self, job: NightJob) -> None:
        if job.summary is None and job.signalled:
            self.say(f"{job.manifest}: not begun", wrong=True)
            return
        if job.summary is None:
            self.say(f"{job.manifest}: not run, {counted(len(job.problems), 'problem')}", wrong=True)
            return
        there = job.summary.stored + job.summary.kept
        why = f", stopped: {stop_text(job.summary)}" if job.summary.stopped_by else ""
        cost = usd_text(job.summary.cost_usd)
        told = f"{job.manifest}: {there:,} of {counted(job.summary.tasks, 'image')}, {cost}{why}"
        self.say(told, wrong=job.code != 0)
        if self.values["as_json"]:
            put(json.dumps(job.summary.as_json()), err=False)

    def say(self, line: str, *, wrong: bool = False) -> None:
        """A line on stderr, for whoever watches or keeps the log; with `--quiet` only what is `wrong`."""
        if wrong or not self.values["quiet"]:
            say(safe_text(line), logging.WARNING if wrong else logging.INFO)

    def _tell(self, lines: Sequence[str]) -> None:
        """What ended a job; a log has it already."""
        if json_handler() is None:
            for line in lines:
                say(line)

    async def say_now_and_then(self) -> None:
        """How the night stands, for whoever follows the log."""
        while True:
            await anyio.sleep(SAY_EVERY_S)
            self.say(
                f"night: {counted(self.running, 'job')} at work, {len(self.ended)} ended, "
                f"{counted(self.stored, 'image')} made in {duration_text(time.monotonic() - self.started)}"
            )


def run_night(folder: Path, options: Options, values: dict[str, Any]) -> int:
    """Run a folder; returns the exit code of the worst job, or of the signal. Raises `UsageError`."""
    begin(options, values)
    return anyio.run(_run_night, folder, options, values)


async def _run_night(folder: Path, options: Options, values: dict[str, Any]) -> int:
    fault: BatchgenError | None = None
    entries: Sequence[Entry] = ()
    signals = Signals()
    async with Watchers(options, note) as watchers, anyio.create_task_group() as group:
        night = NightRun(options, values, watchers)
        signals.stop = night.stops
        await group.start(signals.watch)
        group.start_soon(night.say_now_and_then)
        try:
            with night.stops.ends_sending():  # a signal does not wait for a disk that hangs
                entries = await read_night(folder, options)
            await night.run(entries)
        except BatchgenError as error:
            fault = error  # raised outside of the group, which would wrap it
        await watchers.close()  # while signals are still heard
        group.cancel_scope.cancel()
    if fault is not None:
        raise fault
    code = worst(job.code for job in night.ended)
    if signals.first is not None:
        code = 128 + signals.first
    return await _close(night, code)


async def _close(night: NightRun, code: int) -> int:
    options = night.options
    purse = options.night.purse if options.night else None
    facts = NightFacts(
        jobs=night.ended,
        generated=f"{options.clock():%Y-%m-%d %H:%M} UTC",
        seconds=round(time.monotonic() - night.started, 3),
        exit_code=code,
        budget_usd=None if purse is None else purse.limit_usd,
    )
    try:
        page = await to_thread.run_sync(write_night, options.folder, facts)
    except OSError as error:
        say(f"{options.folder}: the page of the night cannot be written ({error})")
        code = code or 3
    else:
        night.say(f"night: {usd_text(facts.cost_usd)}, {page}", wrong=code != 0)
    if night.values["as_json"]:
        put(json.dumps(facts.as_json()), err=False)
    return code
