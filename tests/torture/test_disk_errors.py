"""Errors of the disk itself: nothing is marked that is not durable, nothing more is sent, and nothing is lost."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.support.cli import Desk, pick
from tests.support.paid import Rule
from tests.torture.shim import Strike, compile_shim, fails, read_tally

pytest_plugins = ("tests.support.fixtures",)

BOATS = {"id": "boat", "prompt": "Boat {n}.", "vary": {"n": [str(n) for n in range(1, 9)]}}
CONCURRENCY = 2


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shim, compiled."""
    return compile_shim(tmp_path_factory.mktemp("shim"))


FAULTS = {
    "fsync of an image": fails(errno.EIO, kinds=("fsync",), path="state/*.part", at=3),
    "fsync of a sidecar": fails(errno.EIO, kinds=("fsync",), path="state/*.json", at=3),
    "fsync of the images' folder": fails(errno.EIO, kinds=("fsync",), path="images", at=3),
    "fsync of the ledger": fails(errno.EIO, kinds=("fsync",), path="ledger.sqlite-wal", at=12),
    "room for an answer": fails(errno.ENOSPC, kinds=("allocate",), at=4, lasting=True),
    "a file for an answer": fails(errno.ENOSPC, kinds=("open",), path="state/*.part", at=4, lasting=True),
    "a quota for an answer": fails(errno.EDQUOT, kinds=("allocate",), at=4, lasting=True),
    "the bytes of an image": fails(errno.EIO, kinds=("write",), path="state/*.part", at=3),
    "the bytes of a sidecar": fails(errno.ENOSPC, kinds=("write",), path="state/*.json", at=3, lasting=True),
    "a page of the ledger": fails(
        errno.ENOSPC, kinds=("write",), path="ledger.sqlite-wal", at=40, lasting=True
    ),
    "the name of a sidecar": fails(errno.EROFS, kinds=("rename",), path="images/*.json", at=3, lasting=True),
    "the name of an image": fails(errno.EIO, kinds=("rename",), path="images/*.png", at=3, lasting=True),
}


@pytest.mark.parametrize("name", FAULTS)
def test_an_error_of_the_disk_stops_the_run(desk: Desk, library: Path, name: str) -> None:
    """Exit 3 in words; what was paid is kept or open, and the next run has every image with at most the open ones twice."""
    strike: Strike = FAULTS[name]
    desk.till.script(Rule("Boat", delay_s=0.02))
    desk.manifest([BOATS], limits={"concurrency": CONCURRENCY})
    tally = desk.folder / "tally"
    struck = Desk(desk.folder, desk.till)
    struck.environ |= strike.environ(library, desk.job, tally=tally)

    done = struck.do("run", "job.yaml", "--json")

    assert read_tally(tally).struck >= 1
    assert (3, "storage") == (done.code, done.last["stopped_by"]), done.err
    assert "Traceback" not in done.err
    asked = len(desk.till.requests)
    assert asked < 8
    attempts = {attempt["attempt_id"]: attempt["state"] for attempt in desk.attempts()}
    charged = [request["headers"]["x-client-request-id"] for request in desk.till.charged]
    assert set(charged) <= set(attempts)
    unsettled = [one for one in charged if attempts[one] != "stored"]
    assert len(unsettled) <= CONCURRENCY

    summary = desk.run()

    assert (8, 0, None) == pick(summary, "tasks", "pending", "stopped_by")
    assert 8 == len(desk.images())
    assert len(desk.till.requests) <= 8 + len(unsettled)
    assert len(desk.till.requests) - 8 == sum(attempt["possible_duplicate"] for attempt in desk.attempts())
    assert 0 == desk.do("verify", "job.yaml").code


@pytest.mark.parametrize("name", ["fsync of an image", "fsync of a sidecar", "fsync of the images' folder"])
def test_an_image_whose_fsync_failed_is_adopted_and_synced_anew(desk: Desk, library: Path, name: str) -> None:
    """After a failed fsync nothing is synced again in that run; the next one writes the whole image once more, for nothing."""
    desk.manifest([BOATS], limits={"concurrency": 1})
    tally = desk.folder / "tally"
    struck = Desk(desk.folder, desk.till)
    struck.environ |= FAULTS[name].environ(library, desk.job, tally=tally)
    done = struck.do("run", "job.yaml", "--json")
    assert 3 == done.code
    assert "could not be made durable" in " ".join(done.err.split())
    asked = len(desk.till.requests)

    assert 8 == desk.run()["tasks"]

    assert 8 == len(desk.till.requests)  # the one that was open was not asked for again
    assert asked < 8
