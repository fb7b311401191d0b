"""Reading what cannot be trusted: slow and compressed bodies, odd answers, links and words."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.types import ImageBytes, Usage
from batchgen.providers.answers import RAW_CAP_BYTES, Received, error_of, image_of, json_of, usage_of
from batchgen.providers.body import (
    SLOW_BYTES,
    BodyTooSlowError,
    collect,
)
from batchgen.providers.endpoint import Secret
from batchgen.providers.links import expired_words, expiry
from batchgen.providers.masking import Mask
from batchgen.system.turns import Turn

KEY = "canary-0123456789"
MASK = Mask(Secret(KEY))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["data", "url", "b64_json", "error", "usage"]), inner)
    ),
)


def read(document: object) -> ImageBytes:
    """The image of an answer that holds one in base64."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    image = image_of(json_of(body), Received(200, {}), MASK)
    assert isinstance(image, ImageBytes)
    return image


async def trickle(*chunks: bytes) -> AsyncIterator[bytes]:
    """Chunks, and then nothing for ever."""
    for chunk in chunks:
        yield chunk
    await anyio.Event().wait()


@pytest.mark.anyio
async def test_a_body_that_trickles_is_given_up() -> None:
    """Less than the minimum rate ends the reading; what came is kept."""
    into = bytearray()
    with pytest.raises(BodyTooSlowError):
        await collect(
            trickle(b"{", b"x" * SLOW_BYTES, b"y"), into, cap_bytes=10**6, large=Turn(), window_s=0.01
        )

    assert SLOW_BYTES + 2 == len(into)


@pytest.mark.anyio
async def test_blanks_before_a_body_do_not_count_as_slow() -> None:
    """A server that sends headers and blanks while it paints has the request's whole deadline."""
    into = bytearray()
    with anyio.move_on_after(0.05) as deadline:
        await collect(trickle(b" ", b"\n"), into, cap_bytes=10**6, large=Turn(), window_s=0.0)

    assert (True, b" \n") == (deadline.cancelled_caught, bytes(into))


@pytest.mark.parametrize(
    "document",
    [
        {"data": [{"b64_json": "data:image/png;base64,aGk="}]},
        {"data": [{"url": "data:image/png;base64,aGk="}]},
        {"data": [{"b64_json": "aGk=", "url": "https://img.example.com/a.png"}]},
        {"data": [{"url": "https://img.example.com/a.png"}, {"b64_json": "aGk="}]},
        {"error": None, "data": [{"b64_json": "aGk=", "revised_prompt": "\ud800"}]},
        b'\xef\xbb\xbf{"data": [{"b64_json": "aGk="}], "created": NaN}',
        json.dumps({"data": [{"b64_json": "aGk="}]}).encode("utf-16"),
    ],
)
def test_a_paid_image_is_found_in_every_shape_that_occurs(document: object) -> None:
    """Data URLs, both kinds at once, lone surrogates, a byte order mark, UTF-16: the image is not lost."""
    assert "aGk=" == read(document).encoded


def test_the_answers_own_words_are_small_and_hold_no_secret() -> None:
    """No image, no link, no key and no escape reaches a sidecar, whatever the gateway adds."""
    document = {
        "data": [{"b64_json": "aGk=", "url": "https://x/y?sig=1"}],
        "note": f"used {KEY}\x1b[0m",
        "see": "https://img.example.com/a.png?sig=abcdef",
        "blob": "A" * 5000,
        "huge": 10**25,
    }
    raw = json.dumps(dict(read(document).answer.raw))

    assert not [word for word in (KEY, "sig=", "aGk=", "AAAA", "\\u001b") if word in raw]
    assert RAW_CAP_BYTES > len(json.dumps(dict(read({**document, "many": ["x" * 900] * 99}).answer.raw)))


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({"input_tokens": 16, "output_tokens": 208}, Usage(16, 0, 208)),
        (
            {
                "input_tokens": 30,
                "output_tokens": 9,
                "input_tokens_details": {"image_tokens": 20, "text_tokens": 10},
            },
            Usage(10, 20, 9),
        ),
        ({"input_tokens": "16", "output_tokens": 208.0, "input_tokens_details": None}, Usage(0, 0, 208)),
        ({"input_tokens": 16}, None),
        ({"output_tokens": -5}, None),
        ({"output_tokens": True}, None),
        ([], None),
        (None, None),
    ],
)
def test_usage_is_read_only_where_it_says_something(told: object, wanted: Usage | None) -> None:
    """Counts that are no counts are nothing, and usage without output tokens does not make an image free."""
    assert wanted == usage_of(json_of(json.dumps(told).encode()))


@given(JSON)
def test_no_answer_breaks_the_reading(document: object) -> None:
    """Any JSON is an image, a link, an error object or nothing, never an exception."""
    body = json.dumps(document).encode()
    decoded = json_of(body)
    image_of(decoded, Received(200, {}), MASK)
    error_of(decoded, MASK)


@given(st.binary())
def test_no_bytes_break_the_decoding(body: bytes) -> None:
    """Bytes that are no JSON decode to nothing."""
    json_of(body)


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://x.example.com/a?se=2026-11-23T10:00:00Z&sig=x", "2026-11-23T10:00:00.000Z"),
        ("https://x.example.com/a?se=2026-11-23", "2026-11-23T00:00:00.000Z"),
        ("https://x.example.com/a?X-Amz-Date=20261123T100000Z&X-Amz-Expires=3600", "2026-11-23T11:00:00.000Z"),
        ("https://x.example.com/a?Expires=1795428000&Signature=x", "2026-11-23T10:00:00.000Z"),
        ("https://x.example.com/a?Expires=99999999999999999999", None),
        ("https://x.example.com/a?se=soon", None),
        ("https://x.example.com/a?X-Amz-Date=20261123T100000Z&X-Amz-Expires=9e9", None),
        ("https://x.example.com/a", None),
        ("https://[x", None),
    ],
)
def test_a_links_own_time_is_read(url: str, wanted: str | None) -> None:
    """The usual signatures say until when they work; junk says nothing."""
    assert wanted == expiry(url)


def test_a_links_age_is_told_only_when_it_is_over() -> None:
    """A reason says how long ago a link expired, and nothing where that is not the matter."""
    now = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)

    assert "; it expired 30 minutes ago" == expired_words("2026-11-23T10:00:00.000Z", now)
    assert ["", ""] == [expired_words(expires, now) for expires in (None, "2026-11-23T11:00:00.000Z")]


@pytest.mark.parametrize(
    "text",
    [
        f"Incorrect key {KEY}.",
        f"Incorrect key {KEY[:5]}\u200b{KEY[5:]}.",
        f"Incorrect key \x1b[1m{KEY[:5]}\x1b[0m{KEY[5:]}.",
        "Incorrect API key provided: sk-proj-abcd1234***wxyz",
        "sent Bearer abcd1234wxyz",
        "see https://img.example.com/a.png?sig=abcd1234wxyz&se=1",
        "through http://user:abcd1234@proxy.example.com:3128 it failed",
    ],
)
def test_keys_and_signatures_are_hidden(text: str) -> None:
    """The key itself however it is split, other keys, bearer tokens and signed queries never show."""
    masked = MASK.text(text)

    assert "***" in masked
    assert not [secret for secret in (KEY, KEY[5:], "abcd1234", "sig=") if secret in masked]


def test_a_short_word_is_not_taken_for_a_key() -> None:
    """The sandbox's key does not turn its own name into stars."""
    assert "the sandbox said no" == Mask(Secret("sandbox")).text("the sandbox said no")
