"""What lies where in a job's folder, and what the store refuses to touch."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from batchgen import __version__
from batchgen.core.errors import NotAnImageError, StorageError
from batchgen.core.media import media_of
from batchgen.core.naming import COPY_LENGTH
from batchgen.core.types import JsonObject, Stored
from batchgen.stores import arriving
from batchgen.stores.arriving import bytes_of, room_bytes
from batchgen.stores.directory import DirectoryStore
from batchgen.stores.layout import open_layout
from tests.ledgers.samples import RUN, as_renamed, attempt, task
from tests.stores.crashes import dying_at
from tests.stores.images import answer, files, found, names, picture, sidecar, store_in

pytestmark = pytest.mark.anyio

PNG, OTHER = picture("one"), picture("two")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The job's folder."""
    return tmp_path / "spring"


async def keep(
    store: DirectoryStore, data: bytes = PNG, *more: bytes, prompt: str = "A paper boat.", of: str = "boat--01"
) -> Stored:
    """An image from its room to its final name."""
    mine = attempt(task(of, prompt=prompt))
    await store.reserve(mine)
    return await store.keep(mine, answer(data, *more))


# Sidecars


async def test_a_sidecar_tells_everything(folder: Path) -> None:
    """What was asked, what came, what it cost, and by which attempt: enough to rebuild a ledger. No key, no link."""
    mine = attempt(
        task("mug--red--02", prompt="A red mug.", sample=2, tags=("shop",), variables={"color": "red"}),
        number=3,
    )
    async with store_in(folder) as store:
        await store.reserve(mine)
        kept = await store.keep(mine, answer(PNG))
    assert {
        "sidecar": 1,
        "batchgen": __version__,
        "job": "spring",
        "task_id": "mug--red--02",
        "prompt_id": mine.task.prompt_id,
        "sample": 2,
        "tags": ["shop"],
        "variables": {"color": "red"},
        "fingerprint": mine.task.fingerprint,
        "file": "mug--red--02.png",
        "sha256": kept.image.sha256,
        "size_bytes": len(PNG),
        "media_type": "image/png",
        "width": 16,
        "height": 8,
        "model": "gpt-image-2",
        "request": {
            "prompt": "A red mug.",
            "parameters": {"size": "1024x1024"},
            "extra": {},
            "references": [],
            "mask": None,
        },
        "provider": "cometapi",
        "host": "api.cometapi.com",
        "attempt_id": mine.attempt_id,
        "attempts": 3,
        "possible_duplicate": False,
        "further": False,
        "run_id": RUN,
        "sent": "2026-11-23T22:00:00.000Z",
        "received": "2026-11-23T22:00:30.250Z",
        "http_status": 200,
        "request_id": "req-1",
        "revised_prompt": "A paper boat on water.",
        "usage": {"text_in": 12, "image_in": 0, "image_out": 196},
        "answer": {"created": 1},
        "cost_usd": 0.05,
        "price": "exact",
        "list_usd": 0.04,
    } == sidecar(folder, "images/mug--red--02.json")


async def test_any_text_survives_in_a_sidecar(folder: Path) -> None:
    """A prompt that is no valid Unicode is written and read like any other."""
    async with store_in(folder) as store:
        await keep(store, prompt="caf\u00e9 \ud800 \u202e")
    assert "caf\u00e9 \ud800 \u202e" == sidecar(folder, "images/boat--01.json")["request"]["prompt"]


async def test_a_moved_sidecar_has_the_new_names_and_the_old_facts(folder: Path) -> None:
    """After a rename the sidecar speaks of the task that the image serves now; what was bought stays."""
    async with store_in(folder) as store:
        kept = await keep(store)
        before = sidecar(folder, "images/boat--01.json")
        await store.restore([(found(kept.image), as_renamed(task(), "ship--01"))])
    assert before | {"task_id": "ship--01", "prompt_id": "ship", "file": "ship--01.png"} == sidecar(
        folder, "images/ship--01.json"
    )


