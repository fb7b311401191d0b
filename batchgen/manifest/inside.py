"""Files that a manifest names: in its folder or below it, whatever links there are, and nothing but files."""

from __future__ import annotations

import stat
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from msgspec import Struct

from batchgen.core.naming import printable
from batchgen.manifest.neighbours import nearest_file
from batchgen.system.files import open_regular


class InsideError(Exception):
    """A file that cannot be read; the message says what to do."""


class Wanted(Struct, frozen=True):
    """What a file is for: `noun` names it, `example` is a path of one, `advice` says what to name instead.

    `smaller` says what to do with one of more than `most_bytes`.
    """

    noun: str
    example: str
    advice: str
    smaller: str
    most_bytes: int


def open_inside(folder: Path, name: str, wanted: Wanted) -> BinaryIO:
    """Open a file of a folder to read it; links may not lead out of it. Raises `InsideError`."""
    shown = printable(name)
    parts = PurePosixPath(name).parts
    if not name or "\\" in name or "\0" in name or name.startswith("/") or ".." in parts or ":" in name:
        raise InsideError(
            f"{shown} is no path inside the manifest's folder (write one such as {wanted.example})"
        )
    root = folder.resolve()
    try:
        path = (root / name).resolve(strict=True)
        if not path.is_relative_to(root):
            raise InsideError(f"{shown} leads out of the manifest's folder (copy the {wanted.noun} into it)")
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InsideError(f"{shown} is no file ({wanted.advice})")
        if status.st_size > wanted.most_bytes:
            raise InsideError(f"{shown} is larger than {wanted.most_bytes // 2**20} MiB ({wanted.smaller})")
        return open_regular(path)
    except FileNotFoundError as error:
        advice = _instead(root, name) or f"put the {wanted.noun} there"
        raise InsideError(f"there is no file {shown} in the manifest's folder ({advice})") from error
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a loop of links
        raise InsideError(f"{shown} cannot be read ({error})") from error


def _instead(root: Path, name: str) -> str:
    """The file of the same folder that was probably meant, "" for none. Nothing outside of `root` is looked at."""
    beside = PurePosixPath(name).parent
    try:
        folder = (root / beside).resolve(strict=True)
    except (OSError, RuntimeError):
        return ""
    meant = nearest_file(folder, PurePosixPath(name).name) if folder.is_relative_to(root) else None
    return f"did you mean {printable(str(beside / meant))}?" if meant else ""
