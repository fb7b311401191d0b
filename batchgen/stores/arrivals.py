"""The barrier: images that wait in the state folder become durable under their final names, many at once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from batchgen.core.errors import StorageError
from batchgen.core.types import Answer, Stored, StoredImage
from batchgen.stores.layout import Layout
from batchgen.stores.sidecars import dump_sidecar, read_sidecar
from batchgen.system.files import fsync_directory, fsync_file, replace_file

SYNC_THREADS = 8
"""Fsyncs of one batch run side by side: a disk finishes eight in about the time of two."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """An image at `source` with its new sidecar at `sidecar`, both to be renamed to the names that `image` says.

    `leaves` is the sidecar that an image moved from another name leaves behind.
    """

    image: StoredImage
    answer: Answer
    source: Path
    sidecar: Path
    leaves: Path | None = None


class Barrier:
    """Makes batches of arrivals durable; what stood under a final name moves to `superseded/` in the same step."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._pool = ThreadPoolExecutor(SYNC_THREADS, thread_name_prefix="fsync")

    def close(self) -> None:
        """End the fsync threads."""
        self._pool.shutdown()

    def __call__(self, arrivals: Sequence[Arrival]) -> list[Stored | Exception]:
        """Sync, rename, sync the directories; an arrival that fails takes no other down."""
        synced = list(self._pool.map(_sync, arrivals))
        results = [
            error if error is not None else self._rename(arrival)
            for arrival, error in zip(arrivals, synced, strict=True)
        ]
        touched = {self._layout.images, self._layout.superseded}
        try:
            for directory in touched:
                fsync_directory(directory)
        except OSError as error:
            return [_storage_error(error, self._layout.folder)] * len(arrivals)
        for arrival, result in zip(arrivals, results, strict=True):
            if arrival.leaves is not None and isinstance(result, Stored):
                arrival.leaves.unlink(missing_ok=True)
        return results

    def _rename(self, arrival: Arrival) -> Stored | Exception:
        image = arrival.image
        target = self._layout.folder / image.file
        try:
            superseded = self._clear(image, target)
            arrival.sidecar.replace(self._layout.sidecar(image.task_id))
            arrival.source.replace(target)
        except OSError as error:
            return _storage_error(error, target)
        return Stored(image, arrival.answer, superseded)

    def _clear(self, image: StoredImage, target: Path) -> dict[str, str]:
        """Move what stands under a task's name away; returns where, by attempt id."""
        beside = self._layout.sidecar(image.task_id)
        standing = read_sidecar(beside)
        moved = {}
        if standing is None and os.path.lexists(beside):
            beside.rename(self.superseded_name(image.task_id, "unknown-", beside.suffix, ""))
        if standing is not None and standing["attempt_id"] != image.attempt_id:
            source = self._layout.images / Path(standing["file"]).name
            name = self.superseded_name(
                image.task_id, standing["fingerprint"], source.suffix, standing["attempt_id"]
            )
            if source.exists() and not name.exists():
                # The copy of the sidecar comes first, so that a crash in between leaves no image without one.
                replace_file(name.with_suffix(".json"), dump_sidecar(standing | {"file": name.name}))
                source.rename(name)
            if name.exists():
                moved[standing["attempt_id"]] = f"{self._layout.superseded.name}/{name.name}"
        again = standing is not None and standing["attempt_id"] == image.attempt_id and is_whole(target, image)
        if os.path.lexists(target) and not again:
            # Not ours: put there by hand, or its sidecar is gone. Never overwritten, never deleted.
            target.rename(self.superseded_name(image.task_id, "unknown-", target.suffix, ""))
        return moved

    def superseded_name(self, task_id: str, fingerprint: str, suffix: str, attempt_id: str) -> Path:
        """A free name in `superseded/`, or the one that this attempt's sidecar has there already."""
        stem = f"{task_id}.{fingerprint[:8]}"
        for name in self._numbered(stem, suffix):
            there = read_sidecar(name.with_suffix(".json"))
            free = there is None and not os.path.lexists(name)
            if free or (there is not None and there["attempt_id"] == attempt_id):
                return name
        raise AssertionError("numbers do not run out")

    def _numbered(self, stem: str, suffix: str) -> Iterable[Path]:
        number = 1
        while True:
            tail = "" if number == 1 else f"-{number}"
            yield self._layout.superseded / f"{stem}{tail}{suffix}"
            number += 1


def _sync(arrival: Arrival) -> StorageError | None:
    try:
        fsync_file(arrival.source)
        fsync_file(arrival.sidecar)
    except OSError as error:
        return _storage_error(error, arrival.source)
    return None


def _storage_error(error: OSError, path: Path) -> StorageError:
    failure = StorageError(f"{path}: could not be made durable ({error}); check the disk, then run again")
    failure.__cause__ = error
    return failure


def is_whole(path: Path, image: StoredImage) -> bool:
    """Whether the bytes at `path` are the image's, to the last one."""
    try:
        if path.is_symlink() or path.stat().st_size != image.size_bytes:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == image.sha256
    except FileNotFoundError:
        return False
