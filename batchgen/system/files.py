"""Files that are durable when a call returns, and never half written under their final names."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_NOT_SUPPORTED = frozenset({errno.EINVAL, errno.ENOTSUP})


def fsync_file(path: Path) -> None:
    """Force a file's bytes to the disk. An error is final: the kernel may have dropped them already."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_directory(path: Path) -> None:
    """Force a directory's names to the disk; file systems that cannot do that for directories are tolerated."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise
    finally:
        os.close(descriptor)


def write_file(path: Path, data: bytes, *, mode: int = 0o644, durable: bool = True) -> None:
    """Create or replace a file's content in place; for names that nobody reads before they are renamed."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, mode)
    try:
        os.fchmod(descriptor, mode)  # whatever the umask is
        _write_all(descriptor, data)
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace a file's content durably and atomically: a reader sees the old or the new, never a part."""
    beside = path.with_name(f".{path.name}.new")
    write_file(beside, data, mode=mode)
    beside.replace(path)
    fsync_directory(path.parent)


def fill_file(path: Path, data: bytes | memoryview) -> None:
    """Overwrite a file from its start and cut it to size, keeping the room that it holds meanwhile."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        _write_all(descriptor, data)
        os.ftruncate(descriptor, len(data))
    finally:
        os.close(descriptor)


def reserve_file(path: Path, size_bytes: int) -> None:
    """Create a file that already owns its room on the disk, so that filling it later cannot fail for lack of it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, max(1, size_bytes))
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
