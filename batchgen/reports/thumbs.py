"""Small WebP copies of a job's images in `thumbs/`, so that a page of thousands opens and scrolls at once.

A name holds the hash of the image's bytes: a thumbnail whose name is there fits, and one that no image wants is stale.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from anyio import CapacityLimiter, create_task_group, to_thread

from batchgen.core.records import TaskView
from batchgen.core.types import TaskState

Fetch = Callable[[str, int], BytesIO | None]
"""The bytes of an image at a place, of the size that the ledger has; None for one that lies in the folder."""

FOLDER = "thumbs"
EDGE_PX = 560
"""The longest side of a thumbnail: a card is up to 320 px wide, and screens of today have two pixels for one."""

MAX_PIXELS = 40_000_000
"""Larger images get no thumbnail: decoding one would take more than 160 MB. The page then shows the image itself."""

MAX_BYTES = 64 * 1024 * 1024
_QUALITY = 74
_FORMATS = ("PNG", "JPEG", "WEBP")
_EXTENSIONS = ("png", "jpg", "jpeg", "webp")
_AT_ONCE = 2
_MARK_LENGTH = 12


def thumb_mark(view: TaskView) -> str:
    """What stands for an image's bytes in its thumbnail's name."""
    return (view.sha256 or "")[:_MARK_LENGTH]


def thumb_names(folder: Path) -> frozenset[str]:
    """The thumbnails of a job's folder; none where there is no such folder, or only a link to somewhere else."""
    place = folder / FOLDER
    if place.is_symlink():
        return frozenset()
    try:
        with os.scandir(place) as entries:
            return frozenset(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
    except OSError:
        return frozenset()


async def make_thumbs(
    folder: Path,
    batches: AsyncIterator[Sequence[TaskView]],
    limit: int,
    ended: Callable[[], bool] = lambda: False,
    fetch: Fetch = lambda _place, _size_bytes: None,
) -> int:
    """Make the thumbnails that the first `limit` tasks lack and remove the stale ones; returns how many were made.

    An image that cannot be read is left out. Asks `ended` before each image, and then stops; it may also be cancelled
    between two images. `fetch` brings images that are not in the folder, None for those that are. Raises `OSError` where
    nothing can be written.
    """
    place = folder / FOLDER
    if place.is_symlink():
        raise OSError(f"{place} is a link; move it away, since thumbnails stay in the job's folder")
    there = await to_thread.run_sync(thumb_names, folder)
    wanted: set[str] = set()
    made = 0
    async for batch in batches:
        views, limit = batch[:limit], max(0, limit - len(batch))
        small = {f"{view.task_id}.{thumb_mark(view)}.webp": view for view in views if _fits(view)}
        wanted |= small.keys()
        made += await _make(folder, [(name, small[name]) for name in small if name not in there], ended, fetch)
        if ended():
            return made
        if not limit:
            break
    await to_thread.run_sync(_remove, place, there - wanted)
    return made


async def _make(
    folder: Path, missing: Sequence[tuple[str, TaskView]], ended: Callable[[], bool], fetch: Fetch
) -> int:
    if not missing:
        return 0
    (folder / FOLDER).mkdir(exist_ok=True)
    waiting, results = iter(missing), []
    threads = CapacityLimiter(_AT_ONCE)

    def thumb(name: str, view: TaskView) -> bool:
        source = fetch(view.file or "", view.size_bytes or 0) or folder / (view.file or "")
        return _thumb(source, folder / FOLDER / name, view.size_bytes)

    async def work() -> None:
        for name, view in waiting:
            if ended():
                return
            results.append(await to_thread.run_sync(thumb, name, view, limiter=threads))

    async with create_task_group() as group:
        for _ in range(_AT_ONCE):
            group.start_soon(work)
    return sum(results)


def _fits(view: TaskView) -> bool:
    """Whether an image is worth a smaller copy, and safe to decode."""
    pixels = (view.width or 0) * (view.height or 0)
    return (
        view.state == TaskState.STORED
        and not view.lost
        and bool(view.file and view.sha256)
        and (view.file or "").rpartition(".")[2] in _EXTENSIONS
        and EDGE_PX**2 // 4 < pixels <= MAX_PIXELS
        and (view.size_bytes or 0) <= MAX_BYTES
    )


def _opened(source: Path | BytesIO, size_bytes: int | None) -> BinaryIO | None:
    """An image's bytes, unless it is not of this size: altered since, its pixels may be any number."""
    if isinstance(source, BytesIO):
        return source if len(source.getbuffer()) == size_bytes else None
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return None
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_size != size_bytes:
        os.close(descriptor)
        return None
    return os.fdopen(descriptor, "rb")


def _thumb(source: Path | BytesIO, target: Path, size_bytes: int | None) -> bool:
    """Make one; False when the image is not what the ledger says, or Pillow cannot read it."""
    from PIL import Image  # late: it takes as long to import as a small run takes

    file = _opened(source, size_bytes)
    if file is None:
        return False
    with file:
        # Whatever a broken file makes of a decoder, only its thumbnail is missing.
        try:
            with Image.open(file, formats=_FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    return False
                image.draft("RGB", (2 * EDGE_PX, 2 * EDGE_PX))
                small = image.convert("RGBA" if _transparent(image) else "RGB")
        except Exception:  # noqa: BLE001 - decoders raise anything, from SyntaxError to DecompressionBombError
            return False
    small.thumbnail((EDGE_PX, EDGE_PX), Image.Resampling.BICUBIC, reducing_gap=2.0)
    _write(target, lambda part: small.save(part, "WEBP", quality=_QUALITY, method=2))
    return True


def _transparent(image: object) -> bool:
    return getattr(image, "mode", "") in {"RGBA", "LA", "PA"} or "transparency" in getattr(image, "info", {})


def _write(target: Path, save: Callable[[Path], None]) -> None:
    """Whole or not at all; not synced, since it can be made again for nothing."""
    descriptor, name = tempfile.mkstemp(".part", ".", target.parent)
    os.close(descriptor)
    part = Path(name)
    try:
        save(part)
        part.chmod(0o644)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _remove(place: Path, names: frozenset[str]) -> None:
    for name in names:
        if name.endswith((".webp", ".part")):
            with suppress(OSError):
                (place / name).unlink()
