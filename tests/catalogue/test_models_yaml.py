"""The catalogue's data keeps its own shape: it is checked here, not at run time."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest
import yaml

from batchgen.catalogue.catalogue import Catalogue
from batchgen.catalogue.dialects import Dialect, path_of
from batchgen.catalogue.load import models_of, read_document
from batchgen.catalogue.model import AnySize, Choice, Flag, FlatPricing, Model, Parameter, TokenPricing
from batchgen.catalogue.prices import quote
from batchgen.catalogue.references import MOST_REFERENCES
from batchgen.catalogue.rules import check_request, default_of

FAMILY_KEYS = {
    "maker", "models", "retires", "replacement", "prompt_limit", "max_images", "revises", "parameters", "rules",
    "warnings", "price", "edits",
}  # fmt: skip
EDITS_KEYS = {"references", "mask", "without", "parameters", "image_tokens"}
MODEL_KEYS = {"for", "also", "retires", "replacement"}
PRICE_KEYS = {"formula", "tokens", "ranges", "usd", "each_usd", "rates", "slack_tokens", "estimated"}

CATALOGUE = Catalogue.builtin()
MODELS = pytest.mark.parametrize("model", CATALOGUE.models.values(), ids=lambda model: model.model_id)


def test_only_known_keys() -> None:
    """A misspelt key, or a comma that cuts a sentence in two, does not pass silently."""
    for family in read_document()["families"].values():
        assert set() == set(family) - FAMILY_KEYS
        assert set() == set(family["price"]) - PRICE_KEYS
        assert set() == set(family.get("edits", {})) - EDITS_KEYS
        for own in family["models"].values():
            assert set() == set(own) - MODEL_KEYS


def test_the_models_of_the_contract_are_known() -> None:
    """Every model that batchgen promises is found by its name and by its dated name."""
    promised = {
        "dall-e-2", "dall-e-3", "gpt-image-1", "gpt-image-1-mini", "gpt-image-1.5", "gpt-image-1.5-2025-12-16",
        "chatgpt-image-latest", "gpt-image-2", "gpt-image-2-2026-04-21", "gpt-image-2.5-flare",
        "gpt-image-2.5-sunburst", "gpt-image-2.5-flare-2026-09-08", "gpt-image-2.5-sunburst-2026-09-08",
        "gpt-image-2.6-flare", "gpt-image-2.6-sunburst", "qwen-image",
    }  # fmt: skip
    assert promised == set(CATALOGUE.models)


@pytest.mark.parametrize(
    ("model_id", "expected"),
    [
        ("dall-e-3", date(2026, 5, 12)),
        ("gpt-image-1", date(2026, 10, 23)),
        ("gpt-image-1.5", date(2026, 12, 1)),
        ("gpt-image-1-mini", date(2026, 12, 1)),
        ("chatgpt-image-latest", date(2026, 12, 1)),
        ("gpt-image-2", None),
    ],
)
def test_retirement_dates(model_id: str, expected: date | None) -> None:
    """Retirements are the maker's."""
    assert expected == CATALOGUE.models[model_id].retires


@MODELS
def test_a_model_is_whole(model: Model) -> None:
    """Every model says what it is good for, has a price, and defaults that it takes itself."""
    assert model.good_for
    assert model.pricing is not None
    assert model.max_images >= 1
    for parameter in model.parameters.values():
        if isinstance(parameter, Choice | AnySize):
            assert default_of(parameter) in parameter.values


@MODELS
def test_a_replacement_is_a_model_that_stays(model: Model) -> None:
    """Whoever is told to use another model is not sent to one that retires."""
    assert (model.retires is None) == (model.replacement is None)
    if model.replacement is not None:
        assert CATALOGUE.models[model.replacement].retires is None


@MODELS
def test_rules_speak_of_the_model_s_own_parameters(model: Model) -> None:
    """A rule's parameters and values exist, so that its advice can be followed."""
    for rule in model.rules:
        needs = model.parameters[rule.needs]
        assert rule.when in model.parameters
        assert set(rule.among) <= _values(needs)
    for warn in model.warnings:
        assert warn.value in _values(model.parameters[warn.when])


def _values(parameter: Parameter) -> set[str | bool]:
    if isinstance(parameter, Flag):
        return {True, False}
    assert isinstance(parameter, Choice)
    return set(parameter.values)


@MODELS
def test_edits_leave_out_what_the_model_would_take(model: Model) -> None:
    """What is not taken together with pictures is taken without them, and what comes on top is not."""
    if model.edits is not None:
        assert model.edits.without <= set(model.parameters)
        assert not set(model.edits.parameters) & set(model.parameters)
        assert 1 <= model.edits.references <= MOST_REFERENCES


def test_what_streams_and_what_takes_pictures() -> None:
    """All models of the gpt-image families do both, the others neither."""
    for model in CATALOGUE.models.values():
        newer = model.model_id.startswith(("gpt-image", "chatgpt-image"))
        assert newer == ("stream" in model.parameters) == ("partial_images" in model.parameters)
        assert newer == (model.edits is not None)


@MODELS
def test_every_quality_and_size_has_a_price(model: Model) -> None:
    """Nothing that a model takes is without a price."""
    quality, size = model.parameters.get("quality"), model.parameters["size"]
    qualities = {value for value in quality.values if value != "auto"} if isinstance(quality, Choice) else set()
    sizes = {value for value in size.values if value != "auto"} if isinstance(size, Choice) else set()
    match model.pricing:
        case TokenPricing() as pricing:
            assert qualities == set(pricing.qualities)
            assert all(sizes == set(by_size) for by_size in pricing.tokens.values())
            assert set(pricing.ranges) <= set(pricing.factors)
            assert bool(pricing.tokens) != bool(pricing.factors)
        case FlatPricing(usd=usd, each_usd=None):
            assert qualities == set(usd)
            assert all(sizes == set(by_size) for by_size in usd.values())
        case FlatPricing(each_usd=each_usd):
            assert each_usd


def _example(beginning: str) -> str:
    """The example in the docs that begins so."""
    docs = (Path(__file__).parents[2] / "docs" / "extending.md").read_text("utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```$", docs, re.MULTILINE | re.DOTALL)
    (found,) = [block for block in blocks if block.startswith(beginning)]
    return str(found)


def test_the_docs_example_is_a_model() -> None:
    """What the docs call a new family is one: it is checked, described and priced without any code."""
    families = yaml.safe_load(_example("  sketch-1:"))
    catalogue = Catalogue({**CATALOGUE.models, **models_of(families)})
    model = catalogue.models["sketch-1"]
    assert ("sketch-1-2027-02-01",) == model.also
    (complaint,) = check_request(model, {"line": "thik"}, {})
    assert (
        complaint.message == 'line "thik" is not taken by sketch-1 (did you mean thick? It takes thin or thick)'
    )
    assert 0.01 == quote(catalogue, "openai", "sketch-1", {}, {}).price("A fox").expected_usd


def test_the_docs_example_is_a_dialect() -> None:
    """What the docs call a row of the dialects' table is one."""
    row = _example('"azure": Dialect')
    (found,) = eval("{" + row + "}", {"Dialect": Dialect}).values()
    assert "api-key" == found.auth_header
    assert "/deployments/x/images/edits?api-version=2025-04-01-preview" == path_of(found, found.edit, "x")
