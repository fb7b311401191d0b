"""What a run leaves for people: its own folder, the results, the report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
from anyio import to_thread

from batchgen.copying import bucket_of, copy_up
from batchgen.core.errors import BatchgenError, StorageError
from batchgen.core.events import Event, Notice, RunEnded
from batchgen.core.protocols import Ledger, Observer
from batchgen.core.summary import RunSummary
from batchgen.core.types import StopReason, TaskState
from batchgen.job import Job, Options, load_job
from batchgen.ledgers.sqlite import open_ledger
from batchgen.providers.settings import SANDBOX
from batchgen.remote import Voice
from batchgen.reports.events import EVENTS, EventLog
from batchgen.steps import Steps
from batchgen.system.clock import moment_text
from batchgen.system.files import replace_file, write_file

RESULTS = "results"
"""The ledger's fact that says which results it told."""


class Observers:
    """The caller's observer and the run's own event log, in `runs/<run id>/` beside a copy of the manifest."""

    def __init__(self, job: Job, run_id: str, notify: Callable[[Event], None], voice: Voice) -> None:
        self.folder = job.runs / run_id
        self._notify = notify
        self._voice = voice
        try:
            self.folder.mkdir(parents=True)
            write_file(self.folder / job.manifest.path.name, job.manifest.text, durable=False)
            self._log = EventLog(self.folder / EVENTS, lambda: moment_text(job.options.clock()))
        except OSError as error:
            raise StorageError(f"{self.folder}: cannot be written ({error}); nothing was sent") from error

    def __enter__(self) -> Self:
        self._voice.notify = self.notify
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._voice.notify = self._notify
        self._log.close()

    def notify(self, event: Event) -> None:
        """Tell both."""
        self._log.notify(event)
        self._notify(event)


async def close_run(steps: Steps, observers: Observers) -> RunSummary:
    """Sum a run up and write its reports; a report that fails is said, and spoils nothing else."""
    with anyio.CancelScope(shield=True):
        summary = await steps.finish()
        try:
            summary.report = str(await write_reports(steps.job, steps.ledger, steps.host, summary))
            told = (json.dumps(summary.as_json()) + "\n").encode()
            await to_thread.run_sync(replace_file, observers.folder / "summary.json", told)
        except OSError as error:
            observers.notify(
                Notice(f"the report could not be written ({error}); `batchgen report` writes it again")
            )
            if summary.stopped_by is None:
                summary.stopped_by, summary.stop_detail = StopReason.STORAGE, str(error)
        observers.notify(
            RunEnded(summary.as_json(), dict(summary.failures), summary.stop_detail, _absolute(summary.report))
        )
    await _add_thumbs(steps, observers, summary)
    if steps.stop.reason is not StopReason.STORAGE:  # a store that was given up on is not waited for once more
        with anyio.CancelScope(shield=True):
            await copy_or_tell(steps.job, observers.notify, steps.run_id)
    return summary


async def copy_or_tell(job: Job, notify: Observer, run_id: str = "") -> None:
    """`copy_up` to the object store, where there is one: copies that fail are said, and spoil nothing."""
    try:
        await to_thread.run_sync(copy_up, job, run_id)
    except (OSError, BatchgenError) as error:
        notify(
            Notice(
                f"the report and the ledger could not be copied ({error}); `batchgen report` copies them again"
            )
        )


async def _add_thumbs(steps: Steps, observers: Observers, summary: RunSummary) -> None:
    """Only after everything else is written: who sends a signal meanwhile, or cancels, has a whole page already."""
    stop = steps.stop
    if stop.was_cut or stop.reason in {StopReason.SIGNAL, StopReason.STORAGE} or not summary.report:
        return
    try:
        with stop.ends_waiting():
            made = await add_thumbs(steps.job, steps.ledger, lambda: stop.signalled)
            if made:
                await write_page(steps.job, steps.ledger, steps.host, summary)
    except OSError as error:
        observers.notify(Notice(f"thumbnails could not be made ({error}); the report shows the images instead"))


