"""The one HTTP client for providers of images: a request is sent once, and every way it can end has a name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import aiohttp
import msgspec
from anyio import to_thread
from yarl import URL

from batchgen import __version__
from batchgen.core.classify import NetworkFault, classify_network, classify_status, request_id
from batchgen.core.errors import AttemptError
from batchgen.core.types import (
    Blob,
    Failure,
    FailureClass,
    ImageBytes,
    ImageRequest,
    JsonValue,
    Link,
    Paid,
)
from batchgen.providers.answers import Received, error_of, image_of, json_of
from batchgen.providers.body import (
    BODY_CAP_BYTES,
    CHUNK_BYTES,
    ERROR_CAP_BYTES,
    LARGE_BYTES,
    BodyTooLargeError,
    collect,
    inflate,
)
from batchgen.providers.downloads import CONNECT_S, PATIENT, DownloadPolicy, Downloads, open_downloads
from batchgen.providers.endpoint import Endpoint
from batchgen.providers.faults import FOREIGN, detail_of, fault_of, never_written, retold
from batchgen.providers.masking import Mask
from batchgen.providers.proxies import proxy_host, proxy_of
from batchgen.system.clock import Clock, utc_now
from batchgen.system.patience import Patience, fail_after
from batchgen.system.turns import Turn, turns_kept

AGENT = f"batchgen/{__version__}"

KEEPALIVE_S = 15.0
"""An older idle connection may be closed at the other end, and a request lost on it is a costly doubt."""

_HEADER_CAP_BYTES = 64 * 1024
_EXCERPT_BYTES = 2000


@dataclass(slots=True)
class _Exchange:
    """What is known of one request while it is under way; `status` is 0 until an answer begins.

    `body` is uncompressed as soon as that could be done; of one that could not, it is what came.
    """

    sent: bool = False
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)

    @property
    def good(self) -> bool:
        """Whether an answer began that promises an image."""
        return 200 <= self.status < 300

    @property
    def compressed(self) -> bool:
        """Whether the body is compressed, although it was asked for as it is."""
        return self.headers.get("content-encoding", "").lower() not in {"", "identity"}


class HttpProvider:
    """A provider of images over HTTP: `core.protocols.Provider`. Opened by `open_provider`."""

    def __init__(
        self,
        endpoint: Endpoint,
        session: aiohttp.ClientSession,
        downloads: Downloads,
        large: Turn,
        now: Clock,
    ) -> None:
        self._endpoint = endpoint
        self._session = session
        self._downloads = downloads
        self._large = large
        self._now = now
        self._mask = Mask(endpoint.key)
        self._url = URL(endpoint.base_url + endpoint.dialect.path)
        self._proxy = proxy_of(endpoint.base_url) if endpoint.trust_env else None

    async def generate(
        self, request: ImageRequest, *, attempt_id: str, idempotency_key: str
    ) -> ImageBytes | Link:
        """Send one `n=1` request, once. Raises only `AttemptError`, whose `evidence` is what came of a paid answer."""
        body = _encoded(request)
        headers = self._headers(attempt_id, idempotency_key)
        with turns_kept():
            return await self._exchanged(_Exchange(), body, headers)

    async def fetch(self, link: Link) -> ImageBytes:
        """Download a link's bytes; repeatable, free, without the key. Raises only `AttemptError`."""
        with turns_kept():
            return await self._downloads.fetch(link)

    async def _exchanged(
        self, exchange: _Exchange, body: bytes, headers: Mapping[str, str]
    ) -> ImageBytes | Link:
        try:
            with fail_after(self._endpoint.deadline_s) as deadline:
                await self._send(exchange, body, headers, deadline)
        except BodyTooLargeError as error:
            if exchange.good:
                raise self._failed(_too_large(exchange), exchange) from error
        except FOREIGN as error:
            # A status that says "nothing was made" is believed even when its body did not come whole.
            if exchange.good or not exchange.status:
                raise self._failed(self._lost(exchange, error), exchange) from retold(error, self._mask)
        return await self._judged(exchange)

    async def _send(
        self, exchange: _Exchange, body: bytes, headers: Mapping[str, str], deadline: Patience
    ) -> None:
        async with self._session.post(
            self._url,
            data=body,
            headers=headers,
            allow_redirects=False,
            proxy=self._proxy,
            trace_request_ctx=exchange,
        ) as response:
            exchange.status = response.status
            exchange.headers = {name.lower(): self._mask.text(text) for name, text in response.headers.items()}
            cap_bytes = BODY_CAP_BYTES if exchange.good else ERROR_CAP_BYTES
            await collect(
                response.content.iter_chunked(CHUNK_BYTES),
                exchange.body,
                cap_bytes=cap_bytes,
                large=self._large,
                deadline=deadline,
            )
        if exchange.compressed:
            if exchange.good:
                with deadline.paused():
                    await self._large.take()
            # Where nothing is in it, the wrapping is all the evidence there is.
            exchange.body = await to_thread.run_sync(inflate, exchange.body, cap_bytes) or exchange.body

    async def _judged(self, exchange: _Exchange) -> ImageBytes | Link:
        document = await _decoded(exchange.body)
        if exchange.good:
            received = Received(exchange.status, exchange.headers)
            image = image_of(document, received, self._mask)
            if image is not None:
                return image
        error = error_of(document, self._mask)
        excerpt = self._mask.start(bytes(exchange.body[:_EXCERPT_BYTES]).decode("utf-8", "replace"))
        failure = classify_status(exchange.status, exchange.headers, error, excerpt, self._now())
        raise self._failed(failure, exchange)

    def _lost(self, exchange: _Exchange, error: Exception) -> Failure:
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

    def _failed(self, failure: Failure, exchange: _Exchange) -> AttemptError:
        return AttemptError(failure, self._mask.data(exchange.body) if exchange.good else b"")

    def _headers(self, attempt_id: str, idempotency_key: str) -> dict[str, str]:
        dialect = self._endpoint.dialect
        return {
            dialect.auth_header: dialect.auth_prefix + self._endpoint.key.reveal(),
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "X-Client-Request-Id": attempt_id,
            "Idempotency-Key": idempotency_key,
        }


