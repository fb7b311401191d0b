"""What images cost: published figures, and bounds that hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.catalogue import sizes
from batchgen.catalogue.catalogue import Catalogue, Entry
from batchgen.catalogue.model import AnySize, TokenPricing
from batchgen.catalogue.prices import output_tokens, quote
from batchgen.core.money import settled_usd, text_tokens
from batchgen.core.types import JsonObject, Price, PriceKind, Usage

CATALOGUE = Catalogue.builtin()


def price(
    provider: str, model_id: str, parameters: JsonObject, prompt: str = "", *, extra: JsonObject | None = None
) -> Price:
    """The price of one image."""
    return quote(CATALOGUE, provider, model_id, parameters, extra or {}).price(prompt)


@pytest.mark.parametrize(
    ("model_id", "quality", "size", "tokens"),
    [
        ("gpt-image-2", "low", "1024x1024", 196),
        ("gpt-image-2", "medium", "1536x1024", 1372),
        ("gpt-image-2", "high", "3840x2160", 13342),
        ("gpt-image-2", "high", "3584x2048", 12329),
        ("gpt-image-2.5-flare", "medium", "1024x1024", 439),
        ("gpt-image-2.5-sunburst", "xhigh", "2048x2048", 6343),
        ("gpt-image-2.5-flare", "max", "1024x1536", 5488),
        ("gpt-image-1.5", "high", "1536x1024", 6208),
    ],
)
def test_published_tokens(model_id: str, quality: str, size: str, tokens: int) -> None:
    """Formula and tables give the makers' figures."""
    pricing, pixels = CATALOGUE.models[model_id].pricing, sizes.parse(size)
    assert isinstance(pricing, TokenPricing)
    assert pixels is not None
    assert tokens == output_tokens(pricing, quality, pixels)[0]


def test_an_exact_price_to_the_micro_dollar() -> None:
    """196 output tokens at $30 and 4 of text at $5 a million; the bound has a token a byte and a fifth more."""
    found = price("openai", "gpt-image-2", {"size": "1024x1024", "quality": "low"}, "a paper boat!")
    assert found.kind == PriceKind.EXACT
    assert found.expected_usd == 0.0059
    assert found.bound_usd == 0.007134
    assert found.rates is not None


@pytest.mark.parametrize(
    ("quality", "size", "usd"),
    [
        ("standard", "1024x1024", 0.04),
        ("standard", "1792x1024", 0.08),
        ("hd", "1024x1024", 0.08),
        ("hd", "1024x1792", 0.12),
    ],
)
def test_dall_e_is_flat(quality: str, size: str, usd: float) -> None:
    """A fixed price is exact, and its own bound."""
    found = price("openai", "dall-e-3", {"quality": quality, "size": size})
    assert Price(PriceKind.EXACT, usd, usd, usd) == found


@pytest.mark.parametrize(
    ("provider", "model_id", "parameters", "extra"),
    [
        ("openai", "gpt-image-2", {"size": "1024x1024"}, {}),
        ("openai", "gpt-image-2", {"quality": "low", "size": "auto"}, {}),
        ("openai", "gpt-image-2", {"quality": "low", "size": "1024x1024"}, {"seed": 1}),
        ("cometapi", "gpt-image-2", {"quality": "low", "size": "1024x1024"}, {}),
        ("cometapi", "dall-e-3", {}, {}),
        ("openai", "gpt-image-2.6-flare", {"quality": "low", "size": "1024x1024"}, {}),
        ("cometapi", "qwen-image", {}, {}),
    ],
)
def test_what_is_only_estimated(
    provider: str, model_id: str, parameters: JsonObject, extra: JsonObject
) -> None:
    """Choices of the model, unknown fields, measured tokens and other providers are never called exact."""
    assert price(provider, model_id, parameters, extra=extra).kind == PriceKind.ESTIMATE


def test_auto_is_bounded_by_the_dearest() -> None:
    """What the model may choose is reserved at its dearest: high, in the biggest square."""
    auto = price("openai", "gpt-image-2", {})
    dearest = price("openai", "gpt-image-2", {"quality": "high", "size": "2880x2880"})
    assert dearest.bound_usd == auto.bound_usd
    assert (
        price("openai", "gpt-image-2", {"quality": "medium", "size": "1024x1024"}).expected_usd
        == auto.expected_usd
    )


def test_the_sandbox_is_free_with_the_list_price_beside_it() -> None:
    """A rehearsal costs nothing, exactly, and shows what the real thing would cost."""
    request: JsonObject = {"size": "1024x1024", "quality": "low"}
    listed = price("openai", "gpt-image-2", request, "a boat").expected_usd
    assert Price(PriceKind.EXACT, 0.0, 0.0, listed) == price("sandbox", "gpt-image-2", request, "a boat")


