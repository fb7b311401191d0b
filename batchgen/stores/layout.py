"""Where things lie in a job's folder, held open so that nothing put in their place is written through."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from batchgen.core.errors import StorageError
from batchgen.core.values import replace
from batchgen.system.buckets import Bucket
from batchgen.system.folder import File, Folder

IMAGES = "images"
SUPERSEDED = "superseded"
STATE = "state"
QUARANTINE = "quarantine"
PARTIALS = "partials"

_MODES = {IMAGES: 0o755, SUPERSEDED: 0o755, STATE: 0o700, QUARANTINE: 0o700, PARTIALS: 0o755}
_IN_THE_WAY = frozenset({errno.ELOOP, errno.ENOTDIR})


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of one job.

    `images`: images and sidecars under their final names. `superseded`: paid images that newer ones replaced.
    `state`: part files. `quarantine`, in it: answers that are no image, kept for a refund claim. `partials`: partial
    images of streamed answers, where they are wanted.
    """

    path: Path
    images: Folder
    superseded: Folder
    state: Folder
    quarantine: Folder
    partials: Folder

    def close(self) -> None:
        """Let the folders go."""
        for folder in (self.images, self.superseded, self.quarantine, self.state, self.partials):
            folder.close()

    def part(self, attempt_id: str) -> File:
        """Room for an attempt's image, then the image itself until it is renamed."""
        return self.state.file(f"{attempt_id}.part")

    def part_sidecar(self, attempt_id: str) -> File:
        """The sidecar beside a part."""
        return self.state.file(f"{attempt_id}.json")

    def sidecar(self, task_id: str) -> File:
        """A task's sidecar under its final name."""
        return self.images.file(f"{task_id}.json")

    def put_sidecar(self, attempt_id: str, target: File, content: bytes) -> None:
        """Write a sidecar that is not an arrival's: whole or not at all, and durable. Raises `OSError`."""
        waiting = self.state.file(f"{attempt_id}.new")
        waiting.write(content)
        waiting.rename(target)
        target.folder.sync()

    def evidence(self, attempt_id: str) -> File:
        """What came instead of an image."""
        return self.quarantine.file(f"{attempt_id}.bin")

    def file(self, place: str) -> File:
        """The file of a place relative to the job's folder, such as `images/boat--01.png`."""
        folder, _, name = place.partition("/")
        return (self.superseded if folder == SUPERSEDED else self.images).file(name.replace("/", "_"))


def place_of(file: File) -> str:
    """Where a file lies relative to the job's folder, with `/`."""
    return f"{file.folder.path.name}/{file.name}"


def open_layout(folder: Path, *, make: bool, partials: bool = False, images: bool = True) -> Layout:
    """Open a job's folders, which are made, durably, unless they are only to be read; one for partials if wanted.

    Without `images` those of images are not made.

    Raises `StorageError` when one cannot be made or opened, or is a link to somewhere else.
    """
    with ExitStack() as opened:
        try:
            layout = _open(folder, opened, make=make, partials=partials, images=images)
        except OSError as error:
            raise StorageError(
                f"{folder}: cannot be prepared ({error}); check the path and its permissions"
            ) from error
        opened.pop_all()
    return layout


def open_bucket_layout(state: Path, bucket: Bucket, *, make: bool, partials: bool = False) -> Layout:
    """A job's layout with its images in an object store; parts, evidence and partial images stay in a local folder.

    Raises `StorageError` when the folder cannot be made, or the store refuses or does not answer.
    """
    layout = open_layout(state, make=make, partials=partials, images=False)
    try:
        if make:
            bucket.check_writable()
    except OSError as error:
        layout.close()
        raise StorageError(f"{error}; nothing was sent") from error
    return replace(layout, images=bucket.folder(IMAGES), superseded=bucket.folder(SUPERSEDED))


def _open(folder: Path, opened: ExitStack, *, make: bool, partials: bool, images: bool) -> Layout:
    if make:
        folder.mkdir(parents=True, exist_ok=True)

    def within(parent: Folder, name: str, *, make: bool = make) -> Folder:
        try:
            return opened.enter_context(closing(parent.within(name, mode=_MODES[name] if make else None)))
        except OSError as error:
            if error.errno not in _IN_THE_WAY:
                raise
            kind = "a link" if (parent.path / name).is_symlink() else "no folder"
            raise StorageError(
                f"{parent.path / name} is {kind}; move it away, since images must stay in the job's folder"
            ) from error

    with closing(Folder.open(folder, missing_ok=not make)) as job:
        state = within(job, STATE)
        layout = Layout(
            folder,
            within(job, IMAGES, make=make and images),
            within(job, SUPERSEDED, make=make and images),
            state,
            within(state, QUARANTINE),
            within(job, PARTIALS, make=make and partials),
        )
        if make:
            _check_writable(layout.images if images else layout.state)
            job.sync()  # a file is not there after a power cut if its folder is not
            state.sync()
    return layout


def _check_writable(folder: Folder) -> None:
    """Find a read-only disk before anything is paid for; root passes every check of permissions alone."""
    if not os.access(folder.path, os.W_OK | os.X_OK):
        raise StorageError(f"{folder.path}: cannot be written; check its permissions, then run again")