async def test_many_images_move_together(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of moves syncs its folders a few times, not once an image, and looks through `superseded/` twice."""
    readings: list[int] = []
    listed = os.scandir

    def counted(place: int) -> Iterator[os.DirEntry[str]]:
        readings.append(place)
        return listed(place)

    monkeypatch.setattr(os, "scandir", counted)
    async with store_in(folder) as store:
        kept = [await keep(store, prompt=f"{n}", of=f"boat{n}--01") for n in range(40)]
        moves = [(found(one.image), task(f"ship{n}--01", prompt=f"{n}")) for n, one in enumerate(kept)]
        readings.clear()
        with dying_at(10_000) as changes:
            moved = await store.restore(moves)
    assert [f"images/ship{n}--01.png" for n in range(40)] == [one.image.file for one in moved]
    assert changes.count("fsync") < 40 * 3  # the images and their sidecars
    assert 2 == len(readings)


# What stands in the way


async def test_superseded_images_keep_apart_when_their_name_is_taken(folder: Path) -> None:
    """The same request bought again and again: every paid image stays, each with its sidecar, under a name of its own."""
    bought = [PNG, OTHER, picture("three"), picture("four")]
    async with store_in(folder) as store:
        for data in bought:
            await keep(store, data)
    plain = f"boat--01.{task().fingerprint[:8]}.png"
    aside = {path.name: path for path in (folder / "superseded").glob("*.png")}
    assert PNG == aside[plain].read_bytes()
    assert sorted(bought[:-1]) == sorted(path.read_bytes() for path in aside.values())
    for name in aside:
        assert name == sidecar(folder, f"superseded/{Path(name).stem}.json")["file"]
        assert name == plain or re.fullmatch(rf"{Path(plain).stem}-[0-9a-f]{{{COPY_LENGTH}}}\.png", name)


@pytest.mark.parametrize(("old", "new"), [("PNG", "WEBP"), ("WEBP", "PNG")])
async def test_a_new_format_replaces_the_old_one(folder: Path, old: str, new: str) -> None:
    """Only one image stands under a task's name, whatever its extension."""
    async with store_in(folder) as store:
        await keep(store, picture("one", old))
        kept = await keep(store, picture("two", new), prompt="A tin boat.")
    extension = {"PNG": "png", "WEBP": "webp"}
    assert ["boat--01.json", f"boat--01.{extension[new]}"] == sorted(
        path.name for path in (folder / "images").iterdir()
    )
    assert [f"superseded/boat--01.{task().fingerprint[:8]}.{extension[old]}"] == list(kept.superseded.values())


@pytest.mark.parametrize("name", ["boat--01.png", "boat--01.json"])
async def test_a_foreign_file_is_never_overwritten(folder: Path, name: str) -> None:
    """What a person put under a final name steps aside whole."""
    async with store_in(folder) as store:
        (folder / "images" / name).write_bytes(b"holiday")
        kept = await keep(store)
    assert PNG == (folder / kept.image.file).read_bytes()
    assert b"holiday" in {path.read_bytes() for path in (folder / "superseded").iterdir()}
    assert {} == dict(kept.superseded)


@pytest.mark.parametrize("limit", [0, 2, 3, 5, 9])
async def test_foreign_files_are_named_up_to_a_number(folder: Path, limit: int) -> None:
    """In both folders of images, without those that have a sidecar; no folder stays open that was read half way."""
    async with store_in(folder) as store:
        await keep(store)
        for number in range(3):
            (folder / "images" / f"holiday{number}.jpg").touch()
            (folder / "superseded" / f"party{number}.jpg").touch()
        opened = set(Path("/proc/self/fd").iterdir())
        found = await store.foreign(limit)
        assert opened == set(Path("/proc/self/fd").iterdir())
    assert min(limit, 6) == len(set(found)) == len(found)
    assert {"images/holiday", "superseded/party"} >= {place[: -len("0.jpg")] for place in found}


@pytest.mark.parametrize(
    "content", ["{}", "[1]", '{"attempt_id": "x"}', '{"attempt_id": 7, "file": 8}', "{" * 20_000]
)
async def test_a_sidecar_of_another_make_harms_nobody(folder: Path, content: str) -> None:
    """JSON that is no sidecar is a foreign file, for `keep` and for `adopt`."""
    async with store_in(folder) as store:
        (folder / "images" / "boat--01.json").write_text(content)
        assert None is await store.adopt(attempt(task()))
        kept = await keep(store)
        assert None is await store.adopt(attempt(task()))
    assert PNG == (folder / kept.image.file).read_bytes()
    assert kept.image.attempt_id == sidecar(folder, "images/boat--01.json")["attempt_id"]


async def test_pairs_that_were_swapped_by_hand_take_nothing_away(folder: Path) -> None:
    """A sidecar under another task's name does not speak for that task's new image, nor for its own old one."""
    async with store_in(folder) as store:
        a, b = await keep(store, PNG, of="a--01", prompt="a"), await keep(store, OTHER, of="b--01", prompt="b")
        images = folder / "images"
        for suffix in ("png", "json"):
            (images / f"a--01.{suffix}").rename(folder / "aside")
            (images / f"b--01.{suffix}").rename(images / f"a--01.{suffix}")
            (folder / "aside").rename(images / f"b--01.{suffix}")
        new_a, new_b = picture("new a"), picture("new b")
        await keep(store, new_a, of="a--01", prompt="a")
        await keep(store, new_b, of="b--01", prompt="b")
    assert (new_a, new_b) == ((folder / a.image.file).read_bytes(), (folder / b.image.file).read_bytes())
    assert {PNG, OTHER} <= {path.read_bytes() for path in (folder / "superseded").iterdir()}


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 10**30},
        {"cost_usd": -1.0},
        {"cost_usd": float("nan")},
        {"media_type": "\ud800"},
        {"http_status": True},
    ],
)
async def test_a_sidecar_with_impossible_values_is_none(folder: Path, wrong: dict[str, object]) -> None:
    """One bad file must not keep a ledger from being made of all the others."""
    async with store_in(folder) as store:
        await keep(store)
        await keep(store, OTHER, of="ship--01", prompt="ship")
        beside = folder / "images/boat--01.json"
        beside.write_text(json.dumps(json.loads(beside.read_text()) | wrong))
        found = [one.image.task_id async for page in store.images() for one in page]
    assert ["ship--01"] == found


