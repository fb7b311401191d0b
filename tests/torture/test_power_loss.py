"""The power fails at any call: what was called durable is there, and the next run makes the rest right."""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import pytest

from tests.support.cli import Desk
from tests.support.paid import Till
from tests.torture.arena import LONG, Arena
from tests.torture.invariants import violations
from tests.torture.mutants import POWER_MUTANTS, noticed
from tests.torture.nursery import Nursery
from tests.torture.power import Disk, write_survivors
from tests.torture.scenes import Played, Scene, make_scene
from tests.torture.shim import Entry, Strike, kills, read_log
from tests.torture.snapshot import take

pytestmark = pytest.mark.timeout(3600 if LONG else 60)


@pytest.fixture(scope="module")
def scene(arena: Arena) -> Scene:
    """Seven tasks of every kind beside each other, over older images."""
    with arena.nursery() as nursery:
        return make_scene(arena.folder / "power", Till(arena.port, f"sk-{uuid.uuid4().hex}"), nursery)


@pytest.fixture(scope="module")
def fresh(arena: Arena) -> Scene:
    """A job that was never run."""
    with arena.nursery() as nursery:
        return make_scene(
            arena.folder / "power-fresh",
            Till(arena.port, f"sk-{uuid.uuid4().hex}"),
            nursery,
            older=[],
            prompts=[{"id": "boat", "prompt": "A boat."}],
            concurrency=1,
        )


def _lose_power(
    scene: Scene, strike: Strike, seed: int | None, mutant: str | None, desk: Desk, nursery: Nursery
) -> Played:
    """Run up to a call, keep what surely survives (and, with a seed, some of the rest), go on from there."""
    disk, log = Disk(desk.job), desk.folder / "log"
    ended = nursery.run(desk, strike=strike, log=log, mutant=mutant)
    for entry in read_log(log):
        disk.apply(entry)
    write_survivors(desk.job, disk.survivors(None if seed is None else random.Random(seed)))
    lost = take(desk)
    code = nursery.run(desk, mutant=mutant).done.code
    found = violations(scene.expected, [lost], take(desk), code)
    struck = ended.tally.last or "the end of the run"
    how = "the worst disk" if seed is None else f"seed {seed}"
    return Played([f"{strike.at} [{struck}], {how}: {wrong}" for wrong in found], [ended.tally], 1)


def _cases(
    scene: Scene, strikes: Iterable[Strike], mutant: str | None = None
) -> list[Callable[[Desk, Nursery], Played]]:
    return [
        partial(_lose_power, scene, strike, seed, mutant) for strike in strikes for seed in (None, strike.at)
    ]


def test_the_power_fails_at_a_call(scene: Scene, arena: Arena) -> None:
    """With the worst disk that may be left, and with one that kept some of what was not synced."""
    points = range(1, scene.calls + 20, 1 if LONG else scene.calls // 12)

    played = arena.each(scene, _cases(scene, [kills(at, "after") for at in points]))

    found = [wrong for each in played for wrong in each.found]
    assert [] == found, "\n".join(found)


def test_the_power_fails_in_a_jobs_first_run(fresh: Scene, arena: Arena) -> None:
    """The folders and the ledger are new: their names have to be durable as well."""
    points = range(1, fresh.calls + 2, 1 if LONG else 12)

    played = arena.each(fresh, _cases(fresh, [kills(at, "after") for at in points]))

    found = [wrong for each in played for wrong in each.found]
    assert [] == found, "\n".join(found)


@pytest.mark.parametrize("name", POWER_MUTANTS)
def test_a_sync_that_is_left_out_is_noticed(scene: Scene, arena: Arena, name: str) -> None:
    """The harness fails when a file, a folder or a commit is not forced to the disk."""
    mutant = POWER_MUTANTS[name]
    found: list[str] = []
    for at in range(mutant.first, mutant.first + 4):
        strike = kills(at, "before", kinds=mutant.kinds, path=mutant.path)
        played = arena.each(scene, _cases(scene, [strike], name))
        found += [wrong for each in played for wrong in each.found]
        if noticed(mutant, found):
            break

    assert noticed(mutant, found), "\n".join(found)


def _entry(kind: str, first: str, second: str = "", *, flags: int = 0, data: bytes = b"") -> Entry:
    return Entry(kind, first, second, flags, 0, len(data), data)


def test_what_survives_a_loss_of_power(tmp_path: Path) -> None:
    """Bytes survive a sync of their file, names one of their folder: neither is enough alone."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").write_bytes(b"old")
    create = partial(_entry, "open", flags=os.O_CREAT)
    nothing = {"": None, "a": None, "a/old": b"old"}
    for calls, expected in [
        ([create("a/new"), _entry("write", "a/new", data=b"new"), _entry("fsync", "a/new")], nothing),
        (
            [create("a/new"), _entry("write", "a/new", data=b"new"), _entry("fsync", "a")],
            nothing | {"a/new": b""},
        ),
        ([_entry("write", "a/old", data=b"x"), _entry("fsync", "a/old")], nothing | {"a/old": b"xld"}),
        ([_entry("rename", "a/old", "b"), _entry("fsync", "")], {"": None, "a": None, "b": b"old"}),
        ([_entry("rename", "a/old", "b")], nothing),
        ([_entry("unlink", "a/old"), _entry("fsync", "a")], {"": None, "a": None}),
        (
            [create("a/new"), _entry("rename", "a/new", "b"), _entry("fsync", ""), _entry("fsync", "a")],
            nothing | {"b": b""},
        ),
        ([_entry("mkdir", "c"), create("c/new"), _entry("fsync", "c")], nothing),
    ]:
        disk = Disk(tmp_path)
        for call in calls:
            disk.apply(call)
        assert expected == disk.survivors()
