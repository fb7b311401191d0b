"""The body of an answer -> an image, a link, or what went wrong. Tolerant in what it takes: it is paid for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from batchgen.core.classify import ErrorBody, request_id
from batchgen.core.retry_after import exhausted_s, limit_per_minute
from batchgen.core.types import Answer, Blob, ImageBytes, JsonValue, Link, Usage
from batchgen.providers.body import LARGE_BYTES
from batchgen.providers.links import expiry
from batchgen.providers.masking import Mask

RAW_CAP_BYTES = 16 * 1024
"""Of an answer's own words in a sidecar: every field known today takes under one."""

LINK_CAP_BYTES = 8 * 1024
"""Of a link, which lies on the ledger until it is fetched: signed ones have one or two."""

MOST_IMAGES = 17
"""Of one answer that are stored, where one was asked for; the others are kept as they came."""

_RAW_TEXT = 4000
_NOTHING = frozenset({"", "null", "none"})
_ERROR_TEXT = 64 * 1024
_LONGEST_PROMPT = 40_000
_RAW_DEPTH = 5
_LENIENT_BYTES = 24 * 1024 * 1024
_BEFORE = re.compile(rb"(?:\xef\xbb\xbf)?\s*")
_WIDE = re.compile(r"\\u(?!00[0-7])")
"""An escape of what is not ASCII: one of them makes a text of megabytes four times as large."""
_WORDS = ("message", "detail", "msg")
_IMAGE_KEYS = frozenset({"b64_json", "url"})
_MOST_TOKENS = 10**9
_LARGEST_NUMBER = 2**63
_MOST_PARTS = 100_000
"""Of a large answer that is more than an image: an honest one has dozens, and each takes up to fifty times its bytes."""

_LONG_BYTES = 1024 * 1024
_LARGE_DEPTH = 4


@dataclass(frozen=True, slots=True)
class Received:
    """What came before an answer's body. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]


def json_of(body: Blob) -> JsonValue:
    """A body as JSON; None when it is none.

    The standard library takes over what only the strict decoder refuses (lone surrogates, a byte order mark,
    UTF-16), since the image beside it is paid for. Of a large answer what would take many times its size as
    Python's objects is left out.
    """
    if len(body) <= LARGE_BYTES:
        return _decoded(body)
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > _MOST_PARTS:
        return None
    begin = _BEFORE.match(body)
    part = memoryview(body)[begin.end() if begin else 0 :]
    try:
        return _opened(part, _LARGE_DEPTH)
    except (ValueError, RecursionError):
        return _narrow(part) if len(part) <= _LENIENT_BYTES else None


def _opened(part: memoryview, depth: int) -> JsonValue:
    """A part of a large answer: its small parts as ever, of the others only text that takes one byte a character."""
    if len(part) <= _LONG_BYTES:
        return _decoded(bytes(part))
    if depth == 0:
        return None
    match bytes(part[:1]):
        case b"{":
            fields = msgspec.json.decode(part, type=dict[str, msgspec.Raw])
            return {name: _opened(memoryview(raw), depth - 1) for name, raw in fields.items()}
        case b"[":
            items = msgspec.json.decode(part, type=list[msgspec.Raw])
            return [_opened(memoryview(raw), depth - 1) for raw in items]
    return _long_text(part)


def _long_text(part: memoryview) -> str | None:
    try:
        text = str(part[1:-1], "ascii")
    except UnicodeDecodeError:
        return None
    if "\\" not in text:
        return text
    wide = _WIDE.search(text) is not None
    del text  # before it is there a second time
    return None if wide else msgspec.json.decode(part, type=str)


def _narrow(part: memoryview) -> JsonValue:
    """A large answer that only the standard library reads, such as one with line breaks inside its base64."""
    try:
        text = str(part, "ascii")
        return None if _WIDE.search(text) else _lenient(text)
    except (ValueError, RecursionError):
        return None


def _decoded(body: Blob) -> JsonValue:
    for loads in (msgspec.json.decode, _lenient):
        try:
            document: JsonValue = loads(body)
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
            continue
        return document
    return None


def _lenient(body: Blob | str) -> JsonValue:
    document: JsonValue = json.loads(body, strict=False, parse_constant=lambda _: None)
    return document


def error_of(document: JsonValue, mask: Mask) -> ErrorBody | None:
    """The error object of an answer: `{"error": {...}}`, `{"error": "text"}`, its fields at the top, or in an image's place."""
    if not isinstance(document, dict):
        return None
    error = document.get("error") or _error_in_place(document.get("data"))
    if isinstance(error, dict):
        fields = error
    elif isinstance(error, str) and error:
        fields = {**document, "message": document.get("message") or error}
    elif not document.get("data") and (words := _first_words(document)):
        fields = {**document, "message": words}
    else:
        return None
    return ErrorBody(*(_worded(fields.get(name), mask) for name in ("message", "type", "code", "param")))


def _first_words(document: Mapping[str, JsonValue]) -> JsonValue:
    return next((words for name in _WORDS if (words := document.get(name))), None)


def _error_in_place(data: JsonValue) -> JsonValue:
    """What Volcengine and others put where an image should be."""
    items = data if isinstance(data, list) else []
    return next((item["error"] for item in items if isinstance(item, dict) and item.get("error")), None)


def _worded(value: JsonValue, mask: Mask) -> str:
    """A field that should be text: gateways also send numbers, null and nested objects."""
    if value is None:
        return ""
    if isinstance(value, str):
        return mask.text(value) if len(value) <= _ERROR_TEXT else mask.start(value[:_ERROR_TEXT])
    return json.dumps(_trimmed(value, mask, 2))


