"""Single files by their path: durable when a call returns, and never half written under their final names."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO

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


def open_regular(path: Path) -> BinaryIO:
    """Open a file to read it; links are followed, but a pipe, which could make it wait for ever, is refused.

    Raises `OSError`.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no file", str(path))
    return os.fdopen(descriptor, "rb")


@contextmanager
def _file(path: Path) -> Iterator[File]:
    folder = Folder.open(path.parent)
    try:
        yield folder.file(path.name)
    finally:
        folder.close()
