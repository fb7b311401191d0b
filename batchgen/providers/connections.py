"""Connections that carry one request at a time: nothing before it and nothing behind it is taken for its answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
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

QUIET_S = 0.02
"""What a server sends or closes by mistake comes at the heels of its answer, however far away it is."""

KEEP_S = 1.0
"""How long a connection is kept: half of what servers allow that close them early (gunicorn 2 s, others 5 s and more)."""

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
    """Opens a connection for every request, and closes it behind the answer."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - the connector's own
        super().__init__(force_close=True, **options)
        made: type[ResponseHandler] = _OneAnswer
        self._factory = partial(made, loop=self._loop)


class KeptConnector(aiohttp.TCPConnector):
    """Keeps a connection for a next request that comes at once: a handshake costs as much as a small answer.

    On a kept one a late or a second answer to an earlier request could be taken for the next one's, an image under
    another prompt's name, and a request is lost where the server closes it just then. So only one that brought what was
    asked for is kept, it was silent for `quiet_s` before it is used again, and it is used again within `KEEP_S`. The
    first one that breaks before its answer begins shows a server that keeps none, and none is kept from then on.

    There is no limit of its own: who asks bounds the requests, and those that are silent for a moment are none.
    """

    def __init__(self, quiet_s: float = QUIET_S) -> None:
        super().__init__(keepalive_timeout=KEEP_S, limit=0)
        self._quiet_s = quiet_s
        self._keeps = True
        made: Callable[..., ResponseHandler] = _OneAnswer
        self._factory = partial(made, loop=self._loop, on_broken=self._keep_none)

    def _keep_none(self) -> None:
        self._keeps = False

    def _release(self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        """Take a connection back: aiohttp's own, behind a moment of silence."""
        assert isinstance(protocol, _OneAnswer)
        if should_close or protocol.should_close or not (self._keeps and protocol.was_good):
            super()._release(key, protocol, should_close=True)
        else:
            self._loop.call_later(self._quiet_s, super()._release, key, protocol)


class _OneAnswer(ResponseHandler):
    """Hands an answer on before what follows it is looked at; a connection on which anything follows is closed.

    aiohttp's parser (3.14) loses all of a segment in which it finds a fault, status and paid image included, be it
    behind their last byte. So it gets heads alone: an answer is then known before its body is read, and a fault behind
    its end takes nothing away. `on_broken` is called when a connection that had carried an answer breaks without
    another one.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_broken: Callable[[], None] | None = None) -> None:
        super().__init__(loop)
        self._on_broken = on_broken
        self._requests = 0
        self._answered = False
        self._before = b""
        self.was_good = False

    def set_response_params(self, **options: Any) -> None:  # noqa: ANN401 - the handler's own
        """Prepare for the answer to a request that is about to be written."""
        unasked, self._tail = self._tail, b""
        self._requests += 1
        self._answered, self._before, self.was_good = False, b"", False
        super().set_response_params(**options)
        if unasked:
            self.set_exception(aiohttp.ClientConnectionError("the other end spoke before it was asked"))
            if self.transport is not None:
                self.transport.close()  # so that nothing is written

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Note an answer; those that only say that another one follows are none."""
        super().feed_data(data, size)
        self._answered = self._answered or data[0].code == 101 or not 100 <= data[0].code < 200
        self.was_good = 200 <= data[0].code < 300

    def data_received(self, data: bytes) -> None:
        """Take what came: heads one by one, then the rest."""
        if data and self._answered and self._payload is None and self.transport is not None:
            self.transport.close()  # the answer is whole: what comes behind it is nobody's
        while data and self._parser is not None and self._exception is None and not self._answered:
            end = _HEAD_END.search(self._before + data)
            cut = end.end() - len(self._before) if end else len(data)
            head, data = data[:cut], data[cut:]
            self._before = b"" if end else (self._before + head)[-_TORN:]
            self._parse(head)
        if data or self._answered:
            self._parse(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Note how it ends."""
        if self._requests > 1 and not self._answered and self._on_broken is not None:
            self._on_broken()
        super().connection_lost(exc)

    def _parse(self, data: bytes) -> None:
        super().data_received(data)
        if self._payload is not None and self._payload.is_eof():
            self._payload = None  # it is whole, and no later fault is its own
