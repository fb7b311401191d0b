"""Every fault of the catalogue once, through a whole run: its class, its money, what follows, and not one request too many.

A row's job has three tasks: a faulty one, its twin of the same model, and one of another model. The rows run side by
side in one loop, since most of their time is waiting; then each is looked at by a test of its own.
"""

from __future__ import annotations

import gzip
import html
import re
import signal
import socket
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from enum import Enum
from pathlib import Path
from typing import Any

import anyio
import pytest

from batchgen.core.advice import ADVICE
from batchgen.core.events import Event, Paused
from batchgen.core.types import FailureClass, Paid, StopReason
from batchgen.pool.stopping import Stop
from batchgen.providers.answers import MOST_IMAGES
from tests.faults.bench import Bench, Left, bench, told
from tests.faults.wire import (
    FAULTY,
    LINKED,
    REQUEST_ID,
    Act,
    Drip,
    Flood,
    Reply,
    Script,
    Seen,
    Wire,
    brought,
    chunked,
    drawn,
    encoded,
    error,
    fetched,
    head,
    linked,
    picture,
    said,
    wire,
)
from tests.providers.servers import free_port
from tests.stores.images import picture as photo
from tests.support.cli import ended, together, until
from tests.support.png import chunk, png

C = FailureClass
NO, MAYBE, YES = Paid

LONGEST_S = 150.0
"""A row that takes longer hangs; the slowest, five downloads with their backoff, takes fifteen."""


class Then(Enum):
    """What follows a fault. The values: states of the faulty, the twin and the other task; exit code; POSTs and attempts."""

    FINAL = ("failed", "stored", "stored", 1, 1)
    AGAIN = ("failed", "stored", "stored", 1, 2)
    PASSES = ("stored", "stored", "stored", 0, 2)
    HELD = ("held", "stored", "stored", 1, 2)
    STOPS = ("pending", "pending", "pending", 3, 1)
    GONE = ("failed", "failed", "stored", 1, 1)
    KEPT = ("stored", "stored", "stored", 0, 1)
    LATER = ("pending", "pending", "stored", 3, 1)
    OPEN = ("received", "stored", "stored", 3, 1)


@dataclass(frozen=True)
class Row:
    """A fault: how the faulty task's requests are answered, and what the catalogue demands.

    `words` are in the reason. `gets` answer its downloads, of which there must be `downloads`. `evidence` is in
    quarantine, None when nothing has to be. `base` replaces the base URL; a job that is `alone` has no other
    tasks. `posts` overrides what reaches the server.
    """

    name: str
    says: Sequence[Reply]
    kind: FailureClass | None
    paid: Paid
    then: Then
    words: str = ""
    gets: Sequence[Reply] = ()
    downloads: int = 0
    evidence: bytes | None = None
    request_id: str | None = REQUEST_ID
    stopped_by: str | None = None
    base: Callable[[Wire, str], str] | None = None
    alone: bool = False
    posts: int | None = None
    deadline: str = "600s"
    waits_s: float = 0.0
    stored: bytes | None = None
    second: bytes | None = None

    @property
    def states(self) -> tuple[str, ...]:
        """Of its tasks."""
        return tuple(map(str, self.then.value[: 1 if self.alone else 3]))

    @property
    def exit(self) -> int:
        """The exit code."""
        return self.then.value[3]

    @property
    def attempts(self) -> int:
        """Of the faulty task."""
        return self.then.value[4]


# Requests that are refused: nothing was made.

SLOW_DOWN = "Slow down."


def limited(name: str, headers: Mapping[str, str], *, status: int = 429, waits_s: float = 0.0) -> Row:
    """A rate limit that passes, and the least that must lie between its answer and the next request."""
    says = (error(status, SLOW_DOWN, headers=headers), picture)
    return Row(name, says, C.RATE_LIMITED, NO, Then.PASSES, SLOW_DOWN, waits_s=waits_s)


def refused(status: int, code: str, message: str = "Not allowed.") -> Row:
    """Moderation."""
    says = (error(status, message, code),)
    return Row(f"refused-{status}-{code or 'words'}", says, C.REFUSED, NO, Then.FINAL, message)


def stops(status: int, code: str, kind: FailureClass, message: str = "Nothing goes.") -> Row:
    """Key or account."""
    says = (error(status, message, code),)
    return Row(f"{kind}-{status}-{code}", says, kind, NO, Then.STOPS, message, stopped_by=kind.value)


def followed(says: Script, junk: bytes) -> Script:
    """A whole answer, and something behind it in the same segment."""
    assert isinstance(says[0], bytes)
    return (says[0] + junk,)


def plain(name: str, status: int, kind: FailureClass, then: Then, body: bytes | None = None) -> Row:
    """A status with an error in words."""
    paid = MAYBE if kind is C.UNKNOWN else NO
    says = (error(status, "Something is wrong.") if body is None else said(status, body),)
    return Row(name, says, kind, paid, then, f"HTTP {status}")


def gone(status: int, code: str, message: str) -> Row:
    """A model that is not there."""
    says = (error(status, message, code),)
    return Row(f"model-{status}-{code or 'words'}", says, C.MODEL, NO, Then.GONE, message)


def past() -> str:
    """An HTTP date, a day ago."""
    return format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)


def soon(_seen: Seen) -> Script:
    """A rate limit until two seconds from now: an HTTP date has whole seconds, so at least one is left."""
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    return error(429, SLOW_DOWN, headers={"Retry-After": when})


def later(name: str, headers: Mapping[str, str], status: int = 429) -> Row:
    """A wait that no run sits out: all of the model wait, other models go on."""
    says = (error(status, SLOW_DOWN, headers=headers),)
    return Row(name, says, C.RATE_LIMITED, NO, Then.LATER, SLOW_DOWN, stopped_by="later")


