"""What the events of a streamed answer mean: partial images, the completed one, errors, the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from batchgen.core.types import JsonValue
from batchgen.providers.sse import Event

DONE = b"[DONE]"
_PARTIAL = ".partial_image"
_IMAGE = ("b64_json", "url", "revised_prompt")
_OWN = frozenset({"type", "created_at", "partial_image_index", *_IMAGE})


class Kind(Enum):
    """What an event is."""

    PARTIAL = auto()
    COMPLETED = auto()
    ERROR = auto()
    END = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Part:
    """One event, understood. `document` has the shape of an unstreamed answer: an image, or an error object."""

    kind: Kind
    document: JsonValue = None
    number: int = 0


def is_partial(event: Event) -> bool:
    """Whether an event calls itself a partial image, which needs no decoding where nobody keeps it."""
    return event.name.endswith(_PARTIAL)


def is_end(event: Event) -> bool:
    """Whether nothing more will come."""
    return bytes(event.data[:10]).strip() == DONE


def part_of(event: Event, document: JsonValue) -> Part:
    """An event with its decoded data.

    As the official client does: an `error` in the data is a failure whatever the event is called, and an event called
    `error` is one too. The `type` in the data wins over the event's name, which some gateways leave out; an image
    without either is the answer.
    """
    if not isinstance(document, dict):
        return (
            Part(Kind.ERROR, {"error": {"message": _words(event)}})
            if event.name == "error"
            else Part(Kind.OTHER)
        )
    if document.get("error"):
        return Part(Kind.ERROR, document)
    told = document.get("type")
    name = told if isinstance(told, str) and "." in told else event.name
    if event.name == "error" or told == "error":
        return Part(Kind.ERROR, {"error": document})
    if name.endswith(_PARTIAL) or (name == "message" and "partial_image_index" in document):
        number = document.get("partial_image_index")
        whole = isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 100
        return Part(Kind.PARTIAL, _answer(document), int(number) if whole and isinstance(number, int) else 0)
    if name.endswith(".completed") or _has_image(document):
        return Part(Kind.COMPLETED, _answer(document))
    return Part(Kind.OTHER)


def _answer(document: Mapping[str, JsonValue]) -> JsonValue:
    """An event's image as an unstreamed answer holds it; a gateway that sends whole answers as events is taken too."""
    if isinstance(document.get("data"), list):
        return dict(document)
    image: dict[str, JsonValue] = {name: document[name] for name in _IMAGE if name in document}
    rest = {name: value for name, value in document.items() if name not in _OWN}
    return {"created": document.get("created_at"), "data": [image], **rest}


def _has_image(document: Mapping[str, JsonValue]) -> bool:
    return isinstance(document.get("data"), list) or any(name in document for name in ("b64_json", "url"))


def _words(event: Event) -> str:
    return bytes(event.data[:2000]).decode("utf-8", "replace")
