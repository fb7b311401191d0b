"""Thumbnails of real files, whatever is in them."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from batchgen.core.records import TaskView
from batchgen.core.values import replace
from batchgen.reports.thumbs import EDGE_PX, make_thumbs, thumb_names
from tests.reports.samples import in_batches, view

pytestmark = pytest.mark.anyio


def image(
    folder: Path, task_id: str, *, size: tuple[int, int] = (1200, 800), kind: str = "png", mode: str = "RGB"
) -> TaskView:
    """A picture under its task's name, as the ledger knows it."""
    path = folder / "images" / f"{task_id}.{kind}"
    path.parent.mkdir(exist_ok=True)
    Image.new(mode, size, "teal").save(path)
    return known(folder, task_id, path, size)


def known(folder: Path, task_id: str, path: Path, size: tuple[int, int]) -> TaskView:
    """What the ledger says of a file."""
    return replace(
        view(task_id),
        file=str(path.relative_to(folder)),
        sha256=f"{zlib.crc32(path.read_bytes()):08x}" * 8,
        size_bytes=path.stat().st_size,
        width=size[0],
        height=size[1],
    )


def name_of(one: TaskView) -> str:
    """A thumbnail's name."""
    return f"{one.task_id}.{(one.sha256 or '')[:12]}.webp"


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("png", "RGB"),
        ("png", "RGBA"),
        ("png", "P"),
        ("png", "I;16"),
        ("jpg", "RGB"),
        ("jpg", "CMYK"),
        ("webp", "RGBA"),
    ],
)
async def test_a_small_copy_of_every_kind(tmp_path: Path, kind: str, mode: str) -> None:
    """Each format and colour mode gives a WebP with the image's proportions and nothing beside it."""
    plain = "RGB" if mode == "I;16" else mode
    one = image(tmp_path, "boat--01", kind=kind, mode=plain)
    if mode == "I;16":
        path = tmp_path / "images" / "boat--01.png"
        Image.new(mode, (1200, 800)).save(path)
        one = known(tmp_path, "boat--01", path, (1200, 800))

    assert 1 == await make_thumbs(tmp_path, in_batches([one])(), 100)
    assert {name_of(one)} == thumb_names(tmp_path)
    with Image.open(tmp_path / "thumbs" / name_of(one)) as small:
        assert ("WEBP", EDGE_PX) == (small.format, small.width)
        assert abs(small.height - EDGE_PX * 2 / 3) <= 1


async def test_only_what_is_missing_is_made_and_stale_ones_go(tmp_path: Path) -> None:
    """A second time makes nothing; new bytes make a new one, and the old one goes, as does that of a removed task."""
    first, second = image(tmp_path, "boat--01"), image(tmp_path, "boat--02")
    assert 2 == await make_thumbs(tmp_path, in_batches([first, second])(), 100)
    assert 0 == await make_thumbs(tmp_path, in_batches([first, second])(), 100)

    newer = image(tmp_path, "boat--01", size=(900, 900))

    assert 1 == await make_thumbs(tmp_path, in_batches([newer])(), 100)
    assert {name_of(newer)} == thumb_names(tmp_path)


def bomb(path: Path) -> None:
    """A few hundred bytes that call themselves 50,000 by 50,000 pixels."""
    Image.new("L", (64, 64)).save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = (50_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)


def cut(path: Path) -> None:
    """Half a picture."""
    Image.effect_noise((800, 800), 60).save(path)
    path.write_bytes(path.read_bytes()[:5000])


def text(path: Path) -> None:
    """No picture at all."""
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0 (a program, for some)")


def link(path: Path) -> None:
    """A link to a picture elsewhere."""
    Image.new("L", (800, 800)).save(path.parent.parent / "elsewhere.png")
    path.symlink_to(path.parent.parent / "elsewhere.png")


def gone(path: Path) -> None:
    """A file that vanishes after it was noted."""
    path.touch()


@pytest.mark.parametrize("spoil", [bomb, cut, text, link, gone])
@pytest.mark.parametrize("told", [(800, 800), (50_000, 50_000)])
async def test_a_bad_file_only_lacks_its_own(
    tmp_path: Path, spoil: Callable[[Path], None], told: tuple[int, int]
) -> None:
    """A bomb, a broken file, a link or a missing one costs neither memory nor the others' thumbnails."""
    good = image(tmp_path, "boat--02")
    path = tmp_path / "images" / "boat--01.png"
    spoil(path)
    bad = known(tmp_path, "boat--01", path, told)
    if spoil is gone:
        path.unlink()

    assert 1 == await make_thumbs(tmp_path, in_batches([bad, good])(), 100)
    assert {name_of(good)} == thumb_names(tmp_path)


async def test_it_ends_when_it_is_told(tmp_path: Path) -> None:
    """After a signal no further image is begun, and what is there stays."""
    views = [image(tmp_path, f"boat--{number:02}") for number in range(1, 7)]
    asked: list[int] = []

    def ended() -> bool:
        asked.append(1)
        return len(asked) > 2

    made = await make_thumbs(tmp_path, in_batches(views)(), 100, ended)

    assert made == len(thumb_names(tmp_path)) < len(views)


async def test_a_folder_that_is_a_link_is_left_alone(tmp_path: Path) -> None:
    """Thumbnails never leave the job's folder."""
    (tmp_path / "job").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "job" / "thumbs").symlink_to(tmp_path / "elsewhere")
    one = image(tmp_path / "job", "boat--01")

    with pytest.raises(OSError, match="is a link"):
        await make_thumbs(tmp_path / "job", in_batches([one])(), 100)

    assert [] == list((tmp_path / "elsewhere").iterdir())
