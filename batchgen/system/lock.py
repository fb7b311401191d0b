"""A lock that the kernel drops when its holder dies: no stale locks, no guessing from process ids."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from batchgen.core.values import replace


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
    who = _told(descriptor)
    if who is None:
        return "a process that has just begun"
    return f"process {who.pid} on {who.host}, started {who.started}"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who took a lock last, and when (UTC). `holds` says whether it still does, None where only its host can tell."""

    pid: int
    host: str
    started: str
    holds: bool | None = None


def last_holder(path: Path) -> Holder | None:
    """Who took the lock last, as far as its file tells. It is only looked at: trying it could get in a run's way."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        who, inode = _told(descriptor), os.fstat(descriptor).st_ino
    finally:
        os.close(descriptor)
    if who is None or who.host != socket.gethostname():
        return who
    return replace(who, holds=_lives(who.pid) and _is_locked(inode))


def _told(descriptor: int) -> Holder | None:
    try:
        who = json.loads(os.pread(descriptor, 4096, 0))
        return Holder(int(who["pid"]), str(who["host"]), str(who["started"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return pid > 0


def _is_locked(inode: int) -> bool:
    """Whether the kernel knows a lock on a file; where it does not tell, a process that lives is believed."""
    try:
        locks = Path("/proc/locks").read_text(encoding="ascii")
    except (OSError, ValueError):
        return True
    held = (line.split() for line in locks.splitlines())
    return any("FLOCK" in words and any(word.endswith(f":{inode}") for word in words) for words in held)