async def test_a_link_under_a_final_name_is_not_followed(folder: Path, tmp_path: Path) -> None:
    """The link steps aside; what it leads to stays as it is."""
    (tmp_path / "precious.png").write_bytes(b"precious")
    async with store_in(folder) as store:
        (folder / "images" / "boat--01.png").symlink_to(tmp_path / "precious.png")
        kept = await keep(store)
    assert b"precious" == (tmp_path / "precious.png").read_bytes()
    assert not (folder / kept.image.file).is_symlink()


async def test_an_image_that_became_a_link_is_altered(folder: Path, tmp_path: Path) -> None:
    """Even one that leads to the same bytes."""
    async with store_in(folder) as store:
        kept = await keep(store)
        (folder / kept.image.file).rename(tmp_path / "moved.png")
        (folder / kept.image.file).symlink_to(tmp_path / "moved.png")
        assert {kept.image.attempt_id: "altered"} == dict(await store.damaged([kept.image]))


@pytest.mark.parametrize("name", ["images", "superseded", "state", "state/quarantine"])
async def test_linked_folders_are_refused(folder: Path, tmp_path: Path, name: str) -> None:
    """Images stay in the job's folder: a link there is refused in words, before anything is written."""
    (folder / name).parent.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="is a link; move it away"):
        async with store_in(folder):
            pass
    assert [] == list((tmp_path / "elsewhere").iterdir())


def test_a_folder_that_cannot_be_made_is_said(folder: Path) -> None:
    """A file where the job's folder should be."""
    folder.write_bytes(b"")
    with pytest.raises(StorageError, match="cannot be prepared"):
        open_layout(folder, make=True)


# Answers with more than one image, or none


async def test_a_second_image_of_an_answer_is_kept_aside(folder: Path) -> None:
    """It is paid for: it goes to `superseded/` with a sidecar of its own that carries no second cost."""
    async with store_in(folder) as store:
        kept = await keep(store, PNG, OTHER, b"junk")
    stem = f"boat--01.{task().fingerprint[:8]}"
    assert OTHER == (folder / "superseded" / f"{stem}.png").read_bytes()
    extra = sidecar(folder, f"superseded/{stem}.json")
    assert (f"{kept.image.attempt_id}-2", 0.0, f"{stem}.png") == tuple(
        extra[key] for key in ("attempt_id", "cost_usd", "file")
    )
    assert b"anVuaw==" == (folder / f"state/quarantine/{kept.image.attempt_id}-3.bin").read_bytes()