NOTHING_MADE = [
    Row("429-no-header", (error(429, SLOW_DOWN),), C.RATE_LIMITED, NO, Then.AGAIN, SLOW_DOWN),
    limited("429-retry-after-s", {"Retry-After": "1"}, waits_s=1.0),
    limited("429-retry-after-ms", {"retry-after-ms": "400", "Retry-After": "3600"}, waits_s=0.4),
    Row("429-date", (soon, picture), C.RATE_LIMITED, NO, Then.PASSES, SLOW_DOWN, waits_s=0.9),
    limited("429-date-past", {"Retry-After": past()}),
    limited("429-reset", {"x-ratelimit-reset-images": "1s"}, waits_s=1.0),
    limited("429-in-words", {"x-ratelimit-reset-images": "0m0.5s"}, waits_s=0.5),
    later("429-reset-6m0s-limit", {"Retry-After": "86400"}),
    later("429-huge", {"Retry-After": "1e300"}),
    limited("429-negative", {"Retry-After": "-5"}),
    limited("429-nan", {"Retry-After": "nan"}),
    limited("429-inf", {"Retry-After": "inf"}),
    limited("429-junk", {"Retry-After": "soon, perhaps"}),
    stops(429, "insufficient_quota", C.BILLING),
    stops(400, "billing_hard_limit_reached", C.BILLING),
    stops(402, "", C.BILLING),
    stops(401, "invalid_api_key", C.AUTH),
    stops(401, "", C.AUTH),
    Row(
        "401-and-junk",
        (followed(error(401, "Bad key."), b"\n<!-- debug -->\n"),),
        C.AUTH,
        NO,
        Then.STOPS,
        "Bad key.",
        stopped_by="auth",
    ),
    stops(403, "", C.AUTH, "Country, region, or territory not supported."),
    stops(403, "project_denied", C.AUTH, "Your project has no access."),
    refused(400, "moderation_blocked"),
    refused(400, "content_policy_violation"),
    refused(400, "sensitive_words_detected"),
    refused(400, "", "Your request was rejected by the safety system."),
    refused(403, "content_filter"),
    plain("invalid-400", 400, C.INVALID, Then.FINAL),
    plain("invalid-413", 413, C.INVALID, Then.FINAL, b"<html><title>Too large</title></html>"),
    plain("invalid-422", 422, C.INVALID, Then.FINAL),
    gone(404, "model_not_found", "The model does not exist."),
    gone(403, "", "Your organization must be verified to use the model `gpt-image-2`."),
    gone(503, "", "No available channel for group default and model gpt-image-2."),
    plain("transient-409", 409, C.TRANSIENT, Then.AGAIN),
    plain("transient-425", 425, C.TRANSIENT, Then.AGAIN),
    plain("transient-500", 500, C.TRANSIENT, Then.AGAIN),
    plain("transient-503", 503, C.TRANSIENT, Then.AGAIN),
    Row("500-then-well", (error(500, "Fell over."), picture), C.TRANSIENT, NO, Then.PASSES, "Fell over."),
    limited("503-retry-after", {"Retry-After": "1"}, status=503, waits_s=1.0),
    later("503-retry-after-huge", {"Retry-After": "86400"}, status=503),
]

# Requests that never left.


def nowhere(_server: Wire, _name: str) -> str:
    """A port where nobody listens."""
    return f"http://127.0.0.1:{free_port()}/v1"


def https(server: Wire, name: str) -> str:
    """TLS to a server that speaks without."""
    return server.base_url(name, scheme="https")


def unsent(name: str, base: Callable[[Wire, str], str], words: str, *, deadline: str = "600s") -> Row:
    """Nothing reaches the server; both attempts end alike."""
    return Row(
        name,
        (),
        C.TRANSIENT,
        NO,
        Then.AGAIN,
        words,
        request_id=None,
        base=base,
        alone=True,
        posts=0,
        deadline=deadline,
    )


NOTHING_SENT = [
    unsent("connect-refused", nowhere, "(Connection refused); nothing was sent"),
    unsent("dns", lambda *_: "https://no-such-host.invalid/v1", "nothing was sent", deadline="2s"),
    unsent("tls-failure", https, "no secure connection to the provider"),
    Row(
        "ipv6-broken",
        (picture,),
        None,
        YES,
        Then.KEPT,
        base=lambda server, name: server.base_url(name, host="localhost"),
    ),
]

# Answers that were lost: nobody knows.

