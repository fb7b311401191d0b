"""Dialects: what is sent where, as data says it."""

from __future__ import annotations

import pytest

from batchgen.catalogue.dialects import DIALECTS, Answers, Dialect, fields_of, path_of, refused_names
from batchgen.core.types import ImageRequest, JsonValue
from batchgen.core.values import replace

PLAIN = DIALECTS["openai"]
REQUEST = ImageRequest("gpt-image-2", "A boat.", {"size": "1024x1024", "user": "anna"}, {"seed": 7})


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        (PLAIN, {"size": "1024x1024", "user": "anna", "seed": 7, "model": "gpt-image-2", "prompt": "A boat.", "n": 1}),
        (
            replace(PLAIN, rename={"size": "image_size", "n": "batch_size"}, drop=frozenset({"user"})),
            {"image_size": "1024x1024", "seed": 7, "model": "gpt-image-2", "prompt": "A boat.", "batch_size": 1},
        ),
        (
            replace(PLAIN, drop=frozenset({"n", "model", "size", "user"}), always={"watermark": False}),
            {"seed": 7, "prompt": "A boat.", "watermark": False},
        ),
        (
            replace(PLAIN, answers=Answers.B64_JSON, drop=frozenset({"user", "size"})),
            {"seed": 7, "model": "gpt-image-2", "prompt": "A boat.", "n": 1, "response_format": "b64_json"},
        ),
    ],
)  # fmt: skip
def test_fields_of_a_request(dialect: Dialect, expected: dict[str, JsonValue]) -> None:
    """Names are the provider's, what it cannot take is left out, and what it always wants is there."""
    assert expected == fields_of(dialect, REQUEST)


def test_what_is_passed_through_replaces_nothing() -> None:
    """`extra` cannot buy a second image, not even where `n` is called something else or left out."""
    request = replace(
        REQUEST, extra={"n": 10, "model": "dearer", "prompt": "else", "batch_size": 4, "size": "4K"}
    )
    renamed = replace(PLAIN, rename={"n": "batch_size", "size": "image_size"})
    assert {"n", "size"}.isdisjoint(fields_of(renamed, request))
    assert (1, "1024x1024", "gpt-image-2", "A boat.") == tuple(
        fields_of(renamed, request)[name] for name in ("batch_size", "image_size", "model", "prompt")
    )
    assert "n" not in fields_of(replace(PLAIN, drop=frozenset({"n"})), request)


def test_a_manifest_s_own_word_is_above_the_answer_mode() -> None:
    """Who asks for links gets links."""
    asked = replace(REQUEST, parameters={"response_format": "url"})
    assert "url" == fields_of(replace(PLAIN, answers=Answers.B64_JSON), asked)["response_format"]


def test_paths() -> None:
    """A model in a path is one part of it, whatever it is called, and a query stands behind every path."""
    azure = replace(PLAIN, generate="/deployments/{model}/images", query={"api-version": "2025-04-01 preview"})
    assert "/images/generations" == path_of(PLAIN, PLAIN.generate, "gpt-image-2")
    told = path_of(azure, azure.generate, "my model/../x")
    assert "/deployments/my%20model%2F..%2Fx/images?api-version=2025-04-01%20preview" == told
    for name, sent in ((".", "%2E"), ("..", "%2E%2E"), ("a..", "a.."), ("v2.5", "v2.5")):
        assert f"/deployments/{sent}/images" == path_of(azure, azure.generate, name).partition("?")[0]


def test_what_a_provider_has_no_word_for() -> None:
    """Without a list everything goes; with one, the rest is refused but for what is left out anyway."""
    names = ("size", "quality", "user")
    assert [] == refused_names(PLAIN, names)
    assert ["quality"] == refused_names(
        replace(PLAIN, allow=frozenset({"size"}), drop=frozenset({"user"})), names
    )
