"""Opens the rooms of a run, outermost first: lock, ledger, store, provider."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from anyio import to_thread

from batchgen.copying import LOOK_PATIENCE_S, bucket_of, fetch_ledger
from batchgen.core.errors import JobLockedError, StorageError, UsageError
from batchgen.core.protocols import ImageStore, Ledger, Provider
from batchgen.core.values import replace
from batchgen.engines.worker import WorkerOpener
from batchgen.job import LEDGER, Job
from batchgen.ledgers.opening import gone
from batchgen.ledgers.sqlite import SqliteLedger, open_ledger
from batchgen.plugins import Surroundings
from batchgen.providers.endpoint import Endpoint, address_of, host_of, resolve
from batchgen.providers.settings import ProviderSettings
from batchgen.stores.arriving import Check
from batchgen.stores.directory import open_store_at
from batchgen.stores.sidecars import Origin
from batchgen.system.buckets import Bucket
from batchgen.system.clock import moment_text
from batchgen.system.files import make_folder
from batchgen.system.filesystems import unfit
from batchgen.system.lock import LockHeldError, hold_lock
from batchgen.workers import open_worker, recipe_of

LOCK = ".lock"
"""Held while a run works on the job."""


def host_for(job: Job) -> str:
    """The host as it is noted in sidecars and on the ledger; no key is needed to know it. Raises `UsageError`."""
    return host_of(job.settings, job.options.environ, base_url=job.options.base_url)


def endpoint_of(job: Job) -> Endpoint | None:
    """Address and key, None for the embedded sandbox, which has none yet. Raises `UsageError`."""
    if job.embedded:
        return None
    return resolve(job.settings, job.options.environ, base_url=job.options.base_url)


def proxy_for(job: Job) -> str:
    """The host of the environment's proxy where the provider may use one, else "". Raises `UsageError`."""
    if job.embedded or not job.settings.trust_env:
        return ""
    from batchgen.providers.proxies import proxy_host

    return proxy_host(address_of(job.settings, job.options.environ, base_url=job.options.base_url))


@asynccontextmanager
async def provider_of(job: Job, endpoint: Endpoint | None) -> AsyncIterator[Provider]:
    """The provider; the embedded sandbox is served for the length of the block and asked like any other."""
    # Imported here, since the network is slow to import and most verbs need none; on a thread, since the other jobs of
    # a night are at work on this one.
    await to_thread.run_sync(import_module, "batchgen.providers.http")
    from batchgen.providers.http import open_provider

    async with AsyncExitStack() as rooms:
        if endpoint is None:
            endpoint = await rooms.enter_async_context(embedded_endpoint(job.settings))
        opened = open_provider(
            endpoint,
            concurrency=job.limits.concurrency,
            now=job.options.clock,
            pictures=job.manifest.path.parent,
        )
        yield await rooms.enter_async_context(opened)


def surroundings(job: Job, host: str, store: ImageStore, endpoint: Endpoint | None) -> Surroundings:
    """What the run's engine may open."""
    cluster = job.options.environ.get("RAY_ADDRESS") or job.options.config.ray_address
    return Surroundings(
        partial(provider_of, job, endpoint), partial(worker_of, job, host), store, job.options.clock, cluster
    )


@asynccontextmanager
async def worker_of(job: Job, host: str) -> AsyncIterator[WorkerOpener]:
    """What workers open their engines with; an embedded sandbox is served here, for those of this machine."""
    async with AsyncExitStack() as rooms:
        base_url = None
        if job.embedded:
            base_url = (await rooms.enter_async_context(embedded_endpoint(job.settings))).base_url
        yield partial(open_worker, await rooms.enter_async_context(recipe_of(job, host, base_url)))


@asynccontextmanager
async def embedded_endpoint(settings: ProviderSettings) -> AsyncIterator[Endpoint]:
    """The sandbox, served in this process for the length of the block."""
    await to_thread.run_sync(import_module, "batchgen.sandbox.server")
    from batchgen.sandbox.faults import Behaviour
    from batchgen.sandbox.server import serve

    async with serve(Behaviour()) as sandbox:
        yield resolve(settings, {}, base_url=sandbox.base_url)


async def make_job_folder(job: Job) -> None:
    """Make the job's folder where it may be. Raises `StorageError`."""
    await to_thread.run_sync(_make_folder, job)


def _make_folder(job: Job) -> None:
    try:
        make_folder(job.folder)
        fault = unfit(job.folder)
    except OSError as error:
        raise StorageError(
            f"{job.folder}: the job's folder cannot be made ({error.strerror}); nothing was sent"
        ) from error
    if fault:
        raise StorageError(f"{job.folder}: {fault}; nothing was sent")


