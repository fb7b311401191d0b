"""Pieces of advice: values as they may be written, and words that people write for keys with other names."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from types import MappingProxyType

from batchgen.catalogue.meanings import MEANINGS
from batchgen.core.naming import printable
from batchgen.manifest.document import Scalar
from batchgen.manifest.guess import did_you_mean, nearest
from batchgen.manifest.scalars import Kind, kind_of

_PLAIN = re.compile(r"[A-Za-z0-9](?:[\w ./-]*[\w./-])?")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")

_MEANT: Mapping[str, str] = MappingProxyType(
    {
        "n": "images",
        "count": "images",
        "number": "images",
        "amount": "images",
        "samples": "images",
        "name": "id",
        "title": "id",
        "key": "id",
        "text": "prompt",
        "variables": "vary",
        "vars": "vary",
        "variants": "vary",
        "values": "vary",
        "except": "exclude",
        "skip": "exclude",
        "labels": "tags",
        "keywords": "tags",
        "image": "references",
        "pictures": "references",
        "template": "prompt_template",
        "items": "prompts",
        "tasks": "prompts",
        "parameters": "request",
        "options": "request",
        "settings": "request",
        "defaults": "request",
        "version": "batchgen",
        "deadline": "finish_by",
        "until": "finish_by",
        "rate": "images_per_minute",
        "parallel": "concurrency",
        "workers": "concurrency",
        "retries": "max_attempts",
        "attempts": "max_attempts",
    }
)
"""What people write who know other programs, and the key that it is here."""

_NO_BREAK = "\u00a0"
"""Looks like a blank, and is a letter for YAML."""

_OPERATORS = frozenset({"base_url", "url", "key", "api_key", "key_env", "token", "headers", "output", "config"})


def instead_of(key: str, known: Collection[str]) -> str:
    """What to write for a key that is not known here."""
    if key.startswith(_NO_BREAK):
        return "the blanks before it are no-break spaces, as web pages and Word have them: type them anew"
    if (meant := _MEANT.get(key.lower())) in known:
        return f"write `{meant}:`"
    close = nearest(key, known)
    if close is None and "request" in known and (parameter := nearest(key, MEANINGS)):
        return f"write `{parameter}:` under `request:`, two blanks further in"
    if close is None and "request" in known and key.lower() in _OPERATORS:
        return "addresses, keys and folders are set by whoever runs the job; remove it"
    return did_you_mean(key, known)


def flow(value: object) -> str:
    """A value as YAML takes it in one line: with quotes only where they are needed."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {flow(part)}" for name, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if (
        isinstance(value, str)
        and _PLAIN.fullmatch(value)
        and kind_of(Scalar(0, 0, value, plain=True)) is Kind.TEXT
    ):
        return value
    return printable(json.dumps(value, ensure_ascii=False), LONGEST)


LONGEST = 120
"""Characters of a value that are written out again."""


def number_in(text: str) -> str | None:
    """The number that `$5`, `5,00` or `50%` was meant to be; None when there is none, or more than one."""
    found = _NUMBER.findall(text)
    return found[0].replace(",", ".") if len(found) == 1 else None


def parts_of(text: str) -> list[str]:
    """The entries that `red, blue` was meant to be."""
    return [part.strip() for part in text.split(",") if part.strip()]
