"""The barrier: images that wait in the state folder become durable under their final names, many at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import Any

from batchgen.core.errors import StorageError
from batchgen.core.naming import COPY_LENGTH, superseded_name
from batchgen.core.types import Answer, Stored, StoredImage
from batchgen.core.values import replace
from batchgen.stores.layout import Layout, place_of
from batchgen.stores.sidecars import dump_sidecar, read_sidecar
from batchgen.system.addresses import is_url
from batchgen.system.folder import File

SYNC_THREADS = 8
"""Fsyncs of one batch run side by side: a disk finishes eight in about the time of two."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """An image at `source` with its new sidecar at `sidecar`, both to be renamed to the names that `image` says.

    `leaves` is the sidecar that an image moved from another name leaves behind. `more` are further images of the
    same answer, whose place in `superseded/` is chosen here.
    """

    image: StoredImage
    answer: Answer
    source: File
    sidecar: File
    leaves: File | None = None
    more: tuple[Arrival, ...] = ()


class Barrier:
    """Makes batches of arrivals durable; what stood under a final name moves to `superseded/` in the same step.

    After a failed fsync it refuses everything: the kernel may have dropped what was not written, and a second
    fsync would succeed without having written it (wiki.postgresql.org/wiki/Fsync_Errors).
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._pool = ThreadPoolExecutor(SYNC_THREADS, thread_name_prefix="fsync")
        self._broken: StorageError | None = None
        self._set_aside = False

    def close(self) -> None:
        """End the fsync threads."""
        self._pool.shutdown()

    def __call__(self, arrivals: Sequence[Arrival]) -> list[Stored | Exception]:
        """Sync, rename, sync the directories; an arrival that cannot be renamed takes no other down."""
        if self._broken is not None:
            return [self._broken] * len(arrivals)
        aside = self._layout.superseded
        self._set_aside = any(one.source.folder is aside for one in arrivals)
        synced = list((self._pool.map if len(arrivals) > 1 else map)(self._sync, arrivals))
        # Renames on a disk are over at once; uploads take a while, and go side by side.
        each = self._pool.map if self._layout.images.moves_by_copy else map
        results = list(each(lambda arrival, error: error or self._rename(arrival), arrivals, synced))
        try:
            self._layout.images.sync()
            if self._set_aside:  # hardly ever, and a sync costs as much as an image
                aside.sync()
        except OSError as error:
            self._broken = _storage_error(error, self._layout.path)
            return [self._broken] * len(arrivals)
        for arrival, result in zip(arrivals, results, strict=True):
            if arrival.leaves is not None and isinstance(result, Stored):
                arrival.leaves.unlink()
        return results

    def _sync(self, arrival: Arrival) -> StorageError | None:
        try:
            for one in (arrival, *arrival.more):
                one.source.sync()
                one.sidecar.sync()
        except OSError as error:
            self._broken = _storage_error(error, arrival.source)
            return self._broken
        return None

    def _rename(self, arrival: Arrival) -> Stored | Exception:
        image = arrival.image
        target = self._layout.file(image.file)
        try:
            self._layout.images.confirm()
            superseded = self._clear(image, target)
            arrival.sidecar.rename(self._layout.sidecar(image.task_id))
            arrival.source.rename(target)
            if self._layout.images.moves_by_copy:  # the mark of a part is not that of its object
                image = replace(image, mtime_ns=target.status().mark)
            more = tuple(self.set_aside(one) for one in arrival.more)
        except OSError as error:
            return _storage_error(error, target)
        return Stored(image, arrival.answer, superseded, more)

    def set_aside(self, arrival: Arrival) -> StoredImage:
        """Move a paid image that no task's name is for from the state folder to `superseded/`. Raises `OSError`."""
        image = arrival.image
        suffix = f".{image.media.extension}"
        name = self.superseded_name(image.task_id, image.fingerprint, suffix, image.attempt_id)
        sidecar = read_sidecar(arrival.sidecar) or {}
        content = dump_sidecar(sidecar | {"file": name.name})
        self._layout.put_sidecar(image.attempt_id, name.with_suffix(".json"), content)
        arrival.source.rename(name)
        arrival.sidecar.unlink()
        return replace(image, file=place_of(name))

    def _clear(self, image: StoredImage, target: File) -> dict[str, str]:
        """Move what stands under a task's name away; returns where, by attempt id."""
        beside = self._layout.sidecar(image.task_id)
        standing = self._standing(image.task_id, beside)
        moved = {}
        if standing is None and beside.exists():
            beside.rename(self.superseded_name(image.task_id, "unknown-", beside.suffix, ""))
        if standing is not None and standing["attempt_id"] != image.attempt_id:
            source = self._layout.images.file(standing["file"])
            name = self.superseded_name(
                image.task_id, standing["fingerprint"], source.suffix, standing["attempt_id"]
            )
            # After a crash between copy and deletion both are there, and the move is finished.
            if source.exists() and (not name.exists() or source.folder.moves_by_copy):
                # The copy of the sidecar comes first, so that a crash in between leaves no image without one.
                content = dump_sidecar(standing | {"file": name.name})
                self._layout.put_sidecar(standing["attempt_id"], name.with_suffix(".json"), content)
                source.rename(name)
            if name.exists():
                moved[standing["attempt_id"]] = place_of(name)
        again = standing is not None and standing["attempt_id"] == image.attempt_id and is_whole(target, image)
        if target.exists() and not again:
            # Not ours: put there by hand, or its sidecar is gone. Never overwritten, never deleted.
            target.rename(self.superseded_name(image.task_id, "unknown-", target.suffix, ""))
        return moved

    def _standing(self, task_id: str, beside: File) -> dict[str, Any] | None:
        """A task's sidecar, unless it speaks of another task's image.

        Swapped by hand, it would otherwise take away what belongs to that one.
        """
        sidecar = read_sidecar(beside)
        ours = sidecar is not None and beside.folder.file(sidecar["file"]).stem == task_id
        return sidecar if ours else None

    def superseded_name(self, task_id: str, fingerprint: str, suffix: str, attempt_id: str) -> File:
        """A free name in `superseded/`, or the one that this attempt's sidecar has there already.

        Where the plain one is taken it is the attempt's own, so that no names are gone through, however many there are.
        """
        self._set_aside = True
        for copy in _copies(attempt_id):
            name = self._layout.superseded.file(superseded_name(task_id, fingerprint, suffix[1:], copy))
            there = read_sidecar(name.with_suffix(".json"))
            free = there is None and not name.exists()
            if free or (there is not None and there["attempt_id"] == attempt_id):
                return name
        raise AssertionError("names do not run out")


def _copies(attempt_id: str) -> Iterator[str]:
    """What tells copies apart: nothing, then something of the attempt's own, and other things where that is taken."""
    yield ""
    for number in count():
        yield hashlib.sha256(f"{attempt_id} {number}".encode()).hexdigest()[:COPY_LENGTH]


def _storage_error(error: OSError, file: object) -> StorageError:
    what = "store" if is_url(str(file)) else "disk"
    failure = StorageError(
        f"{file}: could not be made durable ({error.strerror or error}); check the {what}, then run again"
    )
    failure.__cause__ = error
    return failure


def is_whole(file: File, image: StoredImage) -> bool:
    """Whether a file's bytes are the image's, to the last one."""
    try:
        same_size = file.is_regular() and file.status().size_bytes == image.size_bytes
        return same_size and file.sha256() == image.sha256
    except FileNotFoundError:
        return False
