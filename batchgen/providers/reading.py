"""One answer: its bytes, in one piece or in events -> an image, a link, or what went wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import aiohttp
from anyio import to_thread

from batchgen.catalogue.dialects import Dialect
from batchgen.core.classify import classify_event, classify_status, request_id
from batchgen.core.errors import AttemptError
from batchgen.core.protocols import OnSent, PartialSink
from batchgen.core.retry_after import REMAINING, RESET
from batchgen.core.types import Blob, Failure, FailureClass, ImageBytes, JsonValue, Link, Paid
from batchgen.providers.answers import Received, error_of, image_of, json_of, why_none
from batchgen.providers.body import (
    BODY_CAP_BYTES,
    CHUNK_BYTES,
    ERROR_CAP_BYTES,
    LARGE_BYTES,
    BodyTooLargeError,
    collect,
    follow,
)
from batchgen.providers.masking import Mask
from batchgen.providers.packing import is_packed, unpack
from batchgen.providers.sse import Event, EventStream, events_of, looks_like_events, may_be_events
from batchgen.providers.streaming import Kind, Part, is_end, is_partial, part_of
from batchgen.system.clock import Clock
from batchgen.system.patience import Patience
from batchgen.system.turns import Turn

EVENT_STREAM = "text/event-stream"
_EXCERPT_BYTES = 2000


@dataclass(slots=True)
class Exchange:
    """What is known of one request while it is under way; `status` is 0 until an answer begins.

    `body` is what came, uncompressed as soon as that was tried: `unpacked` is whether it was, `odd` whether not all of
    it could be. Of a stream of events it is the one that counts, `part` is what that event means, and `begun` whether
    partial images came before it. `events` is whether such a stream came indeed.
    """

    on_partial: PartialSink | None = None
    on_sent: OnSent | None = None
    sent: bool = False
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    unpacked: bool = False
    odd: bool = False
    part: Part | None = None
    begun: bool = False
    events: bool = False

    @property
    def streamed(self) -> bool:
        """Whether events come, one by one."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        return self.good and kind == EVENT_STREAM and not is_packed(self.encoding)

    @property
    def good(self) -> bool:
        """Whether an answer began that promises an image."""
        return 200 <= self.status < 300

    @property
    def encoding(self) -> str:
        """What the headers call the body."""
        return self.headers.get("content-encoding", "")

    @property
    def packed(self) -> bool:
        """Whether the body may be compressed, although it was asked for as it is, and has not been looked into yet."""
        return not self.unpacked and is_packed(self.encoding, self.body)

    async def unpack(self, cap_bytes: int) -> bool:
        """Look into the body; False when there is more in it than `cap_bytes`, of which the beginning is kept."""
        found = await to_thread.run_sync(unpack, self.body, cap_bytes)
        self.body, self.unpacked, self.odd = found.body, True, not found.whole
        return not found.cut


