"""Fetching an image's link: again as often as it helps, without the key, and nowhere but the public internet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import aiohttp
import anyio
from anyio import to_thread
from yarl import URL

from batchgen.core.errors import AttemptError
from batchgen.core.plain import one_line
from batchgen.core.retry import backoff_s
from batchgen.core.types import Blob, Failure, FailureClass, ImageBytes, Link, Paid
from batchgen.providers.addresses import AddressRefusedError, guarded_socket_factory
from batchgen.providers.body import BODY_CAP_BYTES, CHUNK_BYTES, BodyTooLargeError, collect
from batchgen.providers.connections import FreshConnector, strict_session
from batchgen.providers.endpoint import Endpoint, is_loopback
from batchgen.providers.faults import FOREIGN, detail_of, retold
from batchgen.providers.links import expired_words, expiry, own, parse_link, refusal
from batchgen.providers.masking import Mask
from batchgen.providers.packing import is_packed, unpack
from batchgen.system.clock import Clock
from batchgen.system.patience import Patience, fail_after
from batchgen.system.turns import Turn, forget_frames

MOST_REDIRECTS = 3
_AGAIN = frozenset({408, 425, 429})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class DownloadPolicy:
    """How hard a download is tried. Five tries over 15 s outlast a hiccup; the next run tries again for free.

    `delay_s` maps the tries so far to the seconds before the next. `try_deadline_s` bounds one try: 64 MiB in
    two minutes is 4.5 Mbit/s.
    """

    tries: int = 5
    try_deadline_s: float = 120.0
    delay_s: Callable[[int], float] = field(default=partial(backoff_s, jitter=1.0))


PATIENT = DownloadPolicy()


class _TryAgainError(Exception):
    """Trouble that may pass; the text says which."""


class _DeadLinkError(Exception):
    """The link will not work again, or must not be followed; the text says why."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        self.status = status
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class _Page:
    """One hop's answer: a body, or where to go next."""

    body: Blob = b""
    location: str | None = None


