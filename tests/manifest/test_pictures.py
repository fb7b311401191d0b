"""Pictures that go along with prompts: what is taken, what is refused, and where it is said."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest
from PIL import Image

from batchgen.catalogue.catalogue import Catalogue, Entry
from batchgen.catalogue.model import Edits, Whole
from batchgen.catalogue.references import PICTURE_BYTES
from batchgen.core.values import replace
from tests.manifest.reading import HEAD, SETTING, problems_of, read, tasks_of
from tests.support.png import png


def saved(
    path: Path,
    size: tuple[int, int] = (64, 48),
    mode: str = "RGB",
    kind: str | None = None,
    exif: Image.Exif | None = None,
) -> Path:
    """A picture in the format of its name."""
    path.parent.mkdir(exist_ok=True)
    Image.new(mode, size).save(path, kind, **({} if exif is None else {"exif": exif}))
    return path


def manifest(entry: str, head: str = HEAD) -> str:
    """A manifest of one entry."""
    return f"{head}prompts:\n  - {{id: a, prompt: A mug, {entry}}}\n"


def test_pictures_become_part_of_the_task(tmp_path: Path) -> None:
    """A task holds its pictures in their order, with type, pixels and hash."""
    saved(tmp_path / "mug.png"), saved(tmp_path / "pictures" / "label.jpg", (32, 32))
    (task,) = tasks_of(read(tmp_path, manifest("references: [mug.png, pictures/label.jpg]")))
    mug, label = task.request.references
    assert ("mug.png", "image/png", 64, 48) == (mug.file, mug.media_type, mug.width, mug.height)
    assert ("pictures/label.jpg", "image/jpeg", 32, 32) == (
        label.file, label.media_type, label.width, label.height,
    )  # fmt: skip
    assert mug.sha256 == hashlib.sha256((tmp_path / "mug.png").read_bytes()).hexdigest()
    assert mug.size_bytes == (tmp_path / "mug.png").stat().st_size
    assert task.request.mask is None


def test_a_changed_picture_is_another_request(tmp_path: Path) -> None:
    """The fingerprint follows the picture's content."""
    text = manifest("references: [mug.png]")
    (tmp_path / "mug.png").write_bytes(png("one"))
    (before,) = tasks_of(read(tmp_path, text))
    (tmp_path / "mug.png").write_bytes(png("two"))
    (after,) = tasks_of(read(tmp_path, text))
    assert before.fingerprint != after.fingerprint


def test_a_picture_s_name_can_be_varied(tmp_path: Path) -> None:
    """Every combination has its own picture."""
    saved(tmp_path / "red.png"), saved(tmp_path / "blue.png", (16, 16))
    text = manifest("vary: {color: [red, blue]}, references: ['{color}.png']")
    tasks = tasks_of(read(tmp_path, text))
    assert [(64, 48), (16, 16)] == [
        (picture.width, picture.height) for task in tasks for picture in task.request.references
    ]


def test_a_mask_is_as_large_as_the_first_picture(tmp_path: Path) -> None:
    """A mask with transparency and the first reference's size is taken."""
    saved(tmp_path / "mug.png"), saved(tmp_path / "mask.png", mode="RGBA")
    (task,) = tasks_of(read(tmp_path, manifest("references: [mug.png], mask: mask.png")))
    assert task.request.mask is not None
    assert task.request.mask.file == "mask.png"


def _outside(folder: Path) -> None:
    saved(folder.parent / "outside.png")
    (folder / "bad").symlink_to(folder.parent / "outside.png")


def _placed(folder: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    exif[0x8825] = {1: "N", 2: (52.0, 31.0, 0.0)}
    saved(folder / "bad", kind="JPEG", exif=exif)


def _large(folder: Path) -> None:
    with (folder / "bad").open("wb") as file:
        file.truncate(PICTURE_BYTES + 1)


def _gif(folder: Path) -> None:
    saved(folder / "bad", kind="GIF")


def _cut(folder: Path) -> None:
    (folder / "bad").write_bytes(png("cut")[:-8])


def _loop(folder: Path) -> None:
    (folder / "bad").symlink_to("bad")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_outside, "leads out of the manifest's folder"),
        (_placed, "says where it was taken, which would be sent along"),
        (_large, "larger than 50 MiB"),
        (_gif, "image/gif, which is not taken (save it as PNG, JPEG or WebP)"),
        (_cut, "truncated PNG image"),
        (_loop, "cannot be read"),
        (lambda folder: (folder / "bad").mkdir(), "is no file"),
        (lambda folder: (folder / "bad").write_text("hello"), "not an image but"),
    ],
)
def test_what_is_not_sent(tmp_path: Path, make: object, words: str) -> None:
    """Each picture that cannot or should not be sent is a problem at its own place, before anything is bought."""
    folder = tmp_path / "jobs"
    folder.mkdir()
    assert callable(make)
    make(folder)
    (problem,) = problems_of(folder, manifest("references: [bad]"))
    assert words in problem
    assert problem.startswith("4:41: bad ")


