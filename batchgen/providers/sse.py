"""Server-sent events: bytes, cut anywhere -> events, as the HTML standard reads them (section 9.2.6)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from batchgen.core.types import Blob

_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"
_FIRST = frozenset({b":", b"d", b"e", b"i", b"r"})
"""How lines of a stream begin: a comment, `data`, `event`, `id`, `retry`."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its name, `message` when it has none, and its data, lines joined by line feeds."""

    name: str
    data: Blob


class EventStream:
    """Collects chunks into events. Comments, ids and retry times are left out: a request is sent once."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._name = b""
        self._data: bytearray | None = None
        self._after_cr = False
        self._begun = False

    @property
    def held(self) -> int:
        """Bytes of an event that is not whole yet."""
        return len(self._line) + len(self._data or b"")

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """The events that are whole with this chunk. To be exhausted before the next call."""
        if not chunk:
            return
        # A CRLF may be cut in two: its second half ends no further line.
        at = 1 if self._after_cr and chunk.startswith(b"\n") else 0
        self._after_cr = chunk.endswith(b"\r")
        for end in _LINE_END.finditer(chunk, at):
            self._line += chunk[at : end.start()]
            at = end.end()
            event = self._take_line()
            if event is not None:
                yield event
        self._line += chunk[at:]

    def finish(self) -> Event | None:
        """What stands at the end of the stream without a blank line behind it, None for nothing.

        The standard drops it. It is given out all the same: it may be an image that is paid for, and whoever reads it
        finds out whether it is whole.
        """
        if self._line:
            self._take_line()
        return self._take_event()

    def leftover(self) -> bytes:
        """What is held, as evidence of an event that never became whole."""
        return bytes((self._data or b"") + self._line)

    def _take_line(self) -> Event | None:
        line, self._line = self._line, bytearray()
        if not self._begun:
            self._begun = True
            if line.startswith(_BOM):
                del line[:3]
        if not line:
            return self._take_event()
        self._take_field(line)
        return None

    def _take_field(self, line: bytearray) -> None:
        colon = line.find(b":")
        name = bytes(line if colon < 0 else line[:colon])
        if name not in {b"event", b"data"}:
            return
        # In place: a line of data may have megabytes.
        del line[: len(name) + 1]
        if line.startswith(b" "):
            del line[:1]
        if name == b"event":
            self._name = bytes(line)
        elif self._data is None:
            self._data = line
        else:
            self._data += b"\n" + line

    def _take_event(self) -> Event | None:
        name, data = self._name, self._data
        self._name, self._data = b"", None
        if data is None:
            return None
        return Event(name.decode("utf-8", "replace") or "message", data)


def events_of(body: Blob) -> Iterator[Event]:
    """The events of a body that came whole."""
    stream = EventStream()
    yield from stream.feed(bytes(body))
    last = stream.finish()
    if last is not None:
        yield last


def may_be_events(begin: bytes) -> bool:
    """Whether a body that is called a stream of events may be one: JSON, a web page or an image begins otherwise."""
    return begin.removeprefix(_BOM).lstrip()[:1] in _FIRST


def looks_like_events(body: Blob) -> bool:
    """Whether a body that is no JSON begins as a stream of events does, whatever its headers say."""
    return re.match(rb"(?:\xef\xbb\xbf)?\s*(?:event|data|id|retry)?:", bytes(body[:100])) is not None
