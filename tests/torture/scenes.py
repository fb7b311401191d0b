"""Jobs to torture: a folder to begin with, the provider's script, and how it ends when nothing goes wrong."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.cli import Desk
from tests.support.paid import Rule, Till, refuse
from tests.torture.invariants import Expected, violations
from tests.torture.nursery import Nursery
from tests.torture.shim import Strike, Tally
from tests.torture.snapshot import Snapshot, take

CONCURRENCY = 3

Prompts = Sequence[Mapping[str, object]]

OLDER: Prompts = (
    {"id": "boat", "prompt": "An older boat."},
    {"id": "lamp", "prompt": "A lamp."},
)

PROMPTS: Prompts = (
    {"id": "boat", "prompt": "A boat."},  # replaces an older image
    {"id": "light", "prompt": "A lamp."},  # has one already, under another name
    {"id": "cup", "prompt": "A cup.", "images": 2},
    {"id": "cliff", "prompt": "A linked cliff."},
    {"id": "cave", "prompt": "A linked cave."},
    {"id": "fight", "prompt": "A refused fight."},
)
"""Answers as base64 and as links, a refusal, an image that is replaced and one that is moved."""

RULES = (refuse("refused"), Rule("linked", "url"))


@dataclass(frozen=True)
class Scene:
    """A job before its run. Each case plays it in a folder of its own, with an account of its own."""

    folder: Path
    till: Till
    rules: Sequence[Rule]
    expected: Expected
    calls: int

    def case(self, folder: Path) -> Desk:
        """A copy of it."""
        shutil.copytree(self.folder, folder)
        till = self.till.branch(folder.name)
        till.script(*self.rules)
        return Desk(folder, till)


def make_scene(
    folder: Path,
    till: Till,
    nursery: Nursery,
    *,
    older: Prompts = OLDER,
    prompts: Prompts = PROMPTS,
    rules: Sequence[Rule] = RULES,
    concurrency: int = CONCURRENCY,
) -> Scene:
    """Make the older images, then see once how the job ends undisturbed, and in how many calls."""
    folder.mkdir()
    desk = Desk(folder, till)
    if older:
        desk.manifest(older)
        ended = nursery.run(desk)
        assert ended.done.code == 0, ended.done.err
        desk.manifest(prompts, limits={"concurrency": concurrency})
        images = frozenset(desk.images().values())
    else:
        desk.manifest(prompts, limits={"concurrency": concurrency})
        images = frozenset()
    before = Scene(folder, till, rules, Expected(0, {}, concurrency, images), calls=0)
    rehearsal = before.case(folder.with_name(f"{folder.name}-rehearsal"))
    ended = nursery.run(rehearsal)
    end = take(rehearsal)
    expected = Expected(
        code=ended.done.code,
        outcome={
            row["task_id"]: (row["state"], row["class"]) for row in end.tasks.values() if row["in_manifest"]
        },
        concurrency=concurrency,
        older=images,
    )
    assert violations(expected, [], end, ended.done.code) == []
    shutil.rmtree(rehearsal.folder)
    return Scene(folder, till, rules, expected, ended.tally.calls)


@dataclass(frozen=True)
class Played:
    """What a case came to: violations, what the shim counted in each struck run, how many of them were killed."""

    found: list[str]
    tallies: list[Tally]
    killed: int


def play(
    scene: Scene, desk: Desk, nursery: Nursery, strikes: Sequence[Strike], *, mutant: str | None = None
) -> Played:
    """Run with each strike in turn, then undisturbed, and compare everything; ends early when a run survives."""
    kills: list[Snapshot] = []
    tallies = []
    for strike in strikes:
        ended = nursery.run(desk, strike=strike, mutant=mutant)
        tallies.append(ended.tally)
        if not ended.killed:
            break
        kills.append(take(desk))
    else:
        ended = nursery.run(desk, mutant=mutant)
    return Played(violations(scene.expected, kills, take(desk), ended.done.code), tallies, len(kills))