async def test_a_lone_image_that_is_none_costs_no_other(folder: Path) -> None:
    """In a batch of answers one bad one fails alone."""
    failed = []
    async with store_in(folder) as store:

        async def one(number: int) -> None:
            data = b"junk" if number == 3 else picture(str(number))
            try:
                await keep(store, data, of=f"t{number}--01", prompt=str(number))
            except NotAnImageError:
                failed.append(number)

        async with anyio.create_task_group() as group:
            for number in range(12):
                group.start_soon(one, number)
    assert [3] == failed
    assert 11 == len(list((folder / "images").glob("*.png")))


# Room


@pytest.mark.parametrize(
    ("size", "room"),
    [("16x16", 1 << 20), ("1024x1024", 4 << 20), ("9999x9999", 64 << 20), ("auto", 8 << 20), (None, 8 << 20)],
)
def test_room_follows_the_size(size: str | None, room: int) -> None:
    """Four bytes a pixel, within a mebibyte and 64."""
    parameters: JsonObject = {"quality": "low"} if size is None else {"quality": "low", "size": size}
    assert room == room_bytes(attempt(task(parameters=parameters)))


async def test_room_is_really_taken(folder: Path) -> None:
    """The part owns its blocks before the request, so that filling it cannot fail for lack of them."""
    mine = attempt(task())
    async with store_in(folder) as store:
        await store.reserve(mine)
        assert 4 << 20 <= (folder / f"state/{mine.attempt_id}.part").stat().st_blocks * 512


FULL_DISK = """
import asyncio, resource, signal, sys
from pathlib import Path
from batchgen.core.errors import StorageError
from tests.ledgers.samples import attempt, task
from tests.stores.crashes import dying_at
from tests.stores.images import store_in

async def main():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    async with store_in(Path(sys.argv[1])) as store:
        try:
            await store.reserve(attempt(task()))
        except StorageError as error:
            print("refused:", error)

asyncio.run(main())
"""


def test_a_disk_without_room_is_found_before_anything_is_paid(folder: Path) -> None:
    """No room is a `StorageError` in words, at the reservation (a process may write no larger files here)."""
    ran = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(folder)], capture_output=True, text=True, check=True, timeout=30
    )
    assert "refused:" in ran.stdout
    assert "check the disk, then run again" in ran.stdout


async def test_room_of_a_dead_run_is_given_back(folder: Path) -> None:
    """Empty parts go when the store is opened; one with bytes waits for its attempt."""
    async with store_in(folder) as store:
        empty, whole = attempt(task()), attempt(task("ship--01"))
        await store.reserve(empty)
        await store.reserve(whole)
        store._arriving(whole, answer(PNG))
    async with store_in(folder) as store:
        assert [f"{whole.attempt_id}.json", f"{whole.attempt_id}.part", "quarantine"] == sorted(
            path.name for path in (folder / "state").iterdir()
        )
        adopted = await store.adopt(whole)
        assert adopted is not None
    assert PNG == (folder / "images/ship--01.png").read_bytes()


