"""Safeguards, each switched off from outside: the proof that the harness would see what it looks for.

A mutant is applied in a forked child only (`nursery.py`). Those of the file system wrap calls of `os`, so they hold
whatever the store looks like inside; the others replace a method of a class named in docs/architecture.md.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from batchgen.core.limits import PoolLimits
from batchgen.core.protocols import OnSent
from batchgen.core.types import Attempt, Failure, Link, Stored
from batchgen.core.values import replace
from batchgen.engines.local import LocalEngine
from batchgen.job import Job
from batchgen.ledgers import opening
from batchgen.ledgers.sqlite import SqliteLedger
from batchgen.pool import recovery
from batchgen.pool.attempts import Attempts
from batchgen.reports import results
from batchgen.stores.directory import DirectoryStore


@dataclass(frozen=True)
class Mutant:
    """A safeguard that can be switched off.

    `breaks` are words of violations, all of which must be reported. `path` and `kinds` choose the calls at which a
    kill or a loss of power shows it, as in `Strike`; the `first` of them is tried first.
    """

    switch_off: Callable[[], None]
    breaks: tuple[str, ...]
    path: str = "state/*.part"
    kinds: tuple[str, ...] = ("write",)
    first: int = 1


def _sent_after_the_answer() -> None:
    """`sent` is committed once the answer is there, not before the request."""
    answer = Attempts._answer

    async def later(self: Attempts, attempt: Attempt, on_sent: OnSent) -> Stored | Link | Failure:
        outcome = await answer(self, attempt, on_sent)
        await self._ledger.sent(attempt)
        return outcome

    async def nothing(_self: Attempts, _attempt: Attempt) -> None:
        pass

    Attempts._answer = later  # type: ignore[method-assign] # that is what a mutant does
    Attempts._note_sent = nothing  # type: ignore[method-assign, assignment] # the same


def _received_after_the_download() -> None:
    """A link is not on the ledger while it is fetched."""

    async def nothing(_self: SqliteLedger, _attempt_id: str, _link: Link) -> None:
        pass

    SqliteLedger.received = nothing  # type: ignore[method-assign, assignment] # the same


def _nothing_is_adopted() -> None:
    """What lies on the disk after a kill is not looked at."""

    async def nothing(_self: LocalEngine, _attempt: Attempt) -> Stored | None:
        return None

    LocalEngine.adopt = nothing  # type: ignore[method-assign, assignment] # the same


def _parts_are_swept() -> None:
    """A new run clears the state folder, whole images with it."""

    async def everything(self: DirectoryStore) -> None:
        for name in list(self._layout.state.names()):
            if name.endswith(".part"):
                self._layout.state.file(name).unlink()

    DirectoryStore.sweep = everything  # type: ignore[method-assign] # the same


def _unknown_is_forgotten() -> None:
    """A dead run's open attempt leaves no trace; its task is simply pending again."""

    async def forget(found: Any, attempts: Attempts, _retry: object) -> None:  # noqa: ANN401 - a row of recovery
        attempt_id, task_id = found.attempt.attempt_id, found.attempt.task.task_id

        def change(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM attempts WHERE attempt_id = ?", (attempt_id,))
            connection.execute("UPDATE tasks SET state = 'pending' WHERE task_id = ?", (task_id,))

        assert isinstance(attempts._ledger, SqliteLedger)
        await attempts._ledger._do(change)

    recovery._call_lost = forget  # type: ignore[assignment] # the same


def _resends_in_silence() -> None:
    """A repeated request is not called a possible duplicate."""
    attempt_of = Attempts._attempt

    def silent(self: Attempts, due: Any) -> Attempt:  # noqa: ANN401 - a row that is due
        return replace(attempt_of(self, due), possible_duplicate=False)

    Attempts._attempt = silent  # type: ignore[method-assign] # the same


Names = Callable[..., None]


def _wrap_renames(wrapped: Callable[[Names, Path, Path], None]) -> None:
    """Give every rename to `wrapped` with the real call; directory descriptors become paths."""
    for name in ("rename", "replace"):
        real: Names = getattr(os, name)

        def call(
            source: Any,  # noqa: ANN401 - as `os` takes it
            target: Any,  # noqa: ANN401 - the same
            *,
            src_dir_fd: int | None = None,
            dst_dir_fd: int | None = None,
            real: Names = real,
        ) -> None:
            wrapped(real, _path(source, src_dir_fd), _path(target, dst_dir_fd))

        setattr(os, name, call)


def _path(name: Any, directory: int | None) -> Path:  # noqa: ANN401 - as `os` takes it
    path = Path(os.fsdecode(name))
    return path if directory is None else _opened(directory) / path


def _opened(descriptor: int) -> Path:
    return Path(f"/proc/self/fd/{descriptor}").readlink()


def _image_before_its_sidecar() -> None:
    """An image takes its final name first, its sidecar after it."""
    waiting: list[tuple[Path, Path]] = []

    def swapped(real: Names, source: Path, target: Path) -> None:
        if target.parent.name == "images" and target.suffix == ".json":
            waiting.append((source, target))
            return
        real(source, target)
        if target.parent.name == "images":
            while waiting:
                real(*waiting.pop())

    _wrap_renames(swapped)


def _replaced_instead_of_moved() -> None:
    """A new image overwrites the older one, which goes nowhere."""

    def overwritten(real: Names, source: Path, target: Path) -> None:
        if target.parent.name != "superseded":
            real(source, target)

    _wrap_renames(overwritten)


def _no_sidecar() -> None:
    """An image takes its final name without a sidecar."""

    def dropped(real: Names, source: Path, target: Path) -> None:
        if target.parent.name == "images" and target.suffix == ".json":
            source.unlink()
        else:
            real(source, target)

    _wrap_renames(dropped)


def _skip_fsync(skipped: Callable[[int], bool]) -> None:
    for name in ("fsync", "fdatasync"):
        real: Callable[[int], None] = getattr(os, name)

        def call(descriptor: int, real: Callable[[int], None] = real) -> None:
            if not skipped(descriptor):
                real(descriptor)

        setattr(os, name, call)


def _images_are_not_synced() -> None:
    """The bytes of an image are not forced to the disk before it is called stored."""
    _skip_fsync(lambda descriptor: _opened(descriptor).suffix == ".part")


def _folders_are_not_synced() -> None:
    """The names of images are not forced to the disk before they are called stored."""
    _skip_fsync(lambda descriptor: stat.S_ISDIR(os.fstat(descriptor).st_mode))


def _commits_are_not_synced() -> None:
    """SQLite leaves it to the system when a commit reaches the disk."""
    opened = opening.open_file

    def careless(path: Path, *, may_be_new: bool = True, checked: bool = True) -> sqlite3.Connection:
        connection = opened(path, may_be_new=may_be_new, checked=checked)
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    opening.open_file = careless
    # The facade has imported it by name.
    from batchgen.ledgers import sqlite

    sqlite.open_file = careless  # type: ignore[attr-defined] # an import, not an export


def _more_in_flight() -> None:
    """The manifest's concurrency is not kept."""
    pool_limits = Job.pool_limits

    def more(self: Job, models: Mapping[str, int]) -> tuple[PoolLimits, list[str]]:
        limits, notices = pool_limits(self, models)
        return replace(limits, concurrency=limits.concurrency + 3), notices

    Job.pool_limits = more  # type: ignore[method-assign] # the same


def _no_results() -> None:
    """The results are not written at the end."""

    async def nothing(_folder: Path, _tasks: object) -> None:
        pass

    results.write_results = nothing  # type: ignore[assignment] # the same


MUTANTS = MappingProxyType(
    {
        "sent after the answer": Mutant(_sent_after_the_answer, ("I1 ",)),
        "received after the download": Mutant(_received_after_the_download, ("I4 ",), first=4),
        "nothing is adopted": Mutant(_nothing_is_adopted, ("I7 ",), "images/*", ("rename",), first=3),
        "parts are swept": Mutant(_parts_are_swept, ("I7 ",), "images/*", ("rename",), first=3),
        "unknown is forgotten": Mutant(_unknown_is_forgotten, ("I1 ", "I8 ")),
        "resends in silence": Mutant(_resends_in_silence, ("I3 ",)),
        "more in flight": Mutant(_more_in_flight, ("I5 ",)),
        "image before its sidecar": Mutant(
            _image_before_its_sidecar, ("I2 ", "has no sidecar"), "images/*", ("rename",), first=3
        ),
        "replaced instead of moved": Mutant(
            _replaced_instead_of_moved, ("I2 an older image is gone",), "images/*", ("rename",), first=3
        ),
        "no sidecar": Mutant(_no_sidecar, ("I2 ", "has no sidecar"), "images/*", ("rename",), first=3),
        "no results": Mutant(_no_results, ("I9 ",)),
    }
)
"""What a kill shows."""

POWER_MUTANTS = MappingProxyType(
    {
        "images are not synced": Mutant(
            _images_are_not_synced,
            ("I2 ", "is not what its sidecar says"),
            kinds=("fsync",),
            path="*",
            first=50,
        ),
        "folders are not synced": Mutant(
            _folders_are_not_synced,
            ("I2 ", "boat--01.png that is not there"),
            kinds=("fsync",),
            path="*",
            first=50,
        ),
        "commits are not synced": Mutant(_commits_are_not_synced, ("I1 ",), first=3),
    }
)
"""What only a loss of power shows."""

ALL_MUTANTS = MappingProxyType({**MUTANTS, **POWER_MUTANTS})


def noticed(mutant: Mutant, found: Collection[str]) -> bool:
    """Whether violations say all that they must."""
    return all(any(words in wrong for wrong in found) for words in mutant.breaks)
