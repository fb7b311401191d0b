"""A key that the provider throws back in every way there is turns up nowhere; nor does a signed link, once it is closed."""

from __future__ import annotations

import base64
import json
import sqlite3
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.faults.bench import Bench, bench
from tests.faults.wire import (
    FAULTY,
    Act,
    Line,
    Script,
    Seen,
    Wire,
    chunked,
    drawn,
    error,
    fetched,
    head,
    linked,
    picture,
    said,
    wire,
)
from tests.support.cli import ended, together, until
from tests.support.png import png

Echo = Callable[[str, Seen], Script]
"""The key and the request -> an answer that holds it."""

KEYS = {
    "plain": "sk-canary-0123456789abcdefghijkl",
    "escaped": 'canary"\\/+&%<>=?#0123456789abcdef',
}
"""One that looks like a key, and one of letters that JSON, URLs, HTML and reports write in another way."""


def split(key: str, by: str) -> str:
    """The key with something invisible between its letters."""
    return by.join(key)


def wrapped(data: bytes) -> list[str]:
    """Base64 in short lines."""
    text = base64.b64encode(data).decode()
    return [text[at : at + 20] for at in range(0, len(text), 20)]


def b64(key: str) -> str:
    """The key in base64, as a gateway logs a header."""
    return base64.b64encode(key.encode()).decode()


