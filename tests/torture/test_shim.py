"""The shim itself: it strikes the call that it is told to strike, in any process, and says so."""

from __future__ import annotations

import errno
import signal
import uuid
from pathlib import Path

import pytest

from tests.support.cli import Desk, pick
from tests.support.paid import Till
from tests.torture.arena import Arena
from tests.torture.shim import fails, kills, read_tally

BOATS = [{"id": "boat", "prompt": "A boat."}, {"id": "ship", "prompt": "A ship."}]


@pytest.fixture
def desk(tmp_path: Path, arena: Arena) -> Desk:
    """A job of two tasks, one at a time; the run itself is a process like any other."""
    desk = Desk(tmp_path.resolve(), Till(arena.port, f"sk-{uuid.uuid4().hex}"))
    desk.manifest(BOATS, limits={"concurrency": 1})
    return desk


def test_a_full_disk(desk: Desk, arena: Arena) -> None:
    """ENOSPC where room is reserved: exit 3 before anything is sent; with room again, the job is done."""
    full = fails(errno.ENOSPC, kinds=("allocate",), path="state/*.part", lasting=True)
    calm = dict(desk.environ)
    desk.environ |= full.environ(arena.library, desk.job, tally=desk.folder / "tally")

    summary = desk.run(expect=3)

    assert ("storage", 0, 2) == pick(summary, "stopped_by", "stored", "pending")
    assert [] == desk.till.requests
    tally = read_tally(desk.folder / "tally")
    assert tally.struck >= 1
    assert tally.last.startswith("allocate state/")
    desk.environ = calm
    assert 2 == desk.run()["stored"] == len(desk.till.requests)


def test_a_failing_disk(desk: Desk, arena: Arena) -> None:
    """EIO on the second fsync of an image: exit 3, and the image that was paid for is not bought again."""
    broken = fails(errno.EIO, kinds=("fsync",), path="state/*.part", at=2)
    calm = dict(desk.environ)
    desk.environ |= broken.environ(arena.library, desk.job)

    assert ("storage", 1) == pick(desk.run(expect=3), "stopped_by", "stored")

    desk.environ = calm
    assert (2, 2) == (desk.run()["tasks"], len(desk.images()))
    assert 2 == len(desk.till.requests)


def test_a_killed_process(desk: Desk, arena: Arena) -> None:
    """A kill in the middle of a write leaves half of it, and the tally says where it was."""
    strike = kills(1, "half", path="state/*.part")
    desk.environ |= strike.environ(arena.library, desk.job, tally=desk.folder / "tally")

    assert -signal.SIGKILL == desk.do("run", "job.yaml").code

    (part,) = (desk.job / "state").glob("*.part")
    (image,) = desk.till.images.values()
    half = image[: len(image) // 2]
    assert half.rstrip(b"\0") == part.read_bytes().rstrip(b"\0")  # the rest of it is reserved room
    assert read_tally(desk.folder / "tally").last == f"write state/{part.name}"
