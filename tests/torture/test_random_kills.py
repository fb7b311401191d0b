"""Killed again and again at moments that nobody chose, with many requests in flight."""

from __future__ import annotations

import random
import time
import uuid
from functools import partial

import pytest

from tests.support.cli import WAIT_S, Desk
from tests.support.paid import Rule, Till
from tests.torture.arena import LONG, Arena
from tests.torture.invariants import violations
from tests.torture.mutants import MUTANTS, noticed
from tests.torture.nursery import Child, Nursery
from tests.torture.scenes import Played, Scene, make_scene
from tests.torture.snapshot import Snapshot, take

TASKS = 44
CONCURRENCY = 8
MOST_DELAY_S = 0.06
SEEDS = range(60 if LONG else 4)

pytestmark = pytest.mark.timeout(3600 if LONG else 60)


@pytest.fixture(scope="module")
def scene(arena: Arena) -> Scene:
    """A fleet over four older boats; half of the answers are links, each takes its own time."""
    chance = random.Random(1)
    numbers = [f"{number:02}" for number in range(1, TASKS + 1)]
    rules = [
        Rule(f"Boat {number}.", chance.choice(("b64", "url")), delay_s=chance.random() * MOST_DELAY_S)
        for number in numbers
    ]
    with arena.nursery() as nursery:
        return make_scene(
            arena.folder / "fleet",
            Till(arena.port, f"sk-{uuid.uuid4().hex}"),
            nursery,
            older=[{"id": "boat", "prompt": "Older {n}.", "vary": {"n": numbers[:4]}}],
            prompts=[{"id": "boat", "prompt": "Boat {n}.", "vary": {"n": numbers}}],
            rules=rules,
            concurrency=CONCURRENCY,
        )


def _killed_at_random(scene: Scene, seed: int, mutant: str | None, desk: Desk, nursery: Nursery) -> Played:
    """Kill some runs, each after some more requests and a part of the time that an answer takes."""
    chance = random.Random(seed)
    kills: list[Snapshot] = []
    tallies = []
    for _ in range(chance.randint(2, 5)):
        child = nursery.begin(desk, "run", "job.yaml", "--json", mutant=mutant)
        _wait_for(child, desk, len(desk.till.requests) + chance.randint(1, 14))
        time.sleep(chance.random() * MOST_DELAY_S)  # the moment itself is what is random
        child.kill()
        ended = child.ended()
        tallies.append(ended.tally)
        if ended.killed:
            kills.append(take(desk))
    ended = nursery.run(desk, mutant=mutant)
    found = violations(scene.expected, kills, take(desk), ended.done.code)
    return Played([f"seed {seed}: {wrong}" for wrong in found], tallies, len(kills))


def _wait_for(child: Child, desk: Desk, requests: int) -> None:
    ends = time.monotonic() + WAIT_S
    while child.running and len(desk.till.requests) < requests:
        assert time.monotonic() < ends, "it never came"
        time.sleep(0.002)


def test_killed_at_random(scene: Scene, arena: Arena) -> None:
    """44 tasks, eight at a time, two to five kills a job."""
    played = arena.each(scene, [partial(_killed_at_random, scene, seed, None) for seed in SEEDS])

    found = [wrong for each in played for wrong in each.found]
    assert [] == found, "\n".join(found)
    assert sum(each.killed for each in played) >= len(SEEDS)


@pytest.mark.parametrize("name", ["received after the download", "unknown is forgotten", "resends in silence"])
def test_random_kills_notice_a_safeguard_that_is_switched_off(scene: Scene, arena: Arena, name: str) -> None:
    """The harness fails where it should, within a few jobs."""
    mutant = MUTANTS[name]
    found: list[str] = []
    for seed in range(0, 12, 2):
        cases = [partial(_killed_at_random, scene, each, name) for each in (seed, seed + 1)]
        found += [wrong for each in arena.each(scene, cases) for wrong in each.found]
        if noticed(mutant, found):
            break

    assert noticed(mutant, found), "\n".join(found)
