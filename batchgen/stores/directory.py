"""Images in a directory: part file, fsync, rename, directory fsync; never a half image under a final name."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

import anyio
import anyio.to_thread

from batchgen.core.errors import StorageError
from batchgen.core.inventory import Inventory
from batchgen.core.records import Found
from batchgen.core.types import Attempt, Blob, ImageBytes, Stored, StoredImage, Task
from batchgen.core.values import replace
from batchgen.stores.arrivals import Arrival, Barrier
from batchgen.stores.arriving import Arriving, Check, room_bytes
from batchgen.stores.layout import Layout, open_bucket_layout, open_layout
from batchgen.stores.moving import Mover
from batchgen.stores.salvage import Salvage
from batchgen.stores.sidecars import Origin, dump_sidecar, rebuild_sidecar
from batchgen.system.addresses import is_url
from batchgen.system.batches import BatchThread
from batchgen.system.buckets import Bucket
from batchgen.system.clock import utc_now

Result = TypeVar("Result")

Making: TypeAlias = Callable[[], Arrival]

SMALL_LETTERS = 64 * 1024
"""An answer up to this is done with sooner than another thread wakes up for it."""

FREE_BYTES = 8 << 20
"""Room that is left alone: for sidecars, the ledger's journal and the report of what is in flight."""
FREE_FILES = 64
"""Files that can still be made, for the same."""


