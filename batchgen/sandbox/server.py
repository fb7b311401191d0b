"""The embedded provider as a server, on loopback only."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from batchgen.catalogue.catalogue import Catalogue
from batchgen.core.errors import UsageError
from batchgen.sandbox.answers import error_body, retry_headers
from batchgen.sandbox.faults import Behaviour
from batchgen.sandbox.orders import ApiError
from batchgen.sandbox.service import HOST, Sandbox

MAX_BODY_BYTES = 2 * 1024 * 1024
"""Room for the longest prompt with every character escaped, and no more."""

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
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_like_the_api(sandbox)])
    app.router.add_post("/v1/images/generations", sandbox.generate)
    app.router.add_get("/v1/models", sandbox.list_models)
    app.router.add_get("/v1/models/{model}", sandbox.show_model)
    app.router.add_get("/v1/files/{name}", sandbox.download)
    return app


def _like_the_api(sandbox: Sandbox) -> Middleware:
    """Errors in the API's envelope, and its headers on every answer."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.monotonic()
        try:
            response = await handler(request)
        except ApiError as error:
            response = _error(error)
        except web.HTTPException as error:
            # The server's own: no such route, wrong method, body too large.
            response = _error(
                ApiError(HTTPStatus(error.status), f"{error.reason}: {request.method} {request.path}")
            )
        except (ConnectionError, web.RequestPayloadError):
            # The client hung up: nobody reads this, and it is no fault of ours to be logged.
            response = _error(ApiError(HTTPStatus.BAD_REQUEST, "The connection ended before the request did."))
        if not response.prepared:
            response.headers.update(sandbox.headers(time.monotonic() - started))
        return response

    return answer


def _error(error: ApiError) -> web.Response:
    headers = {} if error.retry_after_s is None else retry_headers(error.retry_after_s)
    body = json.dumps(error_body(error)).encode()
    return web.Response(status=error.status, body=body, content_type="application/json", headers=headers)
