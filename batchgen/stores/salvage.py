"""What lies on the disk: images that a crash or a lost ledger left without a record, and images that are damaged."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import islice
from typing import TypeVar

from batchgen.core.inventory import Inventory
from batchgen.core.records import Found
from batchgen.core.types import Attempt, Stored, StoredImage
from batchgen.core.values import replace
from batchgen.stores.arrivals import Arrival, Barrier, is_whole
from batchgen.stores.layout import IMAGES, Layout, place_of
from batchgen.stores.sidecars import dump_sidecar, found_of, read_sidecar, stored_of
from batchgen.system.folder import File, Folder

Item = TypeVar("Item")
Answer = TypeVar("Answer")

ASKED_AT_ONCE = 16
"""Requests to an object store side by side."""

PAGE = 500
"""Images a page: memory stays flat, and other work of the threads goes on in between."""


class Salvage:
    """Reads the disk for what the ledger should know. Called on worker threads; raises `OSError`."""

    def __init__(self, layout: Layout, barrier: Barrier) -> None:
        self._layout = layout
        self._barrier = barrier

    def find(self, attempt: Attempt) -> Arrival | Stored | None:
        """The whole image of an attempt that a crash interrupted; what is left of another is quarantined."""
        part, beside = self._layout.part(attempt.attempt_id), self._layout.part_sidecar(attempt.attempt_id)
        waiting = read_sidecar(beside)
        sidecar = waiting or read_sidecar(self._layout.sidecar(attempt.task.task_id))
        if sidecar is not None and sidecar["attempt_id"] == attempt.attempt_id:
            image, answer = stored_of(sidecar, IMAGES, 0)
            final = self._layout.file(image.file)
            places = [part] if part.exists() else [final, final.upload()]
            if file := next((place for place in places if is_whole(place, image)), None):
                file.rewrite(mode=0o644)
                image = replace(image, mtime_ns=file.status().mark)
                beside.write(dump_sidecar(sidecar))
                return Arrival(image, answer, file, beside)
        self._discard(part)
        return None

    def sweep(self) -> None:
        """Delete parts that are only room, and sidecars of none; a part with bytes waits for `find`."""
        for name in list(self._layout.state.names()):
            file = self._layout.state.file(name)
            if file.suffix == ".new" or (file.suffix == ".part" and _is_empty(file)):
                file.unlink()
            if file.suffix in {".part", ".json"} and not file.with_suffix(".part").exists():
                file.with_suffix(".json").unlink()

    def inventory(self) -> Inventory:
        """What is there by its sidecars."""
        folders = [(folder, folder.path.name) for folder in (self._layout.images, self._layout.superseded)]
        return Inventory.of(
            f"{place}/{name.removesuffix('.json')}"
            for folder, place in folders
            for name in _sidecar_names(folder)
        )

    def images(self, folder: Folder) -> Iterator[list[Found]]:
        """What the sidecars of a folder say, page by page; whether the images are whole is not looked at."""
        return _paged(one for one in self._side_by_side(self._found, _sidecars(folder)) if one is not None)

    def orphans(self, folder: Folder) -> Iterator[list[StoredImage]]:
        """What sidecars say whose images are not beside them, page by page."""
        told = self._side_by_side(lambda file: (file, read_sidecar(file)), _sidecars(folder))
        images = (
            stored_of(sidecar, folder.path.name, 0)[0]
            for file, sidecar in told
            if sidecar is not None and not folder.file(sidecar["file"]).exists()
        )
        return _paged(images)

    def set_parts_aside(self) -> int:
        """Move whole images of attempts that nobody remembers to `superseded/`; returns how many.

        To be called when no attempt is open. Other parts with bytes are evidence.
        """
        moved = 0
        for name in list(self._layout.state.names()):
            part = self._layout.state.file(name)
            if not name.endswith(".part"):
                continue
            sidecar = read_sidecar(part.with_suffix(".json"))
            image, answer = stored_of(sidecar, IMAGES, 0) if sidecar is not None else (None, None)
            if image is not None and answer is not None and is_whole(part, image):
                part.rewrite(mode=0o644)
                part.sync()
                self._barrier.set_aside(Arrival(image, answer, part, part.with_suffix(".json")))
                moved += 1
            else:
                self._discard(part)
        self._layout.images.forget_uploads()
        self._layout.superseded.sync()
        return moved

    def forget_copies(self, images: Sequence[StoredImage]) -> None:
        """Remove the sidecars at these places, unless their images have come back."""
        for image in images:
            file = self._layout.file(image.file)
            sidecar = read_sidecar(file.with_suffix(".json"))
            if sidecar is not None and sidecar["attempt_id"] == image.attempt_id and not file.exists():
                file.with_suffix(".json").unlink()

    def damaged(self, images: Sequence[StoredImage], *, by_hash: bool) -> dict[str, str]:
        """What is wrong with images; their bytes are read where size and time leave a doubt, or `by_hash`."""
        found = {}
        wrong = self._side_by_side(partial(self._fault, by_hash=by_hash), images)
        for image, fault in zip(images, wrong, strict=True):
            if fault:
                found[image.attempt_id] = fault
        return found

    def whole(self, found: Sequence[Found]) -> list[Found]:
        """Those whose bytes are what their sidecars say, to the last one."""
        sound = self._side_by_side(lambda one: is_whole(self._layout.file(one.image.file), one.image), found)
        return [one for one, is_sound in zip(found, sound, strict=True) if is_sound]

    def nameless(self, told: Sequence[Found]) -> list[Found]:
        """Images that lie where they are told to lie, to the last byte, beside no sidecar that can be read."""
        found = []
        for one in told:
            file = self._layout.file(one.image.file)
            if read_sidecar(file.with_suffix(".json")) is None and is_whole(file, one.image):
                found.append(replace(one, image=replace(one.image, mtime_ns=file.status().mark)))
        return found

    def without_sidecar(self, images: Sequence[StoredImage]) -> list[StoredImage]:
        """Those whose sidecar is gone or speaks of another image."""
        there = self._side_by_side(self._has_sidecar, images)
        return [image for image, has_one in zip(images, there, strict=True) if not has_one]

    def foreign(self, limit: int) -> list[str]:
        """Places of at most `limit` files that are neither images with a sidecar nor sidecars."""
        found: list[str] = []
        for folder in (self._layout.images, self._layout.superseded):
            # Closed here and now, since the reading of a folder may end half way.
            with closing(folder.names()) as names:
                found += islice(
                    filter(None, self._side_by_side(_foreign, map(folder.file, names))), limit - len(found)
                )
        return found

    def _side_by_side(self, ask: Callable[[Item], Answer], items: Iterable[Item]) -> Iterator[Answer]:
        """Answers in order; of an object store many are asked for at once, since each takes a while."""
        if not self._layout.images.moves_by_copy:
            yield from map(ask, items)
            return
        asked = iter(items)
        with ThreadPoolExecutor(ASKED_AT_ONCE, thread_name_prefix="objects") as pool:
            while some := list(islice(asked, 4 * ASKED_AT_ONCE)):
                yield from pool.map(ask, some)

    def _fault(self, image: StoredImage, *, by_hash: bool) -> str:
        file = self._layout.file(image.file)
        try:
            status = file.status()
        except FileNotFoundError:
            return "missing"
        same = status.size_bytes == image.size_bytes and status.mark == image.mtime_ns
        if not stat.S_ISREG(status.mode) or not ((same and not by_hash) or is_whole(file, image)):
            return "altered"
        return ""

    def _has_sidecar(self, image: StoredImage) -> bool:
        sidecar = read_sidecar(self._layout.file(image.file).with_suffix(".json"))
        return sidecar is not None and (sidecar["attempt_id"], sidecar["sha256"]) == (
            image.attempt_id,
            image.sha256,
        )

    def _found(self, file: File) -> Found | None:
        """What a sidecar says; None when it is none, or its image is not there."""
        sidecar = read_sidecar(file)
        image = None if sidecar is None else file.folder.file(sidecar["file"])
        if sidecar is None or image is None or not image.exists():
            return None
        return found_of(sidecar, file.folder.path.name, image.status().mark)

    def _discard(self, part: File) -> None:
        """An empty part is only room; one with bytes is evidence."""
        if part.exists():
            if _is_empty(part):
                part.unlink()
            else:
                part.rename(self._layout.quarantine.file(part.name))
        part.with_suffix(".json").unlink()


def _foreign(file: File) -> str:
    """The place of a file that no sidecar speaks for, "" for another."""
    sidecar = read_sidecar(file.with_suffix(".json"))
    ours = sidecar is not None and file.name in {sidecar["file"], file.with_suffix(".json").name}
    return "" if ours else place_of(file)


def _paged(items: Iterator[Item]) -> Iterator[list[Item]]:
    while page := list(islice(items, PAGE)):
        yield page


def _sidecars(folder: Folder) -> Iterator[File]:
    return map(folder.file, _sidecar_names(folder))


def _sidecar_names(folder: Folder) -> Iterator[str]:
    return (name for name in folder.names() if name.endswith(".json") and name[0] != ".")


def _is_empty(part: File) -> bool:
    return part.is_regular() and not part.read(1 << 16).strip(b"\0")
