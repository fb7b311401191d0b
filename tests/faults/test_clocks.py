"""Clocks that jump, processes that are stopped, runs that begin at once: the same end, and not one request too many."""

from __future__ import annotations

import json
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from batchgen.core.events import AttemptSent, Event
from tests.faults.bench import Bench, bench, told
from tests.faults.wire import FAULTY, Act, Script, Seen, Wire, error, fetched, linked, picture, said, wire
from tests.support.cli import WAIT_S, Running, ended, pick, until

DEADLINE_S = 3
"""Of requests that a stop outlasts: long enough for a busy machine to send them, and to be waited for."""

KEY = "sk-canary-0123456789abcdefghijkl"


@pytest.fixture(scope="module")
def server() -> Iterator[Wire]:
    """One server for the module."""
    with wire() as running:
        yield running


TROUBLES: dict[str, tuple[Script, ...]] = {
    "limited": (error(429, "Slow down.", headers={"Retry-After": "1"}),),
    "busy": (error(500, "Fell over."),),
    "lost": (error(502, "Bad gateway."),),
    "lost-twice": (error(502, "Bad gateway."), error(502, "Bad gateway.")),
    "refused": (error(400, "No boats.", "moderation_blocked"),),
    "empty": (said(200, {"data": []}),),
    "linked": (),
    "fine": (),
}


def troubled(seen: Seen, counts: Counter[str]) -> Script:
    """The trouble that the prompt names, as often as it lasts; then the image, or a link to it."""
    word = seen.prompt.split()[1]
    counts[word] += 1
    troubles = TROUBLES[word]
    if counts[word] <= len(troubles):
        return troubles[counts[word] - 1]
    return linked(seen.url(f"{word}.png?se=2099-01-01T00:00:00Z")) if word == "linked" else picture(seen)


def opened(server: Wire, folder: Path, **keys: Any) -> Bench:  # noqa: ANN401 - whatever a manifest has
    """A job with every trouble."""
    counts: Counter[str] = Counter()
    line = server.line(folder.name, (lambda seen: troubled(seen, counts),), (fetched(),))
    job = bench(folder, line, server.base_url(folder.name), KEY)
    prompts = [{"id": word, "prompt": f"{FAULTY} {word} boat"} for word in TROUBLES]
    settings: dict[str, Any] = {"retry": {"max_attempts": 3}, "limits": {"concurrency": 2}, **keys}
    job.manifest(prompts, **settings)
    return job


class Jumping:
    """A wall clock that jumps after so many requests."""

    def __init__(self, after: int, by: timedelta) -> None:
        self._left = after
        self._by = by
        self._jumped = timedelta()

    def __call__(self) -> datetime:
        """The moment, as this clock has it."""
        return datetime.now(UTC) + self._jumped

    def notify(self, event: Event) -> None:
        """Count requests."""
        if isinstance(event, AttemptSent):
            self._left -= 1
            if self._left == 0:
                self._jumped = self._by


WANTED = {
    "limited--01": ("stored", None, 2),
    "busy--01": ("stored", None, 2),
    "lost--01": ("stored", None, 2),
    "lost-twice--01": ("held", "unknown", 2),
    "refused--01": ("failed", "refused", 1),
    "empty--01": ("failed", "no_image", 1),
    "linked--01": ("stored", None, 1),
    "fine--01": ("stored", None, 1),
}
"""How the tasks stand at the end: state, class, attempts."""


JUMPS = [(0, 4), *((days, after) for days in (-1, 400) for after in (1, 4, 8))]
"""Days, and the requests before the jump."""

Jumped = dict[tuple[int, int], tuple[Bench, dict[str, Any]]]


