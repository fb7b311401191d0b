"""Python's side of `killer.c`: strike a process at the N-th call that changes a folder.

    library = compile_shim(folder_for_it)                     # skips the test where there is no C compiler
    full = fails(errno.ENOSPC, path="state/*.part", kinds=("allocate",), lasting=True)
    desk.environ |= full.environ(library, desk.job)           # any process that is started with it is struck
    desk.run(expect=3)

`kills(at, how)` ends the process with SIGKILL at that call instead, `counts()` only counts. With `tally=PATH`,
`read_tally(PATH)` tells afterwards how many calls there were and which was struck, also of a process that was
killed. The folder need not be there yet; its path must have no symbolic link in it. Calls are counted over all
threads, those of SQLite among them; only calls of the chosen `kinds` whose path, relative to the folder, matches the
glob `path` (a `*` takes slashes too) have a number. A rename or link matches with either of its paths.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

KINDS = ("open", "write", "fsync", "rename", "link", "unlink", "truncate", "allocate", "mkdir", "chmod")
"""Kinds of calls, in the order of the enumeration in `killer.c`. `open` are only those that may create or empty."""

How = Literal["count", "before", "after", "half", "fail"]
_HOWS: tuple[How, ...] = ("count", "before", "after", "half", "fail")

_TALLY = struct.Struct("=qq1024s")
_ENTRY = struct.Struct("=iiiiqq")


@dataclass(frozen=True)
class Strike:
    """Which call is struck, and how; see `kills`, `fails` and `counts`."""

    how: How = "count"
    at: int = 0
    error: int = 0
    kinds: tuple[str, ...] = KINDS
    path: str = "*"
    lasting: bool = False

    def environ(
        self, library: Path, folder: Path, *, tally: Path | None = None, log: Path | None = None
    ) -> dict[str, str]:
        """The variables that make a process do this to itself below `folder`."""
        return {
            "LD_PRELOAD": str(library),
            "TORTURE_FOLDER": str(folder),
            "TORTURE_HOW": str(_HOWS.index(self.how)),
            "TORTURE_AT": str(self.at),
            "TORTURE_ERROR": str(self.error),
            "TORTURE_KINDS": str(sum(1 << KINDS.index(kind) for kind in self.kinds)),
            "TORTURE_PATH": self.path,
            "TORTURE_LASTING": str(int(self.lasting)),
            "TORTURE_TALLY": str(tally or ""),
            "TORTURE_LOG": str(log or ""),
        }


def counts() -> Strike:
    """Strike nothing, count everything."""
    return Strike()


def kills(at: int, how: How, *, kinds: Collection[str] | None = None, path: str = "*") -> Strike:
    """SIGKILL at call `at` (from 1): `before` it is made, `after` it, or when `half` of a write is written.

    `half` counts writes only.
    """
    chosen = tuple(kinds) if kinds is not None else ("write",) if how == "half" else KINDS
    return Strike(how, at, kinds=chosen, path=path)


def fails(error: int, *, kinds: Collection[str], at: int = 1, path: str = "*", lasting: bool = False) -> Strike:
    """Call `at` (from 1) is not made and fails with `error`, an errno; `lasting`: and so do all after it."""
    return Strike("fail", at, error, tuple(kinds), path, lasting)


@dataclass(frozen=True)
class Tally:
    """What was counted: calls, how many of them were struck, and the last struck one in words."""

    calls: int
    struck: int
    last: str


def read_tally(path: Path) -> Tally:
    """What a process counted, whether it lives or not."""
    calls, struck, last = _TALLY.unpack(path.read_bytes())
    return Tally(calls, struck, last.rstrip(b"\0").decode())


@dataclass(frozen=True)
class Entry:
    """A call that was made and worked, as the log has it; paths are relative to the folder."""

    kind: str
    first: str
    second: str
    flags: int
    offset: int
    length: int
    data: bytes

    def __str__(self) -> str:
        """In words."""
        return f"{self.kind} {self.first}{' -> ' if self.second else ''}{self.second}"


def read_log(path: Path) -> Iterator[Entry]:
    """The calls of a process in the order in which they were made, up to the one that killed it."""
    content = path.read_bytes() if path.exists() else b""
    place = 0
    while place < len(content):
        kind, first, second, flags, offset, length = _ENTRY.unpack_from(content, place)
        place += _ENTRY.size
        names = content[place : place + first + second]
        place += first + second
        written = length if KINDS[kind] == "write" else 0
        data = content[place : place + written]
        place += written
        yield Entry(KINDS[kind], names[:first].decode(), names[first:].decode(), flags, offset, length, data)


def compile_shim(folder: Path) -> Path:
    """Compile `killer.c` into `folder`; skips the test that asks where that cannot be."""
    if sys.platform != "linux":
        pytest.skip("the shim that strikes a process is for Linux")
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("the shim that strikes a process needs a C compiler (cc)")
    library = folder / "killer.so"
    source = Path(__file__).with_name("killer.c")
    options = ("-shared", "-fPIC", "-O2", "-Wall", "-Werror")
    command = [compiler, *options, "-o", str(library), str(source), "-ldl", "-pthread"]
    subprocess.run(command, check=True)
    return library


def arm_this_process(strike: dict[str, str]) -> None:
    """Arm a process that has the shim loaded already, after a fork for instance."""
    os.environ.update(strike)
    ctypes.CDLL(strike["LD_PRELOAD"]).torture_arm()
