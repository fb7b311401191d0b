"""A crash at any change of the disk loses no paid image and leaves nothing that the next run does not understand."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import pytest

from batchgen.core.records import Found
from batchgen.core.types import Attempt, ImageBytes, Stored, StoredImage, Task
from batchgen.stores.arrivals import Arrival
from batchgen.stores.directory import DirectoryStore
from tests.ledgers.samples import as_renamed, attempt, task
from tests.stores.crashes import CrashError, dying_at
from tests.stores.images import answer, found, picture, sidecar, store_in

pytestmark = pytest.mark.anyio

OLD, NEW = picture("old"), picture("new")


def every_image_has_its_sidecar(folder: Path) -> None:
    """Images and sidecars come in pairs that agree, and nothing is left in the state folder."""
    for place in ("images", "superseded"):
        for path in (folder / place).iterdir():
            beside = sidecar(folder, f"{place}/{path.stem}.json")
            assert (folder / place / beside["file"]).exists(), f"{path}: a sidecar without its image"
            if path.suffix != ".json":
                assert path.name == beside["file"]
                assert hashlib.sha256(path.read_bytes()).hexdigest() == beside["sha256"]
    assert ["quarantine"] == [path.name for path in (folder / "state").iterdir()]


def exists(path: Path) -> bool:
    """Whether a file is there."""
    return path.exists()


def content(path: Path) -> bytes:
    """A file's bytes."""
    return path.read_bytes()


def put(path: Path, data: bytes) -> None:
    """Make a file what it shall be."""
    path.write_bytes(data)


def keep_and_die(store: DirectoryStore, mine: Attempt, image: ImageBytes, number: int) -> bool:
    """`keep`, step by step in this thread, dying at a change of the disk; False when it lived."""
    try:
        with dying_at(number):
            store._barrier([store._arriving(mine, image)])
    except CrashError:
        return True
    return False


async def kept(folder: Path, mine: Attempt, data: bytes) -> Stored:
    """An image that was stored in peace."""
    async with store_in(folder) as store:
        await store.reserve(mine)
        return await store.keep(mine, answer(data))


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
async def test_a_crash_while_an_image_is_kept(tmp_path: Path, kind: str) -> None:
    """At every step: the image is adopted if it was whole, else bought again; the older one is never lost.

    Once a step has made it adoptable, it stays so for every later one.
    """
    new_bytes = picture("new", kind)
    adopted_before = False
    for number in count():
        folder = tmp_path / str(number)
        old, new = attempt(task()), attempt(task(prompt="A tin boat."), number=2)
        await kept(folder, old, OLD)
        async with store_in(folder) as store:
            await store.reserve(new)
            died = keep_and_die(store, new, answer(new_bytes), number)
        assert OLD in {path.read_bytes() for path in folder.rglob("boat--01.*")}, f"lost at step {number}"

        async with store_in(folder) as store:
            found = await store.adopt(new)
            assert found is not None or not adopted_before, f"forgotten again at step {number}"
            if found is None:
                await store.reserve(again := attempt(new.task, number=3))
                found = await store.keep(again, answer(new_bytes))
            else:
                adopted_before = True
        aside = f"superseded/boat--01.{old.task.fingerprint[:8]}.png"
        assert {old.attempt_id: aside} == dict(found.superseded)
        assert (OLD, new_bytes) == ((folder / aside).read_bytes(), (folder / found.image.file).read_bytes())
        every_image_has_its_sidecar(folder)
        if not died:
            break
    assert adopted_before
    assert number > 10


async def test_a_file_that_appears_after_a_crash_overwrites_no_superseded_image(tmp_path: Path) -> None:
    """The older image had moved aside when the run died; what a person then put under the name stays apart."""
    old, new = attempt(task()), attempt(task(prompt="A tin boat."), number=2)
    await kept(tmp_path, old, OLD)
    place = tmp_path / "images/boat--01.png"
    async with store_in(tmp_path) as store:
        await store.reserve(new)
        for number in count():
            keep_and_die(store, new, answer(NEW), number)
            if not exists(place):
                break
    put(place, b"holiday")
    async with store_in(tmp_path) as store:
        found = await store.adopt(new)
    assert found is not None
    assert NEW == content(place)
    assert [b"holiday", OLD] == sorted(
        [content(path) for path in (tmp_path / "superseded").iterdir() if path.suffix == ".png"], key=len
    )
    assert OLD == content(tmp_path / found.superseded[old.attempt_id])


