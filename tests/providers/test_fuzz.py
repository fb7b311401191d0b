"""Two thousand malformed answers through client, engine and store: each has a name, and what was paid is on the disk."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import random
import re
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image

from batchgen.core.plain import REASON_LIMIT
from batchgen.core.types import Failure, FailureClass, Link, Paid, Stored
from batchgen.core.values import replace
from batchgen.engines.local import LocalEngine
from batchgen.providers.downloads import DownloadPolicy
from batchgen.providers.http import open_provider
from tests.ledgers.samples import attempt, task
from tests.providers.servers import KEY, endpoint_of
from tests.spec.witness import WITNESS
from tests.stores.images import picture, store_in

SEED = 20261123
CASES = 2400
AT_ONCE = 16
KINDS = ("PNG", "JPEG", "WEBP", "GIF")
IMAGES = {kind: picture("fuzz", kind) for kind in KINDS}


@dataclass(frozen=True)
class Case:
    """One answer: its bytes on the wire, whether the connection ends after them, what the link it names brings."""

    wire: bytes
    closes: bool = False
    image: bytes = b""
    linked: bytes = b""


def answered(body: bytes, head: bytes = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n") -> bytes:
    """A well-framed answer."""
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def document(image: bytes) -> bytes:
    """The JSON of an answer that brings an image."""
    return json.dumps({"created": 1, "data": [{"b64_json": base64.b64encode(image).decode()}]}).encode()


def flipped(rng: random.Random, data: bytes) -> bytes:
    """Bytes changed, cut out, doubled, cut off or added."""
    mutated = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(mutated) + 1)
        match rng.randrange(6):
            case 0 | 1 if at < len(mutated):
                mutated[at] ^= 1 << rng.randrange(8)
            case 2:
                del mutated[at:]
            case 3:
                mutated[at:at] = rng.randbytes(rng.randrange(1, 40))
            case 4:
                del mutated[at : at + rng.randrange(1, 9)]
            case _:
                mutated += rng.randbytes(rng.randrange(1, 40))
    return bytes(mutated)


def at_image_level(rng: random.Random, _number: int) -> Case:
    """Damaged bytes of an image in a sound answer."""
    image = flipped(rng, IMAGES[rng.choice(KINDS)])
    return Case(answered(document(image)), image=image)


def at_base64_level(rng: random.Random, _number: int) -> Case:
    """Base64 that is cut, padded wrongly, in other alphabets, with blanks, with the key in it."""
    text = base64.b64encode(IMAGES["PNG"]).decode()
    at = rng.randrange(len(text))
    odd = rng.choice(
        ("=", "==", "\n", "\r\n ", "\x00", "-_", "*", "é", "\ud800", KEY, "data:image/png;base64,", "%3D")
    )
    text = rng.choice((text[:at] + odd + text[at:], text[:at], odd + text, text + odd, text[at:], odd))
    return Case(answered(json.dumps({"data": [{"b64_json": text}]}).encode()))


ODD: tuple[object, ...] = (
    None, True, 0, -1, 1e308, 10**400, 1.5, [], {}, "", "\x00", "\ud800", "\u202e", KEY, "x" * 5000, "https://[x",
)  # fmt: skip
NAMES = ("data", "b64_json", "url", "error", "message", "code", "type", "usage", "created", KEY, "")


def junk_value(rng: random.Random, depth: int = 3) -> object:
    """Any JSON value, odd ones more often."""
    if depth == 0 or rng.random() < 0.6:
        return rng.choice(ODD)
    inner = [junk_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return inner if rng.random() < 0.5 else {rng.choice(NAMES): value for value in inner}


def at_json_level(rng: random.Random, _number: int) -> Case:
    """Wrong types, missing and doubled names, nesting, numbers that nobody can hold, bytes that are no JSON."""
    sound = document(IMAGES["PNG"])
    match rng.randrange(7):
        case 0:
            body = json.dumps(
                {"data": junk_value(rng), "error": junk_value(rng), "usage": junk_value(rng)}
            ).encode()
        case 1:
            body = json.dumps(
                {"data": [junk_value(rng), {"b64_json": junk_value(rng), "url": junk_value(rng)}]}
            ).encode()
        case 2:
            body = flipped(rng, sound)
        case 3:
            body = rng.choice((b"[", b'{"data":', b'{"data":[{"b64_json":')) * rng.choice((3, 1000, 100_000))
        case 4:
            body = sound[:-1] + b', "data": %s}' % json.dumps(junk_value(rng)).encode()
        case 5:
            body = sound.decode().encode(rng.choice(("utf-16", "utf-32", "utf-8-sig", "utf-16-be")))
        case _:
            body = b'{"created": %s, "data": null}' % rng.choice((b"1" * 5000, b"1e999", b"NaN", b"-", b"0x1"))
    status = rng.choice(
        (200, 200, 200, 201, 202, 206, 400, 401, 403, 404, 408, 409, 429, 500, 502, 503, 524, 299, 777)
    )
    return Case(answered(body, b"HTTP/1.1 %d Odd\r\n" % status))


LINES = (
    b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/9.9 200 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1 abc", b"HTTP/1.1",
    b"ICY 200 OK", b"", b"HTTP/1.1 200 " + KEY.encode(), b"HTTP/1.1 099 x", b"HTTP/1.1 204 None", b"\x16\x03\x01",
)  # fmt: skip
HEADERS = (
    b"A: b", b"X: " + b"y" * 70_000, b"X-Request-Id: " + KEY.encode(), b": empty", b"no colon", b"X\x00: y", b" folded: x",
    b"Retry-After: nan", b"Content-Encoding: gzip", b"Content-Encoding: br", b"Content-Type: \xff\xfe", b"Set-Cookie: a=b",
    b"Location: https://x.example.com/?" + KEY.encode(), b"X-Request-Id: \xe2\x80\x8b\x1b[31m", b"Connection: upgrade",
)  # fmt: skip
FRAMINGS = (
    b"Content-Length: %d", b"Content-Length: 9%d", b"Content-Length: 5", b"Content-Length: -1", b"Content-Length: 1e3",
    b"Q: 1", b"Content-Length: 5\r\nContent-Length: 6", b"Content-Length: " + b"9" * 30, b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 4", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: x",
)  # fmt: skip
LAST_CHUNKS = (b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"", b"zz\r\n", b"-1\r\n", b"f" * 20, b"0\r\n")


def at_http_level(rng: random.Random, _number: int) -> Case:
    """Status lines, headers, lengths and chunks that are not as they should be; the connection ends after them."""
    body = document(IMAGES["PNG"])
    odd = rng.randrange(4)  # mostly one thing at a time, so that the later ones are reached
    line = rng.choice(LINES) if odd in {0, 3} else LINES[0]
    header = rng.choice(HEADERS) if odd in {1, 3} else HEADERS[0]
    framing = rng.choice(FRAMINGS) if odd in {2, 3} else FRAMINGS[0]
    if b"chunked" in framing:
        body = b"%x\r\n%b\r\n" % (len(body), body) + rng.choice(LAST_CHUNKS)
    wire = b"\r\n".join((line, header, framing % len(body) if b"%d" in framing else framing, b"", body))
    return Case(flipped(rng, wire) if rng.random() < 0.4 else wire, closes=True)


PLACES = (b"http://127.0.0.1:PORT/%d",) * 3 + (b"https://10.0.0.1/%d", b"file:///%d", b"//PORT/%d")


def at_link_level(rng: random.Random, number: int) -> Case:
    """A link to a damaged image, to an odd answer, or to where no link may lead."""
    image = flipped(rng, IMAGES[rng.choice(KINDS)])
    status = rng.choice((301, 403, 404, 410, 500, 503, 299))
    elsewhere = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n"
    linked = rng.choice(
        (
            answered(image),
            answered(image)[:-3],
            answered(b""),
            answered(b"<html>"),
            answered(image, elsewhere),
            answered(b"", b"HTTP/1.1 %d Odd\r\n" % status),
        )
    )
    wire = b'{"data": [{"url": "%b"}]}' % (rng.choice(PLACES) % number)
    return Case(wire, closes=len(linked) == len(answered(image)) - 3, image=image, linked=linked)


LEVELS: tuple[Callable[[random.Random, int], Case], ...] = (
    at_image_level, at_base64_level, at_json_level, at_http_level, at_link_level,
)  # fmt: skip


def case_of(number: int) -> Case:
    """A case is its number's alone, so that one that fails can be looked at by itself."""
    rng = random.Random(f"{SEED}-{number}")
    return LEVELS[number % len(LEVELS)](rng, number)