@pytest.mark.parametrize("name", ["/etc/passwd", "../a.png", "a/../../b.png", "a\\\\b.png", "C:a.png"])
def test_only_paths_inside_the_folder(tmp_path: Path, name: str) -> None:
    """A manifest cannot make batchgen read, and send away, a file from elsewhere."""
    (problem,) = problems_of(tmp_path, manifest(f'references: ["{name}"]'))
    assert "is no path inside the manifest's folder" in problem


@pytest.mark.parametrize(
    ("size", "mode", "words"),
    [((64, 48), "RGB", "is no mask"), ((48, 64), "RGBA", "is 48x64, but the first reference mug.png is 64x48")],
)
def test_what_is_no_mask(tmp_path: Path, size: tuple[int, int], mode: str, words: str) -> None:
    """A mask that the provider would refuse is refused here, for free."""
    saved(tmp_path / "mug.png"), saved(tmp_path / "mask.png", size, mode)
    (problem,) = problems_of(tmp_path, manifest("references: [mug.png], mask: mask.png"))
    assert words in problem


def test_models_and_parameters_that_take_no_pictures(tmp_path: Path) -> None:
    """A model without edits says so at the picture; a parameter that edits lack says so at its own place."""
    saved(tmp_path / "mug.png")
    qwen = HEAD.replace("gpt-image-2", "qwen-image")
    (problem,) = problems_of(tmp_path, manifest("references: [mug.png]", qwen))
    assert "qwen-image takes no references (use a model that does" in problem
    (problem,) = problems_of(tmp_path, manifest("references: [mug.png], request: {moderation: low}"))
    assert "does not take moderation together with references (write moderation: null" in problem
    fidelity = HEAD.replace("gpt-image-2", "gpt-image-1.5")
    found = problems_of(tmp_path, manifest("references: [mug.png], request: {input_fidelity: high}", fidelity))
    assert all("retires on" in each for each in found)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (Entry(price_usd=0.04), None),
        (Entry(parameters={"seed": Whole(0)}), None),
        (Entry(edits=Edits(2, mask=True, image_tokens=1536)), None),
        (Entry(edits=Edits(1, mask=True, image_tokens=1536)), "qwen-image-edit takes at most 1 references"),
        (Entry(edits=Edits(2, mask=False, image_tokens=1536)), "qwen-image-edit takes no mask"),
        (Entry(edits=None), "qwen-image-edit takes no references"),
        (Entry("qwen-image"), "qwen-image-edit takes no references"),
    ],
)
def test_pictures_for_an_operator_s_model(tmp_path: Path, entry: Entry, words: str | None) -> None:
    """Naming a model takes its pictures from nobody: they are refused only where the entry or its family says so."""
    saved(tmp_path / "mug.png"), saved(tmp_path / "mask.png", mode="RGBA")
    named = replace(SETTING, catalogue=Catalogue.builtin().with_entries({"qwen-image-edit": entry}))
    text = manifest(
        "references: [mug.png, mug.png], mask: mask.png", HEAD.replace("gpt-image-2", "qwen-image-edit")
    )
    found = problems_of(tmp_path, text, named)
    assert len(found) == (words is not None)
    assert all(words is not None and words in each for each in found)


def test_too_many_pictures(tmp_path: Path) -> None:
    """More than sixteen are refused by the format itself."""
    saved(tmp_path / "mug.png")
    names = ", ".join(["mug.png"] * 17)
    (problem,) = problems_of(tmp_path, manifest(f"references: [{names}]"))
    assert "references" in problem
    assert "16" in problem


def test_metadata_that_pillow_cannot_read(tmp_path: Path) -> None:
    """Damaged metadata is a problem in plain words and no traceback."""
    data = io.BytesIO()
    Image.new("RGB", (8, 8)).save(data, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    (tmp_path / "odd.jpg").write_bytes(data.getvalue())
    assert len(problems_of(tmp_path, manifest("references: [odd.jpg]"))) <= 1
