"""Moving paid images to the names of other tasks, wherever a crash may have left them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from batchgen.core.records import Found
from batchgen.core.types import Stored, StoredImage, Task
from batchgen.core.values import replace
from batchgen.stores.arrivals import Arrival, is_whole
from batchgen.stores.layout import IMAGES, Layout, place_of
from batchgen.stores.sidecars import (
    Origin,
    dump_sidecar,
    read_sidecar,
    rebuild_sidecar,
    rename_sidecar,
    stored_of,
)
from batchgen.system.folder import File


class Mover:
    """Prepares moves for the barrier. Called on worker threads; raises `OSError`."""

    def __init__(self, layout: Layout, origin: Origin) -> None:
        self._layout = layout
        self._origin = origin

    def __call__(self, moves: Sequence[tuple[Found, Task]]) -> list[Arrival | Stored]:
        """What brings each image to the name of its task, or what is there already."""
        superseded = self.superseded_of({found.image.task_id for found, _ in moves})
        return [self._move(found, task, superseded.get(found.image.task_id, {})) for found, task in moves]

    def _move(self, found: Found, task: Task, superseded: Mapping[str, str]) -> Arrival | Stored:
        image = found.image
        there = self._moved_already(image, task)
        if there is not None:
            self._forget_sidecar(image, task)
            return there
        source = self._place(image, superseded)
        leaves = source.with_suffix(".json")
        sidecar = self._sidecar_of(image, leaves) or rebuild_sidecar(self._origin, found, task)
        name = f"{task.task_id}.{image.media.extension}"
        renamed = rename_sidecar(sidecar, task, name)
        beside = self._layout.part_sidecar(image.attempt_id)
        beside.write(dump_sidecar(renamed), durable=False)  # the barrier syncs it, beside the others
        moved = replace(image, task_id=task.task_id, file=f"{IMAGES}/{name}")
        _, answer = stored_of(renamed, IMAGES, image.mtime_ns)
        stays = leaves == self._layout.sidecar(task.task_id)
        return Arrival(moved, answer, source, beside, leaves=None if stays else leaves)

    def can_move(self, image: StoredImage, task: Task) -> bool:
        """Whether the image is whole, where the ledger says or where a crash left it."""
        if self._moved_already(image, task) is not None:
            return True
        superseded = self.superseded_of({image.task_id}).get(image.task_id, {})
        return is_whole(self._place(image, superseded), image)

    def superseded_of(self, task_ids: Collection[str]) -> dict[str, dict[str, str]]:
        """Where replaced images of tasks lie, by task and attempt id; a crash may have kept it from the ledger."""
        found: dict[str, dict[str, str]] = {}
        for name in self._layout.superseded.names():
            task_id = name.partition(".")[0]  # a task's id has no dot
            if task_id in task_ids and name.endswith(".json"):
                sidecar = read_sidecar(self._layout.superseded.file(name))
                image = None if sidecar is None else self._layout.superseded.file(sidecar["file"])
                if sidecar is not None and image is not None and image.exists():
                    found.setdefault(task_id, {})[sidecar["attempt_id"]] = place_of(image)
        return found

    def _place(self, image: StoredImage, superseded: Mapping[str, str]) -> File:
        """Where an image lies: a crash may have kept its move to `superseded/` from the ledger."""
        noted = self._layout.file(image.file)
        if is_whole(noted, image):
            return noted
        return self._layout.file(superseded.get(image.attempt_id, image.file))

    def _sidecar_of(self, image: StoredImage, file: File) -> dict[str, Any] | None:
        sidecar = read_sidecar(file)
        ours = sidecar is not None and sidecar["attempt_id"] == image.attempt_id
        return sidecar if ours else None

    def _forget_sidecar(self, image: StoredImage, task: Task) -> None:
        """The copy that an interrupted move left under the old name."""
        left = self._layout.file(image.file).with_suffix(".json")
        if left != self._layout.sidecar(task.task_id) and self._sidecar_of(image, left):
            if left.folder.moves_by_copy and is_whole(old := self._layout.file(image.file), image):
                old.unlink()  # copied, and not removed before a crash
            left.unlink()

    def _moved_already(self, image: StoredImage, task: Task) -> Stored | None:
        sidecar = self._sidecar_of(image, self._layout.sidecar(task.task_id))
        if sidecar is None:
            return None
        moved, answer = stored_of(sidecar, IMAGES, 0)
        file = self._layout.file(moved.file)
        if not is_whole(file, moved):
            return None
        return Stored(replace(moved, mtime_ns=file.status().mark), answer)
