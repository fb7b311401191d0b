"""Single files by their path: durable when a call returns, and never half written under their final names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from batchgen.system.folder import File, Folder


def write_file(path: Path, data: bytes, *, mode: int = 0o644, durable: bool = True) -> None:
    """Create or replace a file's content in place; for names that nobody reads before they are finished."""
    with _file(path) as file:
        file.write(data, mode=mode, durable=durable)


def replace_file(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace a file's content durably and atomically: a reader sees the old or the new, never a part."""
    with _file(path) as file:
        file.replace(data, mode=mode)


def make_folder(path: Path) -> None:
    """Make a folder and those above it that are missing; all of them are on the disk when it returns."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for made in missing:
        with closing(Folder.open(made.parent)) as above:
            above.sync()


@contextmanager
def _file(path: Path) -> Iterator[File]:
    folder = Folder.open(path.parent)
    try:
        yield folder.file(path.name)
    finally:
        folder.close()