class Reading:
    """Reads answers of one provider. Foreign words pass `mask`; large answers wait for their turn.

    Headers of rate limits that a dialect calls otherwise get their usual names.
    """

    def __init__(self, mask: Mask, dialect: Dialect, large: Turn, now: Clock) -> None:
        self._mask = mask
        self._usual = ((dialect.remaining.lower(), REMAINING), (dialect.reset.lower(), RESET))
        self._large = large
        self._now = now

    async def read(self, response: aiohttp.ClientResponse, exchange: Exchange, deadline: Patience) -> None:
        """Take in an answer. Raises what the network's libraries raise, and the errors of `body`."""
        exchange.status = response.status
        exchange.headers = {
            self._usually(name.lower()): self._mask.text(text) for name, text in response.headers.items()
        }
        chunks: AsyncIterator[bytes] = response.content.iter_chunked(CHUNK_BYTES)
        if exchange.streamed:
            begin = await _begin(chunks)
            chunks = _again(begin, chunks)
            exchange.events = not begin.strip() or may_be_events(begin)
        if exchange.events:
            await self._follow(exchange, chunks, deadline)
            return
        cap_bytes = BODY_CAP_BYTES if exchange.good else ERROR_CAP_BYTES
        if response.content.is_eof() and not exchange.streamed:  # it is all there: nothing is waited for
            exchange.body += response.content.read_nowait()
            if len(exchange.body) > cap_bytes:
                raise BodyTooLargeError
        else:
            await collect(chunks, exchange.body, cap_bytes=cap_bytes, large=self._large, deadline=deadline)
        if exchange.packed:
            if exchange.good:
                with deadline.paused():
                    await self._large.take()
            if not await exchange.unpack(cap_bytes):
                raise BodyTooLargeError

    def _usually(self, name: str) -> str:
        for theirs, usual in self._usual:
            if name.startswith(theirs):
                return usual + name.removeprefix(theirs)
        return name

    async def failed(self, failure: Failure, exchange: Exchange) -> AttemptError:
        """The error of a failure, with what came as evidence where it may have been paid for."""
        if not exchange.good:
            return AttemptError(failure)
        if exchange.packed:  # inside a wrapping, no mask finds the key
            await exchange.unpack(LARGE_BYTES)
        return AttemptError(failure, self._mask.data(exchange.body))

    async def _follow(self, exchange: Exchange, chunks: AsyncIterator[bytes], deadline: Patience) -> None:
        """Read events up to the one that is the answer; what is behind it does not matter."""
        stream = EventStream()

        async def take(event: Event) -> bool:
            return await self._take(exchange, event)

        try:
            await follow(chunks, stream, take, large=self._large, deadline=deadline)
        finally:
            if exchange.part is None:
                exchange.body[:] = stream.leftover() or exchange.body

    async def _take(self, exchange: Exchange, event: Event) -> bool:
        """Deal with one event; True when nothing more is wanted."""
        if is_end(event):
            return True
        # The last one is evidence, should nothing better come; what is large is not held while others wait for room.
        exchange.body[:] = event.data if len(event.data) <= LARGE_BYTES else b""
        if is_partial(event) and exchange.on_partial is None and b'"error"' not in event.data[:_EXCERPT_BYTES]:
            exchange.begun = True
        else:
            part = part_of(event, await _decoded(event.data))
            if part.kind in {Kind.COMPLETED, Kind.ERROR}:
                exchange.part = part
                exchange.body[:] = event.data
                return True
            if part.kind is Kind.PARTIAL:
                exchange.begun = True
                await self._hand_on(exchange, part)
        self._large.give_back()
        return False

    async def _hand_on(self, exchange: Exchange, part: Part) -> None:
        if exchange.on_partial is None:
            return
        image = image_of(part.document, Received(exchange.status, exchange.headers), self._mask)
        if isinstance(image, ImageBytes) and isinstance(image.encoded, str):
            await exchange.on_partial(part.number, image.encoded)

    async def judged(self, exchange: Exchange) -> ImageBytes | Link:
        """What an answer brought. Raises `AttemptError`."""
        document = await self._document(exchange)
        if exchange.good:
            received = Received(exchange.status, exchange.headers)
            image = image_of(document, received, self._mask)
            if image is not None:
                return image
        error = error_of(document, self._mask)
        if error is not None and exchange.part is not None and exchange.part.kind is Kind.ERROR:
            failure = classify_event(
                error, status=exchange.status, headers=exchange.headers, begun=exchange.begun, now=self._now()
            )
        else:
            words = why_none(document) or self._excerpt(exchange, document)
            failure = classify_status(exchange.status, exchange.headers, error, words, self._now())
        raise await self.failed(failure, exchange)

    def _excerpt(self, exchange: Exchange, document: JsonValue) -> str:
        """The first words of an answer that is no JSON; of a stream they would be half an image."""
        if exchange.events:
            return "The stream ended without one."
        begin = bytes(exchange.body[:_EXCERPT_BYTES])
        said = self._mask.start(begin.decode("utf-8", "replace"))
        if document is None and begin.lstrip().startswith(
            (b"{", b"[")
        ):  # megabytes of base64 tell nobody anything
            said = "It is JSON that is damaged or breaks off."
        if exchange.odd:
            return f"It was sent as {exchange.encoding[:40] or 'gzip'}, which it is not, or not wholly. {said}"
        return said

    async def _document(self, exchange: Exchange) -> JsonValue:
        """The answer as a document; a stream of events that is called something else is read too."""
        if exchange.part is None:
            document = await _decoded(exchange.body)
            if document is not None or not looks_like_events(exchange.body):
                return document
            for event in events_of(exchange.body):
                await self._take(exchange, event)
                if exchange.part is not None:
                    break
        return exchange.part.document if exchange.part is not None else None


async def _begin(chunks: AsyncIterator[bytes]) -> bytes:
    """The first bytes that are no blanks, with the blanks before them."""
    begin = b""
    async for chunk in chunks:
        begin += chunk
        if begin.strip() or len(begin) > LARGE_BYTES:
            break
    return begin


async def _again(begin: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same chunks as if nothing had been read of them."""
    yield begin
    async for chunk in chunks:
        yield chunk


async def _decoded(body: Blob) -> JsonValue:
    """A large answer is decoded beside the loop, which would stand still meanwhile."""
    return json_of(body) if len(body) <= LARGE_BYTES else await to_thread.run_sync(json_of, body)


def too_large(exchange: Exchange) -> Failure:
    """An answer that was cut at the cap."""
    reason = f"the answer is longer than {BODY_CAP_BYTES} bytes and was cut; it was probably charged"
    return Failure(
        FailureClass.NO_IMAGE, reason, Paid.YES, exchange.status, request_id(exchange.headers) or None
    )