PNG = png("half of it")
SECOND = png("the second")
ANSWER = drawn(PNG)[0]
assert isinstance(ANSWER, bytes)
HALF = ANSWER[: len(ANSWER) // 2]
FOREIGN = ANSWER.replace(encoded(PNG).encode(), encoded(png("not yours")).encode())
HALF_BODY = HALF.partition(b"\r\n\r\n")[2]


def lost(name: str, *steps: Any, **more: Any) -> Row:  # noqa: ANN401 - a row's other fields
    """An answer that may have been made: sent again once, then held."""
    named = {"paid": MAYBE, "request_id": None, "words": "charged", **more}
    return Row(name, (steps,), C.UNKNOWN, then=Then.HELD, **named)


def begun(name: str, *steps: Any, **more: Any) -> Row:  # noqa: ANN401 - a row's other fields
    """An answer of 200 that broke off: what came is kept."""
    return lost(name, *steps, **{"paid": YES, "request_id": REQUEST_ID, "evidence": HALF_BODY, **more})


LOST = [
    *(plain(f"unknown-{status}", status, C.UNKNOWN, Then.HELD) for status in (408, 502, 504, *range(520, 525))),
    Row(
        "502-then-well",
        (said(502, b"<html><title>Bad gateway</title>"), picture),
        C.UNKNOWN,
        MAYBE,
        Then.PASSES,
        "Bad gateway",
    ),
    lost("reset-before-headers", Act.RESET),
    lost("close-before-headers", Act.CLOSE),
    lost("reset-in-headers", b"HTTP/1.1 200 OK\r\nX-Requ", Act.RESET),
    begun("reset-mid-body", HALF, Act.RESET),
    begun("short-content-length", HALF, Act.CLOSE),
    begun(
        "broken-chunk",
        # So much that the other end has read some of it, and the head, before the rest is sent.
        head(200, None, {"Transfer-Encoding": "chunked"}) + chunked(HALF_BODY, b" " * (8 << 20)),
        b"zz\r\nnot a chunk",
        Act.CLOSE,
        # aiohttp's compiled parser (3.14.5) never tells that a later chunk is broken; the deadline does.
        deadline="2s",
    ),
    begun(
        "chunks-without-end",
        head(200, None, {"Transfer-Encoding": "chunked"}) + chunked(HALF_BODY),
        Act.CLOSE,
    ),
    lost("never-answers", Act.HOLD, deadline="1s", words="no whole answer before the deadline (1 s)"),
    begun("never-goes-on", HALF, Act.HOLD, deadline="1s", words="no whole answer before the deadline (1 s)"),
    begun("slow-loris-body", HALF, Drip(b" "), deadline="1s", words="before the deadline (1 s)"),
    lost("slow-loris-headers", b"HTTP/1.1 200 OK\r\n", Drip(b"X-A: b\r\n"), deadline="1s"),
    lost("huge-header", b"HTTP/1.1 200 OK\r\nX-Junk: " + b"x" * 200_000 + b"\r\n", ANSWER[17:]),
    lost("bad-status-line", b"HTTP/1.1 two-hundred OK\r\n\r\n", Act.CLOSE),
    lost("not-http", b"SSH-2.0-OpenSSH_9.2\r\n", Act.CLOSE),
    lost("binary-junk", bytes(range(256)), Act.CLOSE),
    Row(
        "redirect-at-first",
        (said(307, b"", {"Location": "https://elsewhere.example.com/v1"}),),
        C.UNKNOWN,
        MAYBE,
        Then.STOPS,
        "https://elsewhere.example.com/v1 (not followed)",
        stopped_by="breaker",
    ),
]

# Answers that were paid for and hold no image.

JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffd9")
PHOTO = photo("one", "JPEG")
SCAN = PHOTO.index(b"\xff\xda")
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><script>alert(1)</script></svg>'


def bomb() -> bytes:
    """A PNG of 2.5 gigapixels in a few bytes, with right checksums."""
    data = png("bomb")
    chunk = b"IHDR" + struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0)
    return data[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]


def hollow(data: bytes) -> bytes:
    """A PNG whose pixels are gone, with right checksums."""
    place = data.index(b"IDAT") - 4
    return data[:place] + chunk(b"IDAT", b"") + data[-12:]


def flipped(data: bytes) -> bytes:
    """One bit of the image data turned over."""
    place = data.index(b"IDAT") + 6
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def spoiled(name: str, says: Script, *, evidence: bytes | None = b"", words: str = "no ") -> Row:
    """A paid answer without a usable image: final, and kept for a refund claim."""
    return Row(name, (says,), C.NO_IMAGE, YES, Then.FINAL, words, evidence=evidence)


def body(name: str, data: object, headers: Mapping[str, str] | None = None, status: int = 200) -> Row:
    """A body of 200 that brings no image, all of which is kept."""
    says = said(status, data, headers)
    assert isinstance(says[0], bytes)
    return spoiled(name, says, evidence=says[0].partition(b"\r\n\r\n")[2] or None)


def picked(name: str, image: bytes, words: str = "no usable image") -> Row:
    """Bytes in base64 that are no image; what came is kept as it came."""
    return spoiled(name, drawn(image), evidence=encoded(image).encode(), words=words)


def kept(
    name: str, says: Script, stored: bytes, second: bytes | None = None, evidence: bytes | None = None
) -> Row:
    """An odd answer whose image is taken."""
    return Row(name, (says,), None, YES, Then.KEPT, stored=stored, second=second, evidence=evidence)


def gzipped(length: int) -> bytes:
    """Blanks by the MiB, compressed."""
    return gzip.compress(b" " * (length << 20), compresslevel=1, mtime=0)


GZIP = {"Content-Encoding": "gzip"}
ANSWER_BODY = ANSWER.partition(b"\r\n\r\n")[2]
BARE = zlib.compress(ANSWER_BODY)[2:-4]

