"""Images in a directory: part file, fsync, rename, directory fsync; never a half image under a final name."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from batchgen.core.errors import StorageError
from batchgen.core.types import Attempt, ImageBytes, Stored, StoredImage, Task
from batchgen.stores.arrivals import Arrival, Barrier, is_whole
from batchgen.stores.arriving import Arriving, room_bytes
from batchgen.stores.layout import Layout
from batchgen.stores.sidecars import Origin, dump_sidecar, read_sidecar, rename_sidecar, stored_of
from batchgen.system.batches import BatchThread
from batchgen.system.clock import utc_now
from batchgen.system.files import reserve_file, write_file

Result = TypeVar("Result")


class DirectoryStore:
    """`batchgen.core.protocols.ImageStore` in a job's folder."""

    def __init__(self, layout: Layout, origin: Origin, now: Callable[[], datetime]) -> None:
        self._layout = layout
        self._barrier = Barrier(layout)
        self._arrivals: BatchThread[Arrival, Stored] = BatchThread("store", self._barrier)
        self._arriving = Arriving(layout, origin, self._barrier, now)
        # Decoding and hashing release the interpreter lock for long stretches: a few more threads than cores help.
        self._threads = anyio.CapacityLimiter((os.cpu_count() or 2) + 2)

    async def close(self) -> None:
        """Finish what is queued."""
        await self._arrivals.close()
        self._barrier.close()

    async def sweep(self) -> None:
        """Delete the parts of earlier runs that are only room; one with bytes waits for `adopt`."""
        await self._hop(self._sweep)

    async def reserve(self, attempt: Attempt) -> None:
        """Create the part file with its room. Raises `StorageError` when the disk has none left."""
        await self._hop(reserve_file, self._layout.part(attempt.attempt_id), room_bytes(attempt))

    async def release(self, attempt_id: str, evidence: bytes = b"") -> None:
        """Give the room back; evidence goes to quarantine."""
        await self._hop(self._release, attempt_id, evidence)

    async def keep(self, attempt: Attempt, image: ImageBytes) -> Stored:
        """Make an image durable under its final name. Raises `NotAnImageError` and `StorageError`."""
        return await self._arrivals.submit(await self._hop(self._arriving, attempt, image))

    async def adopt(self, attempt: Attempt) -> Stored | None:
        """Finish what a crash interrupted; what is left of an unusable answer is quarantined."""
        found = await self._hop(self._find, attempt)
        if isinstance(found, Arrival):
            found = await self._arrivals.submit(found)
        if found is None:
            return None
        gone = await self._hop(self._superseded_of, attempt.task.task_id)
        return replace(found, superseded=gone)

    async def restore(self, image: StoredImage, task: Task) -> Stored:
        """Move an image to the name of `task`. Raises `StorageError` when it is not there."""
        moved = await self._hop(self._move, image, task)
        if isinstance(moved, Arrival):
            moved = await self._arrivals.submit(moved)
        return replace(moved, superseded=await self._hop(self._superseded_of, task.task_id))

    async def damaged(self, images: Sequence[StoredImage]) -> Mapping[str, str]:
        """What is wrong with images: by size and modification time, and by hash only where the time differs."""
        return await self._hop(self._damaged, images)

    async def restorable(self, image: StoredImage, task: Task) -> bool:
        """Whether `restore` would find the image whole, where the ledger says or where a crash left it."""
        return not await self._hop(self._damaged, [image]) or await self._hop(self._is_left, image, task)

    async def _hop(self, function: Callable[..., Result], *values: object) -> Result:
        try:
            return await anyio.to_thread.run_sync(partial(function, *values), limiter=self._threads)
        except OSError as error:
            raise StorageError(f"{self._layout.folder}: {error}; check the disk, then run again") from error

    def _release(self, attempt_id: str, evidence: bytes) -> None:
        if evidence:
            self._arriving.quarantine(attempt_id, evidence)
        self._layout.part(attempt_id).unlink(missing_ok=True)

    def _find(self, attempt: Attempt) -> Arrival | Stored | None:
        part, beside = self._layout.part(attempt.attempt_id), self._layout.part_sidecar(attempt.attempt_id)
        waiting = read_sidecar(beside)
        sidecar = waiting or read_sidecar(self._layout.sidecar(attempt.task.task_id))
        if sidecar is not None and sidecar["attempt_id"] == attempt.attempt_id:
            image, answer = stored_of(sidecar, self._layout.images.name, 0)
            path = part if part.exists() else self._layout.folder / image.file
            if is_whole(path, image):
                image = replace(image, mtime_ns=path.stat().st_mtime_ns)
                if path != part:
                    return Stored(image, answer)
                if waiting is None:
                    write_file(beside, dump_sidecar(sidecar))
                return Arrival(image, answer, part, beside)
        self._discard(part, beside)
        return None

    def _discard(self, part: Path, beside: Path) -> None:
        """An empty part is only room; one with bytes is evidence."""
        if part.exists():
            if _is_empty(part):
                part.unlink()
            else:
                part.replace(self._layout.quarantine / part.name)
        beside.unlink(missing_ok=True)

    def _sweep(self) -> None:
        for part in self._layout.state.glob("*.part"):
            if _is_empty(part):
                part.unlink()

    def _superseded_of(self, task_id: str) -> dict[str, str]:
        """Where replaced images of a task lie, by attempt id; a crash may have kept it from the ledger."""
        found = {}
        for path in self._layout.superseded.glob(f"{task_id}.*.json"):
            sidecar = read_sidecar(path)
            if sidecar is not None and (self._layout.superseded / sidecar["file"]).exists():
                found[sidecar["attempt_id"]] = f"{self._layout.superseded.name}/{sidecar['file']}"
        return found

    def _move(self, image: StoredImage, task: Task) -> Arrival | Stored:
        there = self._moved_already(image, task)
        if there is not None:
            self._forget_sidecar(image, task)
            return there
        source = self._layout.folder / self._place(image)
        leaves = source.with_suffix(".json")
        sidecar = read_sidecar(leaves)
        if sidecar is None or sidecar["attempt_id"] != image.attempt_id:
            sidecar = self._arriving.rebuilt_sidecar(image, task)
        name = f"{task.task_id}.{image.media.extension}"
        renamed = rename_sidecar(sidecar, task, name)
        beside = self._layout.part_sidecar(image.attempt_id)
        write_file(beside, dump_sidecar(renamed))
        moved = replace(image, task_id=task.task_id, file=f"{self._layout.images.name}/{name}")
        _, answer = stored_of(renamed, self._layout.images.name, image.mtime_ns)
        stays = leaves == self._layout.sidecar(task.task_id)
        return Arrival(moved, answer, source, beside, leaves=None if stays else leaves)

    def _place(self, image: StoredImage) -> str:
        """Where an image lies: a crash may have kept its move to `superseded/` from the ledger."""
        if is_whole(self._layout.folder / image.file, image):
            return image.file
        return self._superseded_of(image.task_id).get(image.attempt_id, image.file)

    def _is_left(self, image: StoredImage, task: Task) -> bool:
        moved = self._moved_already(image, task) is not None
        return moved or is_whole(self._layout.folder / self._place(image), image)

    def _forget_sidecar(self, image: StoredImage, task: Task) -> None:
        """The copy that an interrupted move left under the old name."""
        left = (self._layout.folder / image.file).with_suffix(".json")
        sidecar = read_sidecar(left)
        ours = sidecar is not None and sidecar["attempt_id"] == image.attempt_id
        if ours and left != self._layout.sidecar(task.task_id):
            left.unlink()

    def _moved_already(self, image: StoredImage, task: Task) -> Stored | None:
        sidecar = read_sidecar(self._layout.sidecar(task.task_id))
        if sidecar is None or sidecar["attempt_id"] != image.attempt_id:
            return None
        moved, answer = stored_of(sidecar, self._layout.images.name, 0)
        path = self._layout.folder / moved.file
        if not is_whole(path, moved):
            return None
        return Stored(replace(moved, mtime_ns=path.stat().st_mtime_ns), answer)

    def _damaged(self, images: Sequence[StoredImage]) -> dict[str, str]:
        found = {}
        for image in images:
            path = self._layout.folder / image.file
            try:
                status = path.lstat()
            except FileNotFoundError:
                found[image.attempt_id] = "missing"
                continue
            same = status.st_size == image.size_bytes and status.st_mtime_ns == image.mtime_ns
            if path.is_symlink() or not (same or is_whole(path, image)):
                found[image.attempt_id] = "altered"
        return found


def _is_empty(part: Path) -> bool:
    with part.open("rb") as file:
        return not file.read(1 << 16).strip(b"\0")


@asynccontextmanager
async def open_store(
    folder: Path, origin: Origin, *, now: Callable[[], datetime] = utc_now, readable: bool = False
) -> AsyncIterator[DirectoryStore]:
    """The store of a job's folder, which is made unless it is only to be read. Raises `StorageError`."""
    layout = Layout(folder)
    if not readable:
        await anyio.to_thread.run_sync(layout.prepare)
    store = DirectoryStore(layout, origin, now)
    try:
        if not readable:
            await store.sweep()
        yield store
    finally:
        with anyio.CancelScope(shield=True):
            await store.close()
