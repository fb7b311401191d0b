"""Real servers on loopback for the provider tests: one that speaks the API, one that sends any bytes."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum

from aiohttp import web
from aiohttp.test_utils import TestServer

from batchgen.core.errors import AttemptError
from batchgen.core.types import Answer, ImageBytes, ImageRequest, Link
from batchgen.providers.endpoint import Endpoint, resolve
from batchgen.providers.http import HttpProvider
from batchgen.providers.settings import ProviderSettings
from tests.spec.witness import WITNESS

KEY = "sk-canary-0123456789abcdef"
REQUEST = ImageRequest("gpt-image-2", "A paper boat.", {"size": "1024x1024"}, {"newer_field": "low"})
PIXEL_B64 = "aGVsbG8gaW1hZ2U="


def endpoint_of(base_url: str, *, deadline_s: float = 20.0) -> Endpoint:
    """An endpoint with the canary key, at an address that was configured."""
    settings = ProviderSettings("gateway", base_url, ("GATEWAY_KEY",), deadline_s=deadline_s)
    return resolve(settings, {"GATEWAY_KEY": KEY})


async def generate(provider: HttpProvider, request: ImageRequest = REQUEST) -> ImageBytes | Link:
    """One request with fixed ids."""
    return await provider.generate(request, attempt_id="attempt-1", idempotency_key="once-1")


def link_to(url: str, *, expires: str | None = None) -> Link:
    """A link as an answer would have brought it."""
    return Link(url, Answer(200, request_id="req-7"), expires)


def told(error: AttemptError) -> str:
    """Everything that an error would show in a log: its failure, its evidence, its traceback with all causes."""
    return "".join([repr(error.failure), repr(error.evidence), *traceback.format_exception(error)])


@dataclass
class Api:
    """A server that answers every request with what `answer` makes of it, and remembers the requests."""

    answer: Callable[[web.Request], Awaitable[web.StreamResponse]]
    requests: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    base_url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Note the request and answer it."""
        self.requests.append(request)
        self.bodies.append(await request.read())
        content_type = request.headers.get("Content-Type", "")
        WITNESS.saw_request(request.method, request.path, content_type, self.bodies[-1])
        return await self.answer(request)


@asynccontextmanager
async def serving(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[Api]:
    """Serve `answer` on a loopback port; `base_url` ends in `/v1`."""
    api = Api(answer)
    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_route("*", "/{path:.*}", api.handle)
    async with TestServer(app) as server:
        api.base_url = f"http://{server.host}:{server.port}/v1"
        yield api


def answering(
    body: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Always the same answer: bytes as they are, anything else as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=data, status=status, headers=headers)

    return answer


class Ending(Enum):
    """What the raw server does after its bytes."""

    CLOSE = "close"
    RESET = "reset"
    HANG = "hang"


@dataclass
class Raw:
    """A server that reads a request and sends fixed bytes; one that `greets` sends them unasked."""

    reply: bytes
    ending: Ending
    greets: bool = False
    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def base_url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one whole request, reply, end."""
        self.connections += 1
        try:
            if self.greets:
                writer.write(self.reply)
                return
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            self.requests.append(head + await reader.readexactly(length))
            WITNESS.saw_raw_request(self.requests[-1])
            writer.write(self.reply)
            await writer.drain()
            if self.ending is Ending.HANG:
                await self.over.wait()
        except (asyncio.IncompleteReadError, OSError):
            pass  # a client that hangs up is part of the tests
        finally:
            if self.ending is Ending.RESET:
                raw: socket.socket = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            writer.close()


@asynccontextmanager
async def raw_serving(
    reply: bytes = b"",
    ending: Ending = Ending.CLOSE,
    *,
    greets: bool = False,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Raw]:
    """Serve fixed bytes on a loopback port."""
    raw = Raw(reply, ending, greets)
    server = await asyncio.start_server(raw.handle, "127.0.0.1", 0, ssl=tls)
    raw.port = server.sockets[0].getsockname()[1]
    try:
        yield raw
    finally:
        raw.over.set()
        server.close()
        await server.wait_closed()


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