SPOILED = [
    *(kept(f"{status}-with-image", drawn(PNG, status=status), PNG) for status in (201, 202, 206)),
    body("202-task-id", {"task_id": "t-1", "status": "queued"}, status=202),
    body("204-nothing", b"", status=204),
    body("200-html", b"<!DOCTYPE html><html><title>Welcome</title></html>"),
    body("200-truncated-json", ANSWER.partition(b"\r\n\r\n")[2][:-20]),
    body("200-nuls", b"\x00" * 2000),
    body("200-deep", b"[" * 200_000),
    body(
        "200-wrong-charset", '{"data": "é"}'.encode("latin-1"), {"Content-Type": "application/json; charset=no"}
    ),
    body("200-empty", b""),
    body("200-data-null", {"created": 1, "data": None}),
    body("200-data-empty", {"created": 1, "data": []}),
    body("200-data-no-list", {"created": 1, "data": "soon"}),
    body("200-data-nulls", {"data": [None, 7, {"b64_json": None}, {"b64_json": ""}]}),
    body("200-error-envelope", {"error": {"message": "Upstream said no.", "code": "upstream_error"}}),
    spoiled("200-error-limit", error(200, SLOW_DOWN, "rate_limit_exceeded"), words=SLOW_DOWN),
    spoiled("bad-base64", drawn("@@@ no base64 at all @@@")),
    kept("url-safe-base64", drawn(encoded(PNG).replace("+", "-").replace("/", "_").rstrip("=")), PNG),
    kept("newlined-base64", drawn("\n".join(re.findall(".{1,40}", encoded(PNG)))), PNG),
    kept("data-url", drawn("data:image/png;base64," + encoded(PNG)), PNG),
    picked("b64-html", b"<html>an error page</html>"),
    picked("b64-svg", SVG),
    picked("b64-text", b"sorry, no image today"),
    spoiled("b64-empty", drawn(b"")),
    picked("png-truncated", PNG[:-8]),
    picked("png-without-end", PNG[:-12]),
    picked("png-wrong-crc", flipped(PNG)),
    picked("jpeg-without-image", JPEG[:-2]),
    picked("jpeg-without-scan", PHOTO[:SCAN] + b"\xff\xd9"),
    picked("png-without-pixels", hollow(PNG)),
    picked("webp-short", b"RIFF\x40\x00\x00\x00WEBPVP8 " + b"\x00" * 8),
    picked("image-bomb", bomb()),
    kept("image-and-junk", followed((ANSWER,), b"\n<!-- debug -->\n"), PNG),
    kept("image-and-another-answer", followed((ANSWER,), FOREIGN), PNG),
    kept("two-images", drawn(PNG, SECOND), PNG, SECOND),
    kept("no-base64-and-image", drawn("!!!", PNG), PNG, evidence=b"!!!"),
    kept("cut-image-and-image", drawn(SECOND[:-1], PNG), PNG, evidence=encoded(SECOND[:-1]).encode()),
    kept(
        "too-many-images",
        drawn(PNG, *[SECOND] * 6000),
        PNG,
        evidence=b", ".join([f'["{encoded(SECOND)}", ""]'.encode()] * (6001 - MOST_IMAGES)),
    ),
    spoiled("long-link", linked("https://images.example.com/?" + "a" * 9000), words="longer than 8192 bytes"),
    spoiled("endless-body", (head(200, None), Flood(b" " * (1 << 20))), words="longer than"),
    spoiled("over-the-cap", (head(200, 70 << 20), Flood(b" " * (1 << 20))), words="longer than"),
    spoiled("gzip-bomb", said(200, gzipped(65), GZIP), words="longer than"),
    body("gzip-empty-members", gzip.compress(b"", mtime=0) * 100_000, GZIP),
    *(
        kept(f"called-{name.replace(', ', '-')}", said(200, ANSWER_BODY, {"Content-Encoding": name}), PNG)
        for name in ("gzip", "utf-8", "none", "br", "identity, identity")
    ),
    kept("bare-deflate-with-image", said(200, BARE, {"Content-Encoding": "deflate"}), PNG),
    body("br", b"\x0b\x02\x80whatever", {"Content-Encoding": "br"}),
    body("gzip-that-is-none", b"\x1f\x8bwhatever", GZIP),
    spoiled(
        "gzip-damaged",
        said(200, gzip.compress(ANSWER_BODY, mtime=0)[:-60], GZIP),
        evidence=b'{"created": 1, "data": [{"b64_json": ',
    ),
    kept(
        "gzip-with-image",
        said(200, gzip.compress(ANSWER.partition(b"\r\n\r\n")[2], mtime=0), GZIP),
        PNG,
    ),
]

# Links: the image is paid for, whatever becomes of the download.

AGO = "2026-01-01T00:00:00Z"
NAME = "image.png?sig=c2lnbmF0dXJl"


def to(url: str) -> Script:
    """An answer that links anywhere."""
    return linked(url)


def here(seen: Seen) -> Script:
    """An answer that links to the provider's own host."""
    return linked(seen.url(NAME))


def hops(count: int) -> Callable[[Seen], Script]:
    """So many redirects before the image."""

    def answer(seen: Seen) -> Script:
        hop = int(seen.path.rpartition("hop")[2]) if "hop" in seen.path else 0
        if hop == count:
            return fetched()
        return said(302, b"", {"Location": seen.url(f"hop{hop + 1}")})

    return answer


def beside(**item: str) -> Callable[[Seen], Script]:
    """An answer with two items: what is given, and a link."""
    return lambda seen: brought(item, {"url": seen.url(NAME)})


def downloaded(
    name: str,
    *gets: Reply,
    tries: int,
    says: Reply = here,
    stored: bytes = LINKED,
    second: bytes | None = None,
    evidence: bytes | None = None,
) -> Row:
    """A link that works in the end; what came instead before is kept."""
    return Row(
        name,
        (says,),
        None,
        YES,
        Then.KEPT,
        gets=gets,
        downloads=tries,
        stored=stored,
        second=second,
        evidence=evidence,
    )


def dead(
    name: str, *gets: Reply, words: str = "could not be downloaded", tries: int = 1, says: Reply = here
) -> Row:
    """A link that never will."""
    return Row(name, (says,), C.DOWNLOAD, YES, Then.FINAL, words, gets=gets, downloads=tries)


def trap(name: str, url: str) -> Row:
    """A link that leads where no download may go: nothing is asked for."""
    return dead(f"url-{name}", tries=0, says=linked(url), words="because of its link")


