"""A provider with a strict limit for each model: an aiohttp server in a process of its own that keeps a log.

What its limiters are is told by its command line, `{"model": ["Sliding", {"a_minute": 60}]}` with the names and fields of
`tests.pool.limiters`; a model that is not named is not limited. Every answer brings the same small picture after
`latency_s`. `GET /log` tells each request: its moment on the server's clock, its model, whether it was taken.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.pool import limiters
from tests.support.paid import USAGE
from tests.support.png import png

Kind = tuple[str, Mapping[str, object]]
"""A limiter's class and its fields."""


class Strict:
    """The server's process. `tells` is whether a refusal says how long to wait."""

    def __init__(self, kinds: Mapping[str, Kind], *, tells: bool, latency_s: float) -> None:
        self._limiters: dict[str, limiters.Limiter] = {
            model: getattr(limiters, name)(**fields) for model, (name, fields) in kinds.items()
        }
        self._tells = tells
        self._latency_s = latency_s
        image = base64.b64encode(png("strict")).decode()
        self._answer = json.dumps({"created": 1, "usage": USAGE, "data": [{"b64_json": image}]}).encode()
        self._log: list[tuple[float, str, bool]] = []

    async def generate(self, request: web.Request) -> web.Response:
        """`POST /v1/images/generations`: judged at the moment of its arrival."""
        now = time.monotonic()
        model = json.loads(await request.read())["model"]
        limiter = self._limiters.get(model)
        wait_s = None if limiter is None else limiter.take(now)
        self._log.append((now, model, wait_s is None))
        if wait_s is not None:
            error = {"message": "Rate limit reached.", "code": "rate_limit_exceeded"}
            headers = {"retry-after-ms": str(int(wait_s * 1000) + 1)} if self._tells else {}
            return web.json_response({"error": error}, status=429, headers=headers)
        await asyncio.sleep(self._latency_s)
        return web.Response(body=self._answer, content_type="application/json")

    async def log(self, _request: web.Request) -> web.Response:
        """`GET /log`."""
        return web.json_response(self._log)


@dataclass(frozen=True)
class Meter:
    """What a strict server saw of one model: the moments of what it took, and of what it refused."""

    taken: Sequence[float]
    refused: Sequence[float]

    def best_a_minute(self, seconds: float, after_s: float = 0.0) -> float:
        """Images a minute in the best stretch of so many seconds, of those that begin so long after the first request.

        A machine that is busy with something else holds up a run for a while, but hardly for the whole of it.
        """
        first = min([*self.taken, *self.refused])
        starts = [one for one in self.taken if one >= first + after_s]
        return 60.0 * max(sum(start <= one < start + seconds for one in starts) for start in starts) / seconds


@dataclass(frozen=True)
class StrictServer:
    """A test's view of the server."""

    port: int

    @property
    def base_url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.port}/v1"

    def meter(self, model: str) -> Meter:
        """What it saw of a model up to now."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", "/log")
            log = [one for one in json.loads(connection.getresponse().read()) if one[1] == model]
        finally:
            connection.close()
        return Meter([one[0] for one in log if one[2]], [one[0] for one in log if not one[2]])


@contextmanager
def strict_server(
    kinds: Mapping[str, Kind], *, tells: bool = True, latency_s: float = 0.02
) -> Iterator[StrictServer]:
    """Run the server in a process of its own."""
    told = json.dumps({"kinds": kinds, "tells": tells, "latency_s": latency_s})
    command = [sys.executable, "-m", "tests.support.strict", told]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield StrictServer(int(process.stdout.readline()))
        finally:
            process.kill()


async def _serve(told: dict[str, Any]) -> None:
    strict = Strict(told["kinds"], tells=told["tells"], latency_s=told["latency_s"])
    app = web.Application()
    app.router.add_post("/v1/images/generations", strict.generate)
    app.router.add_get("/log", strict.log)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)  # noqa: T201 - the process that started this one reads it
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(json.loads(sys.argv[1])))
