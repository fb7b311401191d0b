"""Plays many cases of a scene, two at a time."""

from __future__ import annotations

import itertools
import os
import queue
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from tests.spec.witness import WITNESS
from tests.support.cli import Desk
from tests.support.paid import paid_server, posted
from tests.torture.nursery import Nursery, nursery
from tests.torture.scenes import Played, Scene, play
from tests.torture.shim import Strike, compile_shim

LONG = os.environ.get("BATCHGEN_TORTURE") == "long"
"""Every call instead of a sample: `make torture`."""

SIDE_BY_SIDE = 2


@dataclass
class Arena:
    """A provider, a folder, and as many nurseries as cases are played side by side."""

    folder: Path
    port: int
    library: Path
    nurseries: queue.SimpleQueue[Nursery]
    names: Iterator[int] = field(default_factory=itertools.count)

    @contextmanager
    def nursery(self) -> Iterator[Nursery]:
        """One that nobody else uses meanwhile."""
        taken = self.nurseries.get()
        try:
            yield taken
        finally:
            self.nurseries.put(taken)

    def each(self, scene: Scene, plays: Iterable[Callable[[Desk, Nursery], Played]]) -> list[Played]:
        """Play each case in a folder of its own; the folders of cases with violations are kept."""

        def one(case: Callable[[Desk, Nursery], Played]) -> Played:
            with self.nursery() as nursery:
                desk = scene.case(self.folder / f"case-{next(self.names)}")
                played = case(desk, nursery)
            if not played.found:
                shutil.rmtree(desk.folder)
            return played

        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            return list(pool.map(one, plays))

    def strike(
        self, scene: Scene, cases: Iterable[Sequence[Strike]], mutant: str | None = None
    ) -> list[tuple[Sequence[Strike], Played]]:
        """Play a scene with each sequence of strikes."""
        listed = list(cases)

        def case(strikes: Sequence[Strike]) -> Callable[[Desk, Nursery], Played]:
            return lambda desk, nursery: play(scene, desk, nursery, strikes, mutant=mutant)

        return list(zip(listed, self.each(scene, map(case, listed)), strict=True))


def faults(played: Iterable[tuple[Sequence[Strike], Played]]) -> list[str]:
    """Every violation with the strikes that brought it about."""
    return [
        f"{' then '.join(f'{strike.how} call {strike.at}' for strike in strikes)}"
        f" [{'; '.join(tally.last for tally in each.tallies)}]: {wrong}"
        for strikes, each in played
        for wrong in each.found
    ]


@pytest.fixture(scope="session")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """One arena for all tests of this folder."""
    folder = tmp_path_factory.mktemp("torture").resolve()
    library = compile_shim(folder)
    nurseries: queue.SimpleQueue[Nursery] = queue.SimpleQueue()
    with ExitStack() as opened:
        port = opened.enter_context(paid_server())
        opened.enter_context(WITNESS.asking(partial(posted, port)))
        for _ in range(SIDE_BY_SIDE):
            nurseries.put(opened.enter_context(nursery(library)))
        yield Arena(folder, port, library, nurseries)