async def test_half_an_image_is_evidence(folder: Path) -> None:
    """A part that is not whole is not adopted: its bytes go to quarantine, its sidecar goes."""
    mine = attempt(task())
    async with store_in(folder) as store:
        await store.reserve(mine)
        store._arriving(mine, answer(PNG))
        part = folder / f"state/{mine.attempt_id}.part"
        part.write_bytes(PNG[: len(PNG) // 2])
        assert None is await store.adopt(mine)
    assert {f"state/quarantine/{mine.attempt_id}.part": PNG[: len(PNG) // 2]} == files(folder)


async def test_a_lost_sidecar_is_written_again_with_what_is_known(folder: Path) -> None:
    """An image whose sidecar is gone still serves its new name; the new sidecar says that it was rebuilt."""
    async with store_in(folder) as store:
        kept = await keep(store)
        (folder / "images/boat--01.json").unlink()
        (moved,) = await store.restore([(found(kept.image), as_renamed(task(), "ship--01"))])
    sidecar = json.loads((folder / "images/ship--01.json").read_text())
    assert ["images/ship--01.json", "images/ship--01.png"] == names(folder)
    assert (True, moved.image.sha256, "ship--01") == (sidecar["rebuilt"], sidecar["sha256"], sidecar["task_id"])
    assert kept.image.attempt_id == sidecar["attempt_id"]
    known = found(kept.image)
    assert (known.number, known.run_id, known.started, known.ended, known.http_status, True) == tuple(
        sidecar[key] for key in ("attempts", "run_id", "sent", "received", "http_status", "possible_duplicate")
    )


async def test_a_damaged_spare_cannot_be_restored(folder: Path) -> None:
    """An altered or missing image is not moved back as if it were whole."""
    async with store_in(folder) as store:
        kept = await keep(store)
        ship = as_renamed(task(), "ship--01")
        assert await store.restorable(kept.image, ship)
        (folder / kept.image.file).write_bytes(OTHER)
        assert not await store.restorable(kept.image, ship)
        (folder / kept.image.file).unlink()
        assert not await store.restorable(kept.image, ship)


# Who may read, and who does the work


def mode(path: Path) -> int:
    """Permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
async def test_modes_do_not_depend_on_the_umask(folder: Path, umask: int) -> None:
    """Images are for everybody, what is still a secret is not, whoever starts the run."""
    before = os.umask(umask)
    try:
        async with store_in(folder) as store:
            kept = await keep(store)
            waiting = attempt(task("ship--01"))
            await store.reserve(waiting)
            await store.release("gone", b"evidence")
            assert {
                "images": 0o755,
                "superseded": 0o755,
                "state": 0o700,
                "state/quarantine": 0o700,
                kept.image.file: 0o644,
                "images/boat--01.json": 0o644,
                "state/quarantine/gone.bin": 0o600,
            } == {
                name: mode(folder / name)
                for name in (
                    "images",
                    "superseded",
                    "state",
                    "state/quarantine",
                    kept.image.file,
                    "images/boat--01.json",
                    "state/quarantine/gone.bin",
                )
            }
            assert 0 == mode(folder / f"state/{waiting.attempt_id}.part") & 0o077
    finally:
        os.umask(before)


async def test_the_loop_does_no_slow_work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fsyncs, base64, checks and hashes run on other threads, from the reservation to the adoption."""
    here = threading.get_ident()
    older, newer = attempt(task()), attempt(task(prompt="A tin boat."))
    seen: dict[str, set[bool]] = {}

    def recorded(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*values: object, **named: object) -> object:
            seen.setdefault(name, set()).add(threading.get_ident() == here)
            return real(*values, **named)

        return call

    monkeypatch.setattr(os, "fsync", recorded("fsync", os.fsync))
    monkeypatch.setattr(os, "posix_fallocate", recorded("fallocate", os.posix_fallocate))
    monkeypatch.setattr(arriving, "bytes_of", recorded("decode", arriving.bytes_of))
    monkeypatch.setattr(arriving, "media_of", recorded("check", media_of))
    monkeypatch.setattr(hashlib, "sha256", recorded("hash", hashlib.sha256))
    async with store_in(folder) as store:
        for mine, data in ((older, PNG), (newer, OTHER)):
            await store.reserve(mine)
            kept = await store.keep(mine, answer(data))
        await store.damaged([kept.image])
        await store.adopt(newer)
    assert {name: {False} for name in ("fsync", "fallocate", "decode", "check", "hash")} == seen


async def test_images_of_one_moment_share_their_fsyncs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty images at once need one directory fsync, not forty; where they take others' names, one more."""
    directories: list[int] = []
    real = os.fsync

    def count(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            directories.append(descriptor)
        real(descriptor)

    async with store_in(folder) as store:
        for version, syncs in (("first", 1), ("second", 2)):
            arrivals = []
            for number in range(40):
                mine = attempt(task(f"t{number}--01", prompt=f"{version} {number}"))
                await store.reserve(mine)
                arrivals.append(store._arriving(mine, answer(picture(f"{version} {number}"))))
            directories.clear()
            with monkeypatch.context() as patch:
                patch.setattr(os, "fsync", count)
                results = store._barrier(arrivals)
            assert 40 == sum(isinstance(result, Stored) for result in results)
            assert syncs == len(set(directories))


@pytest.mark.parametrize("broken", ["a", "ab\x00cd", "ab cd!"])
def test_text_that_is_no_base64_is_said(broken: str) -> None:
    """Variants are taken, junk is not."""
    with pytest.raises(NotAnImageError, match="not base64"):
        bytes_of(broken)


def test_a_sidecar_is_plain_json(folder: Path) -> None:
    """Any tool reads it: ASCII, indented, with a line's end."""

    async def main() -> None:
        async with store_in(folder) as store:
            await keep(store, prompt="café")

    anyio.run(main)
    text = (folder / "images/boat--01.json").read_text("ascii")
    assert text.endswith("}\n")
    assert "café" == json.loads(text)["request"]["prompt"]
