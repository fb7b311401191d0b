"""What every image store keeps, wherever the bytes go."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from PIL import Image

from batchgen.core.errors import NotAnImageError
from batchgen.core.protocols import ImageStore
from batchgen.core.types import ImageBytes, Media
from batchgen.stores.directory import SMALL_LETTERS
from tests.ledgers.samples import as_renamed, attempt, task
from tests.stores.images import ANSWER, answer, found, picture
from tests.stores.shelves import ObjectShelf, Shelf
from tests.support.weed import Weed

pytestmark = pytest.mark.anyio

PNG = picture("one")


@pytest.fixture(params=["directory", "objects"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    """Where every store in turn keeps a job."""
    if request.param == "directory":
        return Shelf(tmp_path / "spring")
    weed: Weed = request.getfixturevalue("weed")
    return ObjectShelf(tmp_path / "spring", weed.bucket(weed.url()))


@pytest.fixture
async def store(shelf: Shelf) -> AsyncIterator[ImageStore]:
    """Every store in turn, empty."""
    async with shelf.store() as store:
        yield store


async def test_an_image_is_kept_as_it_was_received(store: ImageStore, shelf: Shelf) -> None:
    """Under the task's name, byte for byte, described by its own bytes and priced by the answer's usage."""
    mine = attempt(task())
    await store.reserve(mine)
    kept = await store.keep(mine, answer(PNG))
    assert PNG == shelf.files()[kept.image.file]
    assert (mine.attempt_id, "boat--01", task().fingerprint) == (
        kept.image.attempt_id,
        kept.image.task_id,
        kept.image.fingerprint,
    )
    assert (hashlib.sha256(PNG).hexdigest(), len(PNG)) == (kept.image.sha256, kept.image.size_bytes)
    assert Media("image/png", "png", 16, 8) == kept.image.media
    assert (ANSWER, {}) == (kept.answer, dict(kept.superseded))


@pytest.mark.parametrize(("kind", "extension"), [("PNG", "png"), ("JPEG", "jpg"), ("WEBP", "webp")])
async def test_the_bytes_say_what_they_are(store: ImageStore, kind: str, extension: str) -> None:
    """The extension comes from the bytes, never from the request."""
    asked = attempt(task(parameters={"output_format": "png"}))
    await store.reserve(asked)
    kept = await store.keep(asked, answer(picture("one", kind)))
    assert f"images/boat--01.{extension}" == kept.image.file


@pytest.mark.parametrize(
    "encoded",
    [
        base64.b64encode(PNG).decode(),
        base64.urlsafe_b64encode(PNG).decode(),
        base64.b64encode(PNG).decode().rstrip("="),
        base64.encodebytes(PNG).decode(),
        base64.encodebytes(PNG).decode().replace("\n", "\r\n"),
        PNG,
    ],
    ids=["base64", "url-safe", "unpadded", "lines", "crlf", "raw"],
)
async def test_harmless_variants_are_taken(store: ImageStore, shelf: Shelf, encoded: str | bytes) -> None:
    """An image that was paid for is not refused for how it was written."""
    mine = attempt(task())
    await store.reserve(mine)
    kept = await store.keep(mine, ImageBytes(encoded, ANSWER))
    assert PNG == shelf.files()[kept.image.file]


async def test_keeping_twice_is_harmless(store: ImageStore, shelf: Shelf) -> None:
    """The same image again changes nothing, with or without new room."""
    mine = attempt(task())
    await store.reserve(mine)
    first = await store.keep(mine, answer(PNG))
    before = list(shelf.files())
    again = await store.keep(mine, answer(PNG))
    await store.reserve(mine)
    third = await store.keep(mine, answer(PNG))
    assert before == list(shelf.files())
    assert {first.image.sha256} == {again.image.sha256, third.image.sha256}
    assert ({}, {}) == (dict(again.superseded), dict(third.superseded))


@pytest.mark.parametrize("nothing", ["", "!!", base64.b64encode(b"<html>").decode(), PNG[:-9], b""])
async def test_what_is_no_image_is_evidence(store: ImageStore, shelf: Shelf, nothing: str | bytes) -> None:
    """The error says what came instead; nothing has a final name; the bytes are kept aside."""
    mine = attempt(task())
    await store.reserve(mine)
    with pytest.raises(NotAnImageError):
        await store.keep(mine, ImageBytes(nothing, ANSWER))
    assert [nothing if isinstance(nothing, bytes) else nothing.encode()] == list(shelf.files().values())
    assert all(name.startswith("state/quarantine/") for name in shelf.files())


async def test_answers_of_one_moment_go_their_own_ways(store: ImageStore, shelf: Shelf) -> None:
    """Small or large, an answer that is no image takes no other down with it."""
    large = io.BytesIO()
    Image.effect_noise((400, 400), 90).save(large, "PNG")
    came = [PNG, b"no image", large.getvalue(), b"no image" * SMALL_LETTERS]
    places: dict[int, str] = {}
    refused: set[int] = set()

    async def keep(number: int, data: bytes) -> None:
        mine = attempt(task(f"boat-{number}"))
        await store.reserve(mine)
        try:
            places[number] = (await store.keep(mine, answer(data))).image.file
        except NotAnImageError:
            refused.add(number)

    async with anyio.create_task_group() as group:
        for number, data in enumerate(came):
            group.start_soon(keep, number, data)
    assert len(came[0]) < SMALL_LETTERS < len(came[2])
    files = shelf.files()
    assert {0: came[0], 2: came[2]} == {number: files[place] for number, place in places.items()}
    assert {1, 3} == refused


async def test_the_first_that_is_an_image_is_stored(store: ImageStore, shelf: Shelf) -> None:
    """Of an answer that brought several, nothing is thrown away: images lie aside, what is none in quarantine."""
    mine, junk, last = attempt(task()), base64.b64encode(b"junk").decode(), picture("last")
    await store.reserve(mine)
    texts = [base64.b64encode(data).decode() for data in (PNG, last)]
    image = ImageBytes("no base64!", ANSWER, (junk, texts[0], b"raw junk", texts[1]))
    for _ in range(2):  # twice is harmless
        kept = await store.keep(mine, image)
        assert (mine.attempt_id, f"{mine.attempt_id}-5") == (kept.image.attempt_id, kept.more[0].attempt_id)
        assert 1 == len(kept.more)
        assert {
            kept.image.file: PNG,
            kept.more[0].file: last,
            f"state/quarantine/{mine.attempt_id}.bin": b"no base64!",
            f"state/quarantine/{mine.attempt_id}-2.bin": junk.encode(),
            f"state/quarantine/{mine.attempt_id}-4.bin": b"raw junk",
        } == {name: data for name, data in shelf.files().items() if not name.endswith(".json")}


async def test_a_replaced_image_is_superseded(store: ImageStore, shelf: Shelf) -> None:
    """Nothing is deleted: the older image moves aside in the step that stores the newer, and its place is told."""
    old, new = attempt(task()), attempt(task(prompt="A tin boat."))
    await store.reserve(old)
    first = await store.keep(old, answer(PNG))
    await store.reserve(new)
    second = await store.keep(new, answer(picture("two")))
    aside = f"superseded/boat--01.{first.image.fingerprint[:8]}.png"
    assert {old.attempt_id: aside} == dict(second.superseded)
    assert (PNG, picture("two")) == (shelf.files()[aside], shelf.files()[second.image.file])


async def test_a_request_that_failed_leaves_nothing(store: ImageStore, shelf: Shelf) -> None:
    """Room that was made is given back; what came of a paid answer goes to quarantine."""
    plain, paid = attempt(task()), attempt(task())
    for one, evidence in ((plain, b""), (paid, b"{}")):
        await store.reserve(one)
        await store.release(one.attempt_id, evidence)
        await store.release(one.attempt_id, evidence)
    assert {f"state/quarantine/{paid.attempt_id}.bin": b"{}"} == shelf.files()


async def test_nothing_is_adopted_where_nothing_came(store: ImageStore) -> None:
    """An attempt without bytes on disk has no image, whether room was made or not."""
    reserved, never = attempt(task()), attempt(task())
    await store.reserve(reserved)
    assert None is await store.adopt(reserved)
    assert None is await store.adopt(never)


async def test_a_kept_image_is_adopted_as_it_was(store: ImageStore) -> None:
    """A crash after `keep` and before the ledger's commit: the image is found, with its answer and its cost."""
    mine = attempt(task())
    await store.reserve(mine)
    kept = await store.keep(mine, answer(PNG))
    assert kept == await store.adopt(mine)
    assert kept == await store.adopt(mine)


