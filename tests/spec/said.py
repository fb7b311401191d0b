"""An answer as it went over the wire -> what the document has against it."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.spec.carried import api_path
from tests.spec.document import document

JSON = "application/json"
EVENTS = "text/event-stream"


def answer_faults(method: str, path: str, status: int, content_type: str, body: bytes) -> list[str]:
    """Everything that the document's schema forbids. Nothing for what the document does not know: files, pages."""
    kind = content_type.partition(";")[0].strip().lower()
    if status >= 400:
        return _json_faults("ErrorResponse", body) if kind == JSON else []
    schema = document().answer_schema(method, api_path(path), kind)
    if schema is None:
        return []
    return list(_event_faults(schema, body)) if kind == EVENTS else _json_faults(schema, body)


def _json_faults(schema: str, body: bytes) -> list[str]:
    try:
        return document().faults(schema, json.loads(body))
    except ValueError as error:
        return [f"{schema}: {error}"]


def _event_faults(schema: str, body: bytes) -> Iterator[str]:
    """A stream that ends within an event was cut, which is no fault of the event's."""
    known = document().events(schema)
    for name, data in _events(body):
        if data == "[DONE]":
            continue
        try:
            said = json.loads(data)
        except ValueError as error:
            yield f"{schema}: {error}"
            continue
        kind = said.get("type") if isinstance(said, dict) else None
        if isinstance(said, dict) and "error" in said:
            yield from document().faults("ErrorResponse", said)
        elif name == "error":
            yield from document().faults("Error", said)
        elif kind not in known:
            yield f"{schema}: there is no event {kind!r} (there are {', '.join(known)})"
        else:
            yield from document().faults(known[kind], said)
            if name != kind:
                yield f"{schema}: the event {kind} is called {name!r}"


def _events(body: bytes) -> Iterator[tuple[str, str]]:
    """The name and the data of each whole event, as the standard for server-sent events reads them."""
    text = body.decode().removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    for block in text.split("\n\n")[:-1]:
        name, data = "", []
        for line in block.split("\n"):
            field, _, value = line.partition(":")
            if field == "event":
                name = value.removeprefix(" ")
            elif field == "data":
                data.append(value.removeprefix(" "))
        if data:
            yield name, "\n".join(data)