def no_picture(name: str, *gets: Reply, evidence: bytes) -> Row:
    """A link whose bytes are no image, twice."""
    return Row(name, (here,), C.NO_IMAGE, YES, Then.FINAL, "no ", gets=gets, downloads=2, evidence=evidence)


def resumed(seen: Seen) -> Script:
    """The rest of a download that was cut, for who asks rightly; else the whole."""
    asked = re.fullmatch(r"bytes=(\d+)-", seen.headers.get("range", ""))
    if asked is None or seen.headers.get("if-range") != '"v1"':
        return fetched(headers={"ETag": '"v1"'})
    start = int(asked[1])
    headers = {"ETag": '"v1"', "Content-Range": f"bytes {start}-{len(LINKED) - 1}/{len(LINKED)}"}
    return fetched(LINKED[start:], 206, headers)


OTHER = png("another image of the same length"[: len("from a link")])
CUT = (fetched(headers={"ETag": '"v1"'})[0][:-60], Act.CLOSE)  # type: ignore[index]  # the first step is bytes


def changed(seen: Seen) -> Script:
    """The file was replaced: a rest of it would not fit."""
    if "range" in seen.headers and "if-range" not in seen.headers:
        return fetched(
            OTHER[-60:], 206, {"ETag": '"v2"', "Content-Range": f"bytes {len(OTHER) - 60}-{len(OTHER) - 1}/*"}
        )
    return fetched(OTHER, headers={"ETag": '"v2"'})


SSRF = {
    "file": "file:///etc/passwd",
    "data": "data:text/html,hello",
    "http": "http://images.example.com/1.png",
    "ftp": "ftp://images.example.com/1.png",
    "userinfo": "https://user:secret@images.example.com/1.png",
    "no-url": "images/1.png",
    "private-10": "https://10.0.0.1/1.png",
    "private-172": "https://172.16.0.1/1.png",
    "private-192": "https://192.168.0.1/1.png",
    "cgnat": "https://100.64.0.1/1.png",
    "metadata": "https://169.254.169.254/latest/meta-data/",
    "any": "https://0.0.0.0/1.png",
    "v6-mapped-metadata": "https://[::ffff:169.254.169.254]/",
    "v6-mapped-private": "https://[::ffff:10.0.0.1]/",
    "v6-nat64": "https://[64:ff9b::a9fe:a9fe]/",
    "v6-6to4": "https://[2002:a00:1::]/",
    "v6-teredo": "https://[2001:0:a00:1::]/",
    "v6-ula": "https://[fd00::1]/",
    "v6-link-local": "https://[fe80::1]/",
    "multicast": "https://224.0.0.1/1.png",
}

LINKS = [
    downloaded("url-well", fetched(), tries=1),
    downloaded("url-500-once", said(500), fetched(), tries=2),
    downloaded("url-429-once", said(429), fetched(), tries=2),
    downloaded("url-reset-once", (Act.RESET,), fetched(), tries=2),
    downloaded("url-short-once", CUT, fetched(), tries=2),
    downloaded("url-cut-resumed", CUT, resumed, tries=2),
    downloaded("url-cut-changed", CUT, changed, tries=2, stored=OTHER),
    downloaded(
        "url-html-once",
        fetched(b"<html>not yet</html>"),
        fetched(),
        tries=2,
        evidence=b"<html>not yet</html>",
    ),
    downloaded("url-gzip", fetched(gzip.compress(LINKED, mtime=0), headers=GZIP), tries=1),
    downloaded("url-called-gzip", fetched(headers=GZIP), tries=1),
    downloaded(
        "two-urls",
        fetched(),
        fetched(SECOND),
        tries=2,
        says=lambda seen: linked(seen.url(NAME), seen.url("2.png")),
        second=SECOND,
    ),
    downloaded(
        "dead-url-and-url",
        said(404),
        fetched(),
        tries=2,
        says=lambda seen: linked(seen.url(NAME), seen.url("2.png")),
    ),
    downloaded(
        "html-url-and-url",
        fetched(b"<html>no image</html>"),
        fetched(),
        tries=2,
        says=lambda seen: linked(seen.url(NAME), seen.url("2.png")),
        evidence=b"<html>no image</html>",
    ),
    downloaded(
        "image-and-url",
        fetched(SECOND),
        tries=1,
        says=beside(b64_json=encoded(PNG)),
        stored=PNG,
        second=SECOND,
    ),
    downloaded("image-and-dead-url", said(404), tries=1, says=beside(b64_json=encoded(PNG)), stored=PNG),
    downloaded("no-base64-and-url", fetched(), tries=1, says=beside(b64_json="!!!"), evidence=b"!!!"),
    downloaded(
        "null-beside-url",
        fetched(),
        tries=1,
        says=lambda seen: brought({"b64_json": "null", "url": seen.url(NAME)}),
    ),
    downloaded(
        "cut-image-beside-url",
        fetched(),
        tries=1,
        says=lambda seen: brought({"b64_json": encoded(PNG[:-1]), "url": seen.url(NAME)}),
        evidence=encoded(PNG[:-1]).encode(),
    ),
    downloaded("url-redirect-3", hops(3), tries=4),
    Row(
        "url-503-for-ever",
        (here,),
        C.TRANSIENT,
        YES,
        Then.OPEN,
        "in 5 tries (HTTP 503)",
        gets=(said(503),),
        downloads=5,
        stopped_by="later",
    ),
    dead("url-403", said(403), words="HTTP 403"),
    dead("url-404", said(404), words="HTTP 404"),
    dead("url-410", said(410), words="HTTP 410"),
    dead(
        "url-expired",
        said(403),
        words="minutes ago",
        says=lambda seen: linked(seen.url(f"image.png?se={AGO}&sig=c2ln")),
    ),
    dead("url-redirect-4", hops(4), tries=4, words="redirects more than 3 times"),
    dead(
        "url-redirect-private",
        said(302, b"", {"Location": "https://169.254.169.254/latest"}),
        words="private network",
    ),
    dead("url-redirect-http", said(302, b"", {"Location": "http://images.example.com/x"}), words="not https"),
    dead("url-redirect-file", said(302, b"", {"Location": "file:///etc/passwd"})),
    dead("url-redirect-nowhere", said(302), words="HTTP 302"),
    dead("url-endless", (head(200, None), Flood(b"x" * (1 << 20))), words="more than"),
    no_picture("url-html", fetched(b"<html>no image</html>"), evidence=b"<html>no image</html>"),
    no_picture("url-truncated", fetched(LINKED[:-8]), evidence=LINKED[:-8]),
    no_picture("url-svg", fetched(SVG), evidence=SVG),
    *(trap(name, url) for name, url in SSRF.items()),
    Row(
        "url-localhost-of-a-remote-provider",
        (lambda seen: linked(f"https://127.0.0.1:{seen.headers['host'].rpartition(':')[2]}/x.png"),),
        C.DOWNLOAD,
        YES,
        Then.FINAL,
        "private network",
        # Linux connects 0.0.0.0 to this machine, but no rule of ours calls it loopback: a provider that is elsewhere.
        base=lambda server, name: server.base_url(name, host="0.0.0.0"),
    ),
]