ECHOES: dict[str, Echo] = {
    "message": lambda key, _: error(400, f"You sent {key}, which is odd."),
    "code": lambda key, _: error(400, "Wrong.", key),
    "param": lambda key, _: error(400, "Wrong.", param=key, type=key),
    "message-header": lambda key, _: error(400, f"Authorization: Bearer {key} was sent"),
    "error-text": lambda key, _: said(500, {"error": f"no account for {key}"}),
    "error-nested": lambda key, _: said(500, {"error": {"message": {key: [key]}}}),
    "detail": lambda key, _: said(422, {"detail": [{"loc": ["header"], "input": f"Bearer {key}"}]}),
    "body-plain": lambda key, _: said(500, f"upstream refused {key}".encode()),
    "body-html": lambda key, _: said(502, f"<html><title>{key}</title>{key}</html>".encode()),
    "body-unicode-escaped": lambda key, _: said(
        500, ('{"error": {"message": "no ' + "".join(f"\\u{ord(char):04x}" for char in key) + '"}}').encode()
    ),
    "body-cut-at-the-excerpt": lambda key, _: said(500, b" " * (2000 - len(key) + 4) + key.encode()),
    "body-cut-at-the-cap": lambda key, _: said(500, b"x" + b" " * (65_536 - len(key)) + key.encode()),
    "message-cut-at-the-limit": lambda key, _: error(500, "x" * 265 + " " + key),
    "message-cut-far-out": lambda key, _: error(500, "x" + " " * (6000 - len(key)) + key),
    "zero-width": lambda key, _: error(400, "Bad key " + split(key, "\u200b")),
    "soft-hyphen": lambda key, _: error(400, "Bad key " + split(key, "\u00ad")),
    "escape-codes": lambda key, _: error(400, "Bad key " + split(key, "\x1b[0m")),
    "base64": lambda key, _: error(400, f"Bad header {b64(key)}"),
    "base64-of-the-header": lambda key, _: error(400, f"Bad header {b64('Bearer ' + key)}"),
    "percent": lambda key, _: error(400, f"Bad call to /v1?key={quote(key, safe='')}"),
    "json-in-json": lambda key, _: error(400, json.dumps({"headers": {"Authorization": f"Bearer {key}"}})),
    "request-id": lambda key, _: error(500, "Wrong.", headers={"X-Request-Id": key}),
    "retry-after": lambda key, _: error(429, "Wrong.", headers={"Retry-After": key}),
    "any-header": lambda key, _: error(500, "Wrong.", headers={"X-Debug": key, "Set-Cookie": f"k={key}"}),
    "location": lambda key, _: said(307, b"", {"Location": f"https://x.example.com/{key}/v1?key={key}"}),
    "status-line": lambda key, _: (f"HTTP/1.1 500 {key}\r\nContent-Length: 0\r\n\r\n".encode(),),
    "no-version": lambda key, _: (f"HTTP/9 {key} no\r\n\r\n".encode(), Act.CLOSE),
    "not-http": lambda key, _: (f"{key} is not welcome\r\n".encode(), Act.CLOSE),
    "bad-header": lambda key, _: (f"HTTP/1.1 200 OK\r\n{key} \x01\r\n\r\n".encode(), Act.CLOSE),
    "bad-chunk": lambda key, _: (
        head(200, None, {"Transfer-Encoding": "chunked"}) + chunked(b"{}") + f"{key}\r\n".encode(),
        Act.CLOSE,
    ),
    "half-body": lambda key, _: (head(200, 1000) + f'{{"note": "{key}"'.encode(), Act.CLOSE),
    "paid-html": lambda key, _: said(200, f"<html>{key}</html>".encode()),
    "paid-json": lambda key, _: said(200, {"data": [], "headers": {"authorization": f"Bearer {key}"}}),
    "paid-base64": lambda key, _: said(200, {"data": [], "seen": b64(key)}),
    "paid-zero-width": lambda key, _: said(200, {"data": [], "seen": split(key, "\u200b")}),
    "paid-utf-16": lambda key, _: said(200, f'{{"data": [], "seen": "{key}"}}'.encode("utf-16")),
    "paid-error": lambda key, _: said(200, {"error": {"message": f"no {key}", "code": "upstream"}}),
    "not-base64": lambda key, _: drawn(f"Bearer {key}"),
    "image": lambda key, _: drawn(png(f"for {key}")),
    "image-in-lines": lambda key, _: drawn("\n".join(wrapped(png(f"for {key}")))),
    "text-in-base64": lambda key, _: drawn(f"key={key}".encode()),
    "revised-prompt": lambda key, _: said(
        200, {"data": [{"b64_json": b64_png("r"), "revised_prompt": f"A boat for {key}."}]}
    ),
    "extra-fields": lambda key, _: drawn(png("e"), debug={"auth": key, key: 1}, id=key),
    "image-request-id": lambda key, _: said(200, {"data": [{"b64_json": b64_png("i")}]}, {"X-Request-Id": key}),
    "usage": lambda key, _: drawn(png("u"), usage={"output_tokens": key, key: key}),
    "link-image": lambda _, seen: linked(seen.url("image.png")),
    "link-query": lambda key, seen: linked(seen.url(f"good.png?token={quote(key, safe='')}")),
    "link-filename": lambda key, seen: linked(seen.url(f"good-{quote(key, safe='')}.png")),
    "link-dead": lambda key, seen: linked(seen.url(f"dead-{quote(key, safe='')}.png")),
    "link-refused": lambda key, _: linked(f"ftp://{quote(key, safe='')}.example.com/{key}"),
    "link-user": lambda key, _: linked(f"https://{quote(key, safe='')}@images.example.com/"),
    "link-redirect": lambda key, seen: linked(seen.url(f"away.png?{quote(key, safe='')}")),
    "link-html": lambda key, seen: linked(seen.url(f"html.png?{quote(key, safe='')}")),
}

STOPPING: dict[str, Echo] = {
    "auth": lambda key, _: error(401, f"Incorrect API key provided: {key}.", "invalid_api_key"),
    "billing": lambda key, _: error(429, f"No quota for {split(key, chr(0x200B))}.", "insufficient_quota"),
}


def b64_png(words: str) -> str:
    """An image."""
    return base64.b64encode(png(words)).decode()


def answer(echoes: Mapping[str, Echo], seen: Seen) -> Script:
    """The echo that the prompt names."""
    return echoes[seen.prompt.split()[1]](seen.key, seen)


def download(seen: Seen, key: str) -> Script:
    """What a link brings, by its name."""
    if "/good" in seen.path:
        return fetched()
    if "/away" in seen.path:
        return said(302, b"", {"Location": f"https://10.0.0.1/{quote(key, safe='')}?k={quote(key, safe='')}"})
    if "/image" in seen.path:
        return fetched(png("with the key") + key.encode())  # behind an image's end, where no reader looks
    if "/html" in seen.path:
        return fetched(f"<html>{key}</html>".encode())
    return said(404, f"no {key}".encode())


