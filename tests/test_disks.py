"""Disks that fill up, vanish or are swapped under a run: it stops in words, and nothing that was paid for is lost."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from tests.support.cli import Desk, ended, pick, until
from tests.support.paid import Rule, Till

pytest_plugins = ("tests.support.fixtures",)

TASKS = 12
BOATS = {"id": "boat", "prompt": "Boat {n}.", "vary": {"n": [str(n) for n in range(1, TASKS + 1)]}}


CLONE_NEWNS = 0x00020000
"""Of linux/sched.h; Python has `os.unshare` from 3.12 on."""


def can_mount() -> bool:
    """Whether this user may mount a file system in a namespace of its own."""
    attempt = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/tmp"]
    able = os.geteuid() == 0 and shutil.which("unshare") is not None
    return able and subprocess.run(attempt, check=False, capture_output=True).returncode == 0


mounts = pytest.mark.skipif(not can_mount(), reason="mounting a small disk needs root and mount namespaces")


@cache
def leave_the_mounts_of_others() -> None:
    """Give this process mounts of its own: they end with it and what it starts, however it ends."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "no mount namespace")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


@contextmanager
def disk(folder: Path, options: str) -> Iterator[None]:
    """A file system in memory, mounted on a folder, seen by nobody else."""
    leave_the_mounts_of_others()
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@mounts
def test_a_small_disk_is_seen_by_nobody_else(tmp_path: Path) -> None:
    """A test that is killed leaves no mount behind: whoever started it never had one."""
    with disk(tmp_path, "size=1m"):
        assert str(tmp_path) in Path("/proc/thread-self/mountinfo").read_text()
        assert str(tmp_path) not in Path(f"/proc/{os.getppid()}/mountinfo").read_text()


def check_no_loss(desk: Desk) -> int:
    """Every image that was charged for is on the disk and on the ledger; returns how many."""
    stored = {attempt["attempt_id"] for attempt in desk.attempts() if attempt["state"] == "stored"}
    assert {request["headers"]["x-client-request-id"] for request in desk.till.charged} == stored
    assert set(desk.till.images.values()) == set(desk.images().values())
    return len(stored)


@mounts
@pytest.mark.parametrize(
    "options",
    [
        "size=1m",
        "size=6m",
        "size=13m",
        "size=14m",
        "size=17m",
        "size=24m",
        "size=200m,nr_inodes=75",
        "size=200m,nr_inodes=90",
    ],
)
def test_a_full_disk_stops_before_anything_is_paid_that_cannot_be_kept(desk: Desk, options: str) -> None:
    """Of any size, in bytes or in inodes: exit 3, every paid image kept; once there is room the next run goes on."""
    desk.manifest([BOATS], limits={"concurrency": 4})
    desk.run("--limit", "0")
    desk.till.script(Rule(delay_s=0.5))  # long enough for four to want their room at once
    with disk(desk.folder / "output", options):
        # The ledger, its journal and the room of four answers take their share of the small disk.
        (desk.folder / "output/filler").write_bytes(b"x" * 2000)
        summary = desk.run(expect=3)
        assert "storage" == summary["stopped_by"]
        assert summary["stored"] == (check_no_loss(desk) if summary["attempts"] else len(desk.till.requests))
        assert summary["stored"] < TASKS
        subprocess.run(["mount", "-o", "remount,size=400m,nr_inodes=10k", desk.folder / "output"], check=True)

        desk.run()

        assert TASKS == check_no_loss(desk) == len(desk.till.requests)


@mounts
def test_a_read_only_disk_is_found_before_anything_is_sent(desk: Desk) -> None:
    """Exit 3 in words, with and without a job on it."""
    desk.manifest([BOATS])
    with disk(desk.folder / "output", "size=100m"):
        for _ in range(2):
            subprocess.run(["mount", "-o", "remount,ro", desk.folder / "output"], check=True)
            done = desk.do("run", "job.yaml", "--json")
            assert (3, "storage") == (done.code, done.last["stopped_by"])
            assert "Read-only file system" in done.err
            assert "Traceback" not in done.err
            subprocess.run(["mount", "-o", "remount,rw", desk.folder / "output"], check=True)
            desk.run("--limit", "0")
    assert [] == desk.till.requests


