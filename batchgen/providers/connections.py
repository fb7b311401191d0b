"""Connections that carry one request and one answer each: nothing before it and nothing behind it is taken for it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage
from aiohttp.streams import StreamReader

from batchgen import __version__
from batchgen.providers.body import CHUNK_BYTES

_HEAD_END = re.compile(rb"\n\r?\n")
_TORN = 2
"""So many bytes of a head's end may be in an earlier segment."""


AGENT = f"batchgen/{__version__}"

CONNECT_S = 30.0
"""How long a connection may take to be made."""

LONGEST_FIELD_BYTES = 8190
"""Of a header in an answer, as aiohttp has it."""


def strict_session(
    connector: aiohttp.BaseConnector,
    *,
    accept: str = "*/*",
    traces: Sequence[aiohttp.TraceConfig] = (),
    field_bytes: int = LONGEST_FIELD_BYTES,
) -> aiohttp.ClientSession:
    """A session that adds nothing of its own: no cookies, no proxy or password of the environment, no decompression.

    Deadlines of a whole request are its caller's. `field_bytes` is the longest header that is read.
    """
    return aiohttp.ClientSession(
        connector=connector,
        headers={"User-Agent": AGENT, "Accept": accept, "Accept-Encoding": "identity"},
        timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        trace_configs=list(traces),
        read_bufsize=CHUNK_BYTES,
        max_field_size=field_bytes,
    )


class FreshConnector(aiohttp.TCPConnector):
    """Opens a connection for every request, and closes it behind the answer.

    On a kept one a late or a second answer to an earlier request would be taken for the next one's, an image under
    another prompt's name, and aiohttp would ask a second time by itself where it breaks. What that costs, a handshake
    or two, is nothing beside the seconds that an image takes.
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - the connector's own
        super().__init__(force_close=True, **options)
        made: type[ResponseHandler] = _OneAnswer
        self._factory = partial(made, loop=self._loop)


class _OneAnswer(ResponseHandler):
    """Hands an answer on before what follows it is looked at.

    aiohttp's parser (3.14) loses all of a segment in which it finds a fault, status and paid image included, be it
    behind their last byte. So it gets heads alone: an answer is then known before its body is read, and a fault behind
    its end takes nothing away.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._answered = False
        self._before = b""

    def set_response_params(self, **options: Any) -> None:  # noqa: ANN401 - the handler's own
        """Prepare for the answer to a request that is about to be written."""
        unasked, self._tail = self._tail, b""
        super().set_response_params(**options)
        if unasked:
            self.set_exception(aiohttp.ClientConnectionError("the other end spoke before it was asked"))
            if self.transport is not None:
                self.transport.close()  # so that nothing is written

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Note an answer; those that only say that another one follows are none."""
        super().feed_data(data, size)
        self._answered = self._answered or data[0].code == 101 or not 100 <= data[0].code < 200

    def data_received(self, data: bytes) -> None:
        """Take what came: heads one by one, then the rest."""
        while data and self._parser is not None and self._exception is None and not self._answered:
            end = _HEAD_END.search(self._before + data)
            cut = end.end() - len(self._before) if end else len(data)
            head, data = data[:cut], data[cut:]
            self._before = b"" if end else (self._before + head)[-_TORN:]
            self._parse(head)
        if data or self._answered:
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        super().data_received(data)
        if self._payload is not None and self._payload.is_eof():
            self._payload = None  # it is whole, and no later fault is its own