@dataclass
class Malformed:
    """The server of the cases, over connections that stay open where the case allows it."""

    port: int = 0
    bought: dict[int, int] = field(default_factory=dict)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests by their attempt's id, downloads by their path."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(_number(rb"content-length: (\d+)", head))
                WITNESS.saw_raw_request(head + body)
                link = _number(rb"GET /(\d+)", head)
                number = link or _number(rb"x-client-request-id: (\d+)", head)
                case = case_of(number)
                if link:
                    wire = case.linked
                else:
                    self.bought[number] = self.bought.get(number, 0) + 1
                    linked = answered(case.wire.replace(b"PORT", b"%d" % self.port))
                    wire = linked if case.linked else case.wire
                writer.write(wire)
                await writer.drain()
                if case.closes and (link or not case.linked):
                    return
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def _number(pattern: bytes, head: bytes) -> int:
    found = re.search(pattern, head, re.IGNORECASE)
    return int(found[1]) if found else 0


@asynccontextmanager
async def fuzzed(folder: Path) -> AsyncIterator[tuple[LocalEngine, Malformed]]:
    """The engine over the server of the cases."""
    malformed = Malformed()
    server = await asyncio.start_server(malformed.handle, "127.0.0.1", 0)
    malformed.port = server.sockets[0].getsockname()[1]
    once = DownloadPolicy(tries=2, delay_s=lambda _tried: 0.0)
    base_url = f"http://127.0.0.1:{malformed.port}/v1"
    async with (
        server,
        store_in(folder) as store,
        open_provider(endpoint_of(base_url, deadline_s=20.0), concurrency=AT_ONCE, downloads=once) as provider,
    ):
        yield LocalEngine(provider, store), malformed


