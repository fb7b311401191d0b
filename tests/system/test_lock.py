"""The lock file: one holder at a time, and none that is dead."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from batchgen.system.lock import LockHeldError, hold_lock

STARTED = "2026-11-23T22:00:00.000Z"
HOLD = f"""
import sys
from pathlib import Path
from batchgen.system.lock import hold_lock
with hold_lock(Path(sys.argv[1]), "{STARTED}"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lock until its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert b"held\n" == process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def test_a_second_process_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    """At once, with process, host and start."""
    path = tmp_path / ".lock"
    with (
        holder(path) as other,
        pytest.raises(LockHeldError, match=f"process {other.pid} on {socket.gethostname()}, started {STARTED}"),
        hold_lock(path, STARTED),
    ):
        pass


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_the_kernel_drops_the_lock_of_the_dead(tmp_path: Path, end: signal.Signals) -> None:
    """A killed holder leaves no stale lock."""
    path = tmp_path / ".lock"
    with holder(path) as other:
        other.send_signal(end)
        assert -end == other.wait(timeout=10)
        with hold_lock(path, STARTED):
            assert str(os.getpid()) in path.read_text()


def test_a_stopped_holder_still_holds(tmp_path: Path) -> None:
    """A suspended process is not dead."""
    path = tmp_path / ".lock"
    with holder(path) as other:
        other.send_signal(signal.SIGSTOP)
        with pytest.raises(LockHeldError), hold_lock(path, STARTED):
            pass


def test_a_lock_is_free_after_use(tmp_path: Path) -> None:
    """The file stays, the lock goes, also after an error."""
    path = tmp_path / ".lock"
    with pytest.raises(RuntimeError, match="oops"), hold_lock(path, STARTED):
        raise RuntimeError("oops")
    with hold_lock(path, STARTED):
        assert path.exists()


def test_a_holder_that_has_not_signed_yet_is_said(tmp_path: Path) -> None:
    """An empty or strange file does not confuse the one who is refused."""
    path = tmp_path / ".lock"
    with holder(path):
        path.write_bytes(b"[]")
        with pytest.raises(LockHeldError, match="just begun"), hold_lock(path, STARTED):
            pass


def test_a_linked_lock_is_refused(tmp_path: Path) -> None:
    """A link at the lock's place is not followed."""
    (tmp_path / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"), hold_lock(tmp_path / ".lock", STARTED):
        pass
    assert not (tmp_path / "elsewhere").exists()
