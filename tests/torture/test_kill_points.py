"""Killed before, after or in the middle of any call that changes the job's folder, the next run makes it right."""

from __future__ import annotations

import uuid

import pytest

from tests.support.paid import Rule, Till
from tests.torture.arena import LONG, Arena, faults
from tests.torture.mutants import MUTANTS, noticed
from tests.torture.scenes import Scene, make_scene
from tests.torture.shim import How, counts, kills

HOWS: tuple[How, ...] = ("before", "after", "half")

BEYOND = 12
"""Threads take turns differently each time, so a run has a few calls more or fewer."""

pytestmark = pytest.mark.timeout(3600 if LONG else 60)


@pytest.fixture(scope="module")
def scene(arena: Arena) -> Scene:
    """Seven tasks of every kind beside each other, over older images."""
    with arena.nursery() as nursery:
        return make_scene(arena.folder / "many", Till(arena.port, f"sk-{uuid.uuid4().hex}"), nursery)


@pytest.fixture(scope="module")
def lone(arena: Arena) -> Scene:
    """One task that replaces an older image: always the same calls in the same order."""
    with arena.nursery() as nursery:
        return make_scene(
            arena.folder / "one",
            Till(arena.port, f"sk-{uuid.uuid4().hex}"),
            nursery,
            older=[{"id": "boat", "prompt": "An older boat."}],
            prompts=[{"id": "boat", "prompt": "A linked boat."}],
            rules=[Rule("linked", "url")],
            concurrency=1,
        )


@pytest.fixture(scope="module")
def fresh(arena: Arena) -> Scene:
    """A job that was never run: its folder and its ledger are still to be made."""
    with arena.nursery() as nursery:
        return make_scene(
            arena.folder / "fresh",
            Till(arena.port, f"sk-{uuid.uuid4().hex}"),
            nursery,
            older=[],
            prompts=[{"id": "boat", "prompt": "A boat."}],
            concurrency=1,
        )


def test_every_change_of_the_disk_is_counted(scene: Scene, arena: Arena) -> None:
    """The shim sees SQLite's calls as well as Python's, on every path of an image, or the tests here prove nothing."""
    for kind, path in [
        ("write", "ledger.sqlite-wal"),
        ("fsync", "ledger.sqlite-wal"),
        ("write", "ledger.sqlite"),
        ("write", "state/*.part"),
        ("write", "state/*.json"),
        ("rename", "images/*.png"),
        ("rename", "images/*.json"),
        ("rename", "superseded/*.png"),
        ("fsync", "images"),
        ("allocate", "state/*.part"),
    ]:
        ((_, played),) = arena.strike(scene, [[kills(1, "before", kinds=[kind], path=path)]])
        assert (1, []) == (played.killed, played.found), (kind, path)


@pytest.mark.parametrize("how", HOWS)
def test_killed_at_a_call(scene: Scene, arena: Arena, how: How) -> None:
    """Many tasks at once. The long form takes every call, the short one a spread of them."""
    last = scene.calls + BEYOND
    points = range(1, last, 1 if LONG else last // 12)

    played = arena.strike(scene, [[kills(at, how)] for at in points])

    found = faults(played)
    assert [] == found, "\n".join(found)
    assert sum(each.killed for _, each in played) >= len(points) // 2


@pytest.mark.parametrize("how", HOWS[:2])
def test_killed_at_each_step_of_one_image(lone: Scene, arena: Arena, how: How) -> None:
    """One image on its way from the answer to its final name, every call but those on the ledger."""
    path = "*" if LONG else "[!.lr]*"  # not: .lock, ledger, results, runs
    with arena.nursery() as nursery:
        desk = lone.case(arena.folder / f"count-{how}")
        calls = nursery.run(desk, strike=kills(0, "before", path=path)).tally.calls

    played = arena.strike(lone, [[kills(at, how, path=path)] for at in range(1, calls + 1)])

    found = faults(played)
    assert [] == found, "\n".join(found)
    assert calls == sum(each.killed for _, each in played)


def test_killed_while_a_job_is_begun(fresh: Scene, arena: Arena) -> None:
    """A job's folder, its ledger and its schema may be half made."""
    points = range(1, fresh.calls + 1) if LONG else range(1, min(fresh.calls, 60), 6)

    played = arena.strike(fresh, [[kills(at, "after")] for at in points])

    found = faults(played)
    assert [] == found, "\n".join(found)
    assert len(points) - len(played) // 4 <= sum(each.killed for _, each in played)


@pytest.mark.skipif(not LONG, reason="part of the long form: BATCHGEN_TORTURE=long")
def test_killed_twice(scene: Scene, arena: Arena) -> None:
    """The run that goes on after a kill is killed as well, at calls all over it."""
    first = range(scene.calls // 8, scene.calls, scene.calls // 8)
    second = range(1, scene.calls, 7)

    played = arena.strike(
        scene, [[kills(at, "after"), kills(then, "before")] for at in first for then in second]
    )

    found = faults(played)
    assert [] == found, "\n".join(found)
    assert any(each.killed == 2 for _, each in played)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_safeguard_that_is_switched_off_is_noticed(scene: Scene, arena: Arena, name: str) -> None:
    """The harness fails where it should, within a few of the calls that the mutant is about."""
    mutant = MUTANTS[name]
    found: list[str] = []
    for at in range(mutant.first, mutant.first + 12, 2):
        points = [[kills(each, "before", kinds=mutant.kinds, path=mutant.path)] for each in (at, at + 1)]
        found += faults(arena.strike(scene, points, mutant=name))
        if noticed(mutant, found):
            break

    assert noticed(mutant, found), "\n".join(found)


def test_counting_alone_changes_nothing(scene: Scene, arena: Arena) -> None:
    """A run under the shim that is not struck ends as without it."""
    ((_, played),) = arena.strike(scene, [[counts()]])
    assert (0, []) == (played.killed, played.found)
    assert played.tallies[0].calls > 100