@pytest.fixture(scope="module")
def jumped(server: Wire, tmp_path_factory: pytest.TempPathFactory) -> Jumped:
    """A run for each jump, side by side, since most of their time is backoff."""
    ends: Jumped = {}

    async def one(jump: tuple[int, int], folder: Path) -> None:
        job = opened(server, folder, limits={"concurrency": 2, "max_duration": "1h"})
        clock = Jumping(jump[1], timedelta(days=jump[0]))
        ends[jump] = job, told(await job.work(clock=clock, notify=clock.notify))

    async def every() -> None:
        async with anyio.create_task_group() as group:
            for jump in JUMPS:
                group.start_soon(one, jump, tmp_path_factory.mktemp(f"jump{jump[0]}after{jump[1]}"))

    anyio.run(every)
    return ends


@pytest.mark.parametrize("jump", JUMPS, ids=lambda jump: f"{jump[0]}-days-after-{jump[1]}")
def test_a_wall_clock_that_jumps_changes_nothing(jump: tuple[int, int], jumped: Jumped) -> None:
    """Backoff, pauses and deadlines are durations: -1 day and +400 days in mid-run lead to the same end."""
    job, summary = jumped[jump]
    ends = {name: pick(task, "state", "class", "attempts") for name, task in job.tasks().items()}
    assert WANTED == ends
    assert (1, 5, 2, 1, 0, None) == pick(summary, "exit", "stored", "failed", "held", "pending", "stopped_by")
    assert 12 == len(job.line.orders) == summary["attempts"]
    assert 1 == len(job.line.downloads)
    assert all(0 <= one["seconds"] < 30 for one in job.attempts())


def test_the_next_run_is_not_bound_by_a_clock_that_was_ahead(server: Wire, tmp_path: Path) -> None:
    """A run whose clock was a year ahead leaves nothing that a run with a right clock waits for."""
    job = opened(server, tmp_path, limits={"concurrency": 2, "images_per_minute": 600})
    ahead = Jumping(0, timedelta())
    ahead._jumped = timedelta(days=400)
    job.work_alone(clock=ahead, limit=2)

    summary = job.work_alone()

    assert (0, None) == pick(summary, "pending", "stopped_by")
    assert WANTED == {name: pick(task, "state", "class", "attempts") for name, task in job.tasks().items()}


def test_moments_of_the_provider_are_compared_with_the_runs_clock(server: Wire, tmp_path: Path) -> None:
    """A `Retry-After` date, the age of a link and of its request go by one clock, which is the one of the ledger."""
    noon = datetime(2020, 1, 1, 12, tzinfo=UTC)
    slow = error(429, "Slow down.", headers={"Retry-After": "Wed, 01 Jan 2020 12:30:00 GMT"})
    line = server.line(
        tmp_path.name,
        (lambda seen: linked(seen.url("boat.png?se=2020-01-01T11:00:00Z")) if "link" in seen.prompt else slow,),
        (said(404),),
    )
    job = bench(tmp_path, line, server.base_url(tmp_path.name), KEY)
    job.manifest([{"id": word, "prompt": f"{FAULTY} {word} boat"} for word in ("link", "slow")])

    assert "later" == job.work_alone(clock=lambda: noon)["stopped_by"]

    tasks = job.tasks()
    assert re.match(r"2020-01-01T12:30:0[0-9]\.", tasks["slow--01"]["not_before"])
    assert "; it expired 60 minutes ago; it was asked for 0 minutes ago" in tasks["link--01"]["reason"]


def held(server: Wire, folder: Path, images: int, concurrency: int) -> Bench:
    """A job whose answers wait until its line is released."""
    line = server.line(folder.name, (lambda seen: (Act.HOLD, *picture(seen)),))
    job = bench(folder, line, server.base_url(folder.name), KEY)
    prompts = [{"id": f"boat-{number}", "prompt": f"{FAULTY} boat {number}"} for number in range(images)]
    job.manifest(prompts, limits={"concurrency": concurrency})
    return job