@dataclass(frozen=True, slots=True)
class Downloads:
    """Fetches links. `guarded` connects to public addresses only, `trusted` to the host that was configured."""

    endpoint: Endpoint
    guarded: aiohttp.ClientSession
    trusted: aiohttp.ClientSession
    policy: DownloadPolicy
    large: Turn
    now: Clock

    async def fetch(self, link: Link) -> ImageBytes:
        """Download a link and its further ones; one that cannot be had is given up where another can.

        Raises `AttemptError`: `transient` when trying was in vain, `download` where all are dead.
        """
        found: list[Blob] = []
        faults: list[AttemptError] = []

        async def take(url: str) -> None:
            one = Link(url, link.answer, link.expires if url == link.url else expiry(url))
            try:
                found.append(await self._fetch(one, BODY_CAP_BYTES - sum(map(len, found))))
            except AttemptError as error:
                faults.append(error)

        urls = iter((link.url, *link.more))
        for url in urls:
            await take(url)
            if found:
                break
        with anyio.move_on_after(
            self.policy.try_deadline_s
        ):  # the image that was asked for shall not wait for long
            for url in urls:
                await take(url)
        if not found:
            raise next(
                (one for one in faults if one.failure.failure_class is FailureClass.TRANSIENT), faults[0]
            )
        return ImageBytes(found[0], link.answer, more=tuple(found[1:]))

    async def _fetch(self, link: Link, cap_bytes: int) -> Blob:
        trouble = ""
        for tried in range(self.policy.tries):
            if tried:
                await anyio.sleep(self.policy.delay_s(tried))
            try:
                return self._without_key(link, await self._try(link.url, cap_bytes))
            except _DeadLinkError as error:
                raise self._dead(link, error) from error
            except _TryAgainError as error:
                trouble = str(error)
                forget_frames(error)
                self.large.give_back()  # the bytes are gone, and nobody shall wait for a backoff
        raise AttemptError(
            self._failure(link, FailureClass.TRANSIENT, f"in {self.policy.tries} tries ({trouble})")
        )

    def _without_key(self, link: Link, body: Blob) -> Blob:
        """The same bytes. With the key inside they are no image, though masked they might look like one: evidence."""
        masked = Mask(self.endpoint.key).data(body)
        if masked is body or masked == body:
            return body
        words = "the answer is no usable image: a secret was inside, which is masked in what is kept"
        raise AttemptError(
            Failure(FailureClass.NO_IMAGE, words, Paid.YES, link.answer.http_status, link.answer.request_id),
            masked,
        )

    async def _try(self, text: str, cap_bytes: int) -> Blob:
        """Follow a link once, each hop checked like the first."""
        url = parse_link(text)
        try:
            with fail_after(self.policy.try_deadline_s) as deadline:
                for _ in range(MOST_REDIRECTS + 1):
                    page = await self._get(self._checked(url), deadline, cap_bytes)
                    if page.location is None:
                        return page.body
                    target = parse_link(page.location)
                    url = url.join(target) if url and target else None
        except BodyTooLargeError as error:
            raise _DeadLinkError(f"it brings more than {cap_bytes} bytes") from error
        except FOREIGN as error:
            raise _translated(error) from retold(error, Mask(self.endpoint.key))
        raise _DeadLinkError(f"it redirects more than {MOST_REDIRECTS} times")

    def _checked(self, url: URL | None) -> URL:
        why_not = refusal(url, URL(self.endpoint.base_url))
        if url is None or why_not:
            raise _DeadLinkError(why_not or "it is no web address")
        return url

    async def _get(self, url: URL, deadline: Patience, cap_bytes: int) -> _Page:
        session = self.trusted if own(url, URL(self.endpoint.base_url)) else self.guarded
        async with session.get(url, allow_redirects=False) as response:
            if response.status in _REDIRECTS and "Location" in response.headers:
                return _Page(location=response.headers["Location"])
            _check_status(response.status)
            body = bytearray()
            await collect(
                response.content.iter_chunked(CHUNK_BYTES),
                body,
                cap_bytes=cap_bytes,
                large=self.large,
                deadline=deadline,
            )
        if is_packed(response.headers.get("Content-Encoding", ""), body):
            with deadline.paused():
                await self.large.take()
            found = await to_thread.run_sync(unpack, body, cap_bytes)
            if found.cut:
                raise BodyTooLargeError
            body = found.body
        return _Page(body)

    def _dead(self, link: Link, error: _DeadLinkError) -> AttemptError:
        reason = f"because of its link: {error}{expired_words(link.expires, self.now())}"
        return AttemptError(self._failure(link, FailureClass.DOWNLOAD, reason, error.status))

    def _failure(self, link: Link, kind: FailureClass, reason: str, status: int | None = None) -> Failure:
        words = Mask(self.endpoint.key).text(f"the image, which is paid for, could not be downloaded {reason}")
        return Failure(kind, one_line(words), Paid.YES, status, link.answer.request_id)


def _check_status(status: int) -> None:
    if 200 <= status < 300:
        return
    if status >= 500 or status in _AGAIN:
        raise _TryAgainError(f"HTTP {status}")
    raise _DeadLinkError(f"it answers HTTP {status}", status)


def _translated(error: Exception) -> Exception:
    """A refused address or URL is final; every other fault of a download may pass."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, AddressRefusedError):
        return _DeadLinkError("it leads into a private network")
    if isinstance(error, aiohttp.InvalidURL):
        return _DeadLinkError("it is no web address")
    return _TryAgainError(detail_of(error) or "no whole answer")


@asynccontextmanager
async def open_downloads(
    endpoint: Endpoint, *, concurrency: int, large: Turn, policy: DownloadPolicy, now: Clock
) -> AsyncIterator[Downloads]:
    """Open the sessions for downloads: no key, no cookies, no proxy, no configuration of the environment.

    `large` is the turn of large bodies, the same as for answers.
    """
    loopback_ok = is_loopback(URL(endpoint.base_url).host or "")
    guarded = FreshConnector(limit=concurrency, socket_factory=guarded_socket_factory(loopback_ok))
    trusted = FreshConnector(limit=concurrency)
    async with strict_session(guarded) as first, strict_session(trusted) as second:
        yield Downloads(endpoint, first, second, policy, large, now)
