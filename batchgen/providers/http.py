"""The one HTTP client for providers of images: a request is sent once, and every way it can end has a name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import msgspec
from anyio import to_thread
from yarl import URL

from batchgen.catalogue.dialects import fields_of, path_of
from batchgen.core.classify import NetworkFault, classify_network, request_id
from batchgen.core.errors import AttemptError
from batchgen.core.plain import one_line
from batchgen.core.protocols import OnSent, PartialSink
from batchgen.core.types import (
    Failure,
    FailureClass,
    ImageBytes,
    ImageRequest,
    JsonObject,
    Link,
)
from batchgen.core.values import replace
from batchgen.providers.body import BodyTooLargeError
from batchgen.providers.connections import FreshConnector, strict_session
from batchgen.providers.downloads import PATIENT, DownloadPolicy, Downloads, open_downloads
from batchgen.providers.endpoint import Endpoint
from batchgen.providers.faults import FOREIGN, detail_of, fault_of, never_written, retold
from batchgen.providers.forms import PictureChangedError, form_of, open_pictures
from batchgen.providers.masking import Mask
from batchgen.providers.proxies import proxy_host, proxy_of
from batchgen.providers.reading import EVENT_STREAM, Exchange, Reading, too_large
from batchgen.system.clock import Clock, utc_now
from batchgen.system.patience import Patience, fail_after
from batchgen.system.turns import Turn, turns_kept

_HEADER_CAP_BYTES = 64 * 1024
_JSON = "application/json"
_EVENTS = f"{EVENT_STREAM}, {_JSON}"


@dataclass(frozen=True, slots=True)
class _Outgoing:
    """A request as it is sent."""

    url: URL
    body: bytes | aiohttp.FormData
    headers: dict[str, str]


class HttpProvider:
    """A provider of images over HTTP: `core.protocols.Provider`. Opened by `open_provider`."""

    def __init__(
        self,
        endpoint: Endpoint,
        session: aiohttp.ClientSession,
        downloads: Downloads,
        large: Turn,
        now: Clock,
        pictures: Path,
    ) -> None:
        self._endpoint = endpoint
        self._session = session
        self._downloads = downloads
        self._mask = Mask(endpoint.key)
        self._reading = Reading(self._mask, endpoint.dialect, large, now)
        self._pictures = pictures
        self._proxy = proxy_of(endpoint.base_url) if endpoint.trust_env else None

    async def generate(
        self,
        request: ImageRequest,
        *,
        attempt_id: str,
        idempotency_key: str,
        on_partial: PartialSink | None = None,
        on_sent: OnSent | None = None,
    ) -> ImageBytes | Link:
        """Send one `n=1` request, once. Raises only `AttemptError`, whose `evidence` is what came of a paid answer."""
        exchange = Exchange(on_partial=on_partial, on_sent=on_sent)
        with turns_kept():
            try:
                async with self._outgoing(request) as outgoing:
                    outgoing.headers.update(self._headers(attempt_id, idempotency_key))
                    return await self._exchanged(exchange, outgoing)
            except AttemptError:
                raise
            except Exception as error:  # noqa: BLE001 - its words may hold a header with the key, and are kept as a reason
                raise retold(error, self._mask) from None

    async def fetch(self, link: Link) -> ImageBytes:
        """Download a link's bytes; repeatable, free, without the key. Raises only `AttemptError`."""
        with turns_kept():
            return await self._downloads.fetch(link)

    @asynccontextmanager
    async def _outgoing(self, request: ImageRequest) -> AsyncIterator[_Outgoing]:
        """What is to be sent; the pictures that go along are open for the length of the block."""
        dialect = self._endpoint.dialect
        fields = fields_of(dialect, request)
        accept = {"Accept": _EVENTS if request.parameters.get("stream") is True else _JSON}
        if not request.references:
            headers = {"Content-Type": "application/json", **accept}
            yield _Outgoing(self._url(dialect.generate, request.model), _encoded(fields), headers)
            return
        if dialect.edit is None:
            raise _unsent("this provider takes no references")
        try:
            files = await to_thread.run_sync(open_pictures, self._pictures, request)
        except PictureChangedError as error:
            raise _unsent(f"{error}; run again to plan with what is there now") from error
        try:
            yield _Outgoing(self._url(dialect.edit, request.model), form_of(fields, request, files), accept)
        finally:
            for file in files:
                file.close()

    def _url(self, path: str, model: str) -> URL:
        return URL(self._endpoint.base_url + path_of(self._endpoint.dialect, path, model), encoded=True)

    async def _exchanged(self, exchange: Exchange, outgoing: _Outgoing) -> ImageBytes | Link:
        try:
            with fail_after(self._endpoint.deadline_s) as deadline:
                await self._send(exchange, outgoing, deadline)
        except BodyTooLargeError as error:
            if exchange.good:
                raise await self._reading.failed(too_large(exchange), exchange) from error
        except FOREIGN as error:
            # A status that says "nothing was made" is believed even when its body did not come whole.
            if exchange.good or not exchange.status:
                raise await self._reading.failed(self._lost(exchange, error), exchange) from retold(
                    error, self._mask
                )
        return await self._reading.judged(exchange)

    async def _send(self, exchange: Exchange, outgoing: _Outgoing, deadline: Patience) -> None:
        async with self._session.post(
            outgoing.url,
            data=outgoing.body,
            headers=outgoing.headers,
            allow_redirects=False,
            proxy=self._proxy,
            trace_request_ctx=exchange,
        ) as response:
            await self._reading.read(response, exchange, deadline)

    def _lost(self, exchange: Exchange, error: Exception) -> Failure:
        fault = fault_of(error)
        detail = f"{self._endpoint.deadline_s:g} s" if fault is NetworkFault.TIMEOUT else detail_of(error)
        if fault is NetworkFault.PROXY:
            detail = f"{proxy_host(self._endpoint.base_url)}: {detail}"
        sent = exchange.sent and not never_written(error)
        failure = classify_network(
            fault, bytes_sent=sent, answer_begun=exchange.good, detail=self._mask.text(detail)
        )
        return replace(
            failure, http_status=exchange.status or None, request_id=request_id(exchange.headers) or None
        )

    def _headers(self, attempt_id: str, idempotency_key: str) -> dict[str, str]:
        dialect = self._endpoint.dialect
        return {
            dialect.auth_header: dialect.auth_prefix + self._endpoint.key.reveal(),
            "X-Client-Request-Id": attempt_id,
            "Idempotency-Key": idempotency_key,
        }


