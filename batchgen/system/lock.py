"""A lock that the kernel drops when its holder dies: no stale locks, no guessing from process ids."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


class LockHeldError(Exception):
    """Someone else holds the lock; the text says who, as far as the file tells."""


@contextmanager
def hold_lock(path: Path, started: str, *, reading: bool = False) -> Iterator[None]:
    """Hold `path` exclusively, and the folder that it lies in. The file stays, only the lock goes.

    The folder is locked too, since the file may be deleted and made anew while it is held; where it may not be
    written and the holder is only `reading`, it alone is. Raises `LockHeldError` at once when either is held, and
    `OSError`.
    """
    with ExitStack() as opened:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        opened.callback(os.close, folder)
        if reading and not os.access(path.parent, os.W_OK):
            _take(folder, folder)
        else:
            descriptor = os.open(path.name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600, dir_fd=folder)
            opened.callback(os.close, descriptor)
            for lock in (descriptor, folder):
                _take(lock, descriptor)
            text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "started": started})
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, text.encode(), 0)
        yield


def _take(lock: int, told: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LockHeldError(_holder(told)) from None


def _holder(descriptor: int) -> str:
    try:
        who = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {who['pid']} on {who['host']}, started {who['started']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "a process that has just begun"