ROWS = [*NOTHING_MADE, *NOTHING_SENT, *LOST, *SPOILED, *LINKS]


@dataclass
class Night:
    """How a row's run went."""

    bench: Bench
    summary: dict[str, Any] = field(default_factory=dict)
    left: Left = field(default_factory=lambda: Left({}, [], ""))
    fault: str = ""

    @property
    def attempts(self) -> list[dict[str, Any]]:
        """The faulty task's, each with what the ledger says of its money."""
        money = self.bench.money()
        both = [one | paid for one, paid in zip(self.left.attempts, money, strict=True)]
        return [one for one in both if one["task_id"] == "bad--01"]


MANIFEST: dict[str, Any] = {
    "retry": {"max_attempts": 2},
    "limits": {"concurrency": 1},
}
PROMPTS = [
    {"id": "bad", "prompt": f"A {FAULTY} boat."},
    {"id": "twin", "prompt": "A boat."},
    {"id": "other", "prompt": "Another boat.", "model": "gpt-image-2.5-flare"},
]


@contextmanager
def unresolved(ending: str) -> Iterator[None]:
    """Names that no name server knows, without asking any: tests send nothing beyond this machine."""
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *values: Any, **named: Any) -> Any:  # noqa: ANN401 - as the real one
        if isinstance(host, str) and host.endswith(ending):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *values, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        yield


@pytest.fixture(scope="module")
def nights(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Night]]:
    """The runs of all rows whose tests are to run."""
    asked = {item.callspec.params.get("row") for item in request.session.items if hasattr(item, "callspec")}
    rows = [row for row in ROWS if row in asked]
    folder = tmp_path_factory.mktemp("rows")
    with wire() as server, unresolved(".invalid"):
        found = {row.name: _prepared(row, server, folder / row.name) for row in rows}
        anyio.run(_all, rows, found)
        yield found


def _prepared(row: Row, server: Wire, folder: Path) -> Night:
    line = server.line(row.name, row.says, row.gets)
    url = row.base(server, row.name) if row.base else server.base_url(row.name)
    night = Night(bench(folder, line, url, f"sk-canary-{row.name}-0123456789"))
    provider = f"base_url: {url}, deadline: {row.deadline}"
    night.bench.configure(f"providers: {{cometapi: {{{provider}}}}}")
    del night.bench.environ["COMETAPI_BASE_URL"]
    night.bench.manifest(PROMPTS[:1] if row.alone else PROMPTS, **MANIFEST)
    return night


async def _all(rows: Sequence[Row], nights: Mapping[str, Night]) -> None:
    room = anyio.CapacityLimiter(24)
    async with anyio.create_task_group() as group:
        # The longest first: their waiting then passes beside all the others.
        for row in sorted(rows, key=lambda row: (row.then is not Then.OPEN, row.deadline == "600s")):
            group.start_soon(_one, nights[row.name], room)


async def _one(night: Night, room: anyio.CapacityLimiter) -> None:
    async with room:
        try:
            with anyio.fail_after(LONGEST_S):
                night.summary = told(await night.bench.work())
                night.left = await night.bench.left()
        except Exception as error:  # noqa: BLE001 - it fails its own row's test, not the others'
            night.fault = f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_every_fault_of_the_catalogue(row: Row, nights: Mapping[str, Night]) -> None:
    """Class, money, action, other tasks, requests, evidence, id and reason are what the catalogue says."""
    night = nights[row.name]
    assert "" == night.fault
    _check_requests(row, night)
    _check_attempts(row, night)
    _check_tasks(row, night)
    _check_money(row, night)
    _check_files(row, night)
    _check_advice(row, night)


def _check_requests(row: Row, night: Night) -> None:
    line = night.bench.line
    assert (row.attempts if row.posts is None else row.posts) == len(line.faulty)
    assert row.downloads == len(line.downloads)
    ids = [seen.headers["x-client-request-id"] for seen in line.orders]
    assert len(ids) == len(set(ids))
    for seen in line.downloads:
        assert not {"authorization", "cookie", "idempotency-key"} & set(seen.headers)
    keys = [seen.headers["idempotency-key"] for seen in line.faulty]
    assert (1 if row.kind is C.UNKNOWN or len(keys) < 2 else len(keys)) == len(set(keys)) or not keys
    if row.waits_s:
        first, *others = line.orders
        assert all(
            seen.at - first.at >= row.waits_s
            for seen in others
            if FAULTY in seen.prompt or seen.prompt == "A boat."
        )


