"""`batchgen models` as people and programs read it."""

from __future__ import annotations

import json
from datetime import date

from batchgen.catalogue.catalogue import Catalogue, Entry
from batchgen.catalogue.describe import describe, describe_all, render, render_all

CATALOGUE = Catalogue.builtin()
TODAY = date(2026, 11, 23)


def test_the_list_names_every_model_and_puts_retired_ones_last() -> None:
    """A reader meets what can be used first."""
    described = describe_all(CATALOGUE, TODAY)
    retired = [model["retired"] for model in described]
    plain = {name for name, model in CATALOGUE.models.items() if model.dated_name_of is None}
    assert plain == {model["model"] for model in described}
    assert sorted(retired, key=bool) == retired
    assert described[0]["model"] == "gpt-image-2"


def test_the_list_is_for_machines_and_people() -> None:
    """The objects are JSON, and the text has each model with its use, price and retirement."""
    described = describe_all(CATALOGUE, TODAY)
    assert described == json.loads(json.dumps(described))
    text = render_all(described)
    assert "costs   $0.0529 for a typical image" in text
    assert "costs   ~$0.0400 for a typical image" in text
    assert "retires 2026-12-01; use gpt-image-2.6-flare" in text
    assert "retired 2026-05-12; use gpt-image-2" in text


def test_one_model_in_full() -> None:
    """Parameters with values and defaults, rules and prices by quality."""
    described = describe(CATALOGUE, CATALOGUE.models["gpt-image-2.6-flare"], TODAY)
    assert described == json.loads(json.dumps(described))
    text = render(described)
    assert "frame_count         a whole number, 2 to 16 (default 9)" in text
    assert "frame_duration_ms   a whole number, 1 or more (default 200)" in text
    assert "- svg works only with output_format svg" in text
    assert "max     $0.2110" in text


def test_an_operator_s_model_is_described_too() -> None:
    """A model that nobody knows has no known price, and one that is priced has it."""
    ours = CATALOGUE.with_entries({"new": Entry(), "priced": Entry("gpt-image-2", 0.04)})
    assert "price not known" in render(describe(ours, ours.models["new"], TODAY))
    assert "costs   $0.0400" in render(describe(ours, ours.models["priced"], TODAY))


def test_pictures_of_an_operator_s_model() -> None:
    """Nobody is told that a model takes pictures, or takes none, when that is only not known."""
    ours = CATALOGUE.with_entries({"new": Entry(), "like": Entry("gpt-image-2"), "none": Entry(edits=None)})
    told = {name: render(describe(ours, ours.models[name], TODAY)) for name in ("new", "like", "none")}
    assert "Whether it takes reference pictures is not known" in told["new"]
    assert "1 to 16 of them and a mask" in told["like"]
    assert "Takes no reference pictures" in told["none"]