@mounts
def test_a_read_only_disk_can_be_read(desk: Desk) -> None:
    """A snapshot or a backup: what stands on it is told, and `verify` finds what is wrong; only a repair has to write."""
    desk.manifest([BOATS])
    with disk(desk.folder / "output", "size=100m"):
        desk.run()
        subprocess.run(["mount", "-o", "remount,ro", desk.folder / "output"], check=True)
        for verb in ("status", "plan", "verify"):
            assert 0 == desk.do(verb, "job.yaml").code, verb
        done = desk.do("verify", "job.yaml", "--repair")
        assert 3 == done.code
        assert "Read-only file system" in done.err
        subprocess.run(["mount", "-o", "remount,rw", desk.folder / "output"], check=True)
        next((desk.job / "images").glob("*.png")).unlink()
        subprocess.run(["mount", "-o", "remount,ro", desk.folder / "output"], check=True)
        assert 1 == desk.json("verify", "job.yaml", expect=1)["counts"]["missing"]
        subprocess.run(["mount", "-o", "remount,rw", desk.folder / "output"], check=True)


def test_a_folder_that_vanishes_stops_the_run(desk: Desk, till: Till) -> None:
    """Deleted in mid-run: exit 3, at most what was in flight is lost with it, no request follows, no traceback."""
    till.script(Rule("Boat", "hold"))
    desk.manifest([BOATS], limits={"concurrency": 4})
    with ended(desk.start("run", "job.yaml", "--json")) as running:
        until(lambda: len(till.requests) == 4, running)
        shutil.rmtree(desk.job)
        till.script()
        done = running.done()
    assert (3, "storage") == (done.code, done.last["stopped_by"])
    assert "Traceback" not in done.err
    assert len(till.requests) <= 8


def test_a_folder_that_is_swapped_for_a_link_is_not_followed(desk: Desk, till: Till) -> None:
    """Images, state and the job's folder itself swapped in mid-run: nothing is written where the links lead."""
    till.script(Rule("Boat", "hold"))
    desk.manifest([BOATS], limits={"concurrency": 4})
    elsewhere = desk.folder / "elsewhere"
    elsewhere.mkdir()
    with ended(desk.start("run", "job.yaml", "--json")) as running:
        until(lambda: len(till.requests) == 4, running)
        for name in ("images", "state", "superseded"):
            (desk.job / name).rename(desk.folder / name)
            (desk.job / name).symlink_to(elsewhere)
        till.script()
        running.done()
    assert [] == list(elsewhere.iterdir())
    for name in ("images", "state", "superseded"):
        (desk.job / name).unlink()
        (desk.folder / name).rename(desk.job / name)
    assert TASKS == check_no_loss(desk) == len(till.requests)
    assert 0 == desk.run()["attempts"]


@pytest.mark.parametrize("name", ["ledger.sqlite", ".lock", "images", "state"])
def test_a_link_in_the_jobs_folder_is_refused(desk: Desk, name: str) -> None:
    """Before anything is sent, in words; what it leads to stays as it was."""
    precious = desk.folder / "precious"
    precious.write_bytes(b"precious")
    desk.manifest([BOATS])
    desk.job.mkdir(parents=True)
    (desk.job / name).symlink_to(precious)
    done = desk.do("run", "job.yaml", "--json")
    assert (3, "storage") == (done.code, done.last["stopped_by"])
    assert "Traceback" not in done.err
    assert b"precious" == precious.read_bytes()
    assert [] == desk.till.requests


def test_a_pipe_in_the_ledgers_place_keeps_nobody_waiting(desk: Desk) -> None:
    """Every verb says in words what is in the way, and ends."""
    desk.manifest([BOATS])
    desk.job.mkdir(parents=True)
    os.mkfifo(desk.job / "ledger.sqlite")
    for verb in ("run", "plan", "status"):
        done = desk.do(verb, "job.yaml")
        assert done.code in (2, 3)
        assert "no ledger; move it away" in done.err
        assert "Traceback" not in done.err


def test_an_altered_image_and_one_swapped_for_a_link_are_told(desk: Desk, till: Till) -> None:
    """Exit 1, `missing` in the plan with the reason, and nothing is bought without `retry`."""
    desk.manifest([BOATS])
    desk.run()
    changed, linked = desk.job / "images/boat--1--01.png", desk.job / "images/boat--2--01.png"
    changed.write_bytes(changed.read_bytes() + b"x")
    linked.rename(desk.folder / "moved.png")
    linked.symlink_to(desk.folder / "moved.png")
    assert (2, 10, 0) == pick(desk.run(expect=1), "failed", "kept", "attempts")
    assert {"missing": 2, "kept": 10} == desk.plan()
    assert 2 == desk.json("retry", "job.yaml")["stored"]
    assert TASKS + 2 == len(till.requests)