def _check_attempts(row: Row, night: Night) -> None:
    attempts = night.attempts
    assert row.attempts == len(attempts)
    failed = attempts[:-1] if row.then is Then.PASSES else [] if row.kind is None else attempts
    assert [row.kind] * len(failed) == [one["class"] for one in failed]
    for one in failed:
        reason = one["reason"]
        assert row.words in reason
        assert reason.isprintable()
        assert 10 < len(reason) <= 300
        assert night.bench.till.key not in reason
        assert row.request_id == one["request_id"]
    assert [number > 0 and row.kind is C.UNKNOWN for number in range(len(attempts))] == [
        one["possible_duplicate"] for one in attempts
    ]


def _check_tasks(row: Row, night: Night) -> None:
    tasks, summary = night.left.tasks, night.summary
    assert row.states == tuple(
        tasks[name]["state"] for name in ("bad--01", "twin--01", "other--01") if name in tasks
    )
    assert (row.exit, row.stopped_by) == (summary["exit"], summary["stopped_by"])
    if row.then is Then.GONE:
        assert (0, "model") == (tasks["twin--01"]["attempts"], tasks["twin--01"]["class"])
    if row.then is Then.STOPS:
        assert 1 == len(night.bench.line.orders)
    if row.then is Then.LATER:
        assert 0 == tasks["twin--01"]["attempts"]
        assert tasks["bad--01"]["not_before"] > datetime.now(UTC).isoformat()
    if row.stored is not None:
        assert row.stored == night.bench.images()["bad--01"]
    if row.second is not None:
        assert [row.second] == night.bench.superseded()


def _check_money(row: Row, night: Night) -> None:
    money, mine = night.bench.money(), night.attempts
    failed = mine[:-1] if row.then is Then.PASSES else [] if row.kind is None else mine
    assert [row.paid.value] * len(failed) == [one["paid"] for one in failed]
    assert [0.0 if row.paid is NO else one["reserved_usd"] for one in failed] == [
        one["cost_usd"] for one in failed
    ]
    total = round(sum(one["cost_usd"] for one in money), 6)
    assert (total, total) == (night.summary["cost_usd"], night.summary["job_cost_usd"])
    twice = sum(one["cost_usd"] for one in money if one["possible_duplicate"])
    assert round(twice, 6) == night.summary["maybe_paid_twice_usd"]


def _check_files(row: Row, night: Night) -> None:
    if row.evidence is not None:
        assert any(row.evidence in data for data in night.bench.evidence())
    elif row.paid is not YES or row.kind is None:
        assert [] == night.bench.evidence()
    parts = sorted(path.suffix for path in (night.bench.job / "state").glob("*.*"))
    assert parts in ([], [".json", ".part"] if row.then is Then.OPEN else [])


def _check_advice(row: Row, night: Night) -> None:
    """Failed and held tasks are shown with what each reader can do; what waits is shown with its reason."""
    if row.then in (Then.PASSES, Then.KEPT):
        return
    page = html.unescape((night.bench.job / "index.html").read_text())
    shown = " ".join(night.left.failed.split())
    assert row.kind is not None
    reason = night.attempts[-1]["reason"]
    assert reason in page
    assert " ".join(reason.split()) in shown
    if "failed" in row.states or "held" in row.states:
        for sentence in (ADVICE[row.kind].writer, ADVICE[row.kind].operator):
            assert sentence in page
            assert sentence in shown


def test_every_class_has_its_advice() -> None:
    """A title and two sentences for each class; no two classes tell the operator the same."""
    assert set(FailureClass) == set(ADVICE)
    assert all(advice.title and advice.writer and advice.operator for advice in ADVICE.values())
    assert len(ADVICE) == len({advice.title for advice in ADVICE.values()})
    assert len(ADVICE) == len({advice.operator for advice in ADVICE.values()})


def test_an_open_link_is_fetched_by_the_next_run_for_free(tmp_path: Path) -> None:
    """A run that is killed while it downloads leaves a paid link; the next one fetches it first and orders nothing."""
    with wire() as server:
        line = server.line("open", (here,), ((Act.HOLD, *fetched()),))
        job = bench(tmp_path, line, server.base_url("open"), "sk-canary-open-0123456789")
        job.manifest(PROMPTS[:1], **MANIFEST)
        with ended(job.start("run", "job.yaml")) as running:
            until(lambda: len(line.downloads) > 0, running)
            running.signal(signal.SIGKILL)
            assert -signal.SIGKILL == running.done().code
        assert "received" == job.tasks()["bad--01"]["state"]
        line.released.set()

        summary = job.work_alone()

        assert (0, 1, 1) == (summary["exit"], summary["stored"], len(line.orders))
        assert {"bad--01": LINKED} == job.images()
        assert 2 == len(line.downloads)


def test_a_redirect_after_an_answer_is_only_lost(tmp_path: Path) -> None:
    """Once the base URL has answered rightly, a redirect is one lost answer: sent again once, then held."""
    with wire() as server:
        line = server.line("late", (said(302, b"", {"Location": "https://elsewhere.example.com/"}),))
        job = bench(tmp_path, line, server.base_url("late"), "sk-canary-late-0123456789")
        job.manifest([PROMPTS[1], PROMPTS[0]], **MANIFEST)

        summary = job.work_alone()

        assert (1, 1, 1, None) == (summary["exit"], summary["stored"], summary["held"], summary["stopped_by"])
        assert 2 == len(line.faulty)