class DirectoryStore:
    """`batchgen.core.protocols.ImageStore` in a job's folder."""

    def __init__(
        self,
        layout: Layout,
        origin: Origin,
        now: Callable[[], datetime],
        check: Check | None = None,
        *,
        partials: bool = False,
    ) -> None:
        self._partials = partials
        self._layout = layout
        self._origin = origin
        self._barrier = Barrier(layout)
        self._arrivals: BatchThread[Arrival | Making, Stored] = BatchThread("store", self._arrive)
        self._arriving = Arriving(layout, origin, now, check)
        self._move = Mover(layout, origin)
        self._salvage = Salvage(layout, self._barrier)
        self._rooms: BatchThread[Attempt, None] = BatchThread("rooms", self._reserve_all)
        # Decoding and hashing release the interpreter lock for long stretches: a few more threads than cores help.
        threads = (os.cpu_count() or 2) + 2
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="images")
        self._threads = anyio.CapacityLimiter(threads)

    async def close(self) -> None:
        """Finish what is queued."""
        await anyio.to_thread.run_sync(self._pool.shutdown)
        await self._arrivals.close()
        await self._rooms.close()
        self._barrier.close()
        self._layout.close()

    async def sweep(self) -> None:
        """Delete the parts of earlier runs that are only room; one with bytes waits for `adopt`."""
        await self._hop(self._salvage.sweep)

    async def reserve(self, attempt: Attempt) -> None:
        """Create the part file with its room, and its sidecar's. Raises `StorageError` when the disk has none left."""
        with self._told():
            await self._rooms.submit(attempt)

    async def release(self, attempt_id: str, evidence: Blob = b"") -> None:
        """Give the room back; evidence goes to quarantine."""
        await self._hop(self._release, attempt_id, evidence)

    async def keep(self, attempt: Attempt, image: ImageBytes) -> Stored:
        """Make an image durable under its final name. Raises `NotAnImageError` and `StorageError`."""
        with self._told():
            if self._layout.images.moves_by_copy:
                return await self._arrivals.submit_made(self._pool, self._wait_for_upload, attempt, image)
            if image.length <= SMALL_LETTERS:
                return await self._arrivals.submit(partial(self._arriving, attempt, image))
            return await self._arrivals.submit_made(self._pool, self._arriving, attempt, image)

    def _wait_for_upload(self, attempt: Attempt, image: ImageBytes) -> Arrival:
        """Durable on the local disk before it queues behind uploads, which take minutes while the store is away."""
        arrival = self._arriving(attempt, image)
        if error := self._barrier.sync(arrival):
            raise error
        return arrival

    @property
    def keeps_partials(self) -> bool:
        """Whether partial images are wanted at all."""
        return self._partials

    async def keep_partial(self, attempt: Attempt, number: int, encoded: str) -> None:
        """Keep a partial image in `partials/`, for people to look at. Raises `NotAnImageError`, `StorageError`."""
        await self._hop(self._arriving.keep_partial, attempt, number, encoded)

    async def adopt(self, attempt: Attempt) -> Stored | None:
        """Finish what a crash interrupted; what is left of an unusable answer is quarantined."""
        found = await self._hop(self._salvage.find, attempt)
        if isinstance(found, Arrival):
            found = await self._arrivals.submit(found)
        if found is None:
            return None
        task_id = attempt.task.task_id
        superseded = await self._hop(self._move.superseded_of, {task_id})
        return replace(found, superseded=superseded.get(task_id, {}))

    async def restore(self, moves: Sequence[tuple[Found, Task]]) -> Sequence[Stored]:
        """Move paid images to the names of tasks, synced together."""
        found = await self._hop(self._move, moves)
        arrivals = [one for one in found if isinstance(one, Arrival)]
        arrived = iter(await self._arrivals.submit_all(arrivals))
        there = [next(arrived) if isinstance(one, Arrival) else one for one in found]
        superseded = await self._hop(self._move.superseded_of, {task.task_id for _, task in moves})
        return [replace(one, superseded=superseded.get(one.image.task_id, {})) for one in there]

    async def restorable(self, image: StoredImage, task: Task) -> bool:
        """Whether `restore` would find the image whole, where the ledger says or where a crash left it."""
        return not await self.damaged([image]) or await self._hop(self._move.can_move, image, task)

    async def damaged(self, images: Sequence[StoredImage], *, by_hash: bool = False) -> Mapping[str, str]:
        """What is wrong with images: by size and modification time, and by hash where the time differs, or always."""
        return await self._hop(partial(self._salvage.damaged, by_hash=by_hash), images)

    async def inventory(self) -> Inventory:
        """What is on the disk, to be compared with what the ledger knows."""
        return await self._hop(self._salvage.inventory)

    async def images(self) -> AsyncIterator[Sequence[Found]]:
        """Every image that has a sidecar: those under their names first, superseded ones after them."""
        for folder in (self._layout.images, self._layout.superseded):
            pages = self._salvage.images(folder)
            while page := await self._hop(next, pages, None):
                yield page

    async def orphans(self) -> AsyncIterator[Sequence[StoredImage]]:
        """What sidecars say whose images are not beside them."""
        for folder in (self._layout.images, self._layout.superseded):
            pages = self._salvage.orphans(folder)
            while page := await self._hop(next, pages, None):
                yield page

    async def whole(self, found: Sequence[Found]) -> Sequence[Found]:
        """Those whose bytes are what their sidecars say, to the last one."""
        return await self._hop(self._salvage.whole, found)

    async def nameless(self, told: Sequence[Found]) -> Sequence[Found]:
        """Images that lie where they are told to lie, to the last byte, beside no sidecar that can be read."""
        return await self._hop(self._salvage.nameless, told)

    async def forget_copies(self, images: Sequence[StoredImage]) -> None:
        """Remove orphans that interrupted moves left behind."""
        await self._hop(self._salvage.forget_copies, images)

    async def set_parts_aside(self) -> int:
        """Keep whole images of attempts that nobody remembers; to be called when none is open. Returns how many."""
        return await self._hop(self._salvage.set_parts_aside)

    async def without_sidecar(self, images: Sequence[StoredImage]) -> Sequence[StoredImage]:
        """Those whose sidecar is gone or speaks of another image."""
        return await self._hop(self._salvage.without_sidecar, images)

    async def write_sidecar(self, found: Found, task: Task) -> None:
        """Put a sidecar beside an image that has lost its own, from what the ledger knows."""
        content = dump_sidecar(rebuild_sidecar(self._origin, found, task))
        target = self._layout.file(found.image.file).with_suffix(".json")
        await self._hop(self._layout.put_sidecar, found.image.attempt_id, target, content)

    async def foreign(self, limit: int) -> Sequence[str]:
        """Places of files in the images' folders that are not batchgen's, at most `limit` of them."""
        return await self._hop(self._salvage.foreign, limit)

    async def _hop(self, function: Callable[..., Result], *values: object) -> Result:
        with self._told():
            return await anyio.to_thread.run_sync(partial(function, *values), limiter=self._threads)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if is_url(str(error)):  # a store's errors tell their own place
                raise StorageError(f"{error}; check the store, then run again") from error
            raise StorageError(f"{self._layout.path}: {error}; check the disk, then run again") from error

    def _arrive(self, jobs: Sequence[Arrival | Making]) -> Sequence[Stored | Exception]:
        """Make durable what is there, and what is to be made first."""
        made = [job if isinstance(job, Arrival) else _made(job) for job in jobs]
        durable = iter(self._barrier([one for one in made if isinstance(one, Arrival)]))
        return [next(durable) if isinstance(one, Arrival) else one for one in made]

    def _reserve_all(self, attempts: Sequence[Attempt]) -> list[Exception | None]:
        return [self._reserve(attempt) for attempt in attempts]

    def _reserve(self, attempt: Attempt) -> Exception | None:
        part, beside = self._layout.part(attempt.attempt_id), self._layout.part_sidecar(attempt.attempt_id)
        try:
            beside.reserve(0)
            part.reserve(room_bytes(attempt))
            self._check_free()
        except (OSError, StorageError) as error:
            part.unlink()
            beside.unlink()
            return error
        return None

    def _check_free(self) -> None:
        free = self._layout.state.free()
        if free.size_bytes < FREE_BYTES:
            left = f"only {free.size_bytes / 2**20:.1f} MiB is left"
        elif free.files is not None and free.files < FREE_FILES:
            left = f"only {free.files} more files can be made"
        else:
            return
        raise StorageError(f"{self._layout.path}: the disk is full, {left}; make room, then run again")

    def _release(self, attempt_id: str, evidence: Blob) -> None:
        if evidence:
            self._arriving.quarantine(attempt_id, evidence)
        self._layout.part(attempt_id).unlink()
        self._layout.part_sidecar(attempt_id).unlink()


