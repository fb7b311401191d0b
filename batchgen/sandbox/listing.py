"""Which models there are: as OpenAI lists them, and as CometAPI's public catalogue does, with prices."""

from __future__ import annotations

from collections.abc import Iterable

from batchgen.catalogue.model import FlatPricing, Model, TokenPricing
from batchgen.core.types import JsonObject, JsonValue

_DOCUMENTED = "https://apidoc.cometapi.com/api/image/openai/images"


def model_body(model: Model) -> dict[str, JsonValue]:
    """One model as the API lists it."""
    return {
        "id": model.model_id,
        "object": "model",
        "created": 0,
        "owned_by": model.maker or "sandbox",
        "shutdown_date": model.retires.isoformat() if model.retires else None,
    }


def models_body(models: Iterable[Model]) -> JsonObject:
    """All models as the API lists them."""
    return {"object": "list", "data": [model_body(model) for model in models]}


def catalogue_body(models: Iterable[Model]) -> JsonObject:
    """All models as CometAPI's public catalogue has them; page 0 is the whole of it."""
    data: list[JsonValue] = [_entry(model) for model in models]
    return {"success": True, "page": 0, "page_size": 0, "total": len(data), "data": data}


def _entry(model: Model) -> dict[str, JsonValue]:
    return {
        "id": model.model_id,
        "provider": model.maker or "sandbox",
        "model_type": "image",
        "features": ["text-to-image", *(["image-to-image"] if model.edits else [])],
        "pricing": _pricing(model),
        "api_doc_url": _DOCUMENTED,
    }


def _pricing(model: Model) -> dict[str, JsonValue]:
    """One price for input and one for output, or one an image: there is no room for more in this catalogue."""
    nothing: dict[str, JsonValue] = dict.fromkeys(("input", "output", "per_request", "per_second"))
    each_usd = model.price_usd
    match model.pricing:
        case TokenPricing(rates=rates) if each_usd is None:
            return {
                **nothing,
                "currency": "USD / M Tokens",
                "input": rates.text_in,
                "output": rates.image_out,
            }
        case FlatPricing() as flat if each_usd is None:
            cheapest = min((usd for prices in flat.usd.values() for usd in prices.values()), default=None)
            each_usd = flat.each_usd if flat.each_usd is not None else cheapest
    return {**nothing, "currency": "USD / Request", "per_request": each_usd}
