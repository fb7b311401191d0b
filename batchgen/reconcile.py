"""Ledger and disk brought in step: whole paid images that the ledger does not know are taken in, for nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from anyio import to_thread

from batchgen.core.plan import Planned, waves
from batchgen.core.protocols import ImageStore, Ledger
from batchgen.core.types import forgotten_task
from batchgen.ledgers.staging import PAGE
from batchgen.reports.events import EVENTS
from batchgen.reports.remembering import remembered, remembered_images


async def in_step(ledger: Ledger, store: ImageStore) -> bool:
    """Whether the names of images on the disk are those on the ledger."""
    return await ledger.inventory() == await store.inventory()


async def take_in_unnoted(
    ledger: Ledger, store: ImageStore, runs: Path, tell: Callable[[str], None] = lambda _place: None
) -> int:
    """Note every whole image on the disk that the ledger does not know; returns how many. `tell` gets their places.

    A ledger that was restored from a backup lacks images, and without them a run would buy them again. Both are
    compared by a checksum of their names first, so that a job in step costs a reading of two folders. To be called
    when no attempt is open.
    """
    moved = await store.set_parts_aside()
    if not moved and await in_step(ledger, store):
        return 0
    taken = 0
    async for page in store.images():
        whole = await store.whole(await ledger.unknown(page))
        await ledger.take_in(whole)
        taken += len(whole)
        for one in whole:
            tell(one.image.file)
    taken += await _take_in_told(ledger, store, runs, tell)
    async for left in store.orphans():
        places = {image.attempt_id: image.file for image in await ledger.noted(left)}
        moved_on = [one for one in left if places.get(one.attempt_id, one.file) != one.file]
        await store.forget_copies(moved_on)
    return taken


async def _take_in_told(ledger: Ledger, store: ImageStore, runs: Path, tell: Callable[[str], None]) -> int:
    """Note images whose sidecars cannot be read, but whose bytes are those that a run's log tells of."""
    if not await store.foreign(1):
        return 0
    taken = 0
    for run_id, log in await to_thread.run_sync(_logs, runs):
        images = remembered_images(log, run_id)
        while page := await to_thread.run_sync(lambda told: list(islice(told, PAGE)), images):
            noted = {image.attempt_id for image in await ledger.noted([one.image for one in page])}
            whole = await store.nameless([one for one in page if one.image.attempt_id not in noted])
            for one in whole:
                image = one.image
                task = await ledger.task_for(image) or forgotten_task(image.task_id, image.fingerprint)
                await store.write_sidecar(one, task)
                tell(image.file)
            await ledger.take_in(whole)
            taken += len(whole)
    return taken


async def replay_ends(ledger: Ledger, runs: Path, run_id: str) -> None:
    """Note how requests ended that the ledger still calls open, where the log of a run without an end tells it.

    After a crash it tells nothing new. To be called before what is open is called lost.
    """
    last = await ledger.open_run(run_id)
    for known, log in await to_thread.run_sync(_logs, runs):
        if known == last:
            await ledger.replay(known, known, (told for told in remembered(log) if told.failure is not None))


async def replay_forgotten(ledger: Ledger, runs: Path, tell: Callable[[str], None], run_id: str = "") -> int:
    """Note the requests that the ledger has forgotten, from the runs' logs; returns how many.

    Without them a restored ledger would send again what was refused, or paid for in vain. What has no end there is
    open, as after a crash. Of the runs that the ledger knows, a backup may have been taken in the middle of the last
    one before `run_id`. `tell` gets the ids of those that it does not know.
    """
    new = 0
    for unknown, log in (await forgotten(ledger, runs)).items():
        new += await ledger.replay(unknown, unknown, remembered(log))
        tell(unknown)
    last = await ledger.open_run(run_id)
    for known, log in await to_thread.run_sync(_logs, runs):
        if known == last:
            new += await ledger.replay(known, known, remembered(log))
    return new


async def forgotten(ledger: Ledger, runs: Path) -> dict[str, Path]:
    """Runs that the ledger does not know, with their logs, the oldest first."""
    known = await ledger.run_ids()
    return {run_id: log for run_id, log in await to_thread.run_sync(_logs, runs) if run_id not in known}


def _logs(runs: Path) -> list[tuple[str, Path]]:
    return sorted((log.parent.name, log) for log in runs.glob(f"*/{EVENTS}") if not log.is_symlink())


async def apply_page(ledger: Ledger, store: ImageStore, run_id: str | None, page: Sequence[Planned]) -> None:
    """Make the tasks' rows what a plan says, and move paid images to their new names; `run_id` sends what is queued."""
    for wave in waves([one for one in page if one.restore is not None]):
        # Where an image lies is asked anew: an earlier move may have displaced it.
        made = await ledger.made([one.restore for one in wave if one.restore is not None])
        tasks = {one.restore.attempt_id: one.task for one in wave if one.restore is not None}
        moves = [(found, tasks[found.image.attempt_id]) for found in made]
        stored = await store.restore(moves)
        await ledger.moved([(one, task) for one, (_, task) in zip(stored, moves, strict=True)])
    if not all(one.settled for one in page):
        await ledger.apply(run_id, page)
