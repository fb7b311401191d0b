"""Finds the operator's `batchgen.yaml`, and reads it where it may be trusted."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from batchgen.config.values import FILE_NAME, Config
from batchgen.core.errors import UsageError


def load_config(explicit: Path | None, start: Path) -> Config:
    """The configuration of `explicit`, else of the nearest `batchgen.yaml` from `start` upwards, else the defaults.

    Raises `ProblemsError` with everything that is wrong, and `UsageError` when the file is missing or others than
    its owner may write it: it decides where keys are sent.
    """
    path = explicit or _nearest(start)
    if path is None:
        return Config()
    _check_mode(path)
    # Imported where there is a file: its shapes take long to build, and many have none.
    from batchgen.config.reading import read_config

    return read_config(path)


def _nearest(start: Path) -> Path | None:
    folders = (start, *start.resolve().parents)
    return next((found for folder in folders if (found := folder / FILE_NAME).is_file()), None)


def _check_mode(path: Path) -> None:
    # Windows has no such bits; its access lists are the folder's affair.
    if os.name == "posix" and path.exists() and path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UsageError(
            f"{path}: others than its owner may write this file, which decides where keys are sent "
            f"(run: chmod go-w {path})"
        )
