"""`batchgen report`: a job's page, thumbnails and tables again, from its ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import click
from anyio import to_thread

from batchgen.cli.options import MANIFEST, common_options, not_run_yet, options_of
from batchgen.cli.saying import tell_notice
from batchgen.closing import add_thumbs, write_reports
from batchgen.copying import COPY_PATIENCE_S, copy_up
from batchgen.core.errors import StorageError
from batchgen.core.protocols import Ledger
from batchgen.job import Job, load_job
from batchgen.remote import Voice, hold_bucket
from batchgen.rooms import hold_job, host_for, readable_ledger, where_it_lies


@click.command("report")
@click.argument("manifest", type=MANIFEST)
@common_options
def command(manifest: Path, **values: Any) -> None:
    """Write index.html with its thumbnails, results.jsonl and results.csv of a job again."""
    options = options_of(values)
    job = load_job(manifest, options)
    host = host_for(job)
    if not job.has_ledger:
        raise not_run_yet(manifest, options)
    page, store = anyio.run(_write, job, host)
    click.echo(str(page))
    if store and not values["quiet"]:
        click.echo(f"copied to {store}", err=True)


async def _write(job: Job, host: str) -> tuple[Path, str]:
    """Write and copy; returns the page, and where its copy lies. Raises `BatchgenError`."""
    with hold_job(job):
        async with readable_ledger(job) as ledger:
            job = await where_it_lies(job, ledger)
            try:
                async with hold_bucket(job, Voice(tell_notice), patience_s=COPY_PATIENCE_S):
                    await add_thumbs(job, ledger)
                    page = await write_reports(job, ledger, host)
                    await to_thread.run_sync(copy_up, job)
            except (OSError, StorageError) as error:
                raise await _fault(job, ledger, host, error) from error
            return page, job.store


async def _fault(job: Job, ledger: Ledger, host: str, error: OSError | StorageError) -> StorageError:
    """What to say of an error. The page is written all the same where only the object store is at fault."""
    try:
        if job.store:
            page = await write_reports(job, ledger, host)
            again = job.options.command("report", job.manifest.path)
            return StorageError(
                f"{error}\n{page} was written, but not copied to {job.store}: `{again}` does it"
            )
    except OSError as disk:
        error = disk
    if isinstance(error, StorageError):
        return error
    return StorageError(f"{job.folder}: the report cannot be written ({error})")
