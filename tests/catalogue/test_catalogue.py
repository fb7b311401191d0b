"""Finding models, and the operator's own."""

from __future__ import annotations

import pytest

from batchgen.catalogue.catalogue import Catalogue, Entry
from batchgen.catalogue.rules import check_request

CATALOGUE = Catalogue.builtin()


@pytest.mark.parametrize(
    ("written", "expected"),
    [("gpt-image2", "gpt-image-2"), ("GPT-Image-2", "gpt-image-2"), ("dalle-3", "dall-e-3"), ("zzzz", None)],
)
def test_nearest(written: str, expected: str | None) -> None:
    """A misspelt model is guessed, nonsense is not."""
    assert CATALOGUE.find(written) is None
    assert expected == CATALOGUE.nearest(written)


def test_an_entry_takes_its_family_s_parameters_but_not_its_retirement() -> None:
    """An operator's model behaves as the model that it is like, under its own name and price."""
    model = CATALOGUE.with_entries({"my-model": Entry("gpt-image-1.5", 0.04)}).find("my-model")
    assert model is not None
    assert (
        model.model_id,
        model.family,
        model.retires,
        model.price_usd,
    ) == ("my-model", "gpt-image-1.5", None, 0.04)
    assert set(CATALOGUE.models["gpt-image-1.5"].parameters) == set(model.parameters)


def test_a_family_name_is_enough() -> None:
    """`gpt-image-2.5` is a family and no model, and can be named."""
    model = CATALOGUE.with_entries({"ours": Entry("gpt-image-2.5")}).find("ours")
    assert model is not None
    assert model.family == "gpt-image-2.5"


def test_a_price_alone_keeps_what_is_known() -> None:
    """Pricing a known model changes nothing else of it."""
    model = CATALOGUE.with_entries({"gpt-image-1.5": Entry(price_usd=0.02)}).find("gpt-image-1.5")
    assert model is not None
    assert CATALOGUE.models["gpt-image-1.5"].retires == model.retires
    assert model.price_usd == 0.02


def test_an_entry_without_a_family_takes_any_known_parameter() -> None:
    """What nobody knows is not checked, but names that are in no model are still mistakes."""
    model = CATALOGUE.with_entries({"new-model": Entry(price_usd=0.02)}).find("new-model")
    assert model is not None
    assert check_request(model, {"size": "7x7", "style": "odd"}, {"seed": 1}) == ()
    assert [complaint.parameter for complaint in check_request(model, {"sizze": "7x7"}, {})] == ["sizze"]


def test_an_unknown_family_is_refused_by_name() -> None:
    """The operator reads which entry is wrong and what was probably meant."""
    with pytest.raises(
        ValueError, match=r'my-model: there is no model family "gpt-imag-2" \(did you mean gpt-image-2\?\)'
    ):
        CATALOGUE.with_entries({"my-model": Entry("gpt-imag-2")})


def test_entries_leave_the_built_in_catalogue_alone() -> None:
    """The catalogue is shared, so adding to it makes another."""
    CATALOGUE.with_entries({"my-model": Entry("gpt-image-2")})
    assert CATALOGUE.find("my-model") is None
