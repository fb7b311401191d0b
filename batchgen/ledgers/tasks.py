"""Tasks in their columns, and back: what is asked for, with its price."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import Any

from msgspec.structs import astuple

from batchgen.core.types import ImageRequest, JsonObject, Price, PriceKind, Reference, Task, TokenRates
from batchgen.ledgers.values import SAME_TEXTS, amount, count, dump, json_object, json_texts, json_words, reads

Row = sqlite3.Row
Fields = dict[str, Any]


class _Shared:
    """The JSON of an object that many tasks share, written once: the very same one, since it cannot be hashed."""

    def __init__(self) -> None:
        self._last: tuple[JsonObject, str] = ({}, "{}")

    def __call__(self, value: JsonObject) -> str:
        last, text = self._last  # one read: other threads write it, too
        if value is not last:
            text = dump(value)
            self._last = (value, text)
        return text


_dump_parameters, _dump_extra = _Shared(), _Shared()
_dump_tags = lru_cache(SAME_TEXTS)(dump)


def _dump_words(words: Mapping[str, str]) -> str:
    """What `dump` makes of them, in half the time."""
    quoted = encode_basestring_ascii
    return "{" + ",".join([f"{quoted(name)}:{quoted(word)}" for name, word in words.items()]) + "}"


TASK = (
    "position", "task_id", "prompt_id", "sample", "model", "prompt", "parameters", "extra", "tags", "variables", "price",
    "fingerprint", "pictures",
)  # fmt: skip
"""The columns that hold a task, in the order of `staged`."""


def task_values(task: Task) -> tuple[object, ...]:
    """A task as a row of `staged`."""
    request = task.request
    return (
        task.position,
        task.task_id,
        task.prompt_id,
        task.sample,
        request.model,
        request.prompt,
        _dump_parameters(request.parameters),
        _dump_extra(request.extra),
        _dump_tags(task.tags),
        _dump_words(task.variables),
        _dump_price(task.price),
        task.fingerprint,
        dump_pictures(request),
    )


def task_fields(task: Task) -> Fields:
    """A task as columns of `tasks`."""
    return dict(zip(TASK, task_values(task), strict=True))


@reads
def task_at(row: Row) -> Task:
    """The task of a row that begins with the columns of `staged`: read by their places, which is quicker than by name."""
    (position, task_id, prompt_id, sample, model, prompt, parameters, extra, tags, variables, price, fingerprint,
     pictures) = row[: len(TASK)]  # fmt: skip
    references, mask = _load_pictures(pictures)
    return Task(
        task_id,
        prompt_id,
        count(position),
        count(sample),
        ImageRequest(model, prompt, json_object(parameters), json_object(extra), references, mask),
        fingerprint,
        _load_price(price),
        json_texts(tags),
        json_words(variables),
    )


@reads
def task_of(row: Row) -> Task:
    """The task of a row of `staged` or `tasks`. Like all that reads rows, it raises `LedgerDamagedError`."""
    return Task(
        task_id=row["task_id"],
        prompt_id=row["prompt_id"],
        position=count(row["position"]),
        sample=count(row["sample"]),
        request=request_of(row),
        fingerprint=row["fingerprint"],
        price=_load_price(row["price"]),
        tags=json_texts(row["tags"]),
        variables=json_words(row["variables"]),
    )


@reads
def request_of(row: Row) -> ImageRequest:
    """The request of a row of `staged` or `tasks`."""
    references, mask = _load_pictures(row["pictures"])
    return ImageRequest(
        row["model"],
        row["prompt"],
        json_object(row["parameters"]),
        json_object(row["extra"]),
        references,
        mask,
    )


def dump_pictures(request: ImageRequest) -> str:
    """The pictures that go along with a request, as a column."""
    if not request.references:
        return "[]"
    mask = None if request.mask is None else astuple(request.mask)
    return dump([[astuple(picture) for picture in request.references], mask])


def _load_pictures(text: str) -> tuple[tuple[Reference, ...], Reference | None]:
    if text == "[]":
        return (), None
    references, mask = json.loads(text)
    return tuple(_picture(*told) for told in references), None if mask is None else _picture(*mask)


def _picture(file: str, sha256: str, size_bytes: int, media_type: str, width: int, height: int) -> Reference:
    return Reference(file, sha256, count(size_bytes), media_type, count(width), count(height))


@lru_cache(SAME_TEXTS)
def _dump_price(price: Price) -> str:
    rates = price.rates
    per_million = [rates.text_in, rates.image_in, rates.image_out] if rates else None
    return dump([price.kind, price.expected_usd, price.bound_usd, price.list_usd, per_million])


@lru_cache(SAME_TEXTS)
def _load_price(text: str) -> Price:
    kind, expected_usd, bound_usd, list_usd, per_million = json.loads(text)
    rates = TokenRates(*[_rate(one) for one in per_million]) if per_million else None
    return Price(PriceKind(kind), amount(expected_usd), amount(bound_usd), amount(list_usd), rates)


def _rate(value: float) -> float:
    amount(value)
    return value
