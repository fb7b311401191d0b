"""Files that are durable, and never half written under their final names."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.system.clock import moment_of, moment_text, utc_now
from batchgen.system.files import (
    fill_file,
    fsync_directory,
    fsync_file,
    replace_file,
    reserve_file,
    write_file,
)
from tests.stores.crashes import CrashError, dying_at


def test_a_reader_sees_the_old_or_the_new(tmp_path: Path) -> None:
    """Dying at any step of a replacement leaves one of the two whole; the next one succeeds."""
    path = tmp_path / "results.csv"
    seen = set()
    for number in range(20):
        replace_file(path, b"old")
        try:
            with dying_at(number):
                replace_file(path, b"newer")
        except CrashError:
            seen.add(path.read_bytes())
        else:
            break
    assert {b"old", b"newer"} == seen
    assert b"newer" == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


def test_a_reader_of_the_old_file_keeps_it(tmp_path: Path) -> None:
    """A file that is replaced is another file: who has the old one open reads on."""
    path = tmp_path / "index.html"
    replace_file(path, b"old")
    with path.open("rb") as reading:
        replace_file(path, b"new")
        assert b"old" == reading.read()


def test_room_is_taken_and_filled_and_cut(tmp_path: Path) -> None:
    """A reserved file owns its size, is private, and ends with exactly what was put in."""
    path = tmp_path / "a.part"
    reserve_file(path, 1 << 20)
    assert (1 << 20, 0o600) == (path.stat().st_size, stat.S_IMODE(path.stat().st_mode))
    fill_file(path, b"image")
    assert b"image" == path.read_bytes()


@settings(max_examples=20, deadline=None)
@given(before=st.integers(0, 5000), data=st.binary(max_size=6000))
def test_filling_leaves_nothing_of_what_was_there(
    before: int, data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever was reserved, the file is the data."""
    path = tmp_path_factory.mktemp("fill") / "a.part"
    write_file(path, b"x" * before)
    fill_file(path, data)
    assert data == path.read_bytes()


def test_links_are_not_written_through(tmp_path: Path) -> None:
    """A link where a file should be made is refused, and what it leads to stays."""
    precious, link = tmp_path / "precious", tmp_path / "link"
    precious.write_bytes(b"precious")
    link.symlink_to(precious)
    writers: list[Callable[[Path], None]] = [
        lambda path: write_file(path, b"x"),
        lambda path: fill_file(path, b"x"),
        lambda path: reserve_file(path, 1),
        fsync_file,
    ]
    for write in writers:
        with pytest.raises(OSError, match="symbolic") as caught:
            write(link)
        assert errno.ELOOP == caught.value.errno
    assert b"precious" == precious.read_bytes()


def test_a_directory_that_cannot_be_synced_is_tolerated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems refuse to sync directories, which is no fault of the disk; every other error is one."""

    def failing(code: int) -> None:
        def fsync(_descriptor: int) -> None:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "fsync", fsync)

    failing(errno.EINVAL)
    fsync_directory(tmp_path)
    failing(errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        fsync_directory(tmp_path)


def test_moments_sort_as_texts() -> None:
    """UTC with milliseconds, there and back."""
    now = utc_now()
    text = moment_text(now)
    assert text == moment_text(moment_of(text))
    assert 0 <= (now - moment_of(text)).total_seconds() < 0.001
    assert (24, "Z") == (len(text), text[-1])
