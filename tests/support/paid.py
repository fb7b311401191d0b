"""A provider that charges: another make of server, in a process of its own, without any code of batchgen.

It speaks `POST /v1/images/generations` and `GET` for links over raw sockets, and keeps one account for each key:
what it was asked (moment, headers, body), what it charged for, how its answers are scripted. Tests drive it through
`PUT /account/KEY` (a script), `POST /account/KEY` (begin with what another account was asked and made) and
`GET /account/KEY` (the account); `GET /bodies` tells what was posted since it was last asked.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.png import png

USAGE = {
    "input_tokens": 10,
    "output_tokens": 196,
    "total_tokens": 206,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 0},
}
"""What a low 1024x1024 image of gpt-image-2 uses: 196 tokens by OpenAI's calculator, and a short prompt."""

IMAGE_USD = round((10 * 5 + 196 * 30) / 1_000_000, 6)
"""What that costs at OpenAI's list prices: $5 a million text tokens in, $30 a million image tokens out."""


@dataclass(frozen=True)
class Rule:
    """How requests are answered whose prompt holds `match`; it holds `times` times, None for always.

    `do`: `b64`, `hold` (the same, once the account has a new script), `url`, `error` (with `status`, `error`,
    `headers`), `cut` in the middle of the answer, `never` (until the server ends), `garbage` that is no JSON,
    `empty` data. `links`: statuses of the link's first downloads, the last one for all further ones; 0 never
    answers.
    """

    match: str = ""
    do: str = "b64"
    times: int | None = None
    delay_s: float = 0.0
    status: int = 500
    error: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    links: tuple[int, ...] = (200,)


REFUSED = {"message": "Your request was rejected by the safety system.", "code": "moderation_blocked"}


def refuse(match: str) -> Rule:
    """A moderation refusal, as OpenAI words it."""
    return Rule(match, "error", status=400, error=REFUSED)


@dataclass
class Account:
    """What one key has asked for and been charged for."""

    rules: list[Rule] = field(default_factory=list)
    used: dict[int, int] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    downloads: list[dict[str, Any]] = field(default_factory=list)
    links: dict[str, list[int]] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def rule_for(self, prompt: str) -> Rule:
        """The first rule that fits and is not used up."""
        for number, rule in enumerate(self.rules):
            used = self.used.get(number, 0)
            if rule.match in prompt and (rule.times is None or used < rule.times):
                self.used[number] = used + 1
                return rule
        return Rule()