def test_a_shape_that_is_never_valid_fails_unsent(tmp_path: Path) -> None:
    """After three `invalid` answers and no success the shape's other tasks fail without a request; other shapes go on."""
    with wire() as server:
        line = server.line("shape", (error(400, "Invalid size."),))
        job = bench(tmp_path, line, server.base_url("shape"), "sk-canary-shape-0123456789")
        prompts: list[dict[str, object]] = [
            {"id": "bad", "prompt": f"A {FAULTY} boat.", "images": 8},
            {"id": "good", "prompt": "A boat.", "images": 2, "request": {"quality": "medium"}},
        ]
        job.manifest(prompts, **MANIFEST)

        summary = job.work_alone()

        assert (3, 2) == (len(line.faulty), len(line.orders) - len(line.faulty))
        assert (1, 8, 2) == (summary["exit"], summary["failed"], summary["stored"])
        failed = [task for task in job.tasks().values() if task["state"] == "failed"]
        assert {"invalid"} == {task["class"] for task in failed}
        assert [0] * 5 + [1] * 3 == sorted(task["attempts"] for task in failed)
        assert all(task["reason"] for task in failed)


def test_resends_stay_under_a_tenth(tmp_path: Path) -> None:
    """Beyond a tenth of the requests and ten, resends of what may pass stop the job with `breaker`; tasks stay pending."""
    asked: Counter[str] = Counter()

    def once(seen: Seen) -> Script:
        asked[seen.prompt] += 1
        return error(500, "Fell over.") if asked[seen.prompt] == 1 else picture(seen)

    with wire() as server:
        line = server.line("cap", (once,))
        job = bench(tmp_path, line, server.base_url("cap"), "sk-canary-cap-0123456789")
        # One in four fails, once, one at a time: less than what the breaker pauses for.
        prompts = [
            {"id": f"task-{number}", "prompt": f"A {FAULTY if number % 4 == 0 else 'fine'} boat {number}."}
            for number in range(1, 121)
        ]
        job.manifest(prompts, limits={"concurrency": 1})

        summary = job.work_alone()

        resends = len(line.orders) - len({seen.prompt for seen in line.orders})
        assert resends <= 0.1 * len(line.orders) + 10
        assert (3, "breaker", 0) == (summary["exit"], summary["stopped_by"], summary["failed"])
        assert summary["pending"] >= 30 - resends > 0


def test_five_in_a_row_open_the_breaker(tmp_path: Path) -> None:
    """After five transient failures in a row nothing more is sent for a while; the pause is told."""
    with wire() as server:
        line = server.line("row", (error(500, "Fell over."),))
        job = bench(tmp_path, line, server.base_url("row"), "sk-canary-row-0123456789")
        job.manifest([{"id": "bad", "prompt": f"A {FAULTY} boat.", "images": 12}], limits={"concurrency": 1})
        stop = Stop()

        def watch(event: Event) -> None:
            if isinstance(event, Paused):
                stop.ask(StopReason.SIGNAL, "seen enough")

        summary = job.work_alone(notify=watch, stop=stop)

        assert 5 == len(line.orders)
        assert (3, "signal", 12) == (summary["exit"], summary["stopped_by"], summary["pending"])


def test_a_wrong_certificate_stops_the_job_at_once(tmp_path: Path) -> None:
    """The key is not shown to a server that nobody vouches for: no request, no second try."""
    with wire(untrusted=True) as server:
        line = server.line("tls")
        job = bench(tmp_path, line, server.base_url("tls", scheme="https"), "sk-canary-tls-0123456789")
        job.manifest(PROMPTS, **MANIFEST)

        summary = job.work_alone()

        assert (3, "auth", 3, 1) == (
            summary["exit"],
            summary["stopped_by"],
            summary["pending"],
            summary["attempts"],
        )
        assert [] == line.seen
        assert "certificate" in job.attempts()[0]["reason"]
        assert [("no", 0.0)] == [(one["paid"], one["cost_usd"]) for one in job.money()]


def test_a_proxy_of_the_environment_is_used_only_where_it_is_trusted(tmp_path: Path) -> None:
    """Without `trust_env` no proxy sees a request. With it a refused CONNECT is `transient`, and the proxy's host is told."""
    with wire() as server:
        together(
            [lambda: _ignored(server, tmp_path / "ignored"), lambda: _trusted(server, tmp_path / "trusted")]
        )


def _ignored(server: Wire, folder: Path) -> None:
    job = bench(folder, server.line("ignored"), server.base_url("ignored"), "sk-canary-ignored-0123456789")
    job.environ |= dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), f"http://127.0.0.1:{free_port()}")
    job.manifest(PROMPTS, **MANIFEST)

    assert 3 == job.run()["stored"]


def _trusted(server: Wire, folder: Path) -> None:
    job = bench(
        folder, server.line("trusted"), "https://images.example.invalid/v1", "sk-canary-trusted-0123456789"
    )
    job.environ |= {"HTTPS_PROXY": f"http://127.0.0.1:{server.port}"}
    job.configure("providers: {cometapi: {trust_env: true}}")
    job.manifest(PROMPTS[:1], **MANIFEST)

    done = job.do("run", "job.yaml", "--json")

    assert (1, 1, 2) == (done.code, done.last["failed"], done.last["attempts"])
    assert ["images.example.invalid:443"] * 2 == [seen.path for seen in server.tunnels]
    assert all("authorization" not in seen.headers for seen in server.tunnels)
    assert [("transient", True)] * 2 == [
        (one["class"], "the proxy did not let the request through" in one["reason"]) for one in job.attempts()
    ]
    assert [("no", 0.0)] * 2 == [(one["paid"], one["cost_usd"]) for one in job.money()]
    assert f"127.0.0.1:{server.port}" in done.err
