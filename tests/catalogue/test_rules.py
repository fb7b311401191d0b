"""What models accept, and what complaints say."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.catalogue.catalogue import Catalogue
from batchgen.catalogue.rules import check_prompt, check_request, check_retirement, sheet_of, size_of
from batchgen.core.types import JsonValue

MODELS = Catalogue.builtin().models
TODAY = date(2026, 11, 23)


def complaints(
    model_id: str, extra: dict[str, JsonValue] | None = None, /, **parameters: JsonValue
) -> list[str]:
    """The messages, in order."""
    return [complaint.message for complaint in check_request(MODELS[model_id], parameters, extra or {})]


@pytest.mark.parametrize(
    ("model_id", "parameters", "words"),
    [
        ("gpt-image-2", {"size": "1920x1080"}, ["multiples of 16", "the nearest is 1920x1088"]),
        ("gpt-image-2", {"size": "1024 X 1024"}, ["no size", "such as 1024x1024, or auto"]),
        ("gpt-image-2", {"size": 1024}, ["size 1024 is no size", "1024x1024"]),
        ("gpt-image-2", {"quality": "hihg"}, ["did you mean high?", "low, medium, high or auto"]),
        ("gpt-image-2", {"quality": "xhigh"}, ["not taken by gpt-image-2"]),
        ("gpt-image-2", {"style": "vivid"}, ["gpt-image-2 does not take style", "use one of size, quality"]),
        ("gpt-image-2", {"qualty": "low"}, ["did you mean quality?"]),
        ("gpt-image-1", {"size": "1920x1080"}, ["the nearest is 1536x1024"]),
        ("dall-e-3", {"size": "1536x1024"}, ["the nearest is 1792x1024"]),
        ("gpt-image-2", {"output_format": "webp", "output_compression": 101}, ["from 0 to 100"]),
        ("gpt-image-2", {"output_format": "webp", "output_compression": True}, ["whole number"]),
        ("gpt-image-2", {"output_compression": 50}, ["jpeg or webp", '"png" when left out', "write output_format: jpeg"]),
        ("gpt-image-2.5-flare", {"background": "transparent", "output_format": "jpeg"}, ['output_format is "jpeg"']),
        ("gpt-image-2.6-flare", {"frame_count": 4}, ["only with output_format gif"]),
        ("gpt-image-2", {"user": 7}, ["user must be text"]),
        ("gpt-image-2", {"stream": 1}, ["stream 1 is neither yes nor no"]),
        ("gpt-image-2", {"partial_images": 1}, ["only with stream true", "write stream: true"]),
        ("gpt-image-2", {"stream": True, "partial_images": 4}, ["from 0 to 3"]),
        ("gpt-image-1.5", {"input_fidelity": "high"}, ["only together with references"]),
        ("dall-e-3", {"stream": True}, ["dall-e-3 does not take stream"]),
        ("gpt-image-2.6-flare", {"output_format": "svg", "svg": "x"}, ["must be lines of `name: value`"]),
    ],
)  # fmt: skip
def test_a_complaint_says_what_to_write(
    model_id: str, parameters: dict[str, JsonValue], words: list[str]
) -> None:
    """Each mistake is one complaint, with the fix in it."""
    (message,) = complaints(model_id, **parameters)
    assert [word for word in words if word not in message] == []


def test_all_mistakes_at_once() -> None:
    """Nobody mends a request one mistake at a time."""
    found = check_request(MODELS["dall-e-3"], {"size": "1x1", "quality": "low", "background": "auto"}, {})
    assert [complaint.parameter for complaint in found] == ["size", "quality", "background"]


def test_extra_is_free_but_for_what_belongs_elsewhere() -> None:
    """Fields newer than the catalogue pass; parameters that it knows do not."""
    assert complaints("gpt-image-2", {"seed": 7, "steps": [1]}) == []
    assert complaints("gpt-image-2", {"size": "auto", "style": "vivid"}) == [
        "`extra` may not hold `size`, which is a parameter (move it up into `request`)",
        "`extra` may not hold `style`, a parameter that gpt-image-2 does not take (remove it)",
    ]


def test_a_risky_value_is_a_warning() -> None:
    """Transparency of gpt-image-2 has worked and has been refused: it is allowed, and said."""
    (complaint,) = check_request(MODELS["gpt-image-2"], {"background": "transparent"}, {})
    assert complaint.warning


@pytest.mark.parametrize(("frames", "edge"), [(9, 960), (10, 816), (12, 816), (13, 720), (16, 720)])
def test_an_animation_s_frames_share_one_sheet(frames: int, edge: int) -> None:
    """The largest square frames are those that were measured, and one step more is refused."""
    request: dict[str, JsonValue] = {"output_format": "gif", "frame_count": frames, "size": f"{edge}x{edge}"}
    assert complaints("gpt-image-2.6-flare", **request) == []
    (message,) = complaints("gpt-image-2.6-flare", **{**request, "size": f"{edge + 16}x{edge + 16}"})
    assert f"use {edge}x{edge}, or fewer frames" in message


def test_a_still_picture_is_its_own_sheet() -> None:
    """Only animations have sheets."""
    assert sheet_of(MODELS["gpt-image-2.6-flare"], {"output_format": "png"}, (64, 32)) == (64, 32)


def test_size_of_follows_the_default() -> None:
    """Pixels are known when the default is a size, and not when the model chooses."""
    assert size_of(MODELS["dall-e-3"], {}) == (1024, 1024)
    assert size_of(MODELS["gpt-image-2"], {}) is None
    assert size_of(MODELS["gpt-image-2"], {"size": "1536x1024"}) == (1536, 1024)


def test_prompts() -> None:
    """Empty and too long prompts are refused, the longest that fits is not."""
    dalle = MODELS["dall-e-2"]
    assert check_prompt(dalle, "x" * 1000) is None
    assert check_prompt(dalle, " \n") == "the prompt is empty (describe the picture)"
    assert "1,001 characters, dall-e-2 takes at most 1,000 (shorten it by 1)" in str(
        check_prompt(dalle, "x" * 1001)
    )


@pytest.mark.parametrize(
    ("model_id", "provider", "warning", "words"),
    [
        ("gpt-image-1", "openai", False, "retired by its maker on 2026-10-23 (use gpt-image-2)"),
        ("gpt-image-1", "cometapi", True, "a gateway may still serve it"),
        ("dall-e-3", "sandbox", True, "the sandbox still paints it"),
        ("gpt-image-1.5", "openai", True, "retires on 2026-12-01 (use gpt-image-2.6-sunburst)"),
    ],
)
def test_retirement(model_id: str, provider: str, warning: bool, words: str) -> None:
    """A retired model is an error only where it is surely gone."""
    complaint = check_retirement(MODELS[model_id], provider, TODAY)
    assert complaint is not None
    assert warning == complaint.warning
    assert words in complaint.message


def test_no_retirement_in_sight() -> None:
    """Nothing is said of models that stay, nor more than a month ahead."""
    assert check_retirement(MODELS["gpt-image-2"], "openai", TODAY) is None
    assert check_retirement(MODELS["gpt-image-1.5"], "openai", date(2026, 10, 31)) is None
    assert check_retirement(MODELS["gpt-image-1.5"], "openai", date(2026, 11, 1)) is not None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)


@given(
    st.sampled_from(sorted(MODELS)),
    st.dictionaries(
        st.sampled_from(sorted(Catalogue.builtin().parameters)) | st.text(max_size=8), VALUES, max_size=4
    ),
)
def test_any_request_gets_an_answer(model_id: str, parameters: dict[str, JsonValue]) -> None:
    """Whatever a manifest holds, the check answers with complaints of one line and never breaks."""
    for complaint in check_request(MODELS[model_id], parameters, {}):
        assert complaint.parameter in parameters
        assert complaint.message