def _made(making: Making) -> Arrival | Exception:
    try:
        return making()
    except Exception as error:  # noqa: BLE001 - handed to the caller, who must not wait for ever
        return error


@asynccontextmanager
async def open_store(
    folder: Path,
    origin: Origin,
    *,
    now: Callable[[], datetime] = utc_now,
    readable: bool = False,
    check: Check | None = None,
    partials: bool = False,
) -> AsyncIterator[DirectoryStore]:
    """The store of a job's folder, which is made unless it is only to be read. Raises `StorageError`.

    `check` looks at an image's bytes before they are stored; by default at their structure. `partials` makes a folder
    for partial images.
    """
    opened = open_store_at(folder, folder, origin, now=now, readable=readable, check=check, partials=partials)
    async with opened as store:
        yield store


@asynccontextmanager
async def open_store_at(
    place: Path | Bucket,
    state: Path,
    origin: Origin,
    *,
    now: Callable[[], datetime] = utc_now,
    readable: bool = False,
    check: Check | None = None,
    partials: bool = False,
    sweep: bool = True,
) -> AsyncIterator[DirectoryStore]:
    """The store of a job in its folder or in a bucket.

    `state` is the local folder for what is on its way to an object store; a folder's own lies within it. `sweep` is
    for the one who holds the job: others work with parts of theirs meanwhile. Raises `StorageError`.
    """
    make = not readable

    def open_it() -> Layout:
        if isinstance(place, Path):
            return open_layout(place, make=make, partials=partials)
        return open_bucket_layout(state, place, make=make, partials=partials)

    layout = await anyio.to_thread.run_sync(open_it)
    store = DirectoryStore(layout, origin, now, check, partials=partials)
    try:
        if make and sweep:
            await store.sweep()
        yield store
    finally:
        with anyio.CancelScope(shield=True):
            await store.close()