async def perform(engine: LocalEngine, number: int) -> Stored | Failure:
    """One case to its end."""
    mine = replace(attempt(task(f"t{number}--01", prompt=str(number))), attempt_id=str(number))
    await engine.reserve(mine)
    outcome = await engine.perform(mine)
    return await engine.fetch(mine, outcome) if isinstance(outcome, Link) else outcome


def check(number: int, outcome: Stored | Failure, folder: Path) -> None:
    """What holds for every case."""
    case = case_of(number)
    quarantine = folder / "state/quarantine" / f"{number}.bin"
    if isinstance(outcome, Stored):
        data = (folder / outcome.image.file).read_bytes()
        assert outcome.image.size_bytes == len(data) > 0
        assert data == case.image or not case.image
        if outcome.image.media.media_type == "image/png":
            with Image.open(io.BytesIO(data)) as image:
                image.load()
                assert (outcome.image.media.width, outcome.image.media.height) == image.size
        return
    assert outcome.failure_class in set(FailureClass) - {FailureClass.STORAGE}
    assert outcome.reason.isprintable()
    assert 0 < len(outcome.reason) <= REASON_LIMIT
    assert KEY not in outcome.reason
    if outcome.failure_class is FailureClass.NO_IMAGE:
        assert Paid.YES is outcome.paid
        # Of a connection that broke, or an empty body, there may be nothing to keep.
        assert quarantine.exists() or case.closes or case.wire.endswith(b"\r\n\r\n")
    if quarantine.exists():
        assert KEY.encode() not in quarantine.read_bytes()


@pytest.mark.anyio
@pytest.mark.timeout(180)  # ten seconds on a machine that has nothing else to do
async def test_every_malformed_answer_has_a_name_and_leaves_its_evidence(tmp_path: Path) -> None:
    """Stored or a failure of a known class with a plain reason, one request each, nothing raised, nothing lost."""
    folder = tmp_path / "spring"
    loose: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: loose.append(str(context)))
    numbers = iter(range(1, CASES + 1))
    outcomes: dict[int, Stored | Failure] = {}

    async def worker(engine: LocalEngine) -> None:
        for number in numbers:
            try:
                outcomes[number] = await perform(engine, number)
                check(number, outcomes[number], folder)
            except Exception as error:
                raise AssertionError(f"case {number}: {case_of(number)!r:.2000}") from error

    async with fuzzed(folder) as (engine, malformed):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            await asyncio.gather(*(worker(engine) for _ in range(AT_ONCE)))

    assert [] == loose
    assert set(range(1, CASES + 1)) == set(outcomes) == set(malformed.bought)
    assert {1} == set(malformed.bought.values())
    kinds = {outcome.failure_class for outcome in outcomes.values() if isinstance(outcome, Failure)}
    assert {FailureClass.NO_IMAGE, FailureClass.UNKNOWN, FailureClass.DOWNLOAD, FailureClass.TRANSIENT} <= kinds
    assert 100 < sum(isinstance(outcome, Stored) for outcome in outcomes.values()) < CASES
