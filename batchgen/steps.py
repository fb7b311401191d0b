"""One run over open rooms: resume what is open, plan, send, report."""

from __future__ import annotations

import math
import os
import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import anyio

from batchgen.core.deadlines import look_ahead_s
from batchgen.core.errors import Problem, StorageError, UsageError
from batchgen.core.events import Event, Notice, PlanMade, RunStarted
from batchgen.core.limits import PoolLimits
from batchgen.core.plan import Planned
from batchgen.core.protocols import Engine, ImageStore, Ledger
from batchgen.core.records import RunRecord
from batchgen.core.summary import PlanSummary, RunSummary
from batchgen.core.types import Change, StopReason, TaskState
from batchgen.hints import check_names
from batchgen.job import Job
from batchgen.pool.attempts import Attempts
from batchgen.pool.gates import Gate
from batchgen.pool.loop import Pool, PoolSettings
from batchgen.pool.pacing import MARGIN
from batchgen.pool.purse import Purse, Purses
from batchgen.pool.recovery import recover
from batchgen.pool.stopping import Stop
from batchgen.reconcile import apply_page, replay_ends, replay_forgotten, take_in_unnoted
from batchgen.survey import Survey, matches
from batchgen.system.clock import moment_of, moment_text, moment_words

OVERTIME = 2
"""So many deadlines of a request after its end a run is over: one for what was just sent, one for waits of our own."""


def new_run_id(now: datetime) -> str:
    """Sorts by time, is a legal folder name, and does not clash: e.g. `20261123T175017Z-3f9a`."""
    return f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


