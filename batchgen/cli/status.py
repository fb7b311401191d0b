"""`batchgen status`: where jobs stand, read from their ledgers alone, also while a run works."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import click

from batchgen.cli.internal import tell_internal
from batchgen.cli.options import MANIFEST, common_options, not_run_yet, options_of
from batchgen.core.errors import BatchgenError, UsageError
from batchgen.core.limits import lowest
from batchgen.core.protocols import Ledger
from batchgen.core.records import RunRecord
from batchgen.core.types import TaskState
from batchgen.job import LEDGER, Options, load_job
from batchgen.ledgers.opening import gone
from batchgen.ledgers.sqlite import open_ledger
from batchgen.reports.pace import RATE_NEEDS_S, RATE_WINDOW_S
from batchgen.reports.status import JobStatus, render_attempts, render_failed, render_status, render_tasks
from batchgen.reports.tally import ROWS_KEPT, Tally
from batchgen.rooms import LOCK, has_images, host_for
from batchgen.system.clock import moment_of, moment_text
from batchgen.system.lock import Holder, last_holder

UNSOLVED = frozenset(
    {TaskState.FAILED.value, TaskState.HELD.value, TaskState.PENDING.value, TaskState.RECEIVED.value}
)
"""The retry ledger: what is not stored yet; a task that is sent right now is not in it."""


@click.command("status")
@click.argument("manifests", type=MANIFEST, nargs=-1, metavar="[MANIFEST...]")
@common_options
@click.option("--tasks", "view", flag_value="tasks", help="A line for each task.")
@click.option("--attempts", "view", flag_value="attempts", help="A line for each attempt.")
@click.option(
    "--failed", "view", flag_value="failed", help="The retry ledger: what is not stored, and what to do."
)
def command(manifests: tuple[Path, ...], *, view: str | None, **values: Any) -> None:
    """Show where jobs stand; without a manifest, all jobs of the output folder."""
    options = options_of(values)
    code = 0
    places = manifests or _folders(options.folder)
    if not places:
        click.echo(f"{options.folder}: no job has run here yet (name another folder with --output)", err=True)
    for path in places:
        try:
            place = _job(path, options) if manifests else Place(path)
            if _is_there(place.folder / LEDGER):
                anyio.run(_show, place, options.clock(), view, values["as_json"])
        except BatchgenError as error:
            click.echo(str(error), err=True)
            code = 2
        except Exception as error:  # noqa: BLE001 - whatever it is, the other jobs are shown
            tell_internal(path, error, options, values)
            code = 2
    sys.exit(code)


@dataclass(frozen=True, slots=True)
class Place:
    """A job's folder, with the bounds that its manifest and the configuration set; None without them."""

    folder: Path
    budget_usd: float | None = None
    images_per_minute: float | None = None


def _job(path: Path, options: Options) -> Place:
    """The place of a manifest's job. Raises `BatchgenError`."""
    job = load_job(path, options)
    if _is_there(job.ledger):
        limit = lowest(job.limits.images_per_minute, job.settings.images_per_minute)
        return Place(job.folder, job.limits.budget_usd, limit)
    if has_images(job):
        raise gone(job.ledger)
    host_for(job)  # an address that may hold a password is refused, not repeated
    raise not_run_yet(path, options)


def _folders(output: Path) -> list[Path]:
    """What may be a job; nothing before the first run. Raises `UsageError`."""
    try:
        return sorted(output.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(
            f"{output}: the folder of all jobs cannot be read ({error.strerror}); name another with --output"
        ) from error


def _is_there(ledger: Path) -> bool:
    """Whether a job has run. Raises `UsageError` when nobody may tell."""
    try:
        return ledger.exists()
    except OSError as error:
        raise UsageError(
            f"{ledger}: cannot be read ({error.strerror}); look as the user who runs the job"
        ) from error


async def _show(place: Place, now: datetime, view: str | None, as_json: bool) -> None:
    async with open_ledger(place.folder / LEDGER, readable=True) as ledger:
        match view:
            case "tasks":
                await _show_tasks(ledger, as_json=as_json)
            case "attempts":
                async for attempts in ledger.attempts():
                    _echo([one.as_json() for one in attempts], render_attempts(attempts), as_json=as_json)
            case "failed" if as_json:
                await _show_tasks(ledger, as_json=True, only=UNSOLVED)
            case "failed":
                tally = Tally.of(await ledger.states(), await ledger.open_tasks(ROWS_KEPT))
                click.echo(render_failed(tally))
            case _:
                status = await _status(ledger, place, now)
                _echo([status_json(status)], render_status(status), as_json=as_json)


async def _show_tasks(ledger: Ledger, *, as_json: bool, only: frozenset[str] = frozenset()) -> None:
    async for batch in ledger.tasks():
        tasks = [task for task in batch if not only or task.state in only]
        _echo([task.as_json() for task in tasks], render_tasks(tasks), as_json=as_json)


def _echo(objects: list[Any], text: str, *, as_json: bool) -> None:
    lines = [json.dumps(one) for one in objects] if as_json else [text] if objects else []
    for line in lines:
        click.echo(line)


async def _status(ledger: Ledger, place: Place, now: datetime) -> JobStatus:
    last = await ledger.last_run()
    run, ended, stopped_by = last or (None, None, None)
    worker = last_holder(place.folder / LOCK) if run and not ended else None
    works = worker is not None and worker.holds is True
    facts = await ledger.facts()
    return JobStatus(
        job=place.folder.name,
        manifest=facts.get("manifest", ""),
        folder=str(place.folder),
        tally=Tally.of(await ledger.states()),
        totals=await ledger.totals(),
        budget_usd=place.budget_usd,
        last_run=run,
        ended=ended,
        stopped_by=stopped_by,
        worker=worker,
        rate_per_minute=await _rate(ledger, run, now) if run and works else None,
        limit_per_minute=place.images_per_minute,
        waits_until=await ledger.waits_until(moment_text(now)),
        store=facts.get("store", ""),
    )


async def _rate(ledger: Ledger, run: RunRecord, now: datetime) -> float | None:
    """Images a minute over the last minute of a run; None while it has hardly begun."""
    span_s = min(RATE_WINDOW_S, (now - moment_of(run.started)).total_seconds())
    if span_s < RATE_NEEDS_S:
        return None
    stored = await ledger.stored_since(moment_text(now - timedelta(seconds=span_s)))
    return round(60 * stored / span_s, 2)


def _working(worker: Holder | None) -> dict[str, object] | None:
    return None if worker is None else {"pid": worker.pid, "host": worker.host, "since": worker.started}


def status_json(status: JobStatus) -> dict[str, object]:
    """The object of `status --json`."""
    tally: Tally = status.tally
    run = status.last_run
    return {
        "job": status.job,
        "folder": status.folder,
        "store": status.store or None,
        "manifest": status.manifest,
        "tasks": tally.total,
        **{state.value: tally.states[state] for state in TaskState},
        "classes": dict(tally.classes),
        "spent_usd": status.totals.spent_usd,
        "images_usd": status.totals.images_usd,
        "useless_usd": status.totals.useless_usd,
        "unknown_usd": status.totals.unknown_usd,
        "maybe_paid_twice_usd": status.totals.maybe_twice_usd,
        "refused": status.totals.refused,
        "budget_usd": status.budget_usd,
        "run_id": run.run_id if run else None,
        "started": run.started if run else None,
        "ended": status.ended,
        "stopped_by": status.stopped_by,
        "working": _working(status.working),
        "images_per_minute": status.rate_per_minute,
        "limit_per_minute": status.limit_per_minute,
        "waits_until": status.waits_until,
    }
