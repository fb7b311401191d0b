"""Folders that are held open, and files named within them: what happens to a path later leads nowhere else."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader, BufferedWriter
from pathlib import Path

from msgspec import Struct

from batchgen.core.types import Blob

_NOT_SUPPORTED = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS})


@dataclass(frozen=True, slots=True)
class Free:
    """What a file system has left. `files` is None where it does not count them."""

    size_bytes: int
    files: int | None


class Status(Struct, frozen=True):
    """What a name stands for. `mark` changes when the bytes are replaced: the modification time, or an object's tag."""

    mode: int
    size_bytes: int
    mark: int


class Folder:
    """A directory by its descriptor. `path` is for messages: it may lead elsewhere by now.

    One that was not there when it was opened holds no files. All methods raise `OSError`.
    """

    moves_by_copy = False
    """Whether a move is a copy and a deletion, so that a crash can leave both names, and takes a while."""

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def open(cls, path: Path, *, missing_ok: bool = False) -> Folder:
        """Open a directory; links on the way to it are followed."""
        try:
            return cls(path, os.open(path, os.O_RDONLY | os.O_DIRECTORY))
        except FileNotFoundError:
            if missing_ok:
                return cls(path, None)
            raise

    def within(self, name: str, *, mode: int | None = None) -> Folder:
        """Open a directory in this one, which must be no link. With a mode it is made, and has that mode then."""
        path = self.path / name
        if self.is_missing and mode is None:
            return Folder(path, None)
        try:
            if mode is not None:
                with suppress(FileExistsError):
                    os.mkdir(name, mode, dir_fd=self.descriptor)
            descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=self.descriptor)
        except FileNotFoundError:
            if mode is None:
                return Folder(path, None)
            raise
        if mode is not None:
            os.fchmod(descriptor, mode)  # whatever the umask is
        return Folder(path, descriptor)

    @property
    def descriptor(self) -> int:
        """The open descriptor. Raises `FileNotFoundError` when the folder is not there."""
        if self._descriptor is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path))
        return self._descriptor

    @property
    def is_missing(self) -> bool:
        """Whether it was not there when it was opened."""
        return self._descriptor is None

    def file(self, name: str) -> File:
        """A file of this folder, there or not."""
        return File(self, name)

    def names(self) -> Generator[str, None, None]:
        """The names of everything in it, in no order. Who stops half way closes it."""
        if self._descriptor is None:
            return
        # A descriptor of its own: two readers of one would share the place where they are.
        reading = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=self._descriptor)
        try:
            with os.scandir(reading) as entries:
                for entry in entries:
                    yield entry.name
        finally:
            os.close(reading)

    def free(self) -> Free:
        """What is left where it lies."""
        told = os.fstatvfs(self.descriptor)
        # btrfs and others count no inodes and say 0 of 0.
        return Free(told.f_bavail * told.f_frsize, told.f_favail if told.f_files else None)

    def confirm(self) -> None:
        """Raises `OSError` once somebody else may write here: on a disk the lock holds as long as the process."""

    def forget_uploads(self) -> None:
        """Remove what interrupted uploads left behind: nothing on a disk, where files are renamed."""

    def sync(self) -> None:
        """Force its names to the disk; file systems that cannot do that for directories are tolerated."""
        try:
            os.fsync(self.descriptor)
        except OSError as error:
            if error.errno not in _NOT_SUPPORTED:
                raise

    def close(self) -> None:
        """Let it go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@dataclass(frozen=True, slots=True)
class File:
    """A name in a folder. A link under it is never followed: what reads or writes it raises `OSError`."""

    folder: Folder
    name: str

    def __str__(self) -> str:
        return str(self.folder.path / self.name)

    @property
    def stem(self) -> str:
        """The name without its last suffix."""
        return self.name.rpartition(".")[0] or self.name

    @property
    def suffix(self) -> str:
        """The last suffix with its dot, "" for none."""
        return self.name[len(self.stem) :]

    def with_suffix(self, suffix: str) -> File:
        """Another file of the folder."""
        return File(self.folder, self.stem + suffix)

    def status(self) -> Status:
        """Of the name itself, also when it is a link. Raises `FileNotFoundError`."""
        told = self._stat()
        return Status(told.st_mode, told.st_size, told.st_mtime_ns)

    def upload(self) -> File:
        """Where its bytes are on their way to it: on a disk there is no such place but its own."""
        return self

    def exists(self) -> bool:
        """Whether anything has this name."""
        try:
            self.status()
        except FileNotFoundError:
            return False
        return True

    def is_regular(self) -> bool:
        """Whether it is a file, and no link, folder or pipe."""
        try:
            return stat.S_ISREG(self.status().mode)
        except FileNotFoundError:
            return False

    def read(self, limit_bytes: int = -1) -> bytes:
        """Its bytes, at most so many of them."""
        with self.reading() as file:
            return file.read(limit_bytes)

    def reading(self) -> BufferedReader:
        """It, opened for who reads it piece by piece and closes it."""
        # Not blocking, since a pipe put in a file's place would wait for ever.
        return os.fdopen(self._open(os.O_RDONLY | os.O_NONBLOCK), "rb")

    def appending(self) -> BufferedWriter:
        """It, opened for who writes on at its end and closes it."""
        return os.fdopen(self._open(os.O_WRONLY | os.O_APPEND), "ab")

    def sha256(self) -> str:
        """The hash of its bytes, read piece by piece."""
        with self.reading() as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def write(self, data: Blob, *, mode: int = 0o644, durable: bool = True) -> None:
        """Create it or replace its content in place; for names that nobody reads before they are renamed."""
        with self._writing(os.O_TRUNC, mode) as descriptor:
            os.fchmod(descriptor, mode)  # whatever the umask is
            _write_all(descriptor, data)
            if durable:
                os.fsync(descriptor)

    def replace(self, data: Blob, *, mode: int = 0o644) -> None:
        """Replace its content durably and atomically: a reader sees the old or the new, never a part."""
        beside = File(self.folder, f".{self.name}.new")
        beside.write(data, mode=mode)
        beside.rename(self)
        self.folder.sync()

    def reserve(self, size_bytes: int) -> None:
        """Create it with room of its own on the disk, so that filling it later cannot fail for lack of it.

        Where the file system cannot promise room, there is none: `Folder.free` is all that can be asked then.
        """
        with self._writing() as descriptor:
            try:
                if size_bytes:
                    os.posix_fallocate(descriptor, 0, size_bytes)
            except OSError as error:
                if error.errno not in _NOT_SUPPORTED:
                    raise

    def fill(self, data: Blob, *, mode: int = 0o600) -> None:
        """Overwrite it from its start and cut it to size, keeping the room that it holds meanwhile."""
        with self._writing() as descriptor:
            _write_all(descriptor, data)
            os.ftruncate(descriptor, len(data))
            os.fchmod(descriptor, mode)

    def rewrite(self, *, mode: int) -> None:
        """Write its own bytes once more, so that the fsync that follows is a real one; its times stay.

        After a failed fsync the kernel calls pages clean that never reached the disk: a file that only waits for
        its next fsync could be lost, although it reads well (wiki.postgresql.org/wiki/Fsync_Errors).
        """
        data, times = self.read(), self._stat()
        with self._writing() as descriptor:
            _write_all(descriptor, data)
            os.fchmod(descriptor, mode)
            os.utime(descriptor, ns=(times.st_atime_ns, times.st_mtime_ns))

    def sync(self) -> None:
        """Force its bytes to the disk. An error is final: the kernel may have dropped them already."""
        descriptor = self._open(os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, target: File) -> None:
        """Give it another name, replacing what has that name; in an object store images are never replaced."""
        target.receive(self)

    def receive(self, source: File) -> None:
        """Take over another file's bytes and place."""
        os.rename(
            source.name, self.name, src_dir_fd=source.folder.descriptor, dst_dir_fd=self.folder.descriptor
        )

    def unlink(self) -> None:
        """Remove the name, if it is there."""
        with suppress(FileNotFoundError):
            os.unlink(self.name, dir_fd=self.folder.descriptor)

    def _stat(self) -> os.stat_result:
        return os.stat(self.name, dir_fd=self.folder.descriptor, follow_symlinks=False)

    def _open(self, flags: int, mode: int = 0o600) -> int:
        return os.open(self.name, flags | os.O_NOFOLLOW, mode, dir_fd=self.folder.descriptor)

    @contextmanager
    def _writing(self, flags: int = 0, mode: int = 0o600) -> Iterator[int]:
        descriptor = self._open(os.O_WRONLY | os.O_CREAT | flags, mode)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _write_all(descriptor: int, data: Blob) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