def test_a_suspended_run_goes_on_where_it_was(server: Wire, tmp_path: Path) -> None:
    """SIGSTOP beyond the deadline of the requests that are answered meanwhile: all are stored, none was sent again."""
    job = held(server, tmp_path, images=8, concurrency=4)
    job.configure(f"providers: {{cometapi: {{deadline: {DEADLINE_S}s}}}}")
    with ended(job.start("run", "job.yaml", "--json")) as running:
        until(lambda: 4 == len(job.line.orders), running)
        running.signal(signal.SIGSTOP)
        until(lambda: "T" == _state(running), running)
        job.line.released.set()
        over = time.monotonic() + DEADLINE_S
        until(lambda: time.monotonic() > over, running)
        running.signal(signal.SIGCONT)
        done = running.done()

    assert 0 == done.code, done.err
    assert (8, 8) == pick(done.last, "stored", "attempts")
    assert 8 == len(job.line.orders) == len(job.images())


def _state(running: Running) -> str:
    """The process's state as the kernel tells it."""
    return Path(f"/proc/{running.process.pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("runs", [2, 8])
def test_of_runs_that_begin_at_once_one_works(runs: int, server: Wire, tmp_path: Path) -> None:
    """The others end with 4 and name who holds the job; nobody orders anything twice."""
    job = held(server, tmp_path, images=3, concurrency=3)
    started = [job.start("run", "job.yaml", "--json") for _ in range(runs)]
    try:
        _wait_for_the_others(job, started)
        done = [running.done() for running in started]
    finally:
        for running in started:
            with ended(running):
                running.process.kill()

    assert [0] + [4] * (runs - 1) == sorted(one.code for one in done)
    # Between taking the lock and signing it lies a moment in which nobody can say more.
    who = r"another run works on this job \((process \d+ on \S+, started \S+|a process that has just begun)\)"
    assert [] == [one.err for one in done if one.code == 4 and not re.search(who, one.err)]
    assert 3 == len(job.line.orders) == len(job.images())
    assert {"stored"} == {task["state"] for task in job.tasks().values()}


def _wait_for_the_others(job: Bench, started: list[Running]) -> None:
    """Let the run that works have its answers once all others have ended."""
    ends = time.monotonic() + WAIT_S
    while sum(one.process.poll() is None for one in started) > 1:
        assert time.monotonic() < ends, "several runs work on one job"
        assert len(job.line.orders) <= 3
        job.line.released.wait(0.02)
    job.line.released.set()


def test_a_lock_that_was_deleted_still_holds(server: Wire, tmp_path: Path) -> None:
    """Whoever removes `.lock` under a run lets no second one in."""
    job = held(server, tmp_path, images=2, concurrency=2)
    with ended(job.start("run", "job.yaml", "--json")) as running:
        until(lambda: 2 == len(job.line.orders), running)
        (job.job / ".lock").unlink()

        with ended(job.start("run", "job.yaml", "--json")) as second:
            until(lambda: second.process.poll() is not None or 2 < len(job.line.orders), running)
            job.line.released.set()
            turned_away, worked = second.done(), running.done()

    assert (4, 0) == (turned_away.code, worked.code), turned_away.err
    assert 2 == len(job.line.orders) == len(job.images())


def test_a_killed_run_leaves_no_lock(server: Wire, tmp_path: Path) -> None:
    """SIGKILL drops the lock with the process; what was in flight is sent again once, and told as such."""
    job = held(server, tmp_path, images=2, concurrency=2)
    with ended(job.start("run", "job.yaml", "--json")) as running:
        until(lambda: 2 == len(job.line.orders), running)
        running.signal(signal.SIGKILL)
        assert -signal.SIGKILL == running.done().code
    job.line.released.set()

    summary: dict[str, Any] = job.work_alone()

    assert (0, 2, 2) == pick(summary, "exit", "stored", "attempts")
    assert 4 == len(job.line.orders)
    keys = Counter(seen.headers["idempotency-key"] for seen in job.line.orders)
    assert [2, 2] == list(keys.values())
    bodies = {json.dumps(json.loads(seen.body)) for seen in job.line.orders}
    assert 2 == len(bodies)