async def _decoded(body: Blob) -> JsonValue:
    """A large answer is decoded beside the loop, which would stand still meanwhile."""
    return json_of(body) if len(body) <= LARGE_BYTES else await to_thread.run_sync(json_of, body)


def _encoded(request: ImageRequest) -> bytes:
    """The request's JSON. Model, prompt and `n` stand last: nothing passed through can replace them."""
    fields = {
        **request.parameters,
        **request.extra,
        "model": request.model,
        "prompt": request.prompt,
        "n": 1,
    }
    try:
        return msgspec.json.encode(fields)
    except (ValueError, OverflowError) as error:
        reason = f"the request cannot be written as JSON ({error}); nothing was sent"
        raise AttemptError(Failure(FailureClass.INVALID, reason, nothing_sent=True)) from error


def _too_large(exchange: _Exchange) -> Failure:
    reason = f"the answer is longer than {BODY_CAP_BYTES} bytes and was cut; it was probably charged"
    return Failure(
        FailureClass.NO_IMAGE, reason, Paid.YES, exchange.status, request_id(exchange.headers) or None
    )


async def _on_chunk_sent(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _params: aiohttp.TraceRequestChunkSentParams
) -> None:
    # Headers go out together with the first chunk, so before this nothing has left.
    context.trace_request_ctx.sent = True


@asynccontextmanager
async def open_provider(
    endpoint: Endpoint, *, concurrency: int, downloads: DownloadPolicy = PATIENT, now: Clock = utc_now
) -> AsyncIterator[HttpProvider]:
    """Open a provider for at most `concurrency` requests at a time; its connections close at the end.

    `now` is what a `Retry-After` date and the end of a link are compared with.
    """
    trace = aiohttp.TraceConfig()
    trace.on_request_chunk_sent.append(_on_chunk_sent)
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=concurrency, keepalive_timeout=KEEPALIVE_S),
        headers={"User-Agent": AGENT},
        timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        trace_configs=[trace],
        read_bufsize=CHUNK_BYTES,
        max_field_size=_HEADER_CAP_BYTES,
    )
    large = Turn()
    async with (
        session,
        open_downloads(
            endpoint, concurrency=concurrency, agent=AGENT, large=large, policy=downloads, now=now
        ) as fetching,
    ):
        yield HttpProvider(endpoint, session, fetching, large, now)
