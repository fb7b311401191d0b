"""The API's own shapes: bodies of answers and errors, lists of models, headers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from batchgen.catalogue.model import Model, TokenPricing
from batchgen.catalogue.prices import output_tokens
from batchgen.catalogue.rules import sheet_of
from batchgen.core.money import text_tokens
from batchgen.core.types import JsonObject, JsonValue
from batchgen.sandbox.orders import ApiError, Order
from batchgen.sandbox.painter import Picture

API_VERSION = "2020-10-01"


def pictures_of(order: Order, first_sample: int) -> list[Picture]:
    """What is to be painted for an order; `first_sample` pictures of its prompt were painted before."""
    compression = order.parameters.get("output_compression", 100)
    frames = order.parameters.get("frame_count", 9) if order.output_format == "gif" else 1
    duration = order.parameters.get("frame_duration_ms", 200)
    return [
        Picture(
            prompt=order.prompt,
            model=order.model.model_id,
            width=order.size[0],
            height=order.size[1],
            quality=order.quality,
            output_format=order.output_format,
            compression=compression if isinstance(compression, int) else 100,
            transparent=order.background == "transparent",
            sample=first_sample + number,
            frames=frames if isinstance(frames, int) else 1,
            frame_duration_ms=duration if isinstance(duration, int) else 200,
        )
        for number in range(order.images)
    ]


def answer_body(order: Order, images: Sequence[str], created: int) -> JsonObject:
    """The answer to an order; `images` are base64 texts, or links where those were asked for."""
    name = "url" if order.as_url else "b64_json"
    data: list[JsonValue] = [_datum(order, name, image) for image in images]
    if order.is_dalle:
        return {"created": created, "data": data}
    body: dict[str, JsonValue] = {
        "created": created,
        "background": order.background,
        "data": data,
        "output_format": order.output_format,
        "quality": order.quality,
        "size": f"{order.size[0]}x{order.size[1]}",
    }
    usage = usage_of(order)
    return body if usage is None else {**body, "usage": usage}


def _datum(order: Order, name: str, image: str) -> dict[str, JsonValue]:
    datum: dict[str, JsonValue] = {name: image}
    if order.model.revises:
        datum["revised_prompt"] = f"{order.prompt.strip()} (as the sandbox understood it)"
    return datum


def usage_of(order: Order) -> dict[str, JsonValue] | None:
    """Tokens by the catalogue's formula or table; None for models that are not counted in tokens."""
    pricing = order.model.pricing
    if not isinstance(pricing, TokenPricing):
        return None
    sheet = sheet_of(order.model, order.parameters, order.size)
    out = order.images * math.ceil(output_tokens(pricing, order.quality, sheet)[0])
    text = text_tokens(order.prompt)
    return {
        "input_tokens": text,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": text},
        "output_tokens": out,
        "output_tokens_details": {"image_tokens": out, "text_tokens": 0},
        "total_tokens": text + out,
    }


def error_body(error: ApiError) -> JsonObject:
    """The envelope of an error."""
    inner: dict[str, JsonValue] = {
        "message": error.message,
        "type": error.kind,
        "param": error.param,
        "code": error.code,
    }
    if error.code == "moderation_blocked":
        inner["moderation_details"] = {"moderation_stage": "input", "categories": []}
    return {"error": inner}


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


def retry_headers(retry_after_s: float) -> dict[str, str]:
    """Whole seconds as the standard has them, and milliseconds for those who read them."""
    return {
        "Retry-After": str(math.ceil(retry_after_s)),
        "retry-after-ms": str(math.ceil(retry_after_s * 1000)),
    }


def limit_headers(limit: int, remaining: int, reset_s: float) -> dict[str, str]:
    """What is left of the limit, with the time to its end written as Go does: `1.5s`, `6m0s`."""
    minutes, seconds = divmod(reset_s, 60)
    reset = f"{int(minutes)}m{seconds:.3g}s" if minutes else f"{seconds:.3g}s"
    return {
        "x-ratelimit-limit-requests": str(limit),
        "x-ratelimit-remaining-requests": str(max(0, remaining)),
        "x-ratelimit-reset-requests": reset,
    }
