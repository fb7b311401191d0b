"""`batchgen status`: where jobs stand, read from their ledgers alone, also while a run works."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import anyio
import click

from batchgen.cli.internal import tell_internal
from batchgen.cli.options import MANIFEST, common_options, not_run_yet, options_of
from batchgen.core.errors import BatchgenError, UsageError
from batchgen.core.protocols import Ledger
from batchgen.core.types import TaskState
from batchgen.job import LEDGER, Options, load_job
from batchgen.ledgers.opening import gone
from batchgen.ledgers.sqlite import open_ledger
from batchgen.reports.status import JobStatus, render_attempts, render_failed, render_status, render_tasks
from batchgen.reports.tally import Tally, take_tally
from batchgen.rooms import has_images, host_for

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
    for path in manifests or _folders(options.folder):
        try:
            folder, budget_usd = _job(path, options, values) if manifests else (path, None)
            if _is_there(folder / LEDGER):
                anyio.run(_show, folder, budget_usd, view, values["as_json"])
        except BatchgenError as error:
            click.echo(str(error), err=True)
            code = 2
        except Exception as error:  # noqa: BLE001 - whatever it is, the other jobs are shown
            tell_internal(path, error, options, values)
            code = 2
    sys.exit(code)


def _job(path: Path, options: Options, values: dict[str, Any]) -> tuple[Path, float | None]:
    """The folder of a manifest's job, with its budget where the manifest says one. Raises `BatchgenError`."""
    job = load_job(path, options)
    if _is_there(job.ledger):
        return job.folder, job.limits.budget_usd
    if has_images(job):
        raise gone(job.ledger)
    host_for(job)  # an address that may hold a password is refused, not repeated
    raise not_run_yet(path, values)


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


async def _show(folder: Path, budget_usd: float | None, view: str | None, as_json: bool) -> None:
    async with open_ledger(folder / LEDGER, readable=True) as ledger:
        match view:
            case "tasks":
                await _show_tasks(ledger, as_json=as_json)
            case "attempts":
                async for attempts in ledger.attempts():
                    _echo([one.as_json() for one in attempts], render_attempts(attempts), as_json=as_json)
            case "failed" if as_json:
                await _show_tasks(ledger, as_json=True, only=UNSOLVED)
            case "failed":
                click.echo(render_failed(await take_tally(ledger.tasks())))
            case _:
                status = await _status(ledger, folder, budget_usd)
                _echo([status_json(status)], render_status(status), as_json=as_json)


async def _show_tasks(ledger: Ledger, *, as_json: bool, only: frozenset[str] = frozenset()) -> None:
    async for batch in ledger.tasks():
        tasks = [task for task in batch if not only or task.state in only]
        _echo([task.as_json() for task in tasks], render_tasks(tasks), as_json=as_json)


def _echo(objects: list[Any], text: str, *, as_json: bool) -> None:
    lines = [json.dumps(one) for one in objects] if as_json else [text] if objects else []
    for line in lines:
        click.echo(line)


async def _status(ledger: Ledger, folder: Path, budget_usd: float | None) -> JobStatus:
    last = await ledger.last_run()
    run, ended, stopped_by = last or (None, None, None)
    return JobStatus(
        job=folder.name,
        manifest=(await ledger.facts()).get("manifest", ""),
        folder=str(folder),
        tally=await take_tally(ledger.tasks()),
        totals=await ledger.totals(),
        budget_usd=budget_usd,
        last_run=run,
        ended=ended,
        stopped_by=stopped_by,
    )


def status_json(status: JobStatus) -> dict[str, object]:
    """The object of `status --json`."""
    tally: Tally = status.tally
    run = status.last_run
    return {
        "job": status.job,
        "folder": status.folder,
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
    }
