"""Attempts on a Ray cluster: real actors, one of them killed, the bill compared with images and ledger."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.support.cli import Desk, ended, pick, until
from tests.support.paid import Rule

pytest_plugins = ("tests.support.fixtures",)

BOATS = {"id": "boat", "prompt": "Boat {n}.", "vary": {"n": [str(n) for n in range(1, 25)]}}


def _workers(desk: Desk) -> list[int]:
    """Actors of this test's cluster: they carry its home in their environment."""
    home = f"HOME={desk.folder}\0".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if b"ray::Worker" in (entry / "cmdline").read_bytes() and home in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_a_worker_killed_in_the_middle_costs_no_image(desk: Desk) -> None:
    """Its requests are unknown or found in the store; another takes its place, and the bill holds no surprise."""
    desk.till.script(Rule(delay_s=0.5))
    desk.manifest([BOATS], limits={"concurrency": 4})
    with ended(desk.start("run", "job.yaml", "--json", "--engine", "ray")) as running:
        until(lambda: len(desk.till.requests) >= 6, running)
        (worker,) = _workers(desk)
        os.kill(worker, signal.SIGKILL)
        done = running.done()
    assert 0 == done.code, done.err
    assert (24, 0, 0, None) == pick(done.last, "stored", "failed", "pending", "stopped_by")
    assert 24 == len(set(desk.images().values()))
    attempts = {one["attempt_id"]: one for one in desk.attempts()}
    charged = [request["headers"]["x-client-request-id"] for request in desk.till.charged]
    assert set(charged) <= set(attempts)
    lost = [attempts[one] for one in charged if attempts[one]["state"] != "stored"]
    assert ["unknown"] * len(lost) == [one["class"] for one in lost]
    assert len(lost) <= 4
