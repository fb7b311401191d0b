"""`batchgen report`: a job's page, thumbnails and tables again, from its ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import click
from anyio import to_thread

from batchgen.cli.options import MANIFEST, common_options, not_run_yet, options_of
from batchgen.closing import add_thumbs, write_reports
from batchgen.copying import COPY_PATIENCE_S, copy_up
from batchgen.core.errors import StorageError
from batchgen.job import Job, load_job
from batchgen.remote import Voice, hold_bucket, silent
from batchgen.rooms import hold_job, host_for, readable_ledger


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
    click.echo(str(anyio.run(_write, job, host)))


async def _write(job: Job, host: str) -> Path:
    with hold_job(job):
        async with hold_bucket(job, Voice(silent), patience_s=COPY_PATIENCE_S), readable_ledger(job) as ledger:
            try:
                await add_thumbs(job, ledger)
                page = await write_reports(job, ledger, host)
                await to_thread.run_sync(copy_up, job)
            except OSError as error:
                raise StorageError(f"{job.folder}: the report cannot be written ({error})") from error
            return page
