"""Pictures: whole, of the asked size and format, and the same every time."""

from __future__ import annotations

import io
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from batchgen.core.media import media_of
from batchgen.core.values import replace
from batchgen.sandbox.caption import readable
from batchgen.sandbox.painter import STAGES, Picture, paint
from tests.sandbox.talking import picture as picture_of

BOAT = Picture("A paper boat floating on calm water at sunrise.", "gpt-image-2", 256, 256)


def opened(data: bytes) -> Image.Image:
    """The picture, decoded to its last pixel."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize(
    ("output_format", "media_type"),
    [("png", "image/png"), ("jpeg", "image/jpeg"), ("webp", "image/webp"), ("gif", "image/gif")],
)
def test_a_real_file_of_the_asked_format_and_size(output_format: str, media_type: str) -> None:
    """The bytes are what was asked for, and whole by batchgen's own check."""
    data = paint(replace(BOAT, width=320, height=208, output_format=output_format))
    media = media_of(data)
    assert (media_type, 320, 208) == (media.media_type, media.width, media.height)
    assert opened(data).size == (320, 208)


@pytest.mark.parametrize("size", [(16, 16), (1024, 1024), (1536, 1024), (512, 1536), (2048, 688)])
def test_any_size(size: tuple[int, int]) -> None:
    """Small, large, wide and tall pictures have the pixels that were asked for."""
    assert size == opened(paint(replace(BOAT, width=size[0], height=size[1]))).size


PROMPTS = [
    "A paper boat on the sea",
    "A red mug on an oak table",
    "A cabin at night under the moon",
    "Misty mountains in a valley",
    "Hot air balloons in the sky",
    "An abstract geometric poster in teal and orange",
    "Quarterly results",
]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_same_order_gives_the_same_bytes(prompt: str) -> None:
    """Every kind of scene is repeatable, and the samples of a prompt differ."""
    picture = replace(BOAT, prompt=prompt)
    assert paint(picture) == paint(picture)
    assert paint(picture) != paint(replace(picture, sample=1))


def test_prompts_look_different() -> None:
    """A glance tells pictures of different prompts apart."""
    assert len(PROMPTS) == len({paint(replace(BOAT, prompt=prompt)) for prompt in PROMPTS})


@pytest.mark.parametrize("output_format", ["png", "webp"])
def test_a_transparent_picture_has_nothing_around_it(output_format: str) -> None:
    """Alpha is real: the corner is clear and the middle is not."""
    image = opened(paint(replace(BOAT, transparent=True, output_format=output_format)))
    alpha = image.getchannel("A")
    assert alpha.getpixel((1, 1)) == 0
    assert alpha.getpixel((128, 100)) == 255


def test_an_animation_moves() -> None:
    """A GIF has as many frames as asked, and they differ."""
    image = opened(paint(replace(BOAT, output_format="gif", frames=3)))
    frames = []
    for number in range(3):
        image.seek(number)
        frames.append(image.convert("RGB").tobytes())
    assert getattr(image, "n_frames", 1) == 3
    assert len(set(frames)) == 3


@pytest.mark.parametrize("stage", [None, 0, 1, 2])
@pytest.mark.parametrize("prompt", ['A <script> & a "boat"', "x" * 32_000, "\ud800 \x00", "海"])
def test_a_drawing_is_inert(prompt: str, stage: int | None) -> None:
    """Well-formed, of the asked size, made of shapes and letters alone: nothing runs and nothing is loaded."""
    data = paint(replace(BOAT, prompt=prompt, width=1536, height=1024, output_format="svg", stage=stage))
    media = media_of(data, allow_svg=True)
    assert ("image/svg+xml", 1536, 1024) == (media.media_type, media.width, media.height)
    root = ET.fromstring(data)  # our own text
    names = {element.tag.partition("}")[2] for element in root.iter()}
    assert names <= {"svg", "rect", "circle", "path", "text"}
    assert not [
        name for element in root.iter() for name in element.attrib if "href" in name or name[:2] == "on"
    ]
    assert (stage is None) == ("text" in names)


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp", "gif"])
def test_an_unfinished_picture_is_in_blocks(output_format: str) -> None:
    """It has the size and format of the finished one, stands still, and has as few colours as blocks."""
    asked = replace(BOAT, output_format=output_format, frames=3)
    early = opened(paint(replace(asked, stage=0)))
    assert (256, 256) == early.size
    assert 1 == getattr(early, "n_frames", 1)
    if output_format == "png":
        assert len(early.getcolors(1 << 20) or ()) <= (STAGES[0] + 1) ** 2


@pytest.mark.parametrize("size", [(16, 16), (300, 1000), (1000, 300)])
@pytest.mark.parametrize("reference", [(1, 1), (800, 20), (20, 800)])
def test_a_reference_of_any_shape_is_shown(size: tuple[int, int], reference: tuple[int, int]) -> None:
    """It keeps its proportions, and the picture has the size that was asked for."""
    shown = replace(BOAT, width=size[0], height=size[1], reference=picture_of(reference, (250, 0, 250)))
    assert size == opened(paint(shown)).size
    assert paint(shown) != paint(replace(shown, reference=None))


def test_the_prompt_is_on_the_picture() -> None:
    """The panel at the foot is light, with dark letters on it; another prompt has other letters."""
    image = opened(paint(replace(BOAT, width=512, height=512))).convert("L")
    panel = image.crop((30, 400, 300, 490))
    darkest, lightest = panel.getextrema()
    assert isinstance(darkest, int)
    assert isinstance(lightest, int)
    assert darkest < 90
    assert lightest > 200


@pytest.mark.parametrize(
    "prompt", ["x" * 32_000, "word " * 6_400, "\ud800 \x00 \n\t", "海の上の紙の船", "🙂" * 50, "é" * 200]
)
def test_any_prompt_can_be_painted(prompt: str) -> None:
    """The longest prompt, breaks, letters of other scripts and broken Unicode all give a picture."""
    assert opened(paint(replace(BOAT, prompt=prompt))).size == (256, 256)


@pytest.mark.parametrize(
    ("prompt", "shown"),
    [
        (" a\n\tb\x00\ud800\u202ec ", "a bc"),
        ("Grüner Hügel – „naïve“ Łódź, Straße, 5 €", 'Gruner Hugel - "naive" Lodz, Strasse, 5 EUR'),
        ("海", "(a prompt in a script that this font cannot show)"),
    ],
)
def test_captions_use_the_letters_there_are(prompt: str, shown: str) -> None:
    """Accents fall away, breaks become spaces, and nothing becomes an empty box."""
    assert shown == readable(prompt)
