"""What a request asks for otherwise than the one before it: field by field, with both values."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from batchgen.core.types import ImageRequest, JsonObject, JsonValue, Reference

CONTEXT = 24
"""Characters that are shown on both sides of what differs in a long text."""


class Difference(Struct, frozen=True):
    """One field that changed. `before` and `now` are the manifest's values, None where it names none.

    `field` is `prompt`, `model`, `provider`, `references`, `mask`, a parameter's name, or `extra.` with a name.
    """

    field: str
    before: JsonValue
    now: JsonValue

    def as_json(self) -> dict[str, JsonValue]:
        """A difference as machines read it, with whole values."""
        return {"field": self.field, "before": self.before, "now": self.now}


class Asked(Struct, frozen=True):
    """What was asked for when a task was last queued, and whom; `provider` is None where that is not known."""

    request: ImageRequest
    provider: str | None = None


def differences(before: ImageRequest, now: ImageRequest) -> tuple[Difference, ...]:
    """Everything that differs, the prompt first. Of pictures the content counts, as for the fingerprint."""
    return tuple(_all(before, now))


def _all(before: ImageRequest, now: ImageRequest) -> Iterator[Difference]:
    if before.prompt != now.prompt:
        yield Difference("prompt", before.prompt, now.prompt)
    if before.model != now.model:
        yield Difference("model", before.model, now.model)
    yield from _of_objects("", before.parameters, now.parameters)
    yield from _of_objects("extra.", before.extra, now.extra)
    yield from _of_pictures("references", before.references, now.references)
    masks = ((picture,) if (picture := request.mask) else () for request in (before, now))
    yield from _of_pictures("mask", *masks)


def _of_objects(prefix: str, before: JsonObject, now: JsonObject) -> Iterator[Difference]:
    for name in dict.fromkeys((*before, *now)):
        if before.get(name) != now.get(name):
            yield Difference(f"{prefix}{name}", before.get(name), now.get(name))


def _of_pictures(field: str, before: tuple[Reference, ...], now: tuple[Reference, ...]) -> Iterator[Difference]:
    if [picture.sha256 for picture in before] == [picture.sha256 for picture in now]:
        return
    old, new = (", ".join(picture.file for picture in pictures) for pictures in (before, now))
    if old == new:
        # The same name with other bytes: only the hash can tell them apart.
        old, new = (
            ", ".join(f"{picture.file} ({picture.sha256[:8]})" for picture in pictures)
            for pictures in (before, now)
        )
    yield Difference(field, old or None, new or None)


def differing_parts(before: str, now: str, context: int = CONTEXT) -> tuple[str, str]:
    """Two texts without most of what they share at both ends, cut at words and marked with `…`."""
    shared = _shared(before, now)
    start = _word_start(before, max(0, shared - context))
    tail = min(_shared(before[::-1], now[::-1]), min(len(before), len(now)) - shared)
    leave = tail - context
    end = 0 if leave <= 0 else _word_end(before, leave)
    return _part(before, start, end), _part(now, start, end)


def _shared(one: str, other: str) -> int:
    for place, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return place
    return min(len(one), len(other))


def _word_start(text: str, place: int) -> int:
    """The place after the last space before it, unless that is far away."""
    space = text.rfind(" ", max(0, place - CONTEXT), place)
    return place if space < 0 else space + 1


def _word_end(text: str, leave: int) -> int:
    """So many characters at the end that a word ends before them."""
    place = len(text) - leave
    space = text.find(" ", place, place + CONTEXT)
    return leave if space < 0 else len(text) - space


def _part(text: str, start: int, leave: int) -> str:
    part = text[start : len(text) - leave]
    return f"{'…' if start else ''}{part}{'…' if leave else ''}"
