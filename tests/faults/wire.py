"""A server of raw bytes: plain sockets in threads, so that broken answers are sent exactly as they are written here.

Each test has a `Line`, an address of its own below `/NAME/`. It records every request, and answers with scripts: bytes
to send, one after the other, and what to do between and after them.
"""

from __future__ import annotations

import base64
import json
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from tests.spec.witness import WITNESS
from tests.support.paid import USAGE
from tests.support.png import png

FAULTY = "faulty"
"""A prompt with this word gets the line's own answers; any other gets an image."""

REQUEST_ID = "req-4711"


class Act(Enum):
    """What a script does beside sending."""

    HOLD = "wait until the test releases the line, or the other end leaves"
    CLOSE = "close the connection in order"
    RESET = "close it with a reset"


@dataclass(frozen=True)
class Flood:
    """The same bytes again and again, until the other end leaves."""

    data: bytes


@dataclass(frozen=True)
class Drip:
    """The same bytes again and again with pauses, until the other end leaves."""

    data: bytes
    pause_s: float = 0.05


Step = bytes | Act | Flood | Drip
Script = tuple[Step, ...]


@dataclass(frozen=True)
class Seen:
    """One request as it came. Header names are in lower case; `at` is on the monotonic clock."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def prompt(self) -> str:
        """The prompt of a POST."""
        return str(json.loads(self.body)["prompt"]) if self.body else ""

    @property
    def key(self) -> str:
        """The key that it carries, "" when it has none."""
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    def url(self, name: str, host: str | None = None) -> str:
        """An address on the same line, which `GET` then asks for."""
        return f"http://{host or self.headers['host']}/{self.path.split('/')[1]}/{name}"


Reply = Script | Callable[[Seen], Script]


@dataclass
class Line:
    """One test's address. `posts` answer the faulty prompts' requests and `gets` the downloads, the last of them again."""

    name: str
    posts: Sequence[Reply] = ()
    gets: Sequence[Reply] = ()
    seen: list[Seen] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, seen: Seen) -> Script:
        """Note a request and find its script."""
        with self.lock:
            before = sum(_kind(one) == _kind(seen) for one in self.seen)
            self.seen.append(seen)
        replies = {"GET": self.gets, FAULTY: self.posts}.get(_kind(seen), ())
        if not replies:
            return picture(seen)
        reply = replies[min(before, len(replies) - 1)]
        return reply(seen) if callable(reply) else reply

    @property
    def orders(self) -> list[Seen]:
        """The POSTs, in order of arrival."""
        return [one for one in list(self.seen) if one.method == "POST"]

    @property
    def faulty(self) -> list[Seen]:
        """The POSTs that got this line's own answers."""
        return [one for one in self.orders if FAULTY in one.prompt]

    @property
    def downloads(self) -> list[Seen]:
        """The GETs."""
        return [one for one in list(self.seen) if one.method == "GET"]


def _kind(seen: Seen) -> str:
    return FAULTY if seen.method == "POST" and FAULTY in seen.prompt else seen.method


