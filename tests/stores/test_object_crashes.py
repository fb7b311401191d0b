"""A crash between any two steps in an object store loses no paid image and leaves none under a wrong name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from itertools import count
from pathlib import Path

import pytest

from batchgen.core.records import Found
from batchgen.core.types import Attempt, Stored, Task
from batchgen.core.values import replace
from batchgen.stores.arrivals import Arrival
from batchgen.stores.directory import DirectoryStore, open_store_at
from batchgen.system.buckets import Bucket
from tests.ledgers.samples import as_renamed, attempt, task
from tests.stores.crashes import CrashError, dying_at
from tests.stores.images import NOW, ORIGIN, answer, found, names, picture
from tests.support.weed import Weed, objects

pytestmark = pytest.mark.anyio

OLD, NEW = picture("old"), picture("new")
AGAIN = attempt(task(prompt="A tin boat."), number=2)


def ends_well(bucket: Bucket, local: Path) -> dict[str, bytes]:
    """Images and sidecars come in pairs that agree, and nothing waits; returns the images by their places."""
    there = objects(bucket)
    pictures = {place: data for place, data in there.items() if place.endswith(".png")}
    told = {place: json.loads(data) for place, data in there.items() if place.endswith(".json")}
    assert sorted(place.removesuffix(".png") for place in pictures) == sorted(
        place.removesuffix(".json") for place in told
    )
    for place, content in told.items():
        image = place.replace(".json", ".png")
        assert (image.rpartition("/")[2], hashlib.sha256(pictures[image]).hexdigest()) == (
            content["file"],
            content["sha256"],
        )
    assert len(there) == len(pictures) + len(told)
    assert [] == [name for name in names(local) if not name.startswith("state/quarantine/")]
    return pictures


class Shelf:
    """A job in a prefix of its own, opened again and again as by one run after another."""

    def __init__(self, weed: Weed, local: Path) -> None:
        self.bucket, self.local = weed.bucket(weed.url()), local

    def store(self) -> AbstractAsyncContextManager[DirectoryStore]:
        """The next run's store."""
        return open_store_at(self.bucket, self.local, ORIGIN, now=lambda: NOW)

    async def keep(self, mine: Attempt, data: bytes) -> Stored:
        """Store an image in peace."""
        async with self.store() as store:
            await store.reserve(mine)
            return await store.keep(mine, answer(data))

    async def die(self, number: int, *steps: Callable[[DirectoryStore], object]) -> bool:
        """Take steps in this thread, dying at a change; False when it lived."""
        async with self.store() as store:
            try:
                with dying_at(number):
                    for step in steps:
                        step(store)
            except CrashError:
                return True
            return False


async def every_step(weed: Weed, folder: Path, scene: Callable[[Shelf, int], Awaitable[bool]]) -> None:
    """Play a scene that dies one step later each time, until it lives."""
    for number in count():
        if not await scene(Shelf(weed, folder / str(number)), number):
            break
    assert number > 10


async def test_while_an_image_takes_the_place_of_another(tmp_path: Path, weed: Weed) -> None:
    """The newer image is adopted once it was whole, and stays so; the older one is kept aside, once."""
    adopted_before = False

    async def scene(desk: Shelf, number: int) -> bool:
        nonlocal adopted_before
        old = attempt(task())
        await desk.keep(old, OLD)
        async with desk.store() as store:
            await store.reserve(AGAIN)
        died = await desk.die(number, lambda store: store._barrier([store._arriving(AGAIN, answer(NEW))]))
        assert OLD in objects(desk.bucket).values(), f"lost at step {number}"
        async with desk.store() as store:
            stored = await store.adopt(AGAIN)
        assert stored is not None or not adopted_before, f"forgotten again at step {number}"
        adopted_before = stored is not None
        stored = stored or await desk.keep(replace(AGAIN, attempt_id="again"), NEW)
        aside = stored.superseded[old.attempt_id]
        assert {aside: OLD, stored.image.file: NEW} == ends_well(desk.bucket, desk.local)
        return died

    await every_step(weed, tmp_path, scene)
    assert adopted_before


async def test_while_two_images_swap_names(tmp_path: Path, weed: Weed) -> None:
    """Both still reach their new names, from what the ledger knew before."""
    a, b = task("a--01", prompt="one"), task("b--01", prompt="two")
    to_a, to_b = as_renamed(b, "a--01"), as_renamed(a, "b--01")

    async def scene(desk: Shelf, number: int) -> bool:
        image_a = (await desk.keep(attempt(a), OLD)).image
        image_b = (await desk.keep(attempt(b), NEW)).image
        died = await desk.die(number, moving((found(image_b), to_a)))
        async with desk.store() as store:
            for image, to in ((image_b, to_a), (image_a, to_b)):
                assert await store.restorable(image, to), f"not found at step {number}"
                await store.restore([(found(image), to)])
        assert {"images/a--01.png": NEW, "images/b--01.png": OLD} == ends_well(desk.bucket, desk.local)
        return died

    await every_step(weed, tmp_path, scene)


async def test_while_an_image_is_changed_back(tmp_path: Path, weed: Weed) -> None:
    """The older image comes back from `superseded/`, and the newer one steps aside."""

    async def scene(desk: Shelf, number: int) -> bool:
        old = attempt(task())
        first = await desk.keep(old, OLD)
        second = await desk.keep(AGAIN, NEW)
        aside = replace(first.image, file=second.superseded[old.attempt_id])
        died = await desk.die(number, moving((found(aside), task())))
        async with desk.store() as store:
            assert await store.restorable(aside, task()), f"not found at step {number}"
            (back,) = await store.restore([(found(aside), task())])
        assert {back.image.file: OLD, back.superseded[AGAIN.attempt_id]: NEW} == ends_well(
            desk.bucket, desk.local
        )
        return died

    await every_step(weed, tmp_path, scene)


def moving(move: tuple[Found, Task]) -> Callable[[DirectoryStore], object]:
    """The step that moves an image to the name of a task."""

    def step(store: DirectoryStore) -> object:
        return store._barrier([one for one in store._move([move]) if isinstance(one, Arrival)])

    return step
