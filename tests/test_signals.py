"""SIGTERM and SIGINT: the first drains, the second stops at once, and the next run goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from functools import partial

import pytest

from tests.support.cli import WAIT_S, Desk, ended, pick, together, until
from tests.support.paid import Rule, Till

pytest_plugins = ("tests.support.fixtures",)

EARLY = """
import os
import signal
import sys
from batchgen.core.values import replace
from pathlib import Path
from batchgen.cli.options import options_of
from batchgen.cli.running import run_all
from batchgen.system.clock import utc_now

first = True

def clock():
    global first
    if first:
        first = False
        os.kill(os.getpid(), signal.Signals[sys.argv[1]])
    return utc_now()

values = {"verbose": False, "quiet": False, "as_json": True}
sys.exit(run_all([Path("job.yaml")], replace(options_of(values), clock=clock), values))
"""
"""A run that is signalled while it reads its manifest: the day is asked for before the first line is read."""

NOHUP = """
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""What `nohup` does to a command."""

BOATS = {"id": "boat", "prompt": "A boat.", "images": 8}
TWO = {"concurrency": 2}


def test_the_first_signal_drains(desk: Desk) -> None:
    """What is in flight is waited for and stored, nothing new is sent, reports are written; the next run finishes."""
    cases = ((signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129))
    together(partial(_drain, desk.beside(number.name), number, code) for number, code in cases)


def test_a_terminal_that_closes_loses_nothing(desk: Desk) -> None:
    """Its signal drains however often it comes, and `nohup` keeps it from the run: all images are made then."""
    till = desk.till
    till.script(Rule(do="hold"))
    desk.manifest([BOATS], limits=TWO)
    with ended(desk.start("run", "job.yaml", "--json")) as running:
        until(lambda: len(till.requests) == 2, running)
        running.signal(signal.SIGHUP)
        running.wait_for("stopping")
        running.signal(signal.SIGHUP)
        till.script()
        done = running.done()
    assert (129, 2, 6) == (done.code, *pick(done.last, "stored", "pending"))

    till.script(Rule(do="hold"))
    with ended(desk.start("run", "job.yaml", "--json", before=(sys.executable, "-c", NOHUP))) as running:
        until(lambda: len(till.requests) == 4, running)
        running.signal(signal.SIGHUP)
        till.script()
        done = running.done()
    assert (0, 6) == (done.code, *pick(done.last, "stored"))


def _drain(desk: Desk, number: signal.Signals, code: int) -> None:
    till = desk.till
    till.script(Rule(do="hold"))
    desk.manifest([BOATS], limits=TWO)
    with ended(desk.start("run", "job.yaml", "--json")) as running:
        until(lambda: len(till.requests) == 2, running)
        running.signal(number)
        running.wait_for("stopping")
        till.script()
        done = running.done()

    assert code == done.code
    assert ("signal", 8, 2, 6, 2) == pick(done.last, "stopped_by", "tasks", "stored", "pending", "attempts")
    assert 2 == len(till.requests) == len(desk.images())
    assert {"attempts": 2, "stopped_by": "signal"}.items() <= done.last.items()
    assert "batchgen run job.yaml" in done.err
    assert (desk.job / "index.html").exists()
    assert (6, 2) == pick(desk.run(), "stored", "kept")
    assert 8 == len(till.charged)


@pytest.mark.parametrize("words", [(), ("--verbose",)])
def test_a_signal_that_also_ends_who_reads_the_words(desk: Desk, words: tuple[str, ...]) -> None:
    """Ctrl-C on `batchgen run 2>&1 | tee LOG` closes the pipe first: what is in flight is stored all the same."""
    till = desk.till
    till.script(Rule(do="hold"))
    desk.manifest([BOATS], limits=TWO)
    with ended(desk.start("run", "job.yaml", "--json", *words)) as running:
        until(lambda: len(till.requests) == 2, running)
        assert running.process.stderr is not None
        running.process.stderr.close()
        running.signal(signal.SIGINT)
        till.script()
        done = running.done()

    stored = len(till.charged)  # two, or a few more where they were answered before the signal was heard
    assert (130, stored, stored) == (done.code, done.last["stored"], len(desk.images()))
    assert (8 - stored, stored) == pick(desk.run(), "stored", "kept")
    assert 8 == len(till.charged)


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_while_the_manifest_is_read(desk: Desk, till: Till, name: str, code: int) -> None:
    """It is heard when the reading ends: nothing is sent, the JSON line is there, and the next run makes everything."""
    desk.manifest([BOATS])
    command = [sys.executable, "-W", "error", "-c", EARLY, name]
    done = subprocess.run(
        command, cwd=desk.folder, env=desk.environ, capture_output=True, text=True, check=False, timeout=WAIT_S
    )

    assert code == done.returncode, done.stderr
    assert "stopping" in done.stderr
    assert ("signal", 8, 8, 0) == pick(json.loads(done.stdout), "stopped_by", "tasks", "pending", "attempts")
    assert [] == till.requests
    assert 8 == desk.run()["stored"]


def test_the_second_signal_stops_at_once(desk: Desk, till: Till) -> None:
    """What is in flight then is unknown, with its reason, on the ledger; the next run sends it again as a duplicate."""
    till.script(Rule("", "never", 2))
    desk.manifest([BOATS], limits=TWO)
    with ended(desk.start("run", "job.yaml", "--json")) as running:
        until(lambda: len(till.requests) == 2, running)
        running.signal(signal.SIGTERM)
        assert "once more" in running.wait_for("stopping")
        running.signal(signal.SIGTERM)
        done = running.done()

    assert 143 == done.code
    assert ("signal", 0, 8) == pick(done.last, "stopped_by", "stored", "pending")
    assert done.last["cost_usd"] > 0
    lost = desk.attempts()
    assert [("failed", "unknown", "the run was stopped before the answer came")] * 2 == [
        pick(attempt, "state", "class", "reason") for attempt in lost
    ]
    assert 8 == desk.run()["stored"]
    assert 2 == sum(attempt["possible_duplicate"] for attempt in desk.attempts())
    assert 10 == len(till.requests)


def test_grace_bounds_the_waiting(desk: Desk, till: Till) -> None:
    """`--grace 0` does not wait after the first signal: what is in flight is unknown, and held if the manifest says so."""
    till.script(Rule("", "never"))
    desk.manifest([BOATS], limits=TWO, retry={"on_unknown": "hold"})
    with ended(desk.start("run", "job.yaml", "--json", "--grace", "0")) as running:
        until(lambda: len(till.requests) == 2, running)
        running.signal(signal.SIGINT)
        done = running.done()

    assert (130, "signal", 2, 6) == (done.code, *pick(done.last, "stopped_by", "held", "pending"))


def test_a_signal_ends_a_wait_for_the_rate(desk: Desk, till: Till) -> None:
    """A run that waits for its next permit ends at once; the manifests behind it are not begun."""
    desk.manifest([BOATS], limits={"images_per_minute": 1})
    desk.manifest([BOATS], name="second.yaml", job="second")
    with ended(desk.start("run", "job.yaml", "second.yaml", "--json")) as running:
        until(lambda: len(desk.images()) == 1, running)
        running.signal(signal.SIGTERM)
        done = running.done()

    assert (143, 1) == (done.code, len(done.lines))
    assert ("job", 1, 7) == pick(done.last, "job", "stored", "pending")
    assert 1 == len(till.requests)
    assert not (desk.folder / "output" / "second").exists()


def test_a_signal_ends_a_wait_for_old_links(desk: Desk, till: Till) -> None:
    """Links that an earlier run left are not waited for after a signal: they stay `received`, free for the next run."""
    till.script(Rule("", "url", links=(0,)))
    desk.manifest([BOATS | {"images": 2}])
    with ended(desk.start("run", "job.yaml")) as running:
        until(lambda: len(till.downloads) == 2, running)
        running.signal(signal.SIGKILL)
        running.done()
    with ended(desk.start("run", "job.yaml", "--json")) as running:
        until(lambda: len(till.downloads) == 4, running)
        running.signal(signal.SIGTERM)
        done = running.done()

    assert (143, "signal", 2, 0) == (done.code, *pick(done.last, "stopped_by", "pending", "attempts"))
    assert {"received"} == {task["state"] for task in desk.tasks().values()}
