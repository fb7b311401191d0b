"""A running sandbox, and a client that sends it anything."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from PIL import Image, ImageDraw

from batchgen.catalogue.catalogue import Catalogue
from batchgen.sandbox.faults import Behaviour
from batchgen.sandbox.server import serve
from batchgen.sandbox.service import Sandbox

KEY = {"Authorization": "Bearer any-key"}
SMALL: dict[str, Any] = {
    "model": "dall-e-2",
    "size": "256x256",
    "prompt": "A boat",
    "response_format": "b64_json",
}


@dataclass
class Clock:
    """A clock that tests move by hand."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return self.now


@dataclass
class Reply:
    """An answer, read to its end."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Event:
    """One event of a stream."""

    name: str
    data: dict[str, Any]


def events_in(body: bytes) -> list[Event]:
    """The events of a stream that has the form of OpenAI's, to the letter: a name, one line of data, a blank line."""
    *blocks, rest = body.decode().split("\n\n")
    assert rest == ""
    found = []
    for block in blocks:
        name, data = block.split("\n")
        assert (name[:7], data[:6]) == ("event: ", "data: ")
        found.append(Event(name[7:], json.loads(data[6:])))
    return found


@dataclass
class Client:
    """A sandbox, and a session that speaks to it."""

    sandbox: Sandbox
    session: aiohttp.ClientSession
    clock: Clock = field(default_factory=Clock)

    async def post(self, headers: dict[str, str] | None = None, **body: object) -> Reply:
        """Ask for images."""
        return await self.send(json.dumps(body).encode(), headers)

    async def events(self, path: str = "/images/generations", **body: object) -> list[Event]:
        """Ask for a streamed answer and read it to its end."""
        async with self.session.post(self.sandbox.base_url + path, json=body, headers=KEY) as reply:
            assert (200, "text/event-stream") == (reply.status, reply.content_type)
            return events_in(await reply.read())

    async def edit(self, form: aiohttp.FormData) -> Reply:
        """Ask for an edit with a form."""
        url = f"{self.sandbox.base_url}/images/edits"
        async with self.session.post(url, data=form, headers=KEY) as reply:
            return Reply(reply.status, dict(reply.headers), await reply.json())

    async def send(
        self, data: bytes, headers: dict[str, str] | None = None, path: str = "/images/generations"
    ) -> Reply:
        """Send any bytes as a request for images."""
        given = {"Content-Type": "application/json", **KEY} if headers is None else headers
        url = self.sandbox.base_url + path
        async with self.session.post(url, data=io.BytesIO(data), headers=given) as reply:
            return Reply(reply.status, dict(reply.headers), await reply.json())

    async def get(self, path: str) -> Reply:
        """Read a JSON route."""
        async with self.session.get(self.sandbox.base_url + path, headers=KEY) as reply:
            return Reply(reply.status, dict(reply.headers), await reply.json())


@asynccontextmanager
async def client(
    behaviour: Behaviour | None = None, catalogue: Catalogue | None = None
) -> AsyncIterator[Client]:
    """A running sandbox and a client of it."""
    clock = Clock()
    async with (
        serve(behaviour or Behaviour(), catalogue=catalogue, clock=clock) as sandbox,
        aiohttp.ClientSession() as session,
    ):
        yield Client(sandbox, session, clock)


def picture(
    size: tuple[int, int] = (64, 48), colour: tuple[int, ...] = (200, 30, 30), kind: str = "PNG"
) -> bytes:
    """A picture of one colour as a file."""
    file = io.BytesIO()
    Image.new("RGB" if len(colour) == 3 else "RGBA", size, colour).save(file, kind)
    return file.getvalue()


def mask(size: tuple[int, int] = (64, 48)) -> bytes:
    """A mask that is clear in the middle."""
    image = Image.new("RGBA", size, (0, 0, 0, 255))
    box = (size[0] // 4, size[1] // 4, size[0] * 3 // 4, size[1] * 3 // 4)
    ImageDraw.Draw(image).rectangle(box, fill=(0, 0, 0, 0))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