def image_of(document: JsonValue, received: Received, mask: Mask) -> ImageBytes | Link | None:
    """The images of an answer, still in base64, or the links to them; None when there is neither."""
    if not isinstance(document, dict):
        return None
    items = _items(document)
    found = [one for item in items if any(one := (_encoded(item), _url(item)))]
    found, beyond = found[:MOST_IMAGES], found[MOST_IMAGES:]
    encoded: list[str | Blob] = [mask.encoded(text) for text, _ in found if text]
    if beyond:  # it is no image in this shape, so that the store keeps it as evidence
        encoded.append(mask.data(json.dumps(beyond).encode()))
    if not found:
        return None
    answer = _answer(document, items, received, mask)
    further = _link([url for text, url in found if not text], answer)
    if not encoded:
        return further
    instead = _link([url for _, url in sorted(found, key=lambda one: not one[0])], answer)
    return ImageBytes(encoded[0], answer, tuple(encoded[1:]), further, instead)


def why_none(document: JsonValue) -> str:
    """What keeps the links of an answer without an image from being followed, in a sentence; "" for nothing."""
    items = _items(document) if isinstance(document, dict) else []
    too_long = any(isinstance(url := item.get("url"), str) and len(url) > LINK_CAP_BYTES for item in items)
    return f"Its link is longer than {LINK_CAP_BYTES} bytes." if too_long else ""


def _items(document: Mapping[str, JsonValue]) -> list[dict[str, JsonValue]]:
    # SiliconFlow and others call it `images`, some in addition.
    listed = next((found for name in ("data", "images") if isinstance(found := document.get(name), list)), [])
    return [item for item in listed if isinstance(item, dict)]


def _link(urls: Sequence[str], answer: Answer) -> Link | None:
    first, *more = [url for url in urls if url] or [""]
    return Link(first, answer, expiry(first), tuple(more)) if first else None


def _url(item: Mapping[str, JsonValue]) -> str:
    """The link of one item, "" when it has none that can be followed."""
    told = item.get("url")
    if not isinstance(told, str) or len(told) > LINK_CAP_BYTES or _after_data_prefix(told):
        return ""
    url = told.strip()
    return url if len(url.encode("utf-8", "backslashreplace")) <= LINK_CAP_BYTES else ""


def _encoded(item: Mapping[str, JsonValue]) -> str:
    """The base64 text of one item, "" when it has none: `b64_json`, which may be a data URL, or a data URL as `url`."""
    told = item.get("b64_json")
    if isinstance(told, str) and told[:100].strip().lower() not in _NOTHING:
        text = _after_data_prefix(told) or told
    else:
        url = item.get("url")
        text = _after_data_prefix(url) if isinstance(url, str) else ""
    # What is not ASCII is no base64, and could not be written as bytes.
    return text if text.isascii() else ""


def _after_data_prefix(text: str) -> str:
    head, comma, rest = text[:200].partition(",")
    is_data = comma and head[:5].lower() == "data:" and head.lower().endswith(";base64")
    return rest + text[200:] if is_data else ""


def _answer(
    document: dict[str, JsonValue], items: list[dict[str, JsonValue]], received: Received, mask: Mask
) -> Answer:
    revised = next((text for item in items if isinstance(text := item.get("revised_prompt"), str)), "")
    identity = request_id(received.headers)
    return Answer(
        http_status=received.status,
        request_id=mask.text(identity) if identity else None,
        usage=usage_of(document.get("usage")),
        revised_prompt=mask.text(revised) or None if len(revised) <= _LONGEST_PROMPT else None,
        raw=_raw(document, mask),
        exhausted_s=exhausted_s(received.headers),
        limit_per_minute=limit_per_minute(received.headers),
    )


def usage_of(told: JsonValue) -> Usage | None:
    """Tokens from an answer's `usage`; None when it does not say what the image took."""
    if not isinstance(told, dict):
        return None
    image_out = _count(told.get("output_tokens"))
    if not image_out:
        return None
    details = told.get("input_tokens_details")
    parts = details if isinstance(details, dict) else {}
    image_in = _count(parts.get("image_tokens"))
    text_in = _count(parts.get("text_tokens")) or max(0, _count(told.get("input_tokens")) - image_in)
    return Usage(text_in=text_in, image_in=image_in, image_out=image_out)


def _count(value: JsonValue) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST_TOKENS:
        return 0
    return int(value)


def _raw(document: dict[str, JsonValue], mask: Mask) -> dict[str, JsonValue]:
    """What the answer said beside the image, without keys and links, small enough for a sidecar."""
    raw = _trimmed(document, mask, _RAW_DEPTH)
    assert isinstance(raw, dict)
    if len(json.dumps(raw)) > RAW_CAP_BYTES:
        return {"left_out": f"the answer's other fields, more than {RAW_CAP_BYTES} bytes"}
    return raw


def _trimmed(value: JsonValue, mask: Mask, depth: int) -> JsonValue:
    if isinstance(value, str):
        # Left out and not cut: a cut could leave half a key that no mask finds.
        return mask.text(value) if len(value) <= _RAW_TEXT else f"({len(value)} characters left out)"
    if isinstance(value, int | float):
        return value if abs(value) < _LARGEST_NUMBER else None
    if value is None or depth == 0:
        return None
    if isinstance(value, list):
        return [_trimmed(item, mask, depth - 1) for item in value[:100]]
    kept = [(mask.text(key), item) for key, item in list(value.items())[:100] if key not in _IMAGE_KEYS]
    return {key: _trimmed(item, mask, depth - 1) for key, item in kept}
