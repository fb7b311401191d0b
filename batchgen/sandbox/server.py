"""The embedded provider as a server, on loopback only."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from batchgen.catalogue.catalogue import Catalogue
from batchgen.core.errors import UsageError
from batchgen.sandbox.answers import error_body, retry_headers
from batchgen.sandbox.errors import ApiError
from batchgen.sandbox.faults import Behaviour
from batchgen.sandbox.service import HOST, Sandbox

MAX_BODY_BYTES = 2 * 1024 * 1024
"""Room for the longest prompt with every character escaped, and no more; edits have room of their own."""

_STARTED = web.RequestKey("started", float)

SHUTDOWN_S = 1.0
"""Whoever closes the sandbox no longer waits for its answers."""


@asynccontextmanager
async def serve(
    behaviour: Behaviour,
    *,
    port: int = 0,
    catalogue: Catalogue | None = None,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[Sandbox]:
    """Serve the sandbox on loopback for the length of the block; port 0 takes any free one.

    `clock` gives seconds since the epoch, for links and limits. Raises `UsageError` when the port is taken.
    """
    with _listen(port) as listener:
        sandbox = Sandbox(behaviour, catalogue or Catalogue.builtin(), listener.getsockname()[1], clock)
        runner = web.AppRunner(_app(sandbox), access_log=None, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            yield sandbox
        finally:
            await runner.cleanup()


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port))
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"the sandbox cannot listen on {HOST}:{port}: {error} (choose another --port)"
        ) from error


def _app(sandbox: Sandbox) -> web.Application:
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_like_the_api])
    app.on_response_prepare.append(_with_headers(sandbox))
    app.router.add_post("/v1/images/generations", sandbox.generate)
    app.router.add_post("/v1/images/edits", sandbox.edit)
    app.router.add_get("/v1/models", sandbox.list_models)
    app.router.add_get("/v1/models/{model}", sandbox.show_model)
    app.router.add_get("/v1/files/{name}", sandbox.download)
    app.router.add_get("/api/models", sandbox.list_prices)
    return app


def _with_headers(sandbox: Sandbox) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    async def add(request: web.Request, response: web.StreamResponse) -> None:
        seconds = time.monotonic() - request.get(_STARTED, time.monotonic())
        response.headers.update(sandbox.headers(seconds))

    return add


@web.middleware
async def _like_the_api(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors in the API's envelope."""
    request[_STARTED] = time.monotonic()
    try:
        return await handler(request)
    except ApiError as error:
        return _error(error)
    except web.HTTPException as error:
        # The server's own: no such route, wrong method, body too large.
        return _error(ApiError(HTTPStatus(error.status), f"{error.reason}: {request.method} {request.path}"))
    except (ConnectionError, web.RequestPayloadError):
        # The client hung up: nobody reads this, and it is no fault of ours to be logged.
        return _error(ApiError(HTTPStatus.BAD_REQUEST, "The connection ended before the request did."))


def _error(error: ApiError) -> web.Response:
    headers = {} if error.retry_after_s is None else retry_headers(error.retry_after_s)
    body = json.dumps(error_body(error)).encode()
    return web.Response(status=error.status, body=body, content_type="application/json", headers=headers)
