"""`verify`: every byte that was paid for, against the ledger; `--repair` rebuilds, adopts, and requeues what is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread

from batchgen.closing import copy_or_tell
from batchgen.copying import bucket_of
from batchgen.core.errors import LedgerDamagedError, NotRunError
from batchgen.core.protocols import ImageStore, Observer
from batchgen.core.records import RunRecord
from batchgen.core.types import Change, StoredImage, Task, forgotten_task
from batchgen.core.values import replace
from batchgen.core.verdict import NAMES_KEPT, Verdict
from batchgen.job import Job, Options, RetrySelection, load_job
from batchgen.ledgers.rebuild import kept_aside, set_aside
from batchgen.ledgers.sqlite import SqliteLedger, open_ledger
from batchgen.reconcile import apply_page, forgotten, replay_ends, replay_forgotten, take_in_unnoted
from batchgen.remote import Voice, check_free, hold_bucket, reach_bucket, silent
from batchgen.rooms import (
    check_owner,
    has_images,
    hold_job,
    host_for,
    make_job_folder,
    may_write,
    readable_ledger,
    store_of,
)
from batchgen.staging import stage
from batchgen.steps import new_run_id, new_summary
from batchgen.survey import Survey
from batchgen.system.buckets import Bucket
from batchgen.system.clock import moment_text


async def verify_job(path: Path, options: Options, *, repair: bool, notify: Observer = silent) -> Verdict:
    """Check a job's ledger, images and sidecars against each other; with `repair` bring them in step.

    `notify` is told what fails nothing. Nothing is sent. Raises `NotRunError`, `UsageError`, `ProblemsError`,
    `JobLockedError`, and `StorageError` where the disk itself is at fault.
    """
    job = load_job(path, replace(options, retry=RetrySelection(frozenset({Change.MISSING.value}), run=False)))
    host = host_for(job)
    if not job.has_ledger and not await to_thread.run_sync(has_images, job):
        raise NotRunError(f"{path}: this job has not run yet")
    verdict = Verdict(job.name, repair)
    if job.store:  # the local folder may be lost, and all is there again from the store
        if repair:
            await reach_bucket(job, Voice(notify))
        await make_job_folder(job)
    with hold_job(job, reading=not repair):
        async with _bucket(job, verdict, Voice(notify)) as bucket:
            async with store_of(job, host, bucket, readable=not repair) as store:
                try:
                    async with _checked_ledger(job, repair=repair) as ledger:
                        await _Verification(job, ledger, store, verdict).run()
                except LedgerDamagedError as error:
                    verdict.ledger = error.fault
                    if repair:
                        await _rebuild(job, store, verdict)
            if repair:
                await copy_or_tell(job, notify)
    return verdict


@asynccontextmanager
async def _bucket(job: Job, verdict: Verdict, voice: Voice) -> AsyncIterator[Bucket | None]:
    """Where images lie in an object store; held for a repair, which begins with the copies there."""
    if not verdict.repair:
        await check_free(job, voice)
        yield bucket_of(job, tell=voice) if job.store else None
        return
    gone = not job.has_ledger
    async with hold_bucket(job, voice) as bucket:
        if gone and job.has_ledger:
            verdict.ledger, verdict.fetched = f"{job.ledger} is gone", True
        yield bucket


@asynccontextmanager
async def _checked_ledger(job: Job, *, repair: bool) -> AsyncIterator[SqliteLedger]:
    """The job's ledger, read to its last row; from a read-only disk, unless to `repair` it. Raises `LedgerError`."""
    writable = repair or may_write(job)
    async with open_ledger(job.ledger, may_be_new=False) if writable else readable_ledger(job) as ledger:
        if damage := await ledger.integrity():
            raise LedgerDamagedError(f"{job.ledger}: the ledger is damaged ({damage})")
        yield ledger


async def _rebuild(job: Job, store: ImageStore, verdict: Verdict) -> None:
    """A new ledger in place of a damaged one."""
    await to_thread.run_sync(set_aside, job.ledger)
    async with open_ledger(job.ledger) as ledger:
        await _Verification(job, ledger, store, verdict).run()


@dataclass(slots=True)
class _Verification:
    """One look at everything. What a damaged file still tells only the ledger in SQLite itself can say."""

    job: Job
    ledger: SqliteLedger
    store: ImageStore
    verdict: Verdict

    async def run(self) -> None:
        await check_owner(self.job, self.ledger)
        await stage(self.job, self.ledger)
        if self.verdict.repair:
            await self._salvage()
            await replay_ends(self.ledger, self.job.runs, run_id="")
            await take_in_unnoted(self.ledger, self.store, self.job.runs, self.verdict.unnoted.add)
            self.verdict.replayed = await replay_forgotten(
                self.ledger, self.job.runs, self.verdict.forgotten.add
            )
        else:
            await self._find_unnoted()
            for run_id in await forgotten(self.ledger, self.job.runs):
                self.verdict.forgotten.add(run_id)
        async for page in self.ledger.images():
            await self._check(page)
        for place in await self.store.foreign(NAMES_KEPT):
            if place not in self.verdict.without_sidecar.names:
                self.verdict.foreign.add(place)
        if self.verdict.repair:
            await self._settle()

    async def _salvage(self) -> None:
        """Take over what a damaged ledger still tells, also where an earlier repair was interrupted before it did."""
        damaged = kept_aside(self.job.ledger)
        if damaged is not None and not await self.ledger.facts():
            self.verdict.kept_aside = damaged.name
            self.verdict.salvaged = await self.ledger.salvage(damaged)
            await self.ledger.restore_failed()

    async def _find_unnoted(self) -> None:
        async for page in self.store.images():
            for one in await self.store.whole(await self.ledger.unknown(page)):
                self.verdict.unnoted.add(one.image.file)

    async def _check(self, page: Sequence[StoredImage]) -> None:
        self.verdict.images += len(page)
        damage = await self.store.damaged(page, by_hash=True)
        for image in page:
            if wrong := damage.get(image.attempt_id):
                (self.verdict.missing if wrong == "missing" else self.verdict.altered).add(image.file)
        sound = [image for image in page if image.attempt_id not in damage]
        bare = await self.store.without_sidecar(sound)
        for image in bare:
            self.verdict.without_sidecar.add(image.file)
        if self.verdict.repair:
            await self.ledger.lose([image for image in page if image.attempt_id in damage])
            for found in await self.ledger.made(bare):
                await self.store.write_sidecar(found, await self._task_of(found.image))

    async def _task_of(self, image: StoredImage) -> Task:
        """What an image was made for; what nobody knows any more stays empty in its sidecar."""
        task = await self.ledger.task_for(image)
        return task or forgotten_task(image.task_id, image.fingerprint)

    async def _settle(self) -> None:
        """Put back what is lost to be bought by the next run, and note that the job is in step again."""
        job, host = self.job, host_for(self.job)
        now = job.options.clock()
        run_id = new_run_id(now)
        record = RunRecord(
            run_id, job.name, job.manifest_name, job.settings.name, host, moment_text(now), job.store
        )
        await self.ledger.begin_run(record)
        survey = Survey(job, self.ledger, self.store, new_summary(job, host, []))
        async for page in survey.pages():
            for one in page:
                if one.renewed:
                    self.verdict.requeued.add(one.task.task_id)
            await apply_page(self.ledger, self.store, None, page)
        await self.ledger.settle_manifest()
        await self.ledger.end_run(run_id, moment_text(job.options.clock()), None)
