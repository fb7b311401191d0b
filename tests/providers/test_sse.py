"""Server-sent events, read as the standard has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.providers.sse import Event, EventStream, events_of, looks_like_events


def read(*chunks: bytes) -> list[tuple[str, bytes]]:
    """Names and data of all events of a stream that came in these chunks."""
    stream = EventStream()
    events = [event for chunk in chunks for event in stream.feed(chunk)]
    last = stream.finish()
    return [(event.name, bytes(event.data)) for event in (*events, *([last] if last else []))]


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b"data: a\n\n", [("message", b"a")]),
        (b"event: x\ndata: a\n\n", [("x", b"a")]),
        (b"data:a\n\ndata:  b\n\n", [("message", b"a"), ("message", b" b")]),
        (b"data: a\ndata: b\ndata\n\n", [("message", b"a\nb\n")]),
        (b"data: a\r\n\r\nevent: y\r\rdata: b\r\r", [("message", b"a"), ("message", b"b")]),
        (b": keep-alive\n\n:\n\ndata: a\n\n", [("message", b"a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("message", b"a")]),
        (b"id: 7\nretry: 100\ndata: a\nother: b\n\n", [("message", b"a")]),
        (b"event: x\n\ndata: a\n\n", [("message", b"a")]),
        (b"data\n\n", [("message", b"")]),
        (b"data: a", [("message", b"a")]),
        (b"event: x\ndata: {\ndata: }\n", [("x", b"{\n}")]),
        (b"", []),
        (b"\n\n\n", []),
        (b"event: x\n\n", []),
    ],
)
def test_the_standard_s_cases(body: bytes, events: list[tuple[str, bytes]]) -> None:
    """Comments, several lines of data, every line end, a byte order mark, unknown fields; the last event is not dropped."""
    assert events == read(body)
    assert events == [(event.name, bytes(event.data)) for event in events_of(body)]


PIECES = st.sampled_from(
    [
        b"data: a",
        b"data:b",
        b"event: x",
        b": c",
        b"\n",
        b"\r",
        b"\r\n",
        b"\xef\xbb\xbf",
        b"id: 1",
        b"data",
        b" ",
        b"",
    ]
)


@given(st.lists(PIECES, max_size=20).map(b"".join), st.lists(st.integers(0, 60), max_size=6))
def test_cut_anywhere(body: bytes, cuts: list[int]) -> None:
    """However the network cuts a stream, the events are the same."""
    places = sorted({min(cut, len(body)) for cut in cuts})
    chunks = [body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)]
    assert read(body) == read(*chunks)


def test_what_is_held_is_what_has_not_become_an_event() -> None:
    """The cap and the rate look at an event that is under way, and its bytes are evidence when it stays so."""
    stream = EventStream()
    assert [] == list(stream.feed(b"event: x\ndata: 12"))
    assert (8, b"data: 12") == (stream.held, stream.leftover())
    assert [] == list(stream.feed(b"34\ndata: 5"))
    assert b"1234data: 5" == stream.leftover()
    assert [Event("x", bytearray(b"1234\n5"))] == list(stream.feed(b"\n\n"))
    assert 0 == stream.held


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"data: x", True),
        (b" event: x", True),
        (b": hi\n", True),
        (b"{}", False),
        (b"<html>", False),
        (b"", False),
    ],
)
def test_a_stream_is_known_by_its_beginning(body: bytes, *, expected: bool) -> None:
    """A stream of events under a wrong content type is still one."""
    assert expected == looks_like_events(body)