async def add_thumbs(job: Job, ledger: Ledger, ended: Callable[[], bool] = lambda: False) -> int:
    """Make the thumbnails that a job's report lacks, if it is to have any; returns how many. Raises `OSError`."""
    from batchgen.reports.gallery import TASKS_SHOWN
    from batchgen.reports.thumbs import make_thumbs

    if not job.wants_thumbnails:
        return 0
    bucket = bucket_of(job) if job.store else None

    def fetch(place: str, size_bytes: int) -> BytesIO | None:
        # The ledger's size bounds what is fetched; a byte more tells an altered one.
        folder, _, name = place.rpartition("/")
        try:
            return BytesIO(bucket.folder(folder).file(name).read(size_bytes + 1)) if bucket else None
        except FileNotFoundError:
            return BytesIO()

    return await make_thumbs(job.folder, ledger.tasks(), TASKS_SHOWN, ended, fetch)


def _absolute(place: str) -> str:
    """A place for whoever reads of it elsewhere."""
    return str(Path(place).absolute()) if place else ""


async def summary_of_stopped(path: Path, options: Options, reason: StopReason, detail: str) -> RunSummary:
    """How a job stands whose run ended before it could sum itself up; zeros where its ledger cannot be read."""
    job = load_job(path, options)
    summary = RunSummary(job.name, "", stopped_by=reason, stop_detail=detail)
    try:
        async with open_ledger(job.ledger, readable=True) as ledger:
            states, totals = await ledger.states(), await ledger.totals()
    except StorageError:
        return summary  # `detail` says what is wrong with the disk, or the disk says it next time
    counts: Counter[str] = Counter()
    for (state, _), count in states.items():
        counts[state] += count
    summary.tasks, summary.job_cost_usd, summary.totals = counts.total(), totals.spent_usd, totals
    summary.kept, summary.failed = counts.pop(TaskState.STORED, 0), counts.pop(TaskState.FAILED, 0)
    summary.held = counts.pop(TaskState.HELD, 0)
    summary.pending = counts.total()
    return summary


async def write_reports(job: Job, ledger: Ledger, host: str, summary: RunSummary | None = None) -> Path:
    """Write `results.jsonl`, `results.csv` and `index.html` from the ledger; returns the page. Raises `OSError`.

    After a run, results that tell what the ledger does stay as they are: it forgets their seal when a task changes.
    """
    from batchgen.reports.results import results_seal, write_results

    columns = job.manifest.columns
    if summary is None or await ledger.fact(RESULTS) != results_seal(job.folder, columns):
        await write_results(job.folder, ledger.tasks, columns)
        if summary is not None:  # a run's ledger can be written
            await ledger.note(RESULTS, results_seal(job.folder, columns))
    return await write_page(job, ledger, host, summary)


async def write_page(job: Job, ledger: Ledger, host: str, summary: RunSummary | None = None) -> Path:
    """Write `index.html` with the thumbnails that are there; returns its place. Raises `OSError`."""
    # Imported here: templates are slow to import, and only needed at the end; on a thread, since others may be at work.
    await to_thread.run_sync(import_module, "batchgen.reports.gallery")
    from batchgen.reports.gallery import TASKS_SHOWN, ReportFacts, write_gallery
    from batchgen.reports.tally import ROWS_KEPT, Tally

    free = job.settings.name == SANDBOX
    list_usd = await ledger.list_usd() if free else None
    if summary is not None:
        summary.list_usd = list_usd
    facts = ReportFacts(
        job=job.name,
        description=job.manifest.description,
        provider=job.settings.name,
        host=host,
        generated=f"{job.options.clock():%Y-%m-%d %H:%M} UTC",
        totals=await ledger.totals(),
        summary=summary,
        list_usd=list_usd,
        budget_usd=job.limits.budget_usd,
        history=await ledger.history(TASKS_SHOWN),
        command=job.options.command("retry", job.manifest.path),
        store=job.store,
        tally=Tally.of(await ledger.states(), await ledger.open_tasks(ROWS_KEPT)),
    )
    return await write_gallery(job.folder, facts, ledger.tasks)