def move_and_die(store: DirectoryStore, moves: Sequence[tuple[Found, Task]], number: int) -> bool:
    """`restore`, step by step in this thread, dying at a change of the disk; False when it lived."""
    try:
        with dying_at(number):
            store._barrier([moved for moved in store._move(moves) if isinstance(moved, Arrival)])
    except CrashError:
        return True
    return False


async def test_a_crash_while_two_images_swap_names(tmp_path: Path) -> None:
    """At every step of the first move: both images still reach their new names, from what the ledger knew before."""
    a, b = task("a--01", prompt="one"), task("b--01", prompt="two")
    new_a, new_b = as_renamed(b, "a--01"), as_renamed(a, "b--01")
    for number in count():
        folder = tmp_path / str(number)
        image_a = (await kept(folder, attempt(a), OLD)).image
        image_b = (await kept(folder, attempt(b), NEW)).image
        async with store_in(folder) as store:
            died = move_and_die(store, [(found(image_b), new_a)], number)

        async with store_in(folder) as store:
            assert [True, True] == [
                await store.restorable(image, to) for image, to in ((image_b, new_a), (image_a, new_b))
            ], f"not found at step {number}"
            (first,) = await store.restore([(found(image_b), new_a)])
            assert [image_a.attempt_id] == list(first.superseded)
            (second,) = await store.restore([(found(image_a), new_b)])
        assert (NEW, OLD) == tuple((folder / moved.image.file).read_bytes() for moved in (first, second))
        assert ["a--01.json", "a--01.png", "b--01.json", "b--01.png"] == sorted(
            path.name for path in (folder / "images").iterdir()
        )
        assert [] == list((folder / "superseded").iterdir())
        every_image_has_its_sidecar(folder)
        if not died:
            break
    assert number > 5


async def test_a_crash_while_many_images_are_renamed(tmp_path: Path) -> None:
    """At every step of a page of moves: what has arrived stays, and the rest follows."""
    tasks = [task(f"a{number}--01", prompt=str(number)) for number in range(3)]
    renamed = [as_renamed(one, f"b{number}--01") for number, one in enumerate(tasks)]
    for number in count():
        folder = tmp_path / str(number)
        images = [(await kept(folder, attempt(one), picture(one.task_id))).image for one in tasks]
        moves = list(zip(map(found, images), renamed, strict=True))
        async with store_in(folder) as store:
            died = move_and_die(store, moves, number)
        async with store_in(folder) as store:
            for one, to in moves:
                assert await store.restorable(one.image, to), f"not found at step {number}"
            moved = await store.restore(moves)
        assert [f"images/{one.task_id}.png" for one in renamed] == [one.image.file for one in moved]
        assert [picture(one.task_id) for one in tasks] == [content(folder / one.image.file) for one in moved]
        every_image_has_its_sidecar(folder)
        if not died:
            break
    assert number > 10


async def test_a_crash_while_an_image_is_changed_back(tmp_path: Path) -> None:
    """At every step of a move out of `superseded/`: the older image reaches its name, the newer one steps aside."""
    for number in count():
        folder = tmp_path / str(number)
        old, new = attempt(task()), attempt(task(prompt="A tin boat."), number=2)
        first = await kept(folder, old, OLD)
        second = await kept(folder, new, NEW)
        aside = StoredImage(
            **{
                **{name: getattr(first.image, name) for name in StoredImage.__struct_fields__},
                "file": second.superseded[old.attempt_id],
            }
        )
        async with store_in(folder) as store:
            died = move_and_die(store, [(found(aside), task())], number)
        async with store_in(folder) as store:
            assert await store.restorable(aside, task()), f"not found at step {number}"
            (back,) = await store.restore([(found(aside), task())])
        now = f"superseded/boat--01.{new.task.fingerprint[:8]}.png"
        assert {new.attempt_id: now} == dict(back.superseded)
        assert (OLD, NEW) == ((folder / back.image.file).read_bytes(), (folder / now).read_bytes())
        every_image_has_its_sidecar(folder)
        if not died:
            break
    assert number > 5
