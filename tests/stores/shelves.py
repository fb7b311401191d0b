"""Where a store keeps a job, looked at and spoilt from outside: a folder, or an object store with a local one."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from batchgen.stores.directory import DirectoryStore, open_store_at
from batchgen.system.buckets import Bucket
from tests.stores.images import NOW, ORIGIN, files, store_in
from tests.support.weed import objects


@dataclass(frozen=True)
class Shelf:
    """A job in its folder."""

    folder: Path

    def store(self) -> AbstractAsyncContextManager[DirectoryStore]:
        """The store, opened."""
        return store_in(self.folder)

    def files(self) -> dict[str, bytes]:
        """Everything by its place."""
        return files(self.folder)

    def write(self, place: str, data: bytes) -> None:
        """Put other bytes in a place."""
        (self.folder / place).write_bytes(data)

    def remove(self, place: str) -> None:
        """Take something away."""
        (self.folder / place).unlink()

    def touch(self, place: str) -> None:
        """Write the same bytes once more."""
        (self.folder / place).touch()


@dataclass(frozen=True)
class ObjectShelf(Shelf):
    """A job whose images lie in an object store."""

    bucket: Bucket

    def store(self) -> AbstractAsyncContextManager[DirectoryStore]:
        """The store, opened."""
        return open_store_at(self.bucket, self.folder, ORIGIN, now=lambda: NOW)

    def files(self) -> dict[str, bytes]:
        """Everything by its place."""
        return {**objects(self.bucket), **files(self.folder)}

    def write(self, place: str, data: bytes) -> None:
        """Put other bytes in a place."""
        self.bucket.file(place).put(data, replace=True)

    def remove(self, place: str) -> None:
        """Take something away."""
        self.bucket.file(place).unlink()

    def touch(self, place: str) -> None:
        """Write the same bytes once more."""
        self.write(place, self.bucket.file(place).read())
