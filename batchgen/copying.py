"""What a run leaves on the local disk, copied to the object store beside its images, and brought back from there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from batchgen.core.errors import StorageError
from batchgen.job import LEDGER, Job
from batchgen.ledgers.copying import copy_ledger
from batchgen.reports.thumbs import FOLDER as THUMBS
from batchgen.system.buckets import SMALL_ANSWER_S, Bucket, open_bucket
from batchgen.system.files import make_folder
from batchgen.system.folder import Folder
from batchgen.system.objects import ObjectFile
from batchgen.system.outages import Tell

COPY_PATIENCE_S = 20.0
"""Copies can be made again by the next run or by `batchgen report`: a store that is away is not waited for long."""
LOOK_PATIENCE_S = LOOK_ANSWER_S = 4.0
"""Who only looks, such as `plan`, is told at once that the store is away."""
_PAGES = ("index.html", "results.jsonl", "results.csv")
_RUNS = "runs"


def bucket_of(job: Job, *, patience_s: float | None = None, tell: Tell | None = None) -> Bucket:
    """The object store's prefix of a job that has one; the operator's patience is the most. Raises `UsageError`."""
    most_s, options = job.options.config.store_patience_s, job.options.config.store_options
    patience_s = most_s if patience_s is None else min(most_s, patience_s)
    answer_s = min(patience_s, SMALL_ANSWER_S)
    return open_bucket(job.store, options, patience_s=patience_s, small_answer_s=answer_s, tell=tell)


def copy_up(job: Job, run_id: str = "") -> None:
    """Copy the report, the results, a run's folder and the ledger up, over earlier copies. Does nothing for a folder.

    So go the folders of earlier runs that are not there: those that were killed, or ended while the store was away.

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
    _copy_runs(bucket, job, run_id)


def _copy_runs(bucket: Bucket, job: Job, run_id: str) -> None:
    runs = bucket.folder(_RUNS)
    there = frozenset(runs.names(deep=True))
    for folder in job.runs.glob("*"):
        for place in _files(folder):
            name = f"{folder.name}/{place.name}"
            if (folder.name == run_id or name not in there) and _is_of_a_run(name):
                runs.file(name).put(place, replace=True)


def bring_back(job: Job, bucket: Bucket) -> bool:
    """Put the copies of the runs' logs and of the ledger into a local folder that was lost; whether there was a ledger.

    What happened after the copy was made, the images and logs tell, as for a ledger restored from a backup. The ledger
    comes last, so that what was interrupted is done again. Raises `StorageError`.
    """
    try:
        for name in bucket.folder(_RUNS).names(deep=True):
            if _is_of_a_run(name):
                _fetch(bucket.file(f"{_RUNS}/{name}"), job.folder / _RUNS / name)
        return fetch_ledger(bucket, job.ledger)
    except OSError as error:
        raise StorageError(f"{error}; nothing was sent") from error


def fetch_ledger(bucket: Bucket, target: Path) -> bool:
    """Put the ledger's copy somewhere, if there is one. Raises `OSError`."""
    try:
        _fetch(bucket.file(LEDGER), target, mode=0o600)
    except FileNotFoundError:
        return False
    return True


def _is_of_a_run(name: str) -> bool:
    """Whether an object is a file right in a run's folder: the names of others would lead elsewhere."""
    run_id, _, file = name.partition("/")
    return not (run_id.startswith(".") or file.startswith(".") or "/" in file or "\\" in name) and bool(file)


def _fetch(source: ObjectFile, target: Path, *, mode: int = 0o644) -> None:
    make_folder(target.parent)
    with closing(Folder.open(target.parent)) as folder:
        source.fetch(folder.file(target.name), mode=mode)


def _files(folder: Path) -> Iterator[Path]:
    """The files of a folder that are no links, if there is one."""
    if folder.is_symlink() or not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        yield from (Path(entry.path) for entry in entries if entry.is_file(follow_symlinks=False))