class Wire:
    """The server. A `Line` is added before it is asked for."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._lines: dict[str, Line] = {}
        self._closing = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._threads = [threading.Thread(target=self._accept)]
        self.port: int = self._listening.getsockname()[1]
        self.tunnels: list[Seen] = []
        self._threads[0].start()

    def line(self, name: str, posts: Sequence[Reply] = (), gets: Sequence[Reply] = ()) -> Line:
        """Open a line."""
        self._lines[name] = Line(name, posts, gets)
        return self._lines[name]

    def base_url(self, name: str, *, scheme: str = "http", host: str = "127.0.0.1") -> str:
        """A line's base URL."""
        return f"{scheme}://{host}:{self.port}/{name}/v1"

    def close(self) -> None:
        """End all connections."""
        self._closing.set()
        self._listening.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listening.close()
        for thread in self._threads:
            thread.join(timeout=5)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(
            OSError, ValueError, LookupError
        ):  # an end that leaves, or that does not speak HTTP, is part of the tests
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            while (seen := self._read(connection)) is not None:
                if seen.method == "CONNECT":  # a proxy's request: refused
                    self.tunnels.append(seen)
                    connection.sendall(head(403, 0))
                    break
                WITNESS.saw_request(seen.method, seen.path, seen.headers.get("content-type", ""), seen.body)
                line = self._lines[seen.path.split("/")[1]]
                if not all(self._take(connection, step, line) for step in line.answer(seen)):
                    break
        connection.close()

    def _read(self, connection: socket.socket) -> Seen | None:
        data = b""
        while b"\r\n\r\n" not in data:
            if not self._readable(connection) or not (more := connection.recv(65536)):
                return None
            data += more
            if not data[:1].isalpha():  # a TLS greeting where none was expected
                connection.sendall(b"no TLS here\r\n\r\n")
                return None
        head, _, body = data.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        while len(body) < int(headers.get("content-length", 0)):
            body += connection.recv(65536)
        return Seen(method, path, headers, body, time.monotonic())

    def _readable(self, connection: socket.socket) -> bool:
        """Wait for bytes or an end; False when the server closes."""
        while not self._closing.is_set():
            if isinstance(connection, ssl.SSLSocket) and connection.pending():
                return True
            if select.select([connection], [], [], 0.05)[0]:
                return True
        return False

    def _take(self, connection: socket.socket, step: Step, line: Line) -> bool:
        """Take one step of a script; False when it was the connection's last."""
        match step:
            case bytes():
                connection.sendall(step)
            case Flood(data):
                while not self._closing.is_set():
                    connection.sendall(data)
            case Drip(data, pause_s):
                while not self._closing.wait(pause_s):
                    connection.sendall(data)
            case Act.HOLD:
                return self._hold(connection, line)
            case Act.RESET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return False
            case Act.CLOSE:
                return False
        return not self._closing.is_set()

    def _hold(self, connection: socket.socket, line: Line) -> bool:
        while not line.released.wait(0.02):
            left = select.select([connection], [], [], 0)[0] and not connection.recv(1, socket.MSG_PEEK)
            if left or self._closing.is_set():
                return False
        return True


@contextmanager
def wire(*, untrusted: bool = False) -> Iterator[Wire]:
    """A server on loopback; an `untrusted` one speaks TLS with a certificate that nobody vouches for."""
    tls = None
    if untrusted:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(Path(__file__).parents[1] / "providers" / "untrusted.pem")
    server = Wire(tls)
    try:
        yield server
    finally:
        server.close()


def head(status: int, length: int | None, headers: Mapping[str, str] | None = None) -> bytes:
    """A status line and headers; `length` None leaves Content-Length out."""
    named = {"X-Request-Id": REQUEST_ID, **(headers or {})}
    if length is not None:
        named["Content-Length"] = str(length)
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def said(status: int, body: object = b"", headers: Mapping[str, str] | None = None) -> Script:
    """A whole answer: bytes as they are, anything else as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (head(status, len(data), headers) + data,)


def error(
    status: int, message: str, code: str = "", headers: Mapping[str, str] | None = None, **more: str
) -> Script:
    """An error as OpenAI words it."""
    return said(status, {"error": {"message": message, "code": code, **more}}, headers)


def chunked(*chunks: bytes) -> bytes:
    """Chunks of a body without its end."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)


def encoded(data: bytes) -> str:
    """Base64."""
    return base64.b64encode(data).decode()


def drawn(
    *images: str | bytes, usage: Mapping[str, Any] | None = USAGE, status: int = 200, **more: object
) -> Script:
    """An answer with images, given as bytes or as the text that stands for base64."""
    data = [{"b64_json": image if isinstance(image, str) else encoded(image)} for image in images]
    body = {"created": 1, "data": data, **more}
    return said(status, body if usage is None else {**body, "usage": usage})


def linked(url: str) -> Script:
    """An answer with a link."""
    return said(200, {"created": 1, "data": [{"url": url}], "usage": USAGE})


def picture(seen: Seen) -> Script:
    """The image of a prompt, or of a link."""
    return drawn(png(seen.prompt)) if seen.method == "POST" else fetched()


LINKED = png("from a link")


def fetched(data: bytes = LINKED, status: int = 200, headers: Mapping[str, str] | None = None) -> Script:
    """A download."""
    return said(status, data, {"Content-Type": "image/png", **(headers or {})})