def forms(key: str) -> Iterator[bytes]:
    """What a thief could use: the key, its spellings, and pieces of 16 bytes of it."""
    spellings = {key, json.dumps(key)[1:-1], quote(key, safe=""), b64(key), b64("Bearer " + key)}
    spellings |= {"".join(f"\\u{ord(char):04x}" for char in key), split(key, "\u200b")}
    for spelling in sorted(spellings):
        yield spelling.encode()
    yield key.encode("utf-16-le")
    for before in range(3):  # base64 that decodes to it, wherever it begins
        yield base64.b64encode(b" " * before + key.encode())[4 if before else 0 : -4]
    # Half a key is half a lock: what a cut left of it counts too.
    yield from (key[start : start + 16].encode() for start in range(10, len(key) - 15))


def told_in(data: bytes, key: str) -> list[bytes]:
    """Where data holds the key in any form: what stands around the first place."""
    for form in forms(key):
        if form in data:
            place = data.index(form)
            return [data[max(0, place - 60) : place + 40]]
    return []


def found(folder: Path, key: str) -> list[str]:
    """Files that hold any form of the key."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    hits = {path: told_in(path.read_bytes(), key) for path in files}
    return [f"{path.relative_to(folder)}: {hit!r}" for path, hit in hits.items() if hit]


@pytest.fixture(scope="module")
def server() -> Iterator[Wire]:
    """One server for the module."""
    with wire() as running:
        yield running


def opened(server: Wire, folder: Path, name: str, key: str, echoes: Mapping[str, Echo]) -> Bench:
    """A job with a prompt for each echo."""
    line = server.line(name, (partial(answer, echoes),), (lambda seen: download(seen, key),))
    job = bench(folder, line, server.base_url(name), key)
    # Between two echoes come ordinary images, or the breaker would take the provider for dead.
    prompts = [
        prompt
        for echo in echoes
        for prompt in (
            {"id": echo, "prompt": f"{FAULTY} {echo} boat"},
            {"id": f"{echo}-calm", "prompt": f"A {echo} boat", "images": 5},
        )
    ]
    job.manifest(prompts, retry={"max_attempts": 1, "on_unknown": "hold"}, limits={"concurrency": 5})
    return job


@dataclass(frozen=True)
class Night:
    """A finished job of all echoes, and everything that commands said of it."""

    job: Bench
    spoken: bytes

    def of(self, echo: str) -> Iterator[tuple[str, bytes]]:
        """What is there of one echo: its rows, its files, and its lines in files and words that all share."""
        task = f"{echo}--01"
        with closing(sqlite3.connect(f"file:{self.job.job / 'ledger.sqlite'}?mode=ro", uri=True)) as ledger:
            for table in ("tasks", "attempts"):
                rows = ledger.execute(f"SELECT * FROM {table} WHERE task_id = ?", (task,)).fetchall()
                yield f"ledger, {table}", "\0".join(map(str, rows[0])).encode()
            ids = {
                row[0] for row in ledger.execute("SELECT attempt_id FROM attempts WHERE task_id = ?", (task,))
            }
        for path in sorted(path for path in self.job.job.rglob("*") if path.is_file()):
            data = path.read_bytes()
            if path.suffix in (".jsonl", ".csv"):
                yield path.name, b"\n".join(line for line in data.splitlines() if task.encode() in line)
            elif path.stem in {*ids, task}:
                yield f"{path.parent.name}/{path.name}", data
        yield "commands", b"\n".join(line for line in self.spoken.splitlines() if task.encode() in line)


@pytest.fixture(scope="module", params=KEYS)
def night(
    request: pytest.FixtureRequest, server: Wire, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Night]:
    """All echoes of one key, through the real command."""
    key = KEYS[request.param]
    job = opened(server, tmp_path_factory.mktemp(request.param), f"all-{request.param}", key, ECHOES)
    said_all = spoken(job, "run", "job.yaml", "--json", "--verbose")
    shows = [("--attempts", "--json"), ("--failed",)]
    said_all += b"".join(together(partial(spoken, job, "status", "job.yaml", *words) for words in shows))
    return key, Night(job, said_all)


def spoken(job: Bench, *words: str) -> bytes:
    """All that a command says, and its line in the process list."""
    with ended(job.start(*words)) as running:
        command = Path(f"/proc/{running.process.pid}/cmdline").read_bytes()
        out, err = running.process.communicate(timeout=40)
    assert "Traceback" not in err
    return command + b"\n" + out.encode() + err.encode()


@pytest.mark.parametrize("echo", ECHOES)
def test_a_key_is_masked_whatever_the_provider_says(echo: str, night: tuple[str, Night]) -> None:
    """Nothing that is kept or said of an attempt tells the key in any spelling, nor half of it."""
    key, told = night
    assert [] == [f"{where}: {hit!r}" for where, data in told.of(echo) for hit in told_in(data, key)]


def test_a_key_is_in_no_byte_of_anything(night: tuple[str, Night]) -> None:
    """Each echo was sent its key, and no file, output or process list has it, whichever attempt it came from."""
    key, told = night
    assert [key] * len(ECHOES) == [seen.key for seen in told.job.line.orders if FAULTY in seen.prompt]
    assert [] == told_in(told.spoken, key)
    assert [] == found(told.job.folder, key)


def test_a_key_that_stops_the_job_is_masked(server: Wire, tmp_path: Path) -> None:
    """The reason of a stop is shown in many places, and in none of them unmasked."""
    together(
        partial(_stopped, opened(server, tmp_path / name, name, KEYS["plain"], {name: echo}))
        for name, echo in STOPPING.items()
    )


def _stopped(job: Bench) -> None:
    said_all = spoken(job, "run", "job.yaml", "--json", "--verbose")
    assert b"***" in said_all
    assert [] == told_in(said_all, KEYS["plain"])
    assert [] == found(job.folder, KEYS["plain"])


SIGNATURE = "c2lnbmF0dXJlLW9mLWEtbGluaw"


def test_a_signed_link_is_in_the_ledger_alone_and_only_while_it_is_open(server: Wire, tmp_path: Path) -> None:
    """While a paid image waits to be fetched its link is in the ledger, which is 0600; afterwards it is nowhere."""
    line = server.line("signed", (_signed,), ((Act.HOLD, *fetched()),))
    job = bench(tmp_path, line, server.base_url("signed"), KEYS["plain"])
    job.manifest([{"id": "boat", "prompt": f"{FAULTY} boat"}])
    with ended(job.start("run", "job.yaml", "--json", "--verbose")) as running:
        until(lambda: len(line.downloads) > 0, running)
        holding = _holding(job)
        modes = {stat.S_IMODE((job.job / name).stat().st_mode) for name in holding}
        shown = job.do("status", "job.yaml", "--attempts", "--json").out

        line.released.set()
        done = running.done()

    assert 0 == done.code, done.err
    assert holding <= {"ledger.sqlite", "ledger.sqlite-wal"}
    assert holding
    assert {0o600} == modes
    assert SIGNATURE not in shown + done.out + done.err
    assert set() == _holding(job)
    assert SIGNATURE in line.downloads[0].path


def test_a_dead_link_is_forgotten(server: Wire, tmp_path: Path) -> None:
    """A link that failed for good is a secret no less; its reason names no signature."""
    line = server.line("dead", (_signed,), (said(404, SIGNATURE.encode()),))
    job = bench(tmp_path, line, server.base_url("dead"), KEYS["plain"])
    job.manifest([{"id": "boat", "prompt": f"{FAULTY} boat"}])

    assert 1 == job.work_alone()["exit"]

    assert "download" == job.tasks()["boat--01"]["class"]
    assert set() == _holding(job)


def _signed(seen: Seen) -> Script:
    return linked(seen.url(f"image.png?X-Amz-Signature={SIGNATURE}&se=2099-01-01T00:00:00Z"))


def _holding(job: Bench) -> set[str]:
    """Names of the job's files that hold the signature."""
    files = [path for path in job.job.rglob("*") if path.is_file()]
    return {str(path.relative_to(job.job)) for path in files if SIGNATURE.encode() in path.read_bytes()}


def test_a_picture_is_told_from_its_line() -> None:
    """The helper that answers plain prompts gives each its own bytes, or the tests above would prove little."""
    one, two = (Seen("POST", "/x/v1", {}, json.dumps({"prompt": word}).encode(), 0.0) for word in "ab")
    assert picture(one) != picture(two)
    assert Line("x").answer(one) == picture(one)
