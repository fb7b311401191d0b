"""What a run leaves on the local disk, copied to the object store beside its images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from batchgen.job import LEDGER, Job
from batchgen.ledgers.copying import copy_ledger
from batchgen.reports.thumbs import FOLDER as THUMBS
from batchgen.rooms import bucket_of
from batchgen.system.objects import Bucket

COPY_PATIENCE_S = 20.0
"""Copies can be made again by the next run or by `batchgen report`: a store that is away is not waited for long."""
_PAGES = ("index.html", "results.jsonl", "results.csv")


def copy_up(job: Job, run_id: str = "") -> None:
    """Copy the report, the results, a run's folder and the ledger up, over earlier copies. Does nothing for a folder.

    Raises `OSError`, `LedgerError`, `UsageError`.
    """
    if not job.store:
        return
    bucket = bucket_of(job, patience_s=COPY_PATIENCE_S)
    with TemporaryDirectory(dir=job.folder, prefix=".copy-") as waiting:
        ledger = Path(waiting, LEDGER)
        copy_ledger(job.ledger, ledger)
        bucket.file(LEDGER).put(ledger, replace=True)
    for name in _PAGES:
        if (job.folder / name).is_file():
            bucket.file(name).put(job.folder / name, replace=True)
    there = frozenset(bucket.folder(THUMBS).names())  # a thumbnail's name tells its content
    for place in _files(job.folder / THUMBS):
        if place.name not in there:
            bucket.folder(THUMBS).file(place.name).put(place)
    if run_id:
        _copy_run(bucket, job, run_id)


def _copy_run(bucket: Bucket, job: Job, run_id: str) -> None:
    for place in _files(job.runs / run_id):
        bucket.folder("runs").file(f"{run_id}/{place.name}").put(place, replace=True)


def _files(folder: Path) -> Iterator[Path]:
    """The files of a folder that are no links, if there is one."""
    if folder.is_symlink() or not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        yield from (Path(entry.path) for entry in entries if entry.is_file(follow_symlinks=False))
