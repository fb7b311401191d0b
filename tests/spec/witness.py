"""Sees every request that reaches a server of the tests, and every answer of the sandbox, without being asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader
from aiohttp.typedefs import Handler, Middleware

from batchgen.catalogue.catalogue import Catalogue
from batchgen.sandbox.service import Sandbox
from tests.spec.carried import request_faults
from tests.spec.said import answer_faults

BUILTIN = Catalogue.builtin()


@dataclass
class Witness:
    """What was wrong in the test that is running. Servers may tell it from any thread.

    `elsewhere` are servers of other processes, which are asked for the bodies that they were posted since.
    """

    requests: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    elsewhere: list[Callable[[], list[bytes]]] = field(default_factory=list)

    @contextmanager
    def asking(self, bodies: Callable[[], list[bytes]]) -> Iterator[None]:
        """Ask a server of another process, too, for the length of the block."""
        self.elsewhere.append(bodies)
        try:
            yield
        finally:
            self.elsewhere.remove(bodies)

    def ask_elsewhere(self) -> None:
        """Note what is wrong with what servers of other processes were sent."""
        for bodies in self.elsewhere:
            for body in bodies():
                self.saw_request("POST", "/v1/images/generations", "application/json", body)

    def saw_request(
        self, method: str, path: str, content_type: str, body: bytes, catalogue: Catalogue = BUILTIN
    ) -> list[str]:
        """Note what is wrong with a request; returns it, too."""
        if method != "POST":
            return []
        with self._never_silent():
            wrong = request_faults(path, content_type, body, catalogue)
        self.requests += [f"POST {path}: {one}" for one in wrong]
        return wrong

    def saw_raw_request(self, request: bytes) -> None:
        """The same for the bytes of a whole request."""
        head, _, body = request.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, *_ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self.saw_request(method, path, headers.get("content-type", ""), body)

    def saw_answer(self, method: str, path: str, status: int, content_type: str, body: bytes) -> None:
        """Note what is wrong with an answer of the sandbox."""
        with self._never_silent():
            wrong = answer_faults(method, path, status, content_type, body)
        self.answers += [f"{status} to {method} {path}: {one}" for one in wrong]

    @contextmanager
    def _never_silent(self) -> Iterator[None]:
        """A server that lives with errors of any kind would hide that it was not looked at."""
        try:
            yield
        except Exception as error:
            self.answers.append(f"the witness itself failed: {error!r}")
            raise

    def forget(self) -> None:
        """Begin again, for the next test."""
        self.requests.clear()
        self.answers.clear()


@dataclass
class Overheard:
    """An answer that is written bit by bit, and what was written so far."""

    response: web.StreamResponse
    body: bytearray = field(default_factory=bytearray)


WRONG = web.RequestKey("wrong", list[str])
STREAM = web.RequestKey("stream", Overheard)

WITNESS = Witness()
"""The process's own: servers live in fixtures and threads that know nothing of the test that they serve."""


def witnessed(app: web.Application, sandbox: Sandbox) -> web.Application:
    """The sandbox's application, seen from outside (answers as they leave) and inside (requests as they are read)."""
    app.middlewares.insert(0, _answers())
    app.middlewares.append(_requests(sandbox._catalogue))
    app.on_response_prepare.append(_overhear)
    return app


def _requests(catalogue: Catalogue) -> Middleware:
    @web.middleware
    async def see(request: web.Request, handler: Handler) -> web.StreamResponse:
        body = await request.content.read()
        request[WRONG] = WITNESS.saw_request(
            request.method, request.path, request.headers.get("Content-Type", ""), body, catalogue
        )
        request._payload = _again(body)
        return await handler(request)

    return see


def _again(body: bytes) -> StreamReader:
    """A body that was read, to be read by the one that it is for."""
    loop = asyncio.get_running_loop()
    reader = StreamReader(BaseProtocol(loop), len(body) + 1, loop=loop)
    reader.feed_data(body)
    reader.feed_eof()
    return reader


def _answers() -> Middleware:
    @web.middleware
    async def see(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        # Where a client left a stream, what is returned is another answer, which nobody gets.
        heard = request.get(STREAM) or Overheard(response, _whole(response))
        promised = heard.response.content_length
        if promised is None or promised <= len(heard.body):  # else it was cut on purpose
            content_type = heard.response.headers.get("Content-Type", "")
            status, body = heard.response.status, bytes(heard.body)
            WITNESS.saw_answer(request.method, request.path, status, content_type, body)
        if response.status < 400 and request.get(WRONG):
            WITNESS.answers.append(f"{response.status} to a request that is wrong: {request[WRONG][0]}")
        return response

    return see


def _whole(response: web.StreamResponse) -> bytearray:
    body = response.body if isinstance(response, web.Response) else None
    return bytearray(body) if isinstance(body, bytes) else bytearray()


async def _overhear(request: web.Request, response: web.StreamResponse) -> None:
    """Keep what is written bit by bit."""
    if isinstance(response, web.Response):
        return
    heard = request[STREAM] = Overheard(response)
    write = response.write

    async def overheard(data: bytes | bytearray | memoryview) -> None:
        heard.body.extend(data)
        await write(data)

    setattr(response, "write", overheard)  # noqa: B010 - a method is not assigned to otherwise
