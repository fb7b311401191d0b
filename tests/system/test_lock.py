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

from batchgen.system.lock import Holder, LockHeldError, hold_lock, last_holder

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


def test_who_holds_it_can_be_seen_without_touching_it(tmp_path: Path) -> None:
    """While it is held, after its holder died, and of another host, which alone could tell; a run may take it meanwhile."""
    path = tmp_path / ".lock"
    assert None is last_holder(path)
    with holder(path) as process:
        assert Holder(process.pid, socket.gethostname(), STARTED, holds=True) == last_holder(path)
    assert Holder(process.pid, socket.gethostname(), STARTED, holds=False) == last_holder(path)
    path.write_text(f'{{"pid": {os.getpid()}, "host": "{socket.gethostname()}", "started": "{STARTED}"}}')
    told = last_holder(path)
    assert told is not None
    assert told.holds in {False, not Path("/proc/locks").exists()}  # this process lives, and holds nothing
    path.write_text(f'{{"pid": 1, "host": "elsewhere", "started": "{STARTED}"}}')
    assert Holder(1, "elsewhere", STARTED, holds=None) == last_holder(path)


@pytest.mark.parametrize(
    "text", ["", "null", "[]", '{"pid": "x", "host": 1}', '{"pid": 1e999, "host": 1, "started": 1}']
)
def test_a_lock_that_tells_nothing(tmp_path: Path, text: str) -> None:
    """Whatever is in it, nobody is named and nothing fails; a link or a pipe in its place is not opened."""
    path = tmp_path / ".lock"
    path.write_text(text)
    assert None is last_holder(path)
    path.unlink()
    os.mkfifo(path)
    assert None is last_holder(path)
    (tmp_path / "link").symlink_to(path)
    assert None is last_holder(tmp_path / "link")


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