class Server:
    """The server's process."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.bodies: set[str] = set()
        self.port = 0

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests until the other end leaves."""
        try:
            while (request := await _read(reader)) is not None:
                await self._answer(*request, writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes, writer: asyncio.StreamWriter
    ) -> None:
        if path == "/bodies":
            _send(writer, 200, sorted(self.bodies))
            self.bodies.clear()
        elif path.startswith("/account/"):
            self._control(method, path.rpartition("/")[2], body, writer)
        elif method == "GET":
            await self._download(path, headers, writer)
        elif path == "/v1/images/generations":
            await self._generate(headers, body, writer)
        else:
            _send(writer, 404, {"error": {"message": f"no such address: {path}"}})

    def _control(self, method: str, key: str, body: bytes, writer: asyncio.StreamWriter) -> None:
        account = self.accounts.setdefault(key, Account())
        if method == "PUT":
            account.rules, account.used = [Rule(**rule) for rule in json.loads(body)], {}
            account.released.set()
            account.released = asyncio.Event()
        if method == "POST":
            other = self.accounts.setdefault(json.loads(body), Account())
            account.requests, account.images = list(other.requests), dict(other.images)
        told = {"requests": account.requests, "downloads": account.downloads, "images": account.images}
        _send(writer, 200, told)

    async def _download(self, path: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        _, key, name = path.strip("/").split("/")
        account = self.accounts[key]
        statuses = account.links[name]
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        account.downloads.append({"name": name, "status": status, "headers": headers})
        if not status:
            await asyncio.Event().wait()
        data = base64.b64decode(account.images[name]) if status == 200 else b"not now"
        _send_bytes(writer, status, data, {"Content-Type": "image/png"})

    async def _generate(self, headers: dict[str, str], body: bytes, writer: asyncio.StreamWriter) -> None:
        account = self.accounts.setdefault(headers.get("authorization", "").removeprefix("Bearer "), Account())
        self.bodies.add(body.decode())
        asked = json.loads(body)
        rule = account.rule_for(asked["prompt"])
        name = f"image-{len(account.requests) + 1}"
        charged = rule.do != "error"
        noted = {"at": time.monotonic(), "name": name, "headers": headers, "body": asked, "charged": charged}
        account.requests.append(noted | {"raw": body.decode()})
        if charged:
            # As with real providers, an image that was begun is paid for, whether anyone waits for it or not.
            account.images[name] = base64.b64encode(png(name)).decode()
        await asyncio.sleep(rule.delay_s)
        await self._reply(rule, account, headers, name, writer)

    async def _reply(
        self, rule: Rule, account: Account, headers: dict[str, str], name: str, writer: asyncio.StreamWriter
    ) -> None:
        answered = {"X-Request-Id": f"req-{name}"}
        answer: dict[str, Any] = {"created": 1_790_000_000, "usage": USAGE}
        match rule.do:
            case "error":
                _send(writer, rule.status, {"error": rule.error}, answered | rule.headers)
            case "url":
                account.links[name] = list(rule.links)
                key = headers["authorization"].removeprefix("Bearer ")
                # The account's key is no part of a real link; here it stands in the path backwards.
                self.accounts[key[::-1]] = account
                link = f"http://127.0.0.1:{self.port}/link/{key[::-1]}/{name}"
                _send(writer, 200, answer | {"data": [{"url": link}]}, answered)
            case "cut":
                whole = json.dumps(answer | {"data": [{"b64_json": account.images[name]}]}).encode()
                _send_bytes(writer, 200, whole[: len(whole) // 2], answered, length=len(whole))
                await writer.drain()
                writer.close()
            case "never":
                await asyncio.Event().wait()
            case "garbage":
                _send_bytes(writer, 200, b"<html>hello</html>", answered)
            case "empty":
                _send(writer, 200, answer | {"data": []}, answered)
            case _:
                if rule.do == "hold":
                    await account.released.wait()
                _send(writer, 200, answer | {"data": [{"b64_json": account.images[name]}]}, answered)


async def _read(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str], bytes] | None:
    head = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
    if not head:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    headers = {name.lower(): value.strip() for name, value in pairs}
    return method, path, headers, await reader.readexactly(int(headers.get("content-length", "0")))


def _send(
    writer: asyncio.StreamWriter, status: int, document: object, headers: dict[str, str] | None = None
) -> None:
    _send_bytes(
        writer, status, json.dumps(document).encode(), {"Content-Type": "application/json", **(headers or {})}
    )


def _send_bytes(
    writer: asyncio.StreamWriter, status: int, data: bytes, headers: dict[str, str], length: int | None = None
) -> None:
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(data) if length is None else length}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + data)


async def _serve() -> None:
    server = Server()
    listening = await asyncio.start_server(server.connection, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    print(server.port, flush=True)  # noqa: T201 - the process that started this one reads it
    async with listening:
        await listening.serve_forever()


@dataclass(frozen=True)
class Till:
    """A test's view of one account: its key, how to script it, what it was asked and charged."""

    port: int
    key: str

    @property
    def base_url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.port}/v1"

    def script(self, *rules: Rule) -> None:
        """Answer from now on by these rules, and with an image where none fits."""
        self._ask("PUT", json.dumps([vars(rule) for rule in rules]))

    @property
    def requests(self) -> list[dict[str, Any]]:
        """What was asked, in order of arrival."""
        return list(self._ask("GET")["requests"])

    @property
    def prompts(self) -> list[str]:
        """The prompts of what was asked."""
        return [request["body"]["prompt"] for request in self.requests]

    @property
    def charged(self) -> list[dict[str, Any]]:
        """The bill: requests that made an image."""
        return [request for request in self.requests if request["charged"]]

    @property
    def downloads(self) -> list[dict[str, Any]]:
        """Links that were asked for."""
        return list(self._ask("GET")["downloads"])

    @property
    def images(self) -> dict[str, bytes]:
        """Every image that was made, by its name."""
        return {name: base64.b64decode(text) for name, text in self._ask("GET")["images"].items()}

    def branch(self, name: str) -> Till:
        """Another account, which begins with what this one was asked and made."""
        other = Till(self.port, f"{self.key}-{name}")
        other._ask("POST", json.dumps(self.key))
        return other

    def account(self) -> dict[str, Any]:
        """All of it in one moment: `requests`, `downloads`, `images` (base64, by name)."""
        return self._ask("GET")

    def _ask(self, method: str, body: str | None = None) -> dict[str, Any]:
        told: dict[str, Any] = _asked(self.port, method, f"/account/{self.key}", body)
        return told


def _asked(port: int, method: str, path: str, body: str | None = None) -> Any:  # noqa: ANN401 - any JSON
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


@contextmanager
def paid_server() -> Iterator[int]:
    """Run the server in a process of its own; gives its port."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.support.paid"]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def posted(port: int) -> list[bytes]:
    """The bodies that a server was posted since this was last asked, each once."""
    return [body.encode() for body in _asked(port, "GET", "/bodies")]


if __name__ == "__main__":
    asyncio.run(_serve())
