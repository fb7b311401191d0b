"""Files that are durable, and never half written under their final names."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.system.clock import moment_of, moment_text, utc_now
from batchgen.system.files import replace_file, write_file
from batchgen.system.folder import File, Folder
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


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """An empty folder, held open."""
    with closing(Folder.open(tmp_path)) as opened:
        yield opened


def test_room_is_taken_and_filled_and_cut(folder: Folder) -> None:
    """A reserved file owns its size, is private, and ends with exactly what was put in."""
    part = folder.file("a.part")
    part.reserve(1 << 20)
    assert (1 << 20, 0o600) == (part.status().size_bytes, stat.S_IMODE(part.status().mode))
    part.fill(b"image")
    assert b"image" == part.read()


@settings(max_examples=20, deadline=None)
@given(before=st.integers(0, 5000), data=st.binary(max_size=6000))
def test_filling_leaves_nothing_of_what_was_there(
    before: int, data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever was reserved, the file is the data."""
    with closing(Folder.open(tmp_path_factory.mktemp("fill"))) as folder:
        part = folder.file("a.part")
        part.write(b"x" * before)
        part.fill(data)
        assert data == part.read()


def test_links_are_not_followed(folder: Folder, tmp_path: Path) -> None:
    """A link where a file should be is refused, and what it leads to is neither read nor written."""
    precious, link = tmp_path / "precious", tmp_path / "link"
    precious.write_bytes(b"precious")
    link.symlink_to(precious)
    users: list[Callable[[File], object]] = [
        lambda file: file.write(b"x"),
        lambda file: file.fill(b"x"),
        lambda file: file.reserve(1),
        File.sync,
        File.read,
        File.sha256,
        lambda file: write_file(Path(str(file)), b"x"),
    ]
    for use in users:
        with pytest.raises(OSError, match="symbolic") as caught:
            use(folder.file("link"))
        assert errno.ELOOP == caught.value.errno
    assert b"precious" == precious.read_bytes()
    assert not folder.file("link").is_regular()


def test_a_folder_that_is_swapped_for_a_link_is_not_followed(tmp_path: Path) -> None:
    """What is opened stays: files are made in the folder itself, wherever its name leads meanwhile."""
    (tmp_path / "images").mkdir()
    (tmp_path / "elsewhere").mkdir()
    with closing(Folder.open(tmp_path)) as job, closing(job.within("images")) as images:
        (tmp_path / "images").rename(tmp_path / "moved")
        (tmp_path / "images").symlink_to(tmp_path / "elsewhere")
        images.file("boat.png").write(b"boat")
        images.file("boat.png").rename(images.file("ship.png"))
        with pytest.raises(NotADirectoryError):
            job.within("images")
    assert [] == list((tmp_path / "elsewhere").iterdir())
    assert b"boat" == (tmp_path / "moved" / "ship.png").read_bytes()


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    """Reading it is reading an empty one; nothing can be written in it."""
    with closing(Folder.open(tmp_path / "none", missing_ok=True)) as missing:
        assert missing.is_missing
        assert [] == list(missing.names())
        assert not missing.file("a").exists()
        with pytest.raises(FileNotFoundError):
            missing.file("a").write(b"x")


def test_a_pipe_in_a_files_place_does_not_wait(folder: Folder, tmp_path: Path) -> None:
    """It is no file; who looks is not kept waiting for a writer."""
    os.mkfifo(tmp_path / "pipe")
    assert not folder.file("pipe").is_regular()
    assert b"" == folder.file("pipe").read()


def test_a_directory_that_cannot_be_synced_is_tolerated(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems refuse to sync directories, which is no fault of the disk; every other error is one."""

    def failing(code: int) -> None:
        def fsync(_descriptor: int) -> None:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "fsync", fsync)

    failing(errno.EINVAL)
    folder.sync()
    failing(errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        folder.sync()


def test_moments_sort_as_texts() -> None:
    """UTC with milliseconds, there and back."""
    now = utc_now()
    text = moment_text(now)
    assert text == moment_text(moment_of(text))
    assert 0 <= (now - moment_of(text)).total_seconds() < 0.001
    assert (24, "Z") == (len(text), text[-1])