@dataclass(slots=True)
class Steps:
    """The steps of one run, in their order."""

    job: Job
    ledger: Ledger
    store: ImageStore
    engine: Engine
    host: str
    stop: Stop
    notify: Callable[[Event], None]
    run_id: str
    started: float = field(default_factory=anyio.current_time)
    ends_at: float = math.inf
    finished_earlier: set[str] = field(default_factory=set)
    resumed: int = 0
    planned: PlanSummary | None = None

    async def begin(self) -> None:
        """Note the run, then settle what a dead one left open: adopted, fetched, or unknown.

        The run's time counts from here: downloads end with it, too.
        """
        job = self.job
        self.ends_at = self._ends_at()
        started = moment_text(job.options.clock())
        record = RunRecord(
            self.run_id, job.name, job.manifest_name, job.settings.name, self.host, started, job.store
        )
        await self.ledger.begin_run(record)
        try:
            # What a signal leaves unsettled here is durable, and free for the next run.
            with self.stop.ends_sending():
                await replay_ends(self.ledger, job.runs, self.run_id)
                await self._recover()
                await self._bring_in_step()
        except StorageError as error:
            self.stop.ask(StopReason.STORAGE, str(error))

    async def _recover(self) -> None:
        self.finished_earlier |= await recover(self.ledger, self.engine, self._attempts(), self.job.retry)

    async def _bring_in_step(self) -> None:
        """A ledger that was restored from a backup learns what came after it, from the images and the runs' logs."""
        taken = await take_in_unnoted(self.ledger, self.store, self.job.runs)
        forgotten: list[str] = []
        requests = await replay_forgotten(self.ledger, self.job.runs, forgotten.append, self.run_id)
        if requests:
            await self._recover()
        if taken or forgotten or requests:
            self.notify(
                Notice(
                    f"the ledger seems older than the folder: {taken} paid images were taken in for nothing, and "
                    f"{requests} requests that brought none noted again from the runs' logs"
                )
            )

    async def plan(self, warnings: list[Problem]) -> PlanSummary:
        """Decide every task, move paid images to their new names, and queue what is to be sent.

        Raises `UsageError` when a budget cannot be kept, or more would be sent than was agreed to; the run is over then.
        """
        survey = Survey(self.job, self.ledger, self.store, new_summary(self.job, self.host, warnings))
        try:
            retry = self.job.options.retry
            await check_names(retry.tasks if retry else (), self.ledger)
            async for page in survey.pages():
                survey.check_prices()
                survey.check_agreed()
                await self._queue(page)
        except UsageError:
            await self.ledger.end_run(self.run_id, moment_text(self.job.options.clock()), None)
            raise
        if survey.whole:
            await self.ledger.settle_manifest()
        await self.ledger.note_size()
        self.planned = await survey.finish()
        return self.planned

    async def _queue(self, page: Sequence[Planned]) -> None:
        kept = [one.task.task_id for one in page if one.change is Change.KEPT and one.restore is None]
        self.resumed += len(self.finished_earlier.intersection(kept))
        retry = self.job.options.retry
        await apply_page(self.ledger, self.store, self.run_id if retry is None or retry.run else None, page)

    async def send(self, plan: PlanSummary) -> None:
        """Work the queue within all limits, until it is empty or the run is stopped."""
        job = self.job
        models = await self.ledger.models(self.run_id)
        limits, _ = job.pool_limits(models)
        self._announce(plan)
        if not models:
            return
        if past := job.past_end:
            self.stop.ask(StopReason.DEADLINE, past)
        settings = PoolSettings(
            run_id=self.run_id,
            limits=limits,
            grace_s=job.settings.deadline_s if job.options.grace_s is None else job.options.grace_s,
            ends_at=self.ends_at,
            starts_at=await self._starts_at(limits.slowest_per_minute),
            overtime_s=OVERTIME * job.settings.deadline_s,
            longest_s=self._look_ahead_s(await self.ledger.longest(models)),
        )
        purses = await self._purses()
        gate, clock = self._gate(limits), job.options.clock
        pool = Pool(settings, self.ledger, self._attempts(), purses, self.stop, self.notify, clock, gate)
        await pool.run()
        if last := await self.ledger.last_sent():
            job.options.last_sent[job.settings.name] = last
        if pool.later is not None:
            self.stop.ask(StopReason.LATER, f"the next task may be sent at {moment_words(pool.later)}")

    def _gate(self, limits: PoolLimits) -> Gate:
        """The job's way to its provider, among those of a night or on its own."""
        night, rank = self.job.options.night, self.job.options.rank
        if night is None:
            return Gate.alone(limits, self.stop)
        return Gate(night.gate(self.job.settings.name, *self.job.ceilings), self.stop, rank, limits)

    async def finish(self) -> RunSummary:
        """Sum up, from the ledger."""
        await self._note_open_links()
        summary = await self._summary()
        reason = summary.stopped_by.value if summary.stopped_by else None
        await self.ledger.end_run(self.run_id, moment_text(self.job.options.clock()), reason)
        return summary

    def _attempts(self) -> Attempts:
        job = self.job
        clock = job.options.clock
        return Attempts(
            self.ledger, self.engine, self.notify, self.run_id, job.retry, clock, random.random, self.ends_at
        )

    def _announce(self, plan: PlanSummary) -> None:
        self.notify(PlanMade(plan))
        for notice in plan.notices:
            self.notify(Notice(notice))
        if os.geteuid() == 0:
            self.notify(
                Notice("this runs as root; a user of its own would keep a mistake within the output folder")
            )
        self.notify(
            RunStarted(
                job=self.job.name,
                run_id=self.run_id,
                provider=self.job.settings.name,
                tasks=plan.tasks,
                to_send=plan.to_send,
                kept=plan.changes[Change.KEPT],
                concurrency=plan.concurrency,
                images_per_minute=plan.images_per_minute,
                budget_usd=self._left_usd(plan),
                expected_usd=None if plan.cost.unpriced else plan.cost.expected_usd,
            )
        )

    def _left_usd(self, plan: PlanSummary) -> float | None:
        left = [] if plan.budget_usd is None else [max(0.0, plan.budget_usd - plan.spent_usd)]
        if self.job.options.budget_usd is not None:
            left.append(self.job.options.budget_usd)
        return min(left, default=None)

    def _ends_at(self) -> float:
        night = self.job.options.night
        moments = [self.job.ends_at(), None if night is None else night.ends_at]
        moment = min((one for one in moments if one is not None), default=None)
        if moment is None:
            return math.inf
        return anyio.current_time() + (moment - self.job.options.clock()).total_seconds()

    def _look_ahead_s(self, longest_s: float) -> float:
        """Also says where it is not what it should be."""
        most_s = self.job.limits.max_duration_s
        ahead_s = look_ahead_s(longest_s, self.ends_at - anyio.current_time(), most_s)
        if ahead_s < longest_s and most_s is not None:
            told = f"an image has taken up to {longest_s:.0f} s, too long for max_duration {most_s:g}s"
            self.notify(Notice(f"{told}: nothing is sent after that, but the last images come later"))
        return ahead_s

    async def _starts_at(self, images_per_minute: float | None) -> float:
        """An earlier run's last request, or an earlier job's of this process, and this one's first are spaced too."""
        earlier = [self.job.options.last_sent.get(self.job.settings.name), await self.ledger.last_sent()]
        last = max((moment for moment in earlier if moment is not None), default=None)
        if last is None or images_per_minute is None:
            return anyio.current_time()
        period_s = MARGIN * 60.0 / images_per_minute
        since_s = (self.job.options.clock() - moment_of(last)).total_seconds()
        return anyio.current_time() + min(period_s, max(0.0, period_s - since_s))

    async def _purses(self) -> Purses:
        purses = []
        if self.job.limits.budget_usd is not None:
            spent_usd = (await self.ledger.totals()).spent_usd
            purses.append(Purse("the job's budget", self.job.limits.budget_usd, spent_usd))
        if self.job.options.budget_usd is not None:
            purses.append(Purse("this run's budget", self.job.options.budget_usd))
        if self.job.options.night is not None and self.job.options.night.purse is not None:
            purses.append(self.job.options.night.purse)
        return Purses(*purses)

    async def _note_open_links(self) -> None:
        waiting = await self.ledger.open_links()
        links = sum(matches(task_id, self.job.options.only) for task_id in waiting)
        if links:
            detail = f"{links} images are made and paid for but could not be fetched; run again to fetch them for free"
            over = anyio.current_time() >= self.ends_at
            self.stop.ask(StopReason.DEADLINE if over else StopReason.LATER, detail)
            self.stop.detail = self.stop.detail or detail

    async def _summary(self) -> RunSummary:
        plan = self.planned or new_summary(self.job, self.host, [])
        outcome = await self.ledger.outcome(self.run_id)
        run, everything = await self.ledger.totals(self.run_id), await self.ledger.totals()
        seconds = round(anyio.current_time() - self.started, 3)
        summary = RunSummary(self.job.name, self.run_id, attempts=run.attempts, seconds=seconds)
        summary.stopped_by, summary.stop_detail = self.stop.reason, self.stop.detail
        for (state, failure_class), count in outcome.items():
            _count(summary, state, failure_class, count)
        summary.stored += self.resumed
        summary.kept = plan.changes[Change.KEPT] - self.resumed
        summary.failed += plan.changes[Change.FAILED] + plan.changes[Change.MISSING]
        summary.held += plan.changes[Change.HELD]
        summary.failures.update(plan.failures)
        summary.tasks = plan.tasks
        summary.pending = summary.tasks - summary.stored - summary.kept - summary.failed - summary.held
        if not summary.pending and summary.stopped_by is StopReason.DEADLINE:
            summary.stopped_by, summary.stop_detail = None, ""  # the last answers came after it
        summary.cost_usd, summary.maybe_paid_twice_usd = run.spent_usd, run.maybe_twice_usd
        summary.job_cost_usd, summary.totals = everything.spent_usd, everything
        if summary.stored and seconds:
            summary.images_per_minute = round(60.0 * summary.stored / seconds, 2)
        return summary


def new_summary(job: Job, host: str, warnings: list[Problem]) -> PlanSummary:
    """An empty plan of a job, with the manifest's warnings as its first notices."""
    summary = PlanSummary(
        job=job.name,
        manifest=str(job.manifest.path),
        provider=job.settings.name,
        host=host,
        folder=str(job.folder),
    )
    if job.store:
        summary.notices.append(
            f"images go to {job.store}; the ledger and the report stay in {job.folder}, with copies beside the images"
        )
    summary.notices += [str(warning) for warning in warnings]
    return summary


def _count(summary: RunSummary, state: str, failure_class: str, count: int) -> None:
    match state:
        case TaskState.STORED:
            summary.stored += count
        case TaskState.FAILED:
            summary.failed += count
            summary.failures[failure_class] += count
        case TaskState.HELD:
            summary.held += count
            summary.failures[failure_class] += count
