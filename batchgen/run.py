"""The verbs as they flow: manifest -> tasks -> plan -> permits -> sent -> provider -> store -> stored -> report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from anyio import to_thread

from batchgen.closing import Observers, close_run
from batchgen.copying import LOOK_PATIENCE_S, bucket_of
from batchgen.core.errors import BatchgenError
from batchgen.core.events import RunBroken
from batchgen.core.plan import Planned
from batchgen.core.protocols import Observer
from batchgen.core.summary import PlanSummary, RunSummary
from batchgen.core.values import replace
from batchgen.job import Options, load_job
from batchgen.ledgers.checking import pages_checked
from batchgen.ledgers.sqlite import open_ledger
from batchgen.plugins import KEYLESS, engine_factory
from batchgen.pool.stopping import Stop
from batchgen.reconcile import in_step
from batchgen.remote import Voice, hold_bucket, reach_bucket
from batchgen.rooms import (
    check_owner,
    endpoint_of,
    hold_job,
    host_for,
    ledger_of,
    make_job_folder,
    readable_ledger,
    store_of,
    surroundings,
)
from batchgen.staging import Seal, check_agreed, stage
from batchgen.steps import Steps, new_run_id, new_summary
from batchgen.survey import Survey
from batchgen.system.clock import steady
from batchgen.watching import Watchers

OUT_OF_STEP = (
    "the images on the disk are not those that the ledger knows (an interrupted run, a restored backup, deleted files?): "
    "a run first takes in what is whole, for nothing, so it may send less than this"
)


async def plan_job(
    path: Path, options: Options, each: Callable[[str, Sequence[Planned]], None] = lambda _job, _page: None
) -> PlanSummary:
    """What a run would do and cost; nothing is written. Raises `UsageError`, `ProblemsError`, `LedgerError`.

    `each` is told the job's name with every page of tasks, in manifest order, those that left the manifest last.
    """
    job, seal = load_job(path, options), Seal()
    host = host_for(job)
    bucket = bucket_of(job, patience_s=LOOK_PATIENCE_S) if job.store else None
    async with readable_ledger(job) as ledger, store_of(job, host, bucket, readable=True) as store:
        await check_owner(job, ledger)
        warnings = await stage(job, ledger, seal)
        survey = Survey(job, ledger, store, new_summary(job, host, warnings))
        async for page in survey.pages():
            each(job.name, page)
        async for page in survey.left():
            each(job.name, page)
        plan = await survey.finish()
        plan.seal = seal.text
        if not await in_step(ledger, store):
            plan.notices.append(OUT_OF_STEP)
        return plan


async def run_watched(
    path: Path, options: Options, watchers: Watchers, stop: Stop, *others: Observer
) -> RunSummary:
    """`run_job` with all watchers told, also of an error that leaves the job without an end.

    Raises what `run_job` raises.
    """
    observer = watchers.of_job(str(path), *others)
    try:
        return await run_job(path, options, observer, stop)
    except Exception as error:
        told, code = "an internal error of batchgen", 3  # its text may quote anything, also a key
        if isinstance(error, BatchgenError):
            told, code = str(error), error.exit_code
        observer(RunBroken(name_of(path, options), code, type(error).__name__, told))
        raise


def name_of(path: Path, options: Options) -> str:
    """The name of a manifest's job, or the manifest's own where it cannot be read."""
    try:
        return load_job(path, options).name
    except BatchgenError:
        return path.stem


async def run_job(path: Path, options: Options, notify: Observer, stop: Stop) -> RunSummary:
    """Run a job from where it stands. `stop` may be asked from outside; `notify` is told what happens.

    Raises `UsageError`, `ProblemsError` and `PlanChangedError` (nothing was sent), `JobLockedError`, `StorageError`.
    """
    options = replace(options, clock=steady(options.clock))
    job = await to_thread.run_sync(load_job, path, options)  # a long one takes seconds, and others are at work
    name = options.engine or options.config.engine
    engine = engine_factory(name)
    if not job.has_ledger:
        async with open_ledger(None) as nothing_yet:
            await stage(job, nothing_yet, first := Seal())  # a broken manifest leaves no folder behind
            check_agreed(job, first.text)
    # After the manifest: its writer may have no key.
    endpoint, host = None if name in KEYLESS else endpoint_of(job), host_for(job)
    voice = Voice(notify)
    await reach_bucket(job, voice, stop)
    await make_job_folder(job)
    with hold_job(job):
        async with hold_bucket(job, voice, stop) as bucket, ledger_of(job, bucket) as ledger:
            async with pages_checked(job.ledger):  # beside the manifest, which takes as long to read
                await check_owner(job, ledger)
                warnings = await stage(job, ledger, seal := Seal())
            check_agreed(job, seal.text)
            async with (
                store_of(job, host, bucket) as store,
                engine(surroundings(job, host, store, endpoint)) as performs,
            ):
                run_id = new_run_id(options.clock())
                with Observers(job, run_id, notify, voice) as observers:
                    steps = Steps(job, ledger, store, performs, host, stop, observers.notify, run_id)
                    await steps.begin()
                    await steps.send(await steps.plan(warnings))
                    return await close_run(steps, observers)