async def test_another_attempts_image_is_not_adopted(store: ImageStore) -> None:
    """The image under the name belongs to the attempt that its sidecar names."""
    old, lost = attempt(task()), attempt(task())
    await store.reserve(old)
    await store.keep(old, answer(PNG))
    await store.reserve(lost)
    assert None is await store.adopt(lost)


async def test_a_paid_image_moves_to_a_new_name(store: ImageStore, shelf: Shelf) -> None:
    """A renamed task takes its image along; doing it twice changes nothing."""
    mine, ship = attempt(task()), as_renamed(task(), "ship--01")
    await store.reserve(mine)
    kept = await store.keep(mine, answer(PNG))
    for _ in range(2):
        (moved,) = await store.restore([(found(kept.image), ship)])
        assert ("ship--01", "images/ship--01.png", kept.image.sha256) == (
            moved.image.task_id,
            moved.image.file,
            moved.image.sha256,
        )
        assert ANSWER == moved.answer
    assert ["ship--01.json", "ship--01.png"] == [name.partition("/")[2] for name in shelf.files()]


async def test_damage_is_found(store: ImageStore, shelf: Shelf) -> None:
    """Missing and altered images are told apart; a new date on the same bytes is nothing; sound ones are left out."""
    kept = []
    for name in ("sound", "touched", "missing", "altered", "longer"):
        mine = attempt(task(f"{name}--01", prompt=name))
        await store.reserve(mine)
        kept.append((await store.keep(mine, answer(PNG))).image)
    of = {image.task_id[:-4]: image for image in kept}
    shelf.touch(of["touched"].file)
    shelf.remove(of["missing"].file)
    shelf.write(of["altered"].file, PNG[:-1] + b"?")
    shelf.write(of["longer"].file, PNG + b"?")
    assert {
        of["missing"].attempt_id: "missing",
        of["altered"].attempt_id: "altered",
        of["longer"].attempt_id: "altered",
    } == dict(await store.damaged(kept))
