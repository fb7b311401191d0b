"""Rows of the ledger <-> values of the core."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from batchgen.core.records import AttemptView, TaskView
from batchgen.core.types import (
    Answer,
    AttemptState,
    ImageRequest,
    Link,
    Media,
    Price,
    PriceKind,
    StoredImage,
    Task,
    TokenRates,
    Usage,
)

Row = sqlite3.Row
Fields = dict[str, Any]


def storable(text: str | None) -> str | None:
    """Text that SQLite takes: a lone surrogate, which JSON can bring, is written as its escape."""
    return text if text is None else text.encode("utf-8", "backslashreplace").decode()


def dump(value: object) -> str:
    """Compact JSON, in ASCII so that any string survives."""
    return json.dumps(value, separators=(",", ":"))


def task_fields(task: Task) -> Fields:
    """A task as columns of `staged` and `tasks`."""
    request = task.request
    return {
        "position": task.position,
        "task_id": task.task_id,
        "prompt_id": task.prompt_id,
        "sample": task.sample,
        "model": request.model,
        "prompt": request.prompt,
        "parameters": dump(request.parameters),
        "extra": dump(request.extra),
        "tags": dump(task.tags),
        "variables": dump(dict(task.variables)),
        "price": _dump_price(task.price),
        "fingerprint": task.fingerprint,
    }


def task_of(row: Row) -> Task:
    """The task of a row of `staged` or `tasks`."""
    return Task(
        task_id=row["task_id"],
        prompt_id=row["prompt_id"],
        position=row["position"],
        sample=row["sample"],
        request=request_of(row),
        fingerprint=row["fingerprint"],
        price=_load_price(row["price"]),
        tags=tuple(json.loads(row["tags"])),
        variables=json.loads(row["variables"]),
    )


def request_of(row: Row) -> ImageRequest:
    """The request of a row of `staged` or `tasks`."""
    return ImageRequest(row["model"], row["prompt"], json.loads(row["parameters"]), json.loads(row["extra"]))


def _dump_price(price: Price) -> str:
    rates = price.rates
    per_million = [rates.text_in, rates.image_in, rates.image_out] if rates else None
    return dump([price.kind, price.expected_usd, price.bound_usd, price.list_usd, per_million])


def _load_price(text: str) -> Price:
    kind, expected_usd, bound_usd, list_usd, per_million = json.loads(text)
    rates = TokenRates(*per_million) if per_million else None
    return Price(PriceKind(kind), expected_usd, bound_usd, list_usd, rates)


def image_fields(image: StoredImage) -> Fields:
    """An image as columns of `images`."""
    return {
        "attempt_id": image.attempt_id,
        "task_id": image.task_id,
        "fingerprint": image.fingerprint,
        "file": image.file,
        "sha256": image.sha256,
        "size_bytes": image.size_bytes,
        "mtime_ns": image.mtime_ns,
        "media_type": image.media.media_type,
        "extension": image.media.extension,
        "width": image.media.width,
        "height": image.media.height,
        "cost_usd": image.cost_usd,
    }


def image_of(row: Row) -> StoredImage:
    """The image of a row of `images`."""
    return StoredImage(
        attempt_id=row["attempt_id"],
        task_id=row["task_id"],
        fingerprint=row["fingerprint"],
        file=row["file"],
        sha256=row["sha256"],
        size_bytes=row["size_bytes"],
        mtime_ns=row["mtime_ns"],
        media=Media(row["media_type"], row["extension"], row["width"], row["height"]),
        cost_usd=row["cost_usd"],
    )


def link_fields(link: Link) -> Fields:
    """A link as columns of `attempts`. The answer is kept whole: a failed download overwrites status and id.

    Further links go with it, and with it they are forgotten.
    """
    answer = link.answer
    usage = [answer.usage.text_in, answer.usage.image_in, answer.usage.image_out] if answer.usage else None
    kept = {
        "http_status": answer.http_status,
        "request_id": answer.request_id,
        "usage": usage,
        "revised_prompt": answer.revised_prompt,
        "raw": dict(answer.raw),
        "more": list(link.more),
    }
    return {
        "url": storable(link.url),
        "expires": storable(link.expires),
        "http_status": answer.http_status,
        "request_id": storable(answer.request_id),
        "answer": dump(kept),
    }


def link_of(row: Row) -> Link | None:
    """The link of a row of `attempts`, None when its answer was none."""
    if row["url"] is None:
        return None
    kept: Mapping[str, Any] = json.loads(row["answer"])
    usage = Usage(*kept["usage"]) if kept["usage"] else None
    answer = Answer(kept["http_status"], kept["request_id"], usage, kept["revised_prompt"], kept["raw"])
    return Link(row["url"], answer, row["url_expires"], tuple(kept.get("more", ())))


def task_view(row: Row) -> TaskView:
    """A row of `task_views`."""
    image_usd, spent_usd = row["image_usd"], row["spent_usd"]
    return TaskView(
        task_id=row["task_id"],
        prompt_id=row["prompt_id"],
        state=row["state"],
        failure_class=row["class"],
        reason=row["reason"],
        attempts=row["attempts"],
        file=row["file"],
        sha256=row["sha256"],
        cost_usd=spent_usd if image_usd is None else image_usd,
        fingerprint=row["fingerprint"],
        not_before=row["not_before"],
        request=request_of(row),
        tags=tuple(json.loads(row["tags"])),
        variables=json.loads(row["variables"]),
        width=row["width"],
        height=row["height"],
        size_bytes=row["size_bytes"],
    )


def attempt_view(row: Row) -> AttemptView:
    """A row of `attempt_views`."""
    return AttemptView(
        attempt_id=row["attempt_id"],
        task_id=row["task_id"],
        number=row["number"],
        state=AttemptState(row["state"]),
        failure_class=row["class"],
        reason=row["reason"],
        http_status=row["http_status"],
        request_id=row["request_id"],
        started=row["started"],
        seconds=row["seconds"],
        cost_usd=row["cost_usd"],
        possible_duplicate=bool(row["possible_duplicate"]),
    )
