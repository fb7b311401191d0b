"""A process that dies at its n-th change of the disk or of an object store: that one is left half done, at most."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import obstore
import pytest

CHANGES = ("write", "ftruncate", "fsync", "replace", "rename", "unlink", "chmod", "fchmod")
OBJECT_CHANGES = ("put", "copy", "delete")


class CrashError(BaseException):
    """The end of the process, as far as the code under test can tell."""


@contextmanager
def dying_at(number: int) -> Iterator[list[str]]:
    """Let `number` changes of the disk happen, the real ones, and none after; yields their names.

    A write that is cut short leaves its first half.
    """
    done: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in CHANGES:
            patch.setattr(os, name, _mortal(name, getattr(os, name), number, done))
        for name in OBJECT_CHANGES:
            patch.setattr(obstore, name, _mortal(name, getattr(obstore, name), number, done))
        yield done


def _mortal(name: str, real: Callable[..., Any], number: int, done: list[str]) -> Callable[..., Any]:
    def change(*values: Any, **named: Any) -> Any:  # noqa: ANN401 - as the real ones
        if len(done) >= number:
            if name == "write" and len(done) == number:
                done.append(name)
                real(values[0], values[1][: len(values[1]) // 2])
            raise CrashError
        done.append(name)
        return real(*values, **named)

    return change
