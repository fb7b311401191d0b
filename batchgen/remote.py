"""A job's prefix in an object store, opened by the one machine that works on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from secrets import token_hex

import anyio
from anyio import to_thread

from batchgen.copying import LOOK_PATIENCE_S, bring_back, bucket_of
from batchgen.core.errors import JobLockedError, StorageError
from batchgen.core.events import Notice
from batchgen.core.plain import safe_text
from batchgen.core.protocols import Observer
from batchgen.core.types import StopReason
from batchgen.core.values import replace
from batchgen.job import Job
from batchgen.pool.stopping import Stop
from batchgen.system.buckets import Bucket
from batchgen.system.clock import moment_text
from batchgen.system.files import replace_file
from batchgen.system.lease import LEASE_S, RENEW_S, Holder, Lease, kept

LEASE = ".lock"
PLACE = ".place"
"""The name of the local folder, by which a lease that a crash left is known again."""
_LOOK_S = 1.0
_SIGN_S = 1.5 * RENEW_S
"""Who is at work gives a sign of life well before."""


class Voice:
    """Tells a run's observer, on the loop, what threads have to say."""

    def __init__(self, notify: Observer) -> None:
        self.notify = notify
        self._loop = asyncio.get_running_loop()

    def __call__(self, message: str) -> None:
        """Called on any thread."""
        self._loop.call_soon_threadsafe(lambda: self.notify(Notice(message)))


def silent(_event: object) -> None:
    """An observer for who has none."""


async def reach_bucket(job: Job, voice: Voice, stop: Stop | None = None) -> None:
    """Find a store that cannot be used before a job's first folder is made for it. Nothing to do for a job in a folder.

    A signal to `stop` ends the waiting for one that is away. Raises `StorageError`, `UsageError`.
    """
    if not job.store or job.has_ledger:
        return
    bucket, ended = bucket_of(job, tell=voice), stop or Stop()
    bucket.outages.hurried = lambda: ended.signalled
    with _told():
        await to_thread.run_sync(bucket.check_there)
        await to_thread.run_sync(bucket.check_writable)


@asynccontextmanager
async def hold_bucket(
    job: Job, voice: Voice, stop: Stop | None = None, *, patience_s: float | None = None
) -> AsyncIterator[Bucket | None]:
    """The job's bucket, held against other machines; None for a job in a folder. Its folder is there, and held.

    Where the local ledger is gone, its copy is put there. `stop` is asked when another machine has taken the job over.
    Raises `JobLockedError`, `StorageError`, `UsageError`.
    """
    if not job.store:
        yield None
        return
    bucket, loop = bucket_of(job, patience_s=patience_s, tell=voice), asyncio.get_running_loop()
    place = await to_thread.run_sync(_place, job.folder / PLACE)
    lease = Lease(bucket.file(LEASE), place, moment_text(job.options.clock()))
    ended = stop or Stop()

    def lost(message: str) -> None:
        loop.call_soon_threadsafe(ended.ask, StopReason.STORAGE, message)

    bucket.outages.hurried = lambda: ended.signalled
    await _take(lease, bucket, job, voice)
    bucket.outages.hurried = lambda: False  # from here on it is paid images that are waited for
    with kept(lease, lost):
        try:
            if not job.has_ledger and await to_thread.run_sync(bring_back, job, bucket):
                voice(f"{job.ledger} was gone: its copy in {job.store} was put there, as the last run left it")
            yield replace(bucket, confirm=lease.confirm)
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(_release, lease)


async def check_free(job: Job, voice: Voice) -> None:
    """For who only reads: nobody works on the job elsewhere. Raises `JobLockedError`, `StorageError`, `UsageError`."""
    if not job.store:
        return
    lease = Lease(bucket_of(job, patience_s=LOOK_PATIENCE_S).file(LEASE), "", "")
    with _told(), suppress(FileNotFoundError):
        holder = await to_thread.run_sync(lease.holder)
        voice(
            f"{job.store} is held by {_words(holder)}: it is read if that one gives no sign of life in {_SIGN_S:g} s"
        )
        await _watch(lease, job, _SIGN_S)


async def _take(lease: Lease, bucket: Bucket, job: Job, voice: Voice) -> None:
    with _told():
        await to_thread.run_sync(bucket.check_there)
        while holder := await to_thread.run_sync(lease.take):
            voice(
                f"{job.store} is held by {_words(holder)}: it is taken over if that one gives no sign of life in {LEASE_S:g} s"
            )
            left = await _watch(lease, job, LEASE_S)
            if left is not None and await to_thread.run_sync(partial(lease.take_over, left)):
                return


async def _watch(lease: Lease, job: Job, seconds: float) -> Holder | None:
    """Who holds it without a sign of life for so long, None when it is free. Raises `JobLockedError`."""
    ends, first = anyio.current_time() + seconds, None
    while True:
        try:
            holder = await to_thread.run_sync(lease.holder)
        except FileNotFoundError:
            return None
        first = first or holder
        if holder != first:
            raise JobLockedError(
                f"{job.store}: another machine works on this job ({_words(holder)}); nothing was sent"
            )
        if anyio.current_time() >= ends:
            return holder
        if lease.file.folder.bucket.outages.hurried():
            raise StorageError(
                f"{job.store}: held by {_words(holder)}, which was not waited for; nothing was sent"
            )
        await anyio.sleep(_LOOK_S)


def _words(holder: Holder) -> str:
    return safe_text(f"{holder.host}, since {holder.since or 'an unknown moment'}", printable=True)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{error}; nothing was sent") from error


def _place(file: Path) -> str:
    """A word of the folder's own; a copy of the folder has another one, since its file is another."""
    try:
        if not file.is_file():
            replace_file(file, token_hex(16).encode(), mode=0o600)
        return f"{file.read_text()[:64]}-{file.stat().st_ino}"
    except (OSError, UnicodeError) as error:
        raise StorageError(f"{file}: cannot be read ({error}); nothing was sent") from error


def _release(lease: Lease) -> None:
    # What cannot be removed now, this folder takes over at once, and others when they have watched it for a while.
    with suppress(OSError):
        lease.release()