@contextmanager
def hold_job(job: Job, *, reading: bool = False) -> Iterator[None]:
    """Hold the job's lock; its folder is there, and where it cannot be written, `reading` is all that can be done.

    Raises `JobLockedError`, `StorageError`.
    """
    lock = job.folder / LOCK
    with ExitStack() as held:
        try:
            held.enter_context(hold_lock(lock, moment_text(job.options.clock()), reading=reading))
        except LockHeldError as error:
            raise JobLockedError(
                f"{job.folder}: another run works on this job ({error}); nothing was sent"
            ) from error
        except OSError as error:
            raise StorageError(
                f"{lock}: the job's lock cannot be taken ({error.strerror}); nothing was sent. It must be a file that "
                "you may write: run as the user who began the job; remove it only if it is no file at all."
            ) from error
        yield


@asynccontextmanager
async def ledger_of(job: Job, bucket: Bucket | None = None) -> AsyncIterator[Ledger]:
    """The job's ledger to be written, once `pages_checked`; `LedgerError` also when it is gone while its images are there."""
    may_be_new = not await to_thread.run_sync(has_images, job, bucket)
    async with open_ledger(job.ledger, may_be_new=may_be_new, checked=False) as ledger:
        yield ledger


@asynccontextmanager
async def readable_ledger(job: Job) -> AsyncIterator[SqliteLedger]:
    """The job's ledger beside whoever writes it, or its copy in the store; an empty private one before its first run."""
    with TemporaryDirectory(prefix="batchgen-") as aside:
        place = job.ledger
        if job.store and not job.has_ledger:
            place = Path(aside, LEDGER)
            await to_thread.run_sync(_fetch_to_look, job, place)
        exists = place.exists()
        async with open_ledger(place if exists else None, readable=exists) as ledger:
            # The images of a job in an object store are only asked for where the ledger does not speak of them.
            if not await ledger.facts() and await to_thread.run_sync(has_images, job):
                raise gone(job.ledger)
            yield ledger


def _fetch_to_look(job: Job, place: Path) -> None:
    try:
        fetch_ledger(bucket_of(job, patience_s=LOOK_PATIENCE_S), place)
    except OSError as error:
        raise StorageError(f"{error}; nothing was sent") from error


def may_write(job: Job) -> bool:
    """Whether anything can be written in the job's folder; on a read-only disk nobody can."""
    return os.access(job.folder, os.W_OK)


def has_images(job: Job, bucket: Bucket | None = None) -> bool:
    """Whether anything lies where images are kept; a store that is away is not waited for, unless by who opened it.

    Raises `UsageError`, `StorageError`.
    """
    if job.store:
        try:
            bucket = bucket or bucket_of(job, patience_s=LOOK_PATIENCE_S)
            return any(next(bucket.folder(name).names(), None) for name in ("images", "superseded"))
        except OSError as error:
            raise StorageError(f"{error}; nothing was sent") from error
    return any(map(_holds_anything, (job.folder / "images", job.folder / "superseded")))


def _holds_anything(folder: Path) -> bool:
    """Whether a folder is there and not empty; `iterdir` would list a million names first."""
    if not folder.is_dir():
        return False
    with os.scandir(folder) as entries:
        return next(entries, None) is not None


@asynccontextmanager
async def store_of(
    job: Job, host: str, bucket: Bucket | None = None, *, readable: bool = False
) -> AsyncIterator[ImageStore]:
    """The job's images, each looked at before it is stored as the operator wants it; `bucket` is where they lie."""
    check = _decoding() if job.options.config.verify == "decode" and not readable else None
    origin = Origin(job.name, job.settings.name, host)
    partials = job.keeps_partials and not readable
    opened = open_store_at(
        bucket or job.folder,
        job.folder,
        origin,
        now=job.options.clock,
        readable=readable,
        check=check,
        partials=partials,
    )
    async with opened as store:
        yield store


def _decoding() -> Check:
    # Imported here, since Pillow is slow to import and few ask for it.
    from batchgen.stores.decoding import decoded_media_of

    return decoded_media_of


async def where_it_lies(job: Job, ledger: Ledger) -> Job:
    """The job with the object store that its ledger tells of, where none is named. Raises `UsageError` for another one."""
    facts = await ledger.facts()
    told = facts.get("store", "")
    url = told.removesuffix(f"/{job.name}")
    if url != told and not job.store:
        job = replace(job, options=replace(job.options, store=url))
    _check_output(job, facts)
    return job


async def check_owner(job: Job, ledger: Ledger) -> None:
    """Neither another manifest of the same name, nor another output, is taken by accident. Raises `UsageError`."""
    facts = await ledger.facts()
    _check_output(job, facts)
    owner = facts.get("manifest")
    if owner is not None and owner != job.manifest_name and not job.options.adopt:
        raise UsageError(
            f"the job {job.name} belongs to {(job.folder / owner).resolve()}, but this is "
            f"{job.manifest.path.resolve()}: give one of them another `job:` name, or pass --adopt to take it over"
        )


def _check_output(job: Job, facts: Mapping[str, str]) -> None:
    store = facts.get("store", "")
    if "manifest" in facts and store != job.store:
        raise UsageError(
            f"the images of the job {job.name} lie in {store or job.folder}, but its output is now "
            f"{job.store or job.folder}, where every image would be missing: name the old one with --output, or give "
            "the job another `job:` name"
        )
