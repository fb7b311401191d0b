"""The API's own shapes: bodies of answers, events of a stream, errors, headers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from batchgen.catalogue.model import TokenPricing
from batchgen.catalogue.prices import output_tokens
from batchgen.catalogue.rules import sheet_of
from batchgen.core.money import PARTIAL_TOKENS, picture_tokens, text_tokens
from batchgen.core.types import JsonObject, JsonValue
from batchgen.sandbox.errors import ApiError
from batchgen.sandbox.orders import Order
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
            reference=order.references.first if order.references else None,
        )
        for number in range(order.images)
    ]


def answer_body(order: Order, images: Sequence[str], created: int) -> JsonObject:
    """The answer to an order; `images` are base64 texts, or links where those were asked for."""
    name = "url" if order.as_url else "b64_json"
    data: list[JsonValue] = [_datum(order, name, image) for image in images]
    if order.is_dalle:
        return {"created": created, "data": data}
    return {"created": created, "data": data, **_choices(order), **_usage(order, order.images)}


def event_name(order: Order, ending: str) -> str:
    """The name of an event, such as `image_edit.completed`."""
    return f"{'image_edit' if order.references else 'image_generation'}.{ending}"


def partial_body(order: Order, image: str, created: int, number: int) -> JsonObject:
    """The data of an event with an unfinished picture; numbers begin at 0."""
    return {**_event(order, "partial_image", image, created), "partial_image_index": number}


def completed_body(order: Order, image: str, created: int) -> JsonObject:
    """The data of an event with a finished picture, and the usage of this one: of several each has its own."""
    return {**_event(order, "completed", image, created), **_usage(order, 1)}


def _event(order: Order, ending: str, image: str, created: int) -> JsonObject:
    kind = event_name(order, ending)
    return {"type": kind, "b64_json": image, "created_at": created, **_choices(order)}


def _choices(order: Order) -> JsonObject:
    """What the model chose or was told to choose."""
    return {
        "background": order.background,
        "output_format": order.output_format,
        "quality": order.quality,
        "size": f"{order.size[0]}x{order.size[1]}",
    }


def _datum(order: Order, name: str, image: str) -> dict[str, JsonValue]:
    datum: dict[str, JsonValue] = {name: image}
    if order.model.revises:
        datum["revised_prompt"] = f"{order.prompt.strip()} (as the sandbox understood it)"
    return datum


def _usage(order: Order, images: int) -> JsonObject:
    """Tokens of so many of the images, by the catalogue's formula or table; nothing for models without tokens."""
    pricing = order.model.pricing
    if not isinstance(pricing, TokenPricing):
        return {}
    sheet = sheet_of(order.model, order.parameters, order.size)
    each = math.ceil(output_tokens(pricing, order.quality, sheet)[0]) + PARTIAL_TOKENS * (order.partials or 0)
    out, text = images * each, text_tokens(order.prompt)
    pictures = sum(picture_tokens(*size) for size in order.references.sizes) if order.references else 0
    usage: dict[str, JsonValue] = {
        "input_tokens": text + pictures,
        "input_tokens_details": {"image_tokens": pictures, "text_tokens": text},
        "output_tokens": out,
        "output_tokens_details": {"image_tokens": out, "text_tokens": 0},
        "total_tokens": text + pictures + out,
    }
    return {"usage": usage}


def error_body(error: ApiError) -> JsonObject:
    """The envelope of an error."""
    inner: dict[str, JsonValue] = {
        "message": error.message,
        "type": error.kind,
        "param": error.param,
        "code": error.code,
    }
    if error.code == "moderation_blocked":
        inner["moderation_details"] = {"moderation_stage": "input", "categories": ["violence"]}
    return {"error": inner}


def retry_headers(retry_after_s: float) -> dict[str, str]:
    """Whole seconds, at least one as the document says, and milliseconds for those who read them."""
    return {
        "Retry-After": str(max(1, math.ceil(retry_after_s))),
        "retry-after-ms": str(math.ceil(retry_after_s * 1000)),
    }


def limit_headers(limit: int, remaining: int, reset_s: float) -> dict[str, str]:
    """What is left of the limit, with the time to its end written as Go does: `1.5s`, `6m0s`."""
    minutes, seconds = divmod(reset_s, 60)
    reset = f"{int(minutes)}m{seconds:.3g}s" if minutes else f"{seconds:.3g}s"
    told = {"limit": str(limit), "remaining": str(max(0, remaining)), "reset": reset}
    # A request of the usual kind is for one image, so both limits are the same.
    return {
        f"x-ratelimit-{name}-{what}": value for what in ("requests", "images") for name, value in told.items()
    }