def _encoded(fields: JsonObject) -> bytes:
    try:
        return msgspec.json.encode(fields)
    except (ValueError, OverflowError) as error:
        raise _unsent(f"the request cannot be written as JSON ({error})") from error


def _unsent(reason: str) -> AttemptError:
    return AttemptError(
        Failure(FailureClass.INVALID, one_line(f"{reason}; nothing was sent"), nothing_sent=True)
    )


async def _on_chunk_sent(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _params: aiohttp.TraceRequestChunkSentParams
) -> None:
    # Headers go out together with the first chunk, so before this nothing has left.
    exchange: Exchange = context.trace_request_ctx
    if not exchange.sent and exchange.on_sent is not None:
        exchange.on_sent()
    exchange.sent = True


@asynccontextmanager
async def open_provider(
    endpoint: Endpoint,
    *,
    concurrency: int,
    downloads: DownloadPolicy = PATIENT,
    now: Clock = utc_now,
    pictures: Path = Path(),
) -> AsyncIterator[HttpProvider]:
    """Open a provider for at most `concurrency` requests at a time; its connections close at the end.

    `now` is what a `Retry-After` date and the end of a link are compared with. `pictures` is the folder of those that
    go along with prompts.
    """
    trace = aiohttp.TraceConfig()
    trace.on_request_chunk_sent.append(_on_chunk_sent)
    session = strict_session(FreshConnector(limit=concurrency), traces=[trace], field_bytes=_HEADER_CAP_BYTES)
    large = Turn()
    async with (
        session,
        open_downloads(endpoint, concurrency=concurrency, large=large, policy=downloads, now=now) as fetching,
    ):
        yield HttpProvider(endpoint, session, fetching, large, now, pictures)
