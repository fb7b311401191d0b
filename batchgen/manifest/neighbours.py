"""The file that was probably meant, where one of this name is not there."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from batchgen.manifest.guess import nearest

MOST_NEIGHBOURS = 1000
"""Files of a folder that are looked at."""


def nearest_file(folder: Path, name: str, endings: tuple[str, ...] = ("",)) -> str | None:
    """The name of a file of the folder that is like `name` and has one of these endings; None when there is none."""
    try:
        there = [each.name for each in islice(folder.iterdir(), MOST_NEIGHBOURS) if each.exists()]
    except OSError:
        return None
    return nearest(name, [each for each in there if each.lower().endswith(endings)])