def test_unknown_models_are_unpriced() -> None:
    """No price is better than a wrong one."""
    assert Price(PriceKind.UNPRICED) == price("gateway", "nobody-knows", {"size": "1024x1024"})


def test_the_operator_s_price_wins() -> None:
    """It is exact at any provider, even with extra fields."""
    ours = CATALOGUE.with_entries({"gpt-image-2": Entry(price_usd=0.03)})
    found = quote(ours, "gateway", "gpt-image-2", {}, {"seed": 1}).price("x")
    assert Price(PriceKind.EXACT, 0.03, 0.03, 0.03) == found


TOKEN_MODELS = [name for name, model in CATALOGUE.models.items() if isinstance(model.pricing, TokenPricing)]


@st.composite
def orders(draw: st.DrawFn) -> tuple[str, str, sizes.Size]:
    """A model, one of its qualities and a good size."""
    model = CATALOGUE.models[draw(st.sampled_from(TOKEN_MODELS))]
    assert isinstance(model.pricing, TokenPricing)
    quality, size = draw(st.sampled_from(model.pricing.qualities)), model.parameters["size"]
    if isinstance(size, AnySize):
        edges = st.integers(1, 4000)
        return model.model_id, quality, sizes.nearest_on_grid(size.grid, (draw(edges), draw(edges)))
    return (
        model.model_id,
        quality,
        sizes.parse(draw(st.sampled_from(list(model.pricing.tokens[quality])))) or (0, 0),
    )


@given(orders(), st.text(max_size=300))
def test_the_bound_holds(order: tuple[str, str, sizes.Size], prompt: str) -> None:
    """What is reserved covers what is expected, what the usage of the formula settles to, and `auto` covers all."""
    model_id, quality, size = order
    pricing = CATALOGUE.models[model_id].pricing
    assert isinstance(pricing, TokenPricing)
    found = price("openai", model_id, {"quality": quality, "size": sizes.written(size)}, prompt)
    assert found.expected_usd is not None
    assert found.bound_usd is not None
    assert found.expected_usd <= found.bound_usd
    most = output_tokens(pricing, quality, size)[1]
    settled = settled_usd(found, Usage(text_in=text_tokens(prompt), image_in=0, image_out=most))
    assert settled is not None
    assert settled <= found.bound_usd
    assert found.bound_usd <= (price("openai", model_id, {}, prompt).bound_usd or 0)


@pytest.mark.parametrize(
    ("quality", "least", "most"), [("low", 590, 785), ("medium", 1320, 1756), ("max", 7024, 7024)]
)
def test_measured_models_stay_within_what_was_measured(quality: str, least: int, most: int) -> None:
    """An estimate is the middle of the measured range, its bound the upper end and a fifth."""
    found = price("openai", "gpt-image-2.6-flare", {"quality": quality, "size": "1024x1024"})
    assert pytest.approx((least + most) / 2 * 30 / 1e6, abs=1e-6) == found.expected_usd
    assert pytest.approx(most * 30 / 1e6 * 1.2, abs=1e-6) == found.bound_usd


def test_partial_images_cost_a_hundred_tokens_each() -> None:
    """Streaming alone costs nothing; each partial image that is asked for is on the bill."""
    asked: JsonObject = {"size": "1024x1024", "quality": "low"}
    plain = price("openai", "gpt-image-2", asked)
    assert plain == price("openai", "gpt-image-2", {**asked, "stream": True})
    partial = price("openai", "gpt-image-2", {**asked, "stream": True, "partial_images": 3})
    assert plain.expected_usd is not None
    assert partial.expected_usd == pytest.approx(plain.expected_usd + 300 * 30 / 1e6)
    assert partial.kind is PriceKind.EXACT


def test_pictures_are_paid_for_and_make_a_price_an_estimate() -> None:
    """A picture of a megapixel is 1,024 tokens at $8 a million; the bound holds for the dearest that was seen."""
    asked: JsonObject = {"size": "1024x1024", "quality": "low"}
    plain = price("openai", "gpt-image-2", asked)
    edit = quote(CATALOGUE, "openai", "gpt-image-2", asked, {}, [(1024, 1024), (4000, 4000)]).price("")
    assert edit.kind is PriceKind.ESTIMATE
    assert plain.expected_usd is not None
    assert plain.bound_usd is not None
    assert edit.expected_usd == pytest.approx(plain.expected_usd + (1024 + 1536) * 8 / 1e6)
    assert edit.bound_usd == pytest.approx(plain.bound_usd + 2 * 1536 * 8 / 1e6 * 1.2, abs=1e-6)
